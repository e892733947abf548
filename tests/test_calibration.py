"""Do the tests keep what they promise? Simulated runs and clips, with noise between runs.

The older interval, a percentile bootstrap, is here to show that these tests can fail.
"""

import functools

import numpy as np
import pytest
from scipy import stats

from repro.evidence.intervals import MARGIN, Gain, crossed, paired_gain
from repro.evidence.statistics import Test, holm, power_for

TRIALS, LEVEL = 2000, 0.05
CLIP = 1.5  # standard deviation of the clips' difficulty, where that of a run's answer to a clip is 1
CLIPS, ACCURACY = 384, 0.75


def runs(rng: np.random.Generator, difficulty: np.ndarray, seeds: int, accuracy: float, sd: float) -> np.ndarray:
    """(S, N) hits of runs whose accuracies have a mean and a standard deviation, on clips (N,) of some difficulty."""
    spread = np.sqrt(1 + CLIP**2)
    of_seed = sd * spread / stats.norm.pdf(stats.norm.ppf(ACCURACY))  # in the units of difficulty
    ability = stats.norm.ppf(accuracy) * np.sqrt(spread**2 + of_seed**2) + of_seed * rng.normal(size=(seeds, 1))
    return ability - CLIP * difficulty + rng.normal(size=(seeds, len(difficulty))) > 0


def gains(interval, seeds: int, sd: float, gain: float = 0.0, clips: int = CLIPS, trials: int = TRIALS) -> list:
    """The intervals of simulated studies of two systems, which share clips and no run."""
    rng, found = np.random.default_rng((seeds, int(1000 * sd), clips)), []
    for _ in range(trials):
        clip = rng.normal(size=clips)
        ours, theirs = runs(rng, clip, seeds, ACCURACY + gain, sd), runs(rng, clip, seeds, ACCURACY, sd)
        found.append(interval([ours], [theirs]))
    return found


def too_many(trials: int = TRIALS) -> int:
    """The false verdicts that a nominal level allows, up to a binomial error of one in a thousand."""
    return int(stats.binom.isf(0.001, trials, LEVEL))


@functools.lru_cache(maxsize=1)
def draws(shape: tuple[int, int]) -> list[np.ndarray]:
    """How often each of 4,000 resamples draws each run (R, S) and each clip (R, N)."""
    rng = np.random.default_rng(0)
    return [rng.multinomial(n, np.full(n, 1 / n), 4000) for n in shape]


def bootstrap(ours: list[np.ndarray], theirs: list[np.ndarray]) -> np.ndarray:
    """The ends of the older interval: percentiles of the means of runs and clips that are drawn with replacement."""
    difference = ours[0].astype(float) - theirs[0]
    of_runs, of_clips = draws(difference.shape)
    means = ((of_runs @ difference) * of_clips).sum(axis=1) / difference.size
    return np.quantile(means, [0.025, 0.975])


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize("sd", [0.0, 0.02, 0.05, 0.1])
def test_without_a_difference_the_interval_misses_zero_as_often_as_it_says(seeds, sd):
    false = sum(gain.p < LEVEL for gain in gains(paired_gain, seeds, sd))
    assert false <= too_many()
    if sd:  # without noise between runs it is conservative: about 2 %, since it cannot know that there is none
        assert false >= stats.binom.ppf(0.001, TRIALS, LEVEL)


@pytest.mark.slow
@pytest.mark.parametrize("sd", [0.0, 0.02, 0.05, 0.1])
def test_two_runs_give_no_more_false_verdicts_than_they_may(sd):
    assert sum(gain.p < LEVEL for gain in gains(paired_gain, 2, sd)) <= too_many()


@pytest.mark.slow
def test_the_older_interval_would_fail():
    ends = gains(bootstrap, 3, 0.05, trials=600)
    false = sum(low > 0 or high < 0 for low, high in ends)
    assert false > too_many(600)  # about 14 %


@pytest.mark.slow
def test_a_true_gain_is_found_as_often_as_the_power_says():
    found = gains(paired_gain, 10, 0.01, gain=0.02, clips=1152, trials=600)
    share = np.mean([gain.p < LEVEL and gain.mean > 0 for gain in found])
    assert 0.5 < share < 0.99
    assert np.mean([gain.power(0.02) for gain in found]) == pytest.approx(share, abs=0.06)


def study(rng: np.random.Generator, true: float, seeds: int = 10, clips: int = 300) -> Gain:
    """A study of normal values precise enough for equivalence: standard error of about 0.25 points."""
    parts = rng.normal(0, 0.006, (seeds, 1)), rng.normal(0, 0.02, (1, clips)), rng.normal(0, 0.1, (seeds, clips))
    return crossed([true + sum(parts)])


def test_equivalence_and_non_inferiority_are_rarely_declared_at_the_margin():
    rng = np.random.default_rng(1)
    for true in (MARGIN, -MARGIN):
        at_margin = [study(rng, true) for _ in range(TRIALS)]
        assert sum(gain.equivalent for gain in at_margin) <= too_many()
    tests = [Test((gain,), (power_for(gain, None, True),), not_worse=True) for gain in at_margin]
    supported = sum(test.outcome(test.p) == "supported" for test in tests)
    assert stats.binom.ppf(0.001, TRIALS, LEVEL) <= supported <= too_many()
    equal = [study(rng, 0.0) for _ in range(200)]
    assert sum(gain.equivalent for gain in equal) > 130  # so that it can be declared
    assert sum(gain.above(-MARGIN) < LEVEL for gain in equal) > 180


def family(rng: np.random.Generator, df: float = 4.0) -> list[float]:
    """The p-values of ten claims of one to three pairs, none of which differ."""
    draws = [[Gain(float(rng.standard_t(df)), 1.0, df) for _ in range(1 + i % 3)] for i in range(10)]
    return [Test(tuple(each)).p for each in draws]


@pytest.mark.slow
def test_a_family_of_claims_without_a_difference_has_a_false_verdict_in_5_percent():
    rng = np.random.default_rng(2)
    families = [family(rng) for _ in range(TRIALS)]
    assert sum(min(holm(each)) < LEVEL for each in families) <= too_many()
    assert sum(min(each) < LEVEL for each in families) > 4 * too_many()  # without the correction
    for claim in range(10):  # and each claim by itself keeps the level
        assert sum(each[claim] < LEVEL for each in families) <= too_many()
