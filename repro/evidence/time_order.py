"""Does a network know the direction of time? Measured on the embedded set's pairs, whose second class is the first
played backwards: of the two classes of a pair, does it prefer the right one? Guessing, or looking at frames in no order, is
right half of the time.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from repro import execute, records
from repro.config import Run
from repro.data.embedded.videos import TIME_PAIRS
from repro.errors import ReproError
from repro.evidence import statistics as verdicts
from repro.evidence import tables
from repro.evidence.tables import Row, Table
from repro.parameters import Parameters

CHANCE = 0.5
AS_EXPECTED = "at chance, as expected"  # not "supported": an interval that holds 50 % cannot prove blindness
PARTNER = {a: b for pair in TIME_PAIRS for a, b in (pair, pair[::-1])}


def preferred(run: Run) -> np.ndarray:
    """(N,) bool, over the test videos of the classes in `TIME_PAIRS`: the right class scores higher than its reverse.

    ReproError for a run on another data set.
    """
    record = records.read(execute.record_path(run))
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


def frame(table: Table, parameters: Parameters, blind: Sequence[str]) -> pd.DataFrame:
    """One line a row: how often it prefers the right direction, in percent, over chance and over the row `table.against`.

    blind: labels of rows that see frames without their order: their interval holds chance, or contradicts. The verdict on
    the others is on the claim that they are above chance and above `table.against`. Intervals are bootstraps over seeds
    and clips, 95 %.
    """
    found = {row.label: hits(row, parameters) for row in table.rows}
    lines = []
    for row in table.rows:
        label, right = row.label, found[row.label]
        mean, low, high = verdicts.bootstrap([right.astype(float)])
        gain = verdicts.bootstrap([right.astype(float) - found[table.against]])
        sighted = verdicts.Gain(mean - CHANCE, low - CHANCE, high - CHANCE).verdict(+1)
        if label in blind:
            verdict = AS_EXPECTED if low <= CHANCE <= high else verdicts.CONTRADICTED
        else:
            verdict = sighted if sighted != verdicts.SUPPORTED else gain.verdict(+1)
        lines.append(
            {
                "row": label,
                "expected": "at chance" if label in blind else "above chance",
                "right direction, % [95 %]": "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * v for v in (mean, low, high))),
                f"over {table.against} [95 %]": ""
                if label == table.against
                else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * v for v in gain)),
                "top-1, all classes": f"{tables.accuracy(row).mean():.1f}",
                "seeds": len(right),
                "verdict": verdict + tables.ONE_SEED * (len(right) == 1),
                "tier": parameters.tier,
            }
        )
    built = pd.DataFrame(lines)
    built.attrs = {
        "title": table.title, "claim": table.claim, "command": tables.command(table, parameters), "tier": parameters.tier,
        "runs": [" ".join(run.id for system in row.systems for run in system) for row in table.rows],
    }  # fmt: skip
    return built
