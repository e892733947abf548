"""Does our evidence carry a claim? Tests of claims of several pairs, Holm's correction, and the outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from repro.evidence.intervals import LEVEL, MARGIN, Gain

ASSUMED = 0.02  # two points: the gain of a paper that gives no number
TESTABLE = 0.5  # power for the paper's gain, below which a design that found nothing has tested nothing


class Outcome(StrEnum):
    """What our evidence says of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    EQUIVALENT = "equivalent"  # the whole 95 % interval is within a point of zero
    NOT_RESOLVED = "not resolved"
    NOT_TESTABLE = "not testable here"  # not resolved, and the power for the paper's gain is under a half
    AT_CHANCE = "at chance, as expected"  # not "supported": an interval that holds 50 % cannot prove blindness
    HOLDS = "holds"  # of a count, which has no interval
    FAILS = "does not hold"
    NOT_RUN = "not run"
    REFERENCE = "compared with"  # the row that the others are compared with
    UNCLAIMED = "nothing claimed"


# what a tested claim can come out as, in the order of counts
DECIDED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.EQUIVALENT, Outcome.NOT_RESOLVED, Outcome.NOT_TESTABLE


@dataclass(frozen=True)
class Verdict:
    """An outcome with its numbers.

    seeds: runs per system and split. against: label of the row that was compared with. p: adjusted by Holm's method, of
    the whole claim. power: to find the paper's gain, or `ASSUMED` without one, by the pair that decides.
    """

    outcome: Outcome
    gain: Gain | None = None
    seeds: int = 0
    against: str = ""
    p: float | None = None
    power: float | None = None

    def __str__(self) -> str:
        if self.outcome is Outcome.REFERENCE:
            return f"{self.outcome} {self.against}"
        judged = self.outcome not in (Outcome.UNCLAIMED, Outcome.NOT_RUN)
        return f"{self.outcome} (one seed)" if judged and self.seeds == 1 else str(self.outcome)

    @property
    def p_text(self) -> str:
        """The adjusted p-value for a table, in thousandths."""
        return "" if self.p is None else "< 0.001" if self.p < 0.001 else f"{self.p:.3f}"

    @property
    def smallest_gain_text(self) -> str:
        """In points, for a table: the gain that the design would have resolved with 80 % power."""
        if self.gain is None or self.gain.se is None:
            return ""
        points = 100 * self.gain.smallest_gain
        return f"{points:.1f}" if points <= 100 else "over 100"


@dataclass(frozen=True)
class Test:
    """The gains of a claim's pairs, each of which it says is positive; or, not worse, no less than minus the margin.

    powers: of each pair, to find the paper's gain; empty where only the sign is asked, so that neither equivalence nor
    power is judged.
    """

    __test__ = False  # the name is the statistics' own; pytest need not collect it

    gains: tuple[Gain, ...]
    powers: tuple[float, ...] = ()
    not_worse: bool = False

    @property
    def bound(self) -> float:
        """The true gain at most which the claim is false."""
        return -MARGIN if self.not_worse else 0.0

    @property
    def decisive(self) -> int:
        """The index of the pair that decides: the one with the least support."""
        return max(range(len(self.gains)), key=lambda i: (self.gains[i].above(self.bound), -self.gains[i].mean))

    @property
    def support(self) -> float:
        """p-value of the whole claim: every pair must hold, so the largest of all (intersection-union test).

        Doubled, since a claim of being better is tested in both directions; non-inferiority is tested from one side.
        """
        return (1 if self.not_worse else 2) * max(gain.above(self.bound) for gain in self.gains)

    @property
    def contradiction(self) -> float:
        """p-value against the claim: one pair is enough, so k times the smallest of k (Bonferroni); doubled likewise."""
        return 2 * len(self.gains) * min(gain.below(self.bound) for gain in self.gains)

    @property
    def p(self) -> float:
        """The p-value of the claim, whichever way it is decided, before any correction for other claims."""
        return min(1.0, self.support, self.contradiction)

    def outcome(self, p: float) -> Outcome:
        """The outcome for the claim's p-value after a correction."""
        if p < LEVEL:
            return Outcome.SUPPORTED if self.support <= self.contradiction else Outcome.CONTRADICTED
        if self.powers and all(gain.equivalent for gain in self.gains):
            return Outcome.EQUIVALENT
        known = all(gain.se is not None for gain in self.gains)
        if self.powers and known and self.powers[self.decisive] < TESTABLE:
            return Outcome.NOT_TESTABLE
        return Outcome.NOT_RESOLVED

    def verdict(self, p: float, seeds: int, against: Sequence[str]) -> Verdict:
        """The outcome with the numbers of the deciding pair. p: after a correction. against: a label per pair."""
        i = self.decisive
        power = self.powers[i] if self.powers else None
        return Verdict(self.outcome(p), self.gains[i], seeds, against[i], p, power)


def power_for(gain: Gain, paper: float | None, not_worse: bool = False) -> float:
    """The power of a design to find the paper's gain, a fraction; without one, `ASSUMED`, or equality if "not worse"."""
    if not_worse:
        return gain.power(MARGIN + (paper or 0.0), LEVEL)
    return gain.power(ASSUMED if paper is None else abs(paper))


def holm(p: Sequence[float]) -> list[float]:
    """p-values adjusted for all of their family by Holm's step-down method, in the order given."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p)[order] * np.arange(len(p), 0, -1)))
    return adjusted.tolist()
