"""Several trained networks as one: their probabilities averaged, as the tables average those of two streams."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from repro import metrics
from repro.errors import ReproError
from repro.single.weights import KEPT, Network


@dataclass(frozen=True)
class Fused:
    """shares: the weight of each network's probabilities. least, tested: of the average, as in `Network`.

    top1: of the average on the test videos of the runs, a fraction; None for one network.
    """

    networks: tuple[Network, ...]
    shares: tuple[float, ...]
    least: float
    tested: int
    top1: float | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the outputs."""
        return self.networks[0].classes


def fuse(networks: Sequence[Network], shares: Sequence[float] = ()) -> Fused:
    """The networks as one. shares: positive, one each; none: equal.

    ReproError for networks of other classes, or whose runs were not tested on the same videos: the rule for none of these comes
    from the average of their test scores.
    """
    if shares and (len(shares) != len(networks) or not all(0 < share < math.inf for share in shares)):
        raise ReproError(
            f"--shares {' '.join(f'{s:g}' for s in shares)}: give {len(networks)} positive numbers, one for each network"
        )
    first, *others = networks
    shares = tuple(shares or (1.0,) * len(networks))
    if not others:
        return Fused((first,), shares, first.least, first.tested)
    for network in others:
        if network.classes != first.classes:
            raise ReproError(
                f"run {network.run.id} has the classes {', '.join(network.classes)}, but run {first.run.id} has "
                f"{', '.join(first.classes)}: fuse networks that were trained on the same classes"
            )
    tests = [network.record for network in networks if network.record is not None]
    if len(tests) < len(networks):
        raise ReproError(
            "an exported file has no test scores, and --fuse needs those of each network: give the ids of runs"
        )
    if any((test.clips, test.labels) != (tests[0].clips, tests[0].labels) for test in tests):
        raise ReproError(
            f"runs {', '.join(test.id for test in tests)} were not tested on the same videos: train them with the same parts"
        )
    average = np.average([metrics.softmax(test.scores) for test in tests], axis=0, weights=shares)
    least, top1 = metrics.accepted(np.log(average), KEPT), metrics.top(average, tests[0].labels)
    return Fused(tuple(networks), shares, least, len(average), top1)
