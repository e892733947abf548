"""Accuracies: pure functions of scores (N, K) and labels (N,) that return fractions in [0, 1].

An empty input is an error, so no accuracy is ever NaN.
"""

import numpy as np

from repro.errors import ReproError

STEPS = 16  # of a stored score, per unit: a step is 6 % of a probability


def correct(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> np.ndarray:
    """(N,) bool: whether the label is among the k highest scores. Of equal scores the lower class number ranks first.

    Raises ReproError where there are no scores.
    """
    if len(scores) == 0:
        raise ReproError("no scores to evaluate: the test part is empty")
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :k]  # (N, k)
    return (order == np.asarray(labels)[:, None]).any(axis=1)


def top(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Fraction of rows whose label is among the k highest scores. A row is a clip (clip_top1) or a video (video_top1)."""
    return float(correct(scores, labels, k).mean())


def per_class(scores: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """{class number: top-1 of its rows} for the classes that occur in `labels`."""
    hits, labels = correct(scores, labels), np.asarray(labels)
    return {int(c): float(hits[labels == c].mean()) for c in np.unique(labels)}


def mean_class(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean of the per-class top-1: every class has the same weight, as in TSN's code."""
    return float(np.mean(list(per_class(scores, labels).values())))


def of_scores(scores: np.ndarray, labels: np.ndarray) -> dict:
    """What a record says of its videos: top-1, top-5, the mean over classes, and {class number as text: its top-1}."""
    return {
        "video_top1": top(scores, labels),
        "video_top5": top(scores, labels, 5),
        "mean_class": mean_class(scores, labels),
        "per_class": {str(c): value for c, value in per_class(scores, labels).items()},
    }


def softmax(scores: np.ndarray) -> np.ndarray:
    """(N, K) logits to (N, K) float64 probabilities."""
    e = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def accepted(scores: np.ndarray, share: float) -> float:
    """The highest probability that at least `share` of the rows (N, K) reach, less the rounding of a record's scores."""
    best = np.sort(softmax(scores).max(axis=1))
    below = int(len(best) * (1 - share) + 1e-9)  # rows that may stay below it
    return float(best[below] * np.exp(-1 / STEPS))


def rounded(scores: np.ndarray) -> np.ndarray:
    """The log-softmax of scores (N, K), float16, in steps of 1 / `STEPS`, and at least -60.

    The class with the highest score stays the only one in first place: rounding decides no top-1.
    """
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    steps = np.rint(np.maximum(logs, -60) * STEPS)
    rows, first = np.arange(len(steps)), scores.argmax(axis=1)
    tied = (steps == steps.max(axis=1, keepdims=True)).sum(axis=1) > 1
    steps[rows[tied], first[tied]] += 1
    return (steps / STEPS).astype(np.float16)
