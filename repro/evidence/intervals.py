"""A mean over training runs and test clips, its standard error, and what follows from the two by Student's t.

The unit of analysis is the training run: another seed is another run, and the same clips are tested in every run. So
both are random and they are crossed: Var(mean) = var_runs / S + var_clips / N + var_rest / (S N) for S runs and N clips.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from repro.errors import ReproError

LEVEL = 0.05  # two-sided, of tests and intervals
MARGIN = 0.01  # one point of top-1: two systems that differ by less are equivalent
POWER = 0.8  # of the smallest gain that a design is said to see


@dataclass(frozen=True)
class Gain:
    """A mean, often of a difference of two accuracies, its standard error and its degrees of freedom; fractions.

    se and df are None where they are unknown: with one training run, or one fold. Nothing follows from such a mean.
    """

    mean: float
    se: float | None = None
    df: float | None = None

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval; minus infinity where the standard error is unknown."""
        return self.mean - self._half

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return self.mean + self._half

    @property
    def _half(self) -> float:
        return np.inf if self.se is None else _critical(self.df) * self.se

    @property
    def equivalent(self) -> bool:
        """Whether the whole 95 % interval lies within the margin of equivalence."""
        return self.low >= -MARGIN and self.high <= MARGIN

    def above(self, bound: float = 0.0) -> float:
        """One-sided p-value of the null hypothesis that the true mean is at most `bound`; 0.5 where nothing is known."""
        return self._tail(self.mean - bound)

    def below(self, bound: float = 0.0) -> float:
        """One-sided p-value of the null hypothesis that the true mean is at least `bound`."""
        return self._tail(bound - self.mean)

    @property
    def p(self) -> float:
        """Two-sided p-value of the null hypothesis that the true mean is zero."""
        return min(1.0, 2 * min(self.above(), self.below()))

    def _tail(self, distance: float) -> float:
        if self.se is None or np.isnan(distance) or distance == 0:
            return 0.5
        return float(stats.t.sf(distance / self.se, self.df)) if self.se else float(distance < 0)

    def power(self, gain: float, level: float = LEVEL / 2) -> float:
        """The chance that this design finds a true gain, by a one-sided t test at `level`: noncentral t.

        The standard error is taken as the true one, so with few runs this is itself an estimate.
        """
        if self.se is None:
            return level
        return _power(gain / self.se, self.df, level) if self.se else float(gain > 0)

    @property
    def smallest_gain(self) -> float:
        """The true gain that this design would have resolved with 80 % power; infinite where nothing is known."""
        return np.inf if self.se is None else self.se * _detectable(self.df)

    def __str__(self) -> str:
        """In points, for a table; a zero has a plus sign, whatever the rounding of sums left."""
        mean, low, high = (round(100 * value, 1) + 0.0 for value in (self.mean, self.low, self.high))
        return f"{mean:+.1f}" if self.se is None else f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _critical(df: float, level: float = LEVEL / 2) -> float:
    return float(stats.t.isf(level, df))


def _power(shift: float, df: float, level: float) -> float:
    return float(stats.nct.sf(_critical(df, level), df, shift))


@functools.lru_cache(maxsize=1024)
def _detectable(df: float) -> float:
    """The true mean, in standard errors, that a two-sided test at `LEVEL` finds with the chance `POWER`."""
    return float(optimize.brentq(lambda shift: _power(shift, df, LEVEL / 2) - POWER, 0, 4 * _critical(df)))


def crossed(values: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> Gain:
    """The mean of `values` with crossed random effects of training runs and test clips; `weights` of splits, or equal.

    values: one (S, N) array per split, of S runs (seeds) and N test clips. NaN marks a clip without a value: it does not
    count, and the mean is then a ratio of two sums, whose error is linearised. From the mean squares of the two-way layout
    without replication, Var(mean) = (MS_runs + MS_clips - MS_rest) / (S N), and never below the larger of the first two
    over S N, with Satterthwaite's degrees of freedom; of two runs, with one. Splits have runs and clips of their own, so
    variances add.

    Clips count as independent, though clips of one actor or source resemble each other: see `over_folds`. The mean is
    NaN where a split has no value.
    """
    means, variances, freedoms = zip(*map(_two_way, values), strict=True)
    shares = _shares(len(values), weights)
    mean = float(shares @ means)
    if None in variances:
        return Gain(mean)
    parts = shares**2 * variances
    total = parts.sum()
    return Gain(mean, float(np.sqrt(total)), float(total**2 / (parts**2 / freedoms).sum()) if total else freedoms[0])


def _shares(count: int, weights: Sequence[float] | None) -> np.ndarray:
    return np.full(count, 1 / count) if weights is None else np.array(weights) / np.sum(weights)


def _two_way(values: np.ndarray) -> tuple[float, float | None, float | None]:
    """The mean of (S, N) values, its variance and the degrees of freedom; None for both with one run or one clip."""
    kept = ~np.isnan(values)
    if not kept.any():
        return np.nan, None, None
    mean, (runs, clips) = float(values[kept].mean()), values.shape
    if min(runs, clips) < 2:
        return mean, None, None
    centred = np.where(kept, values - mean, 0) / kept.mean()
    of_runs, of_clips = centred.mean(axis=1, keepdims=True), centred.mean(axis=0, keepdims=True)
    rest = centred - of_runs - of_clips
    freedom = np.array([runs - 1, clips - 1, (runs - 1) * (clips - 1)])
    squares = np.array([clips * (of_runs**2).sum(), runs * (of_clips**2).sum(), (rest**2).sum()]) / freedom
    of_mean = max(squares[0] + squares[1] - squares[2], squares[0], squares[1])
    known = runs > 2 and of_mean > 0  # from two runs, Satterthwaite's formula gives twice the false verdicts it should
    df = of_mean**2 / (squares**2 / freedom).sum() if known else runs - 1
    return mean, of_mean / values.size, df


def over_folds(values: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> Gain:
    """The mean over folds of real videos, each actor or sequence left out once; the fold is the unit.

    values: one (S, N) array per fold, as in `crossed`. A t interval over the F weighted means of the folds, with F - 1
    degrees of freedom: clips of one actor resemble each other, and so count as one. Folds share training videos, which
    this leaves out of account.
    """
    means, shares = np.array([np.nanmean(each) for each in values]), _shares(len(values), weights)
    mean, folds = float(shares @ means), len(values)
    if folds < 2:
        return Gain(mean)
    variance = folds / (folds - 1) * (shares**2 * (means - mean) ** 2).sum()
    return Gain(mean, float(np.sqrt(variance)), folds - 1)


def paired_gain(
    ours: Sequence[np.ndarray],
    theirs: Sequence[np.ndarray],
    weights: Sequence[float] | None = None,
    folds: bool = False,
) -> Gain:
    """Accuracy of `ours` minus that of `theirs`, by `crossed`, or by `over_folds` where the splits are folds.

    Each sequence holds one (S, N) array of hits (bool) per split. Clips are paired because they are the same. Runs are
    paired by seed number: two fusions of the same runs need it. Two systems that share no run do not; there it is only a
    device, which costs degrees of freedom. ReproError where the two differ in runs or clips.
    """
    if len(ours) != len(theirs) or any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True)):
        raise ReproError("the two systems were not tested on the same seeds and clips, so they cannot be paired")
    differences = [a.astype(float) - b for a, b in zip(ours, theirs, strict=True)]
    return over_folds(differences, weights) if folds else crossed(differences, weights)
