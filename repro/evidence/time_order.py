"""Does a network know the direction of time? Measured on pairs of classes, the second of which is the first reversed.

Of the two classes of a pair, does the network prefer the right one? A guess is right half of the time, and so is a
network that sees the frames of a clip without their order.
"""

from collections.abc import Sequence

import numpy as np

from repro import records
from repro.config import Run
from repro.data.embedded.videos import TIME_PAIRS
from repro.errors import ReproError
from repro.evidence import tables
from repro.evidence.results import Line, Result
from repro.evidence.statistics import Gain, Outcome, Verdict, bootstrap
from repro.papers.table import Row, Table
from repro.parameters import Parameters

CHANCE = 0.5
PARTNER = {a: b for pair in TIME_PAIRS for a, b in (pair, pair[::-1])}


def preferred(run: Run) -> np.ndarray:
    """(N,) bool, over the test videos of the classes in `TIME_PAIRS`: the right class scores higher than its reverse.

    ReproError for a run on another data set.
    """
    record = records.get(run)
    place = {name: k for k, name in enumerate(record.classes)}
    if not PARTNER.keys() <= place.keys():
        raise ReproError(f"{run.data.dataset} has no classes that are each other's reverse: use the embedded set")
    reverse = {place[a]: place[b] for a, b in PARTNER.items()}
    scores = record.scores.astype(float)
    return np.array([scores[i, k] > scores[i, reverse[k]] for i, k in enumerate(record.labels) if k in reverse])


def hits(row: Row, parameters: Parameters) -> np.ndarray:
    """(S, N) bool: `preferred` of each seed, its splits end to end."""
    of = {(system[0].seed, system[0].data.split): preferred(system[0]) for system in row.systems}
    return np.stack([np.concatenate([of[seed, split] for split in parameters.splits]) for seed in parameters.seeds])


def build(table: Table, parameters: Parameters, blind: Sequence[str]) -> Result:
    """One line per row: how often it prefers the right direction, in percent, over chance and over the row `table.against`.

    blind: labels of rows that see frames without their order; they are expected at chance. The verdict on the others is on
    the claim that they are above chance and above `table.against`. Intervals are bootstraps over seeds and clips, 95 %.
    """
    found = {row.label: hits(row, parameters).astype(float) for row in table.rows}
    lines = []
    for row in table.rows:
        right = found[row.label]
        share, gain = bootstrap([right]), bootstrap([right - found[table.against]])
        verdict = _verdict(row.label in blind, share, gain, len(right), table.against)
        mean, low, high = (100 * value for value in share)
        cells = {
            "row": row.label,
            "expected": "at chance" if row.label in blind else "above chance",
            "right direction, % [95 %]": f"{mean:.1f} [{low:.1f}, {high:.1f}]",
            f"over {table.against} [95 %]": "" if row.label == table.against else str(gain),
            "top-1, all classes": f"{tables.accuracy(row).mean():.1f}",
            "seeds": str(len(right)),
            "verdict": str(verdict),
            "tier": parameters.tier,
        }
        lines.append(Line(cells, tuple(run.id for run in row.runs), verdict))
    return Result(
        table.name, table.paper, table.title, table.claim, parameters.tier, table.notebook,
        tables.command(table, parameters), tuple(lines),
        ("right direction, % [95 %]", f"over {table.against} [95 %]", "top-1, all classes", "seeds"),
    )  # fmt: skip


def _verdict(blind: bool, share: Gain, gain: Gain, seeds: int, against: str) -> Verdict:
    if blind:
        outcome = Outcome.AT_CHANCE if share.low <= CHANCE <= share.high else Outcome.CONTRADICTED
        return Verdict(outcome, share, seeds)
    above = Gain(*(value - CHANCE for value in share)).outcome(+1)
    return Verdict(above if above is not Outcome.SUPPORTED else gain.outcome(+1), gain, seeds, against)
