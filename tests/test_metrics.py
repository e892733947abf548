"""Accuracies against numbers worked out by hand."""

import numpy as np
import pytest

from repro import metrics
from repro.errors import ReproError

# Highest score of each row: 0, 1, 1, and a tie of 0 and 2.
SCORES = np.array([[3.0, 2.0, 1.0], [0.0, 2.0, 1.0], [1.0, 2.0, 0.0], [5.0, 0.0, 5.0]])
LABELS = np.array([0, 1, 0, 2])


def test_top_k():
    assert metrics.correct(SCORES, LABELS).tolist() == [True, True, False, False]  # of a tie the lower class wins
    assert metrics.top(SCORES, LABELS) == 0.5
    assert metrics.top(SCORES, LABELS, 2) == 1.0
    assert metrics.top(SCORES, np.array([2, 0, 2, 1]), 2) == 0.0
    assert metrics.top(SCORES, np.array([2, 0, 2, 1]), 5) == 1.0  # more than there are classes


def test_the_mean_over_classes_gives_each_class_the_same_weight():
    assert metrics.per_class(SCORES, LABELS) == {0: 0.5, 1: 1.0, 2: 0.0}
    assert metrics.mean_class(SCORES, LABELS) == 0.5
    assert metrics.mean_class(SCORES[:3], LABELS[:3]) == 0.75  # a class without a video does not count
    assert metrics.top(SCORES[:3], LABELS[:3]) == pytest.approx(2 / 3)


def test_softmax_of_large_scores():
    scores = np.array([[1000.0, 1000.0 + np.log(3)], [-1000.0, -1000.0]], np.float32)
    np.testing.assert_allclose(metrics.softmax(scores), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-3)


def test_no_scores_are_an_error():
    with pytest.raises(ReproError, match="the test part is empty"):
        metrics.top(np.zeros((0, 3)), np.zeros(0, int))
