"""Does our evidence carry a claim? A paired bootstrap over seeds and test clips says so, or says that it cannot."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from repro.errors import ReproError

RESAMPLES = 4_000
SUPPORTED, CONTRADICTED, NOT_RESOLVED = "supported", "contradicted", "not resolved"


class Gain(NamedTuple):
    """A mean, often of a difference of two accuracies, and the ends of its 95 % interval; all are fractions."""

    mean: float
    low: float
    high: float

    def verdict(self, claimed: float) -> str:
        """On the claim that the difference has the sign of `claimed`; an interval that holds zero resolves nothing.

        Its ends are judged as they are printed, in tenths of a point: with three seeds an end often lies at zero, and the
        rounding of sums would decide. NaN resolves nothing.
        """
        low, high = (float(f"{100 * end:.1f}") for end in (self.low, self.high))
        if not (low > 0 or high < 0) or claimed == 0:
            return NOT_RESOLVED
        return SUPPORTED if (low > 0) == (claimed > 0) else CONTRADICTED


def together(each: Sequence[str]) -> str:
    """The verdict on a claim of several parts: contradicted where one is, else not resolved where one is, else supported."""
    return CONTRADICTED if CONTRADICTED in each else NOT_RESOLVED if NOT_RESOLVED in each else SUPPORTED


def resamples(rng: np.random.Generator, seeds: int, clips: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each resample draws each seed (R, S) and each clip (R, N), with replacement."""
    return tuple(rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) for n in (seeds, clips))


def bootstrap(values: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> Gain:
    """The mean of `values` with its 95 % bootstrap interval; `weights` of the splits, or equal.

    values: one (S, N) array per split, of S seeds and N test clips. NaN marks a clip without a value; it does not count.
    A resample draws seeds and, in each split, clips, with replacement. With three seeds the interval knows little of the
    spread between seeds: more seeds make it honest, not narrower. Clips count as independent, though clips of one actor
    or source resemble each other: on folder data the interval is somewhat too narrow. All NaN where a split has no value.
    """
    rng = np.random.default_rng(0)
    shares = np.full(len(values), 1 / len(values)) if weights is None else np.array(weights) / np.sum(weights)
    mean, draws = 0.0, np.zeros(RESAMPLES)
    for each, share in zip(values, shares, strict=True):
        kept = ~np.isnan(each)
        if not kept.any():
            return Gain(np.nan, np.nan, np.nan)
        of_seeds, of_clips = resamples(rng, *each.shape)
        totals = ((of_seeds @ np.where(kept, each, 0)) * of_clips).sum(axis=1)
        counts = ((of_seeds @ kept) * of_clips).sum(axis=1)
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
