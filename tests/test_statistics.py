"""Metrics on numbers worked out by hand; verdicts on constructed hits that must come out each way."""

import numpy as np
import pytest

from repro import metrics
from repro.errors import ReproError
from repro.evidence.statistics import Gain, Outcome, Verdict, bootstrap, paired_gain, together

SUPPORTED, CONTRADICTED, NOT_RESOLVED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.NOT_RESOLVED


SCORES = np.array([[3.0, 2.0, 1.0], [0.0, 5.0, 4.0], [1.0, 0.0, 2.0], [9.0, 8.0, 7.0]])
LABELS = np.array([0, 2, 2, 2])


def test_accuracies_by_hand():
    assert metrics.correct(SCORES, LABELS).tolist() == [True, False, True, False]
    assert metrics.top(SCORES, LABELS, 2) == 0.75
    assert metrics.per_class(SCORES, LABELS) == {0: 1.0, 2: 1 / 3}
    assert metrics.mean_class(SCORES, LABELS) == pytest.approx(2 / 3)


def test_a_tie_counts_for_the_lower_class():
    assert metrics.top(np.zeros((2, 3)), np.array([0, 1])) == 0.5


def test_softmax_survives_large_logits():
    assert metrics.softmax(np.array([[1000.0, 1000.0 + np.log(3)]]))[0] == pytest.approx([0.25, 0.75])


def test_no_scores_are_an_error():
    with pytest.raises(ReproError, match="the test part is empty"):
        metrics.top(np.zeros((0, 3)), np.zeros(0))


def hits(rate: float, seed: int, seeds: int = 3, clips: int = 400) -> np.ndarray:
    return np.random.default_rng(seed).random((seeds, clips)) < rate


def test_a_clear_gain_is_supported_or_contradicted_by_what_was_claimed():
    gain = paired_gain([hits(0.8, 1)], [hits(0.6, 2)])
    assert gain.low < gain.mean < gain.high
    assert gain.mean == pytest.approx(0.2, abs=0.05)
    assert gain.outcome(+1) == SUPPORTED
    assert gain.outcome(-1) == CONTRADICTED
    assert paired_gain([hits(0.6, 2)], [hits(0.8, 1)]).outcome(+1) == CONTRADICTED


def test_noise_is_not_resolved():
    outcomes = [paired_gain([hits(0.7, i)], [hits(0.7, 100 + i)]).outcome(+1) for i in range(24)]
    assert outcomes.count(NOT_RESOLVED) >= 20  # 95 % intervals: 23 expected
    same = hits(0.7, 5)
    assert paired_gain([same], [same]).outcome(+1) == NOT_RESOLVED


def test_pairing_sees_a_gain_that_lies_in_the_same_clips():
    base = hits(0.5, 7)
    better = base.copy()
    better[:, np.flatnonzero(~base.any(axis=0))[:12]] = True  # 12 clips of 400 that nobody got before
    assert paired_gain([better], [base]).outcome(+1) == SUPPORTED


def test_splits_weigh_the_same():
    ones, none = np.ones((3, 10), bool), np.zeros((3, 1000), bool)
    assert paired_gain([ones, none], [~ones, none]).mean == pytest.approx(0.5)


def test_weighted_splits_weigh_by_their_weights():
    ones, none = np.ones((3, 10), bool), np.zeros((3, 30), bool)
    assert paired_gain([ones, none], [~ones, none], [10, 30]).mean == pytest.approx(0.25)


def test_unpaired_systems_are_an_error():
    with pytest.raises(ReproError, match="same seeds and clips"):
        paired_gain([hits(0.5, 1)], [])
    with pytest.raises(ReproError, match="same seeds and clips"):
        paired_gain([hits(0.5, 1)], [hits(0.5, 1, seeds=2)])


def test_ends_are_judged_as_they_are_printed():
    assert Gain(0.05, 0.0004, 0.1).outcome(+1) == NOT_RESOLVED  # [+0.0, +10.0]
    assert Gain(0.05, 0.0006, 0.1).outcome(+1) == SUPPORTED  # [+0.1, +10.0]
    assert Gain(-0.05, -0.1, -0.0004).outcome(+1) == NOT_RESOLVED
    assert Gain(-0.05, -0.1, -0.0006).outcome(+1) == CONTRADICTED
    assert Gain(float("nan"), float("nan"), float("nan")).outcome(+1) == NOT_RESOLVED


def test_a_claim_of_no_sign_is_not_resolved():
    assert Gain(0.2, 0.1, 0.3).outcome(0) is NOT_RESOLVED


def test_parts_of_a_claim_decide_it_together():
    assert together([SUPPORTED, SUPPORTED]) is SUPPORTED
    assert together([SUPPORTED, NOT_RESOLVED]) is NOT_RESOLVED
    assert together([SUPPORTED, NOT_RESOLVED, CONTRADICTED]) is CONTRADICTED


def test_verdicts_are_read_as_words_and_say_when_one_seed_decided():
    gain = Gain(0.02, 0.01, 0.03)
    assert str(Verdict(SUPPORTED, gain, 3)) == "supported"
    assert str(Verdict(SUPPORTED, gain, 1)) == "supported (one seed)"
    assert str(Verdict(Outcome.AT_CHANCE, gain, 1)) == "at chance, as expected (one seed)"
    assert str(Verdict(Outcome.REFERENCE, against="plain")) == "compared with plain"
    assert str(Verdict(Outcome.UNCLAIMED, gain, 1)) == "nothing claimed"
    assert str(Verdict(Outcome.NOT_RUN)) == "not run"


def test_gains_are_printed_in_points_and_zero_has_a_plus():
    assert str(Gain(0.0123, -0.0004, 0.025)) == "+1.2 [+0.0, +2.5]"


def test_the_same_bootstrap_every_time():
    ours, theirs = [hits(0.7, 1)], [hits(0.6, 2)]
    assert paired_gain(ours, theirs) == paired_gain(ours, theirs)


def test_a_bootstrap_leaves_out_clips_without_a_value():
    assert bootstrap([np.full((3, 10), 0.25)]) == (0.25, 0.25, 0.25)
    values = np.random.default_rng(1).normal(0.2, 0.1, (3, 400))
    mean, low, high = bootstrap([values])
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * 0.1 / np.sqrt(1200), rel=0.6)
    values[:, ::2] = np.nan
    mean, low, high = bootstrap([values])
    assert mean == pytest.approx(np.nanmean(values))
    assert low < mean < high
    assert np.isnan(bootstrap([np.full((2, 3), np.nan)])).all()
