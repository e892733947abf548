"""All recorded runs of a profile as one table: what `repro.load_results` returns."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from repro import records
from repro.config import PROFILES
from repro.errors import unknown
from repro.records import Record


def load_results(profile: str = "small") -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """All records of a profile: those made on this machine, and those that come with the project.

    Returns a DataFrame with one row per run, by its id: every field of its configuration ("data.frames"), its metrics in
    [0, 1] ("metrics.video_top1"), the end of its history ("history.loss"), and where it comes from ("provenance.date";
    "origin": "here" or "committed"); "clips" is the id of its catalog, "test_videos" their number N. Fields that a run does
    not have are missing values. And {id: (N, K) float16}, the log-probabilities of its N test videos for K classes.
    A damaged record is named on stderr and left out. ReproError for an unknown profile.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    rows, scores = {}, {}
    for record, origin in records.everything(profile):
        rows[record.id] = dict(_row(record)) | {"origin": origin}
        scores[record.id] = record.scores
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run"), scores


def _row(record: Record) -> Iterator[tuple[str, Any]]:
    yield from flat(record.config)
    yield from flat({"metrics": {k: v for k, v in record.metrics.items() if k != "per_class"}})
    yield from flat({"history": (record.history or [{}])[-1]})
    yield from flat({"provenance": record.provenance})
    yield "clips", record.catalog
    yield "test_videos", len(record.labels)


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested values as pairs of a dotted name and a value; of start and teacher, which have their own rows, seed and modality."""
    for name, value in config.items():
        if name in ("start", "teacher"):
            value = {} if value is None else {"modality": value["data"]["modality"], "seed": value["seed"]}
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
