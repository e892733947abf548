"""Does our evidence carry a claim? A paired bootstrap over seeds and test clips says so, or says that it cannot."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repro.errors import ReproError

RESAMPLES = 4_000
SUPPORTED, CONTRADICTED, NOT_RESOLVED = "supported", "contradicted", "not resolved"


@dataclass(frozen=True)
class Gain:
    """Mean difference of two accuracies and its 95 % interval, as fractions."""

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


def paired_gain(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], weights: Sequence[float] | None = None
) -> Gain:
    """Accuracy of `ours` minus that of `theirs`, with a paired bootstrap interval; `weights` of the splits, or equal.

    Each sequence holds one (S, N) array of hits (bool) a split: S seeds, N test clips, the same in both. A resample
    draws seeds and, in each split, clips, with replacement, and keeps the pairs together. With three seeds the interval
    knows little of the spread between seeds: more seeds make it honest, not narrower. Clips count as independent, though
    clips of one actor or source resemble each other: on folder data the interval is somewhat too narrow.
    """
    if len(ours) != len(theirs) or any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True)):
        raise ReproError("the two systems were not tested on the same seeds and clips, so they cannot be paired")
    rng = np.random.default_rng(0)
    shares = np.full(len(ours), 1 / len(ours)) if weights is None else np.array(weights) / np.sum(weights)
    mean, draws = 0.0, np.zeros(RESAMPLES)
    for a, b, share in zip(ours, theirs, shares, strict=True):
        difference = a.astype(float) - b  # (S, N)
        seeds, clips = difference.shape
        of_seeds, of_clips = resamples(rng, seeds, clips)
        draws += share * ((of_seeds / seeds @ difference) * (of_clips / clips)).sum(axis=1)
        mean += share * difference.mean()
    low, high = np.quantile(draws, [0.025, 0.975])
    return Gain(float(mean), float(low), float(high))
