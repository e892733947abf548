"""Accuracies, as pure functions of scores and labels. Fractions in [0, 1]; NaN never: an empty input is an error."""

import numpy as np

from repro.errors import ReproError


def correct(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> np.ndarray:
    """(N,) bool: is the label among the k highest of `scores` (N, K)? A tie counts for the lower class number."""
    if len(scores) == 0:
        raise ReproError("no scores to evaluate: the test part is empty")
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :k]  # (N, k)
    return (order == np.asarray(labels)[:, None]).any(axis=1)


def top(scores: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Fraction of rows whose label is among the k highest scores: clip_top1 or video_top1, by what the rows are."""
    return float(correct(scores, labels, k).mean())


def per_class(scores: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """Top-1 within each class that occurs in `labels`."""
    hits, labels = correct(scores, labels), np.asarray(labels)
    return {int(c): float(hits[labels == c].mean()) for c in np.unique(labels)}


def mean_class(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean of the per-class top-1, every class with the same weight (TSN's accuracy)."""
    return float(np.mean(list(per_class(scores, labels).values())))


def softmax(scores: np.ndarray) -> np.ndarray:
    """(N, K) logits to probabilities."""
    e = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)
