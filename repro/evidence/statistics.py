"""Does our evidence carry a claim? A paired bootstrap over seeds and test clips says so, or says that it cannot."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from repro.errors import ReproError

RESAMPLES = 4_000


class Outcome(StrEnum):
    """What our evidence says of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    NOT_RESOLVED = "not resolved"
    AT_CHANCE = "at chance, as expected"  # not "supported": an interval that holds 50 % cannot prove blindness
    HOLDS = "holds"  # of a count, which has no interval
    FAILS = "does not hold"
    NOT_RUN = "not run"
    REFERENCE = "compared with"  # the row that the others are compared with
    UNCLAIMED = "nothing claimed"


class Gain(NamedTuple):
    """A mean, often of a difference of two accuracies, and the ends of its 95 % interval; all are fractions."""

    mean: float
    low: float
    high: float

    def outcome(self, claimed: float) -> Outcome:
        """Judges the claim that the difference has the sign of `claimed`. An interval that holds zero resolves nothing.

        The ends are judged as they are printed, in tenths of a point: with three seeds an end is often zero, and the
        rounding of sums would decide. NaN resolves nothing.
        """
        low, high = (float(f"{100 * end:.1f}") for end in (self.low, self.high))
        if not (low > 0 or high < 0) or claimed == 0:
            return Outcome.NOT_RESOLVED
        return Outcome.SUPPORTED if (low > 0) == (claimed > 0) else Outcome.CONTRADICTED

    def __str__(self) -> str:
        """In points, for a table; a zero has a plus sign, whatever the rounding of sums left."""
        mean, low, high = (round(100 * value, 1) + 0.0 for value in self)
        return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


@dataclass(frozen=True)
class Verdict:
    """An outcome with its numbers. seeds: runs per system and split. against: label of the row that was compared with."""

    outcome: Outcome
    gain: Gain | None = None
    seeds: int = 0
    against: str = ""

    def __str__(self) -> str:
        if self.outcome is Outcome.REFERENCE:
            return f"{self.outcome} {self.against}"
        judged = self.outcome not in (Outcome.UNCLAIMED, Outcome.NOT_RUN)
        return f"{self.outcome} (one seed)" if judged and self.seeds == 1 else str(self.outcome)


def together(each: Sequence[Outcome]) -> Outcome:
    """The outcome of a claim of several parts: contradicted where one is, else not resolved where one is, else supported."""
    order = Outcome.CONTRADICTED, Outcome.NOT_RESOLVED, Outcome.SUPPORTED
    return next(outcome for outcome in order if outcome in each)


@functools.lru_cache(maxsize=4)
def _resamples(shapes: tuple[tuple[int, int], ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each split of S seeds and N clips: how often each resample draws each seed (R, S) and each clip (R, N)."""
    rng = np.random.default_rng(0)
    return [tuple(rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) for n in shape) for shape in shapes]


def bootstrap(values: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> Gain:
    """The mean of `values` with its 95 % bootstrap interval; `weights` of the splits, or equal.

    values: one (S, N) array per split, of S seeds and N test clips. NaN marks a clip without a value; it does not count.
    A resample draws seeds and, in each split, clips, with replacement. With three seeds the interval knows little of the
    spread between seeds: more seeds make it honest, not narrower. Clips count as independent, though clips of one actor
    or source resemble each other: on folder data the interval is somewhat too narrow. All NaN where a split has no value.
    """
    shares = np.full(len(values), 1 / len(values)) if weights is None else np.array(weights) / np.sum(weights)
    mean, draws = 0.0, np.zeros(RESAMPLES)
    for each, share, (of_seeds, of_clips) in zip(
        values, shares, _resamples(tuple(v.shape for v in values)), strict=True
    ):
        kept = ~np.isnan(each)
        if not kept.any():
            return Gain(np.nan, np.nan, np.nan)
        totals = ((of_seeds @ np.where(kept, each, 0)) * of_clips).sum(axis=1)
        counts = np.full(RESAMPLES, each.size) if kept.all() else ((of_seeds @ kept) * of_clips).sum(axis=1)
        draws += share * np.divide(totals, counts, out=np.full(RESAMPLES, np.nan), where=counts > 0)
        mean += share * each[kept].mean()
    low, high = np.nanquantile(draws, [0.025, 0.975])  # a resample may draw clips without a value alone
    return Gain(float(mean), float(low), float(high))


def paired_gain(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], weights: Sequence[float] | None = None
) -> Gain:
    """Accuracy of `ours` minus that of `theirs`, by `bootstrap`, which keeps the pairs together.

    Each sequence holds one (S, N) array of hits (bool) per split. ReproError where the two differ in seeds or clips.
    """
    if len(ours) != len(theirs) or any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True)):
        raise ReproError("the two systems were not tested on the same seeds and clips, so they cannot be paired")
    return bootstrap([a.astype(float) - b for a, b in zip(ours, theirs, strict=True)], weights)
