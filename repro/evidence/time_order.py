"""Does a network know the direction of time? Measured on pairs of classes, the second of which is the first reversed.

Of the two classes of a pair, does the network prefer the right one? A guess is right half of the time, and so is a
network that sees the frames of a clip without their order.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from repro import records
from repro.config import Run
from repro.data.embedded.options import TIME_PAIRS
from repro.errors import ReproError
from repro.evidence import tables
from repro.evidence.intervals import LEVEL, Gain, crossed
from repro.evidence.results import Line, Result
from repro.evidence.statistics import Outcome, Test, Verdict, holm
from repro.papers.table import Row, Table
from repro.parameters import Parameters

CHANCE = 0.5
PARTNER = {a: b for pair in TIME_PAIRS for a, b in (pair, pair[::-1])}


def preferred(run: Run) -> np.ndarray:
    """(N,), over the test videos of the classes in `TIME_PAIRS`: 1 where the right class scores higher than its reverse.

    Equal scores, which rounding makes of almost equal ones, count half. ReproError for a run on another data set.
    """
    record = records.get(run)
    place = {name: k for k, name in enumerate(record.classes)}
    if not PARTNER.keys() <= place.keys():
        raise ReproError(f"{run.data.dataset} has no classes that are each other's reverse: use the embedded set")
    reverse = {place[a]: place[b] for a, b in PARTNER.items()}
    scores = record.scores.astype(float)
    gaps = [scores[i, k] - scores[i, reverse[k]] for i, k in enumerate(record.labels) if k in reverse]
    return (1 + np.sign(gaps)) / 2


def hits(row: Row, parameters: Parameters) -> np.ndarray:
    """(S, N): `preferred` of each seed, its splits end to end."""
    of = {(system[0].seed, system[0].data.split): preferred(system[0]) for system in row.systems}
    return np.stack([np.concatenate([of[seed, split] for split in parameters.splits]) for seed in parameters.seeds])


def build(table: Table, parameters: Parameters, blind: Sequence[str]) -> Result:
    """One line per row: how often it prefers the right direction, in percent, over chance and over the row `table.against`.

    blind: labels of rows that see frames without their order; they are expected at chance. The verdict on the others is on
    the claim that they are above chance and above `table.against`. Intervals cover 95 %, unadjusted; the p-values of the
    verdicts are adjusted over all rows.
    """
    found = {row.label: hits(row, parameters).astype(float) for row in table.rows}
    shares = {label: crossed([right]) for label, right in found.items()}
    gains = {label: crossed([right - found[table.against]]) for label, right in found.items()}
    over_chance = {label: replace(share, mean=share.mean - CHANCE) for label, share in shares.items()}
    tests = {k: Test((over_chance[k],) if k in blind else (over_chance[k], gains[k])) for k in found}
    adjusted = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
    lines = []
    for row in table.rows:
        k, gain, seeds = row.label, gains[row.label], len(found[row.label])
        if k in blind:
            outcome = Outcome.CONTRADICTED if adjusted[k] < LEVEL else Outcome.AT_CHANCE
            verdict = Verdict(outcome, shares[k], seeds, p=adjusted[k])
        else:
            verdict = replace(tests[k].verdict(adjusted[k], seeds, [table.against] * 2), gain=gain)
        cells = {
            "row": row.label,
            "expected": "at chance" if row.label in blind else "above chance",
            "right direction, % [95 %]": in_percent(shares[k]),
            f"over {table.against} [95 %]": "" if row.label == table.against else str(gain),
            "top-1, all classes": f"{tables.accuracy(row).mean():.1f}",
            "seeds": str(seeds),
            "p (Holm)": verdict.p_text,
            "verdict": str(verdict),
            "tier": parameters.tier,
        }
        lines.append(Line(cells, tuple(run.id for run in row.runs), verdict))
    return Result(
        table.name, table.paper, table.title, table.claim, parameters.tier, table.notebook,
        tables.command(table, parameters), tuple(lines),
        ("right direction, % [95 %]", f"over {table.against} [95 %]", "top-1, all classes", "seeds", "p (Holm)"),
    )  # fmt: skip


def in_percent(share: Gain) -> str:
    """A share with its interval, cut to 0 to 100 %."""
    mean = f"{100 * share.mean:.1f}"
    return mean if share.se is None else f"{mean} [{100 * max(share.low, 0):.1f}, {100 * min(share.high, 1):.1f}]"
