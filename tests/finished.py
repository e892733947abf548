"""Records of runs that were never made, with scores of one's choice. Their parts fit each other, as a true one's do."""

from collections.abc import Sequence

import numpy as np

from repro import metrics
from repro.config import Run, content
from repro.stored import Record

PROVENANCE = {
    "versions": {"torch": "2.14.0"},
    "machine": {
        "system": "Linux", "processor": "P", "device": "cpu x1", "instruction_set": "AVX2", "extensions": "", "threads": 1,
    },
    "git": {"commit": "c", "dirty": False},
    "seconds": 1.0,
    "date": "2030-01-02T03:04:05+00:00",
}  # fmt: skip


def record(run: Run, scores: np.ndarray, labels: Sequence[int], classes: Sequence[str], **given) -> Record:
    """The record of a run with scores (N, K), labels (N,) and the names of K classes. given: other fields."""
    scores = np.asarray(scores, np.float16)
    made = {
        "config": content(run), "history": [], "clips": [str(i) for i in range(len(labels))], "catalog": "", "excluded": [],
        "start": "", "provenance": PROVENANCE, **given,
    }  # fmt: skip
    if "metrics" not in given:
        made["metrics"] = {"clip_top1": 0.5, **metrics.of_scores(scores, np.array(labels))}
    return Record(
        id=run.id, scores=scores, labels=[int(label) for label in labels], classes=list(map(str, classes)), **made
    )


def right(share: float, videos: int = 100) -> np.ndarray:
    """(videos, 2) scores of which the first share is right where all labels are 0."""
    return np.where((np.arange(videos) < share * videos)[:, None], (4.0, 0.0), (0.0, 4.0))
