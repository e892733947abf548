"""Trains the planned run through the code of the notebooks and tables, and says what became of it."""

import sys
from typing import TYPE_CHECKING

from scipy import stats

from repro import execute, networks
from repro.config import Run
from repro.data import catalog, groups
from repro.data.annotations import folder
from repro.parameters import Parameters
from repro.records import Record

if TYPE_CHECKING:  # an optional dependency
    from repro.cluster import Cluster


def warn_of_leaks(run: Run) -> None:
    """One line on stderr where a folder's clips have no groups, so that nothing keeps a person out of training and test."""
    data = run.data
    if data.dataset == "folder" and not (data.group or data.parts):
        _, clips = folder.read(catalog.checked_root("folder", catalog.data_root(data)))
        print(groups.warning(clips), file=sys.stderr)


def train(run: Run, parameters: Parameters, log: str = "", cluster: "Cluster | None" = None) -> Record:
    """Trains and tests a run and those it needs; what is finished on this machine is read instead."""
    warn_of_leaks(run)
    (record,) = execute.execute([run], weights=True, log=log, cluster=cluster, **parameters.execution)
    return record


def sentences(run: Run, record: Record) -> list[str]:
    """What became of a run, and the next command."""
    n = len(record.labels)
    right = round(record.metrics["video_top1"] * n)
    low, high = stats.binomtest(right, n).proportion_ci(method="wilson")
    chance = max(record.labels.count(label) for label in set(record.labels)) / n
    weights = networks.weights_path(run)
    given = f" --model {run.model.name}" if run.model.code else ""
    return [
        f"run {run.id}: {run.title}, {len(record.classes)} classes",
        f"test accuracy {right / n:.1%} ({right} of {n} videos; 95 % interval {low:.1%} to {high:.1%}, as if the videos were "
        f"independent; always naming the most frequent class: {chance:.1%})",
        f"weights: {weights}",
        f"next: python -m repro predict {run.id}{given} VIDEO",
    ]
