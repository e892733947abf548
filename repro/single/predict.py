"""Scores of a trained network for any videos: decoded, cut and averaged as the run's own test videos are."""

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from repro import make, metrics, networks, paths, progress
from repro.data import prepare
from repro.data.catalog import Catalog
from repro.data.clips import ClipDataset, recipe_of
from repro.errors import ReproError
from repro.single import videos, weights
from repro.single.fused import Fused
from repro.single.weights import Network

AT_ONCE = 16  # videos: between two steps of the progress bar


def dataset(network: Network, root: Path, table: pd.DataFrame) -> ClipDataset:
    """Prepared videos as a test part of their own. table: columns clip and path."""
    data = replace(
        network.run.data, dataset="folder", source=root.name, root=str(root), split=1, group="", folds=3, test_groups=(),
        parts="", parts_file="",
    )  # fmt: skip
    rows = table[["clip", "path"]].assign(**{"label": -1, "class": "", "group": "", "part": "test"})
    return ClipDataset(Catalog("folder", 1, network.classes, rows, (), ""), "test", data, (data.modality,))


def prepared(network: Network, root: Path, table: pd.DataFrame, jobs: int = -1) -> dict[str, str]:
    """Decodes videos and computes their flow by the recipe of the run's own; returns {clip: error} of those that fail."""
    return prepare.prepare(table, "folder", root, recipe_of(network.run.data), jobs).failed


def scores(network: Network, root: Path, table: pd.DataFrame, device: str = "auto") -> Iterator[tuple[str, np.ndarray]]:
    """(clip, probabilities (K,)) of prepared videos, in order; the views of a video are averaged as in testing."""
    fabric = make.fabric_of(network.run, networks.resolve_device(device))
    model = fabric.to_device(network.model)
    for start in range(0, len(table), AT_ONCE):
        some = table.iloc[start : start + AT_ONCE].reset_index(drop=True)
        found = make.test(network.run, fabric, model, dataset(network, root, some), workers=0)
        yield from zip(some["clip"], metrics.softmax(found.videos()), strict=True)


def averaged(fused: Fused, root: Path, table: pd.DataFrame, device: str = "auto") -> Iterator[tuple[str, np.ndarray]]:
    """`scores` of several networks, averaged by their shares."""
    for rows in zip(*(scores(network, root, table, device) for network in fused.networks), strict=True):
        clip, _ = rows[0]
        yield clip, np.average([row for _, row in rows], axis=0, weights=fused.shares)


def predict(
    fused: Fused,
    given: Path,
    below: Path | None = None,
    output: Path | None = None,
    jobs: int = -1,
    device: str = "auto",
) -> None:
    """Writes a CSV file, or prints it: path, prediction, none_of_these, and the probability of each class, a line per video.

    none_of_these: yes where the highest probability is below `Network.least`. Videos that cannot be read are named on
    stderr and left out; a ReproError at the end counts them. given, below: see `videos.found`.
    """
    root, table = videos.found(given, below)
    failed: dict[str, str] = {}
    for network in fused.networks:
        failed |= prepared(network, root, table[~table["clip"].isin(failed)], jobs)
    ready = table[~table["clip"].isin(failed)]
    names = dict(zip(table["clip"], table["name"], strict=True))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["path", "prediction", "none_of_these", *fused.classes])
    found = averaged(fused, root, ready, device)
    for clip, row in progress.bar("predicting", len(ready), "video", found):
        none = "yes" if row.max() < fused.least else "no"
        lines.writerow([names[clip], fused.classes[int(row.argmax())], none, *(f"{p:.6f}" for p in row)])
    if len(ready):
        _write(text.getvalue(), output)
        print(f"{len(ready)} of {len(table)} videos predicted; {rule(fused)}", file=sys.stderr)
    if failed:
        raise ReproError(f"{len(failed)} of {len(table)} videos could not be read, see above; the others are predicted")


def rule(network: Network | Fused) -> str:
    """The rule for none of these, with its number."""
    reached = f"at least {weights.KEPT:.0%} of the run's {network.tested} test videos reach that"
    return f"none of these is the answer where the highest probability is below {network.least:.3f}; {reached}"


def _write(text: str, output: Path | None) -> None:
    if output is None:
        print(text, end="")
        return
    with paths.atomic(output) as part:
        part.write_text(text, encoding="utf-8")
