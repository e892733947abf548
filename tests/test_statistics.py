"""Metrics on numbers worked out by hand; tests of claims, Holm's correction, and verdicts that must come out each way."""

import numpy as np
import pytest
from scipy import stats

from repro import metrics
from repro.errors import ReproError
from repro.evidence.intervals import Gain
from repro.evidence.statistics import ASSUMED, Outcome, Test, Verdict, holm, power_for

SUPPORTED, CONTRADICTED, NOT_RESOLVED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.NOT_RESOLVED
EQUIVALENT, NOT_TESTABLE = Outcome.EQUIVALENT, Outcome.NOT_TESTABLE

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


def claim(*gains: Gain, not_worse: bool = False, paper: float | None = None) -> Test:
    return Test(gains, tuple(power_for(gain, paper, not_worse) for gain in gains), not_worse)


@pytest.mark.parametrize(
    ("gains", "outcome", "decisive"),
    [
        ([Gain(0.03, 0.005, 9)], SUPPORTED, 0),
        ([Gain(-0.03, 0.005, 9)], CONTRADICTED, 0),
        ([Gain(0.001, 0.003, 9)], EQUIVALENT, 0),
        ([Gain(0.01, 0.006, 9)], NOT_RESOLVED, 0),
        ([Gain(0.01, 0.02, 9)], NOT_TESTABLE, 0),
        ([Gain(0.03, 0.005, 9), Gain(0.02, 0.005, 9)], SUPPORTED, 1),
        ([Gain(0.03, 0.005, 9), Gain(0.01, 0.006, 9), Gain(0.2, 0.02, 9)], NOT_RESOLVED, 1),
        ([Gain(0.03, 0.005, 9), Gain(-0.03, 0.005, 9), Gain(-0.04, 0.02, 9)], CONTRADICTED, 1),
        ([Gain(0.001, 0.003, 9), Gain(-0.001, 0.003, 9)], EQUIVALENT, 1),
        ([Gain(0.001, 0.003, 9), Gain(0.03, 0.02, 9)], NOT_RESOLVED, 0),
        ([Gain(0.0, 0.0, 2)], EQUIVALENT, 0),  # equal on every clip of every run
        ([Gain(0.3)], NOT_RESOLVED, 0),  # one seed
    ],
)
def test_a_claim_comes_out_each_way_and_the_pair_with_the_least_support_decides(gains, outcome, decisive):
    test = claim(*gains)
    verdict = test.verdict(test.p, 3, [str(i) for i in range(len(gains))])
    assert (verdict.outcome, verdict.against, verdict.gain) == (outcome, str(decisive), gains[decisive])
    assert verdict.power == gains[decisive].power(ASSUMED)


def test_every_pair_must_hold_and_one_is_enough_against():
    gains = Gain(0.03, 0.01, 9), Gain(0.02, 0.01, 4), Gain(-0.01, 0.01, 20)
    above = [float(stats.t.sf(gain.mean / gain.se, gain.df)) for gain in gains]
    assert claim(*gains[:2]).support == pytest.approx(2 * above[1])
    assert claim(*gains).contradiction == pytest.approx(2 * 3 * (1 - above[2]))
    assert claim(*gains).p == min(1, claim(*gains).support, claim(*gains).contradiction)
    assert claim(gains[0]).p == pytest.approx(gains[0].p)


def test_not_worse_is_tested_from_one_side_with_the_margin():
    gain = Gain(-0.005, 0.0025, 30)
    lower = gain.mean - stats.t.isf(0.05, gain.df) * gain.se
    assert lower > -0.01  # the one-sided 95 % interval
    test = claim(gain, not_worse=True)
    assert test.outcome(test.p) is SUPPORTED
    assert test.p == pytest.approx(stats.t.sf(0.005 / 0.0025, 30))
    almost = claim(Gain(-0.006, 0.0025, 30), not_worse=True)
    assert almost.outcome(almost.p) is not SUPPORTED
    worse = claim(Gain(-0.05, 0.01, 30), not_worse=True)
    assert worse.outcome(worse.p) is CONTRADICTED
    a_little = claim(Gain(-0.015, 0.005, 30), not_worse=True)  # worse than zero, but not than the margin
    assert a_little.outcome(a_little.p) is NOT_RESOLVED


def test_the_power_is_for_the_papers_gain():
    gain = Gain(0.0, 0.01, 9)
    assert power_for(gain, 0.05) == gain.power(0.05) > power_for(gain, None) == gain.power(0.02)
    assert power_for(gain, -0.05) == gain.power(0.05)
    assert claim(gain, paper=0.05).outcome(1.0) is NOT_RESOLVED
    assert claim(gain).outcome(1.0) is NOT_TESTABLE
    assert power_for(gain, None, not_worse=True) == gain.power(0.01, 0.05)


def test_where_only_the_sign_is_asked_nothing_is_equivalent_or_not_testable():
    assert Test((Gain(0.0, 0.001, 9),)).outcome(1.0) is NOT_RESOLVED
    assert Test((Gain(0.0, 0.1, 9),)).outcome(1.0) is NOT_RESOLVED
    assert Test((Gain(0.0, 0.1, 9),)).verdict(1.0, 3, ["x"]).power is None


def test_a_correction_can_take_a_verdict_back():
    test = claim(Gain(0.03, 0.01, 9), paper=0.05)
    assert 0.01 < test.p < 0.025
    assert test.outcome(test.p) is SUPPORTED
    assert test.outcome(4 * test.p) is NOT_RESOLVED


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_verdicts_are_read_as_words_and_say_when_one_seed_decided():
    gain = Gain(0.02, 0.005, 9)
    assert str(Verdict(SUPPORTED, gain, 3)) == "supported"
    assert str(Verdict(NOT_RESOLVED, Gain(0.02), 1)) == "not resolved (one seed)"
    assert str(Verdict(Outcome.AT_CHANCE, gain, 1)) == "at chance, as expected (one seed)"
    assert str(Verdict(Outcome.REFERENCE, against="plain")) == "compared with plain"
    assert str(Verdict(Outcome.UNCLAIMED, gain, 1)) == "nothing claimed"
    assert str(Verdict(Outcome.NOT_RUN)) == "not run"


def test_numbers_of_a_verdict_in_words():
    verdict = Verdict(SUPPORTED, Gain(0.02, 0.01, 9), 10, p=0.0123)
    assert verdict.p_text == "0.012"
    assert verdict.smallest_gain_text == f"{100 * verdict.gain.smallest_gain:.1f}" == "3.1"
    assert Verdict(SUPPORTED, Gain(0.02, 0.4, 1), p=0.0001).p_text == "< 0.001"
    assert Verdict(SUPPORTED, Gain(0.02, 0.4, 1)).smallest_gain_text == "over 100"
    assert (Verdict(NOT_RESOLVED, Gain(0.02), 1).smallest_gain_text, Verdict(Outcome.NOT_RUN).p_text) == ("", "")
