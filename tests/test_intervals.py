"""The interval of crossed random effects: by hand, against simple designs that it must equal, and its power."""

import numpy as np
import pytest
from scipy import stats

from repro.errors import ReproError
from repro.evidence.intervals import Gain, crossed, over_folds, paired_gain

RNG = np.random.default_rng(3)


def test_mean_squares_by_hand():
    values = np.array([[1.0, 2.0, 4.0], [2.0, 5.0, 6.0], [3.0, 8.0, 5.0]])
    # means of runs 7/3, 13/3, 16/3; of clips 2, 5, 5; of all 4
    runs = 3 * ((5 / 3) ** 2 + (1 / 3) ** 2 + (4 / 3) ** 2) / 2
    clips = 3 * (2**2 + 1**2 + 1**2) / 2
    rest = (((values - 4) ** 2).sum() - 2 * runs - 2 * clips) / 4
    gain, total = crossed([values]), runs + clips - rest
    assert gain.mean == pytest.approx(4)
    assert gain.se == pytest.approx(np.sqrt(total / 9))
    assert gain.df == pytest.approx(total**2 / (runs**2 / 2 + clips**2 / 2 + rest**2 / 4))
    half = stats.t.ppf(0.975, gain.df) * gain.se
    assert (gain.low, gain.high) == pytest.approx((4 - half, 4 + half))


def test_two_runs_have_one_degree_of_freedom():
    gain = crossed([np.array([[1.0, 2.0, 4.0], [2.0, 5.0, 6.0]])])
    assert gain.df == 1
    assert gain.high - gain.mean == pytest.approx(stats.t.ppf(0.975, 1) * gain.se)


def test_where_only_runs_differ_it_is_the_t_interval_of_runs():
    means = np.array([0.1, 0.3, 0.2, 0.6])
    gain, (low, high) = (
        crossed([np.repeat(means[:, None], 50, axis=1)]),
        stats.ttest_1samp(means, 0).confidence_interval(),
    )
    assert gain.df == pytest.approx(3)
    assert (gain.low, gain.high) == pytest.approx((low, high))
    assert gain.p == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


def test_where_only_clips_differ_it_is_the_t_interval_of_clips():
    clips = RNG.random(40)
    gain, plain = crossed([np.repeat(clips[None], 5, axis=0)]), stats.ttest_1samp(clips, 0)
    assert (gain.low, gain.high, gain.df) == pytest.approx((*plain.confidence_interval(), 39))


def test_the_variance_is_never_below_that_of_runs_or_clips_alone():
    values = RNG.random((5, 60))
    values += 0.5 - values.mean(axis=1, keepdims=True)  # every run has the same mean
    squares = 5 * values.mean(axis=0).var(ddof=1)
    assert crossed([values]).se == pytest.approx(np.sqrt(squares / values.size))


def test_one_run_has_a_mean_and_no_interval():
    gain = crossed([RNG.random((1, 50)) < 0.5])
    assert (gain.se, gain.df, gain.smallest_gain, gain.p, gain.power(0.5)) == (None, None, np.inf, 1, 0.025)
    assert (gain.low, gain.high, gain.equivalent) == (-np.inf, np.inf, False)
    assert str(Gain(0.0123)) == "+1.2"
    two = [RNG.random((3, 50)), RNG.random((1, 50))]
    assert crossed(two) == Gain(pytest.approx((two[0].mean() + two[1].mean()) / 2))


def test_splits_add_their_variances():
    one, other = RNG.random((3, 40)), RNG.random((4, 90))
    a, b = crossed([one]), crossed([other])
    equal, weighted = crossed([one, other]), crossed([one, other], [40, 90])
    assert equal.mean == pytest.approx((a.mean + b.mean) / 2)
    assert equal.se == pytest.approx(np.sqrt(a.se**2 + b.se**2) / 2)
    assert weighted.mean == pytest.approx((40 * a.mean + 90 * b.mean) / 130)
    parts = (40 / 130 * a.se) ** 2, (90 / 130 * b.se) ** 2
    assert weighted.se == pytest.approx(np.sqrt(sum(parts)))
    assert weighted.df == pytest.approx(sum(parts) ** 2 / (parts[0] ** 2 / a.df + parts[1] ** 2 / b.df))


def test_pairing_sees_a_gain_that_lies_in_the_same_clips():
    base = RNG.random((3, 400)) < 0.5
    better = base.copy()
    better[:, np.flatnonzero(~base.any(axis=0))[:12]] = True  # 12 clips of 400 that nobody got before
    assert paired_gain([better], [base]).above() < 0.001


def test_unpaired_systems_are_an_error():
    hits = RNG.random((3, 40)) < 0.5
    for theirs in ([], [hits[:2]]):
        with pytest.raises(ReproError, match="same seeds and clips"):
            paired_gain([hits], theirs)


def test_clips_without_a_value_do_not_count():
    values = RNG.normal(0.2, 0.1, (3, 400)) + RNG.normal(0, 0.02, (3, 1))
    half = values.copy()
    half[:, ::2] = np.nan  # whole clips: as if they were not there
    gain, without = crossed([half]), crossed([values[:, 1::2]])
    assert gain.mean == pytest.approx(without.mean)
    assert gain.se == pytest.approx(without.se, rel=0.01)
    half[0, 1::4] = np.nan  # other clips in other runs
    assert crossed([half]).mean == pytest.approx(np.nanmean(half))
    assert np.isnan(crossed([np.full((2, 3), np.nan)]).mean)


def test_the_fold_is_the_unit():
    folds = [RNG.random((2, n)) < 0.7 for n in (10, 30, 20)]
    means = [fold.mean() for fold in folds]
    gain, plain = over_folds(folds), stats.ttest_1samp(means, 0)
    assert (gain.low, gain.high, gain.df) == pytest.approx((*plain.confidence_interval(), 2))
    weighted = over_folds(folds, [10, 30, 20])
    assert weighted.mean == pytest.approx(np.concatenate(folds, axis=1).mean())
    squares = [(n / 60 * (m - weighted.mean)) ** 2 for n, m in zip((10, 30, 20), means, strict=True)]
    assert weighted.se == pytest.approx(np.sqrt(3 / 2 * sum(squares)))
    assert over_folds(folds[:1]) == Gain(pytest.approx(means[0]))
    none = [np.zeros_like(fold) for fold in folds]
    assert paired_gain(folds, none, folds=True) == gain
    assert paired_gain(folds, none) == crossed([fold.astype(float) for fold in folds])


@pytest.mark.parametrize("df", [1.0, 2.3, 9.0, 400.0])
def test_power_is_that_of_the_noncentral_t(df):
    gain = Gain(0.0, 0.01, df)
    draws = 0.02 + 0.01 * RNG.normal(size=200_000), 0.01 * np.sqrt(RNG.chisquare(df, 200_000) / df)
    found = (draws[0] > stats.t.isf(0.025, df) * draws[1]).mean()
    assert gain.power(0.02) == pytest.approx(found, abs=0.005)
    assert gain.power(gain.smallest_gain) == pytest.approx(0.8)
    assert gain.power(0.0) == pytest.approx(0.025)


def test_the_bounds_of_tests():
    gain = Gain(0.02, 0.01, 9)
    assert gain.above(0.02) == 0.5
    assert gain.above(-0.01) == pytest.approx(stats.t.sf(3, 9))
    assert gain.below() == pytest.approx(stats.t.sf(-2, 9))
    assert [Gain(mean, 0.0, 2).p for mean in (0.1, 0.0, -0.1)] == [0, 1, 0]  # equal in every run and clip
    assert (Gain(0.1, 0.0, 2).power(0.1), Gain(0.1, 0.0, 2).power(0.0)) == (1, 0)


def test_equivalent_is_the_whole_interval():
    assert Gain(0.0, 0.004, 30).equivalent
    assert not Gain(0.003, 0.004, 30).equivalent


def test_gains_are_printed_in_points_and_zero_has_a_plus():
    assert str(Gain(0.0123, 0.0062, 1000)) == "+1.2 [+0.0, +2.4]"
