"""Tables from records: the paper's number, ours with its spread, the difference, a verdict, and where all comes from.

A table never trains: it reads the records that are there.
"""

import dataclasses
import functools
import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from repro import metrics, papers, records
from repro.config import Run
from repro.errors import ReproError
from repro.evidence.results import NOT_AVAILABLE, Line, Result
from repro.evidence.statistics import Gain, Outcome, Verdict, paired_gain
from repro.papers.table import Row, Table
from repro.parameters import Parameters

NUMBERS = Path(papers.__file__).parent / "numbers"
NUMERIC = frozenset({"paper", "ours", "top-5", "seeds", "paper's gain", "our gain [95 %]", "difference"})


@functools.cache
def numbers(file: str) -> pd.DataFrame:
    """A file of published numbers, repro/papers/numbers/FILE.csv. Do not change it: it is read once."""
    return pd.read_csv(NUMBERS / f"{file}.csv", dtype={"split": str, "splits": str, "frames": str})


@functools.cache
def published(place: tuple[str, str, str], dataset: str) -> pd.DataFrame:
    """A paper's numbers for a data set, in percent; HMDB51's where the data set is none of the paper's.

    place: `Table.numbers`. Columns row, metric (top1, gain, order), value, tag, source, dataset.
    """
    file, table, split = place
    if not file:
        return pd.DataFrame(columns=["row", "metric", "value", "tag", "source", "dataset"])
    found = numbers(file)
    wanted = dataset if dataset in set(found["dataset"]) else "hmdb51"
    return found[(found["table"] == table) & (found["dataset"] == wanted) & (found["split"] == split)]


def probabilities(system: Sequence[Run], shares: Sequence[float] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Mean softmax (N, K) of the runs of a system and their labels (N,); they must have seen the same test clips."""
    read = [records.get(run) for run in system]
    if any(record.clips != read[0].clips for record in read):
        raise ReproError(f"runs {', '.join(r.id for r in read)} were tested on different clips; they cannot be fused")
    scores = [metrics.softmax(record.scores) for record in read]
    return np.average(scores, axis=0, weights=shares or None), np.array(read[0].labels)


def hits(row: Row, k: int = 1) -> dict[int, np.ndarray]:
    """{split: (S, N) bool}: for each of S seeds, which of the N test videos are right at top-k."""
    found: dict[int, list[np.ndarray]] = {}
    for system in row.systems:
        right = metrics.correct(*probabilities(system, row.shares), k)
        found.setdefault(system[0].data.split, []).append(right)
    return {split: np.stack(each) for split, each in found.items()}


def accuracy(row: Row, k: int = 1) -> np.ndarray:
    """(S,) top-k in percent, one value per seed, each the mean over splits. Drops seeds that some split lacks."""
    found = list(hits(row, k).values())
    common = min(len(each) for each in found)
    weights = [each.shape[1] for each in found] if row.weighted else None
    return 100 * np.average([each[:common].mean(axis=1) for each in found], axis=0, weights=weights)


def build(table: Table, parameters: Parameters) -> Result:
    """One line per row. Percentages; gains and differences in points, against the row `table.against`.

    difference is our gain minus the paper's: on other data than the paper's, gains can be compared and accuracies
    cannot. The verdict is on the sign of the paper's gain; the interval is a paired bootstrap's, 95 %.
    """
    paper = published(table.numbers, parameters.dataset)
    base = next(row for row in table.rows if row.label == table.against)
    classes = len(records.get(base.systems[0][0]).classes)
    lines = []
    for row in table.rows:
        compared, verdict = _compared(row, base, paper)
        cells = _measured(row, paper, classes) | compared | {"verdict": str(verdict), "tier": table.tier(parameters)}
        lines.append(Line(cells, tuple(run.id for run in row.runs), verdict))
    return _result(table, parameters, table.name, table.title, lines)


def _measured(row: Row, paper: pd.DataFrame, classes: int) -> dict[str, str]:
    """A row's own numbers, the paper's and ours."""
    stated, ours = paper[(paper["metric"] == "top1") & (paper["row"] == row.label)], accuracy(row)
    theirs = NOT_AVAILABLE
    if len(stated):
        derived = stated["tag"].iloc[0] == "derived"
        theirs = f"{stated['value'].iloc[0]:.1f}{' (derived)' if derived else ''}"
    return {
        "row": row.label,
        "paper": theirs,
        "ours": f"{ours.mean():.1f}" + (f" ± {ours.std(ddof=1):.1f}" if len(ours) > 1 else ""),
        "top-5": f"{accuracy(row, 5).mean():.1f}" if classes > 5 else NOT_AVAILABLE,
        "seeds": str(len(ours)),
    }


def _compared(row: Row, base: Row, paper: pd.DataFrame) -> tuple[dict[str, str], Verdict]:
    """A row against the reference row, in cells and as a verdict."""
    columns = "paper's gain", "our gain [95 %]", "difference"
    if row is base:
        return dict.fromkeys(columns, ""), Verdict(Outcome.REFERENCE, against=base.label)
    gain, seeds = gain_over(row, base), len(accuracy(row))
    theirs, order = claimed_gain(row.label, base.label, paper)
    if theirs is None and order is None:
        cells = dict(zip(columns, (NOT_AVAILABLE, str(gain), ""), strict=True))
        return cells, Verdict(Outcome.UNCLAIMED, gain, seeds, base.label)
    said = f"{theirs:+.1f}" if theirs is not None else "better" if order > 0 else "worse"
    difference = f"{100 * gain.mean - theirs:+.1f}" if theirs is not None else ""
    outcome = gain.outcome(order if theirs is None else theirs)
    return dict(zip(columns, (said, str(gain), difference), strict=True)), Verdict(outcome, gain, seeds, base.label)


def claimed_gain(row: str, base: str, paper: pd.DataFrame) -> tuple[float | None, float | None]:
    """The paper's gain of one row over another in points, from two accuracies or as stated; and, without a number, its sign."""
    by = {metric: dict(zip(own["row"], own["value"], strict=True)) for metric, own in paper.groupby("metric")}
    top1 = by.get("top1", {})
    if row in top1 and base in top1:
        return top1[row] - top1[base], None
    return by.get("gain", {}).get(row), by.get("order", {}).get(row)


def gain_over(row: Row, base: Row) -> Gain:
    """Paired gain of one row over another on the splits and seeds that both have."""
    ours, theirs = hits(row), hits(base)
    splits = sorted(ours.keys() & theirs.keys())
    seeds = {split: min(len(ours[split]), len(theirs[split])) for split in splits}
    weights = [ours[s].shape[1] for s in splits] if row.weighted else None
    return paired_gain([ours[s][: seeds[s]] for s in splits], [theirs[s][: seeds[s]] for s in splits], weights)


def recorded(rows: Sequence[Row]) -> list[Row]:
    """The rows with only those splits and seeds that all of them have records of; without systems where there are none."""
    there = set.intersection(*({place(s) for s in row.systems if all(map(records.find, s))} for row in rows))
    return [dataclasses.replace(row, systems=tuple(s for s in row.systems if place(s) in there)) for row in rows]


def place(system: Sequence[Run]) -> tuple[int, int]:
    """Split and seed of a system."""
    return system[0].data.split, system[0].seed


def chain(table: Table, parameters: Parameters) -> Result:
    """Is each row of a ladder of the table better than the one before it? One line per step, with a verdict."""
    rows = {row.label: row for row in table.rows}
    lines = []
    for lower, upper in (step for ladder in table.ladders for step in itertools.pairwise(ladder)):
        gain, seeds = gain_over(rows[upper], rows[lower]), len(accuracy(rows[upper]))
        verdict = Verdict(gain.outcome(+1), gain, seeds, lower)
        cells = {"claim": f"{upper} is better than {lower}", "our gain [95 %]": str(gain), "seeds": str(seeds)}
        lines.append(Line(cells | {"verdict": str(verdict), "tier": table.tier(parameters)}, (), verdict))
    return _result(table, parameters, f"{table.name}_claims", f"{table.title.rstrip('.')}: the claims.", lines)


def _result(table: Table, parameters: Parameters, name: str, title: str, lines: Sequence[Line]) -> Result:
    numeric = tuple(column for column in lines[0].cells if column in NUMERIC)
    return Result(
        name, table.paper, title, table.claim, table.tier(parameters), table.notebook, command(table, parameters),
        tuple(lines), numeric,
    )  # fmt: skip


def sentence(result: Result) -> str:
    """What the table shows, in one sentence drawn from its verdicts."""
    judged = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.NOT_RESOLVED
    parts = [f"{n} {outcome}" for outcome in judged if (n := result.outcomes.count(outcome))]
    if not parts:
        return "Nothing is claimed here that could be compared."
    return f"Of what is claimed here ({result.tier} tier): {', '.join(parts)}."


def command(table: Table, parameters: Parameters) -> str:
    """The command that makes the table again."""
    return notebook_command(table.notebook, parameters, table.options)


def notebook_command(notebook: str, parameters: Parameters, options: Sequence[tuple[str, str]] = ()) -> str:
    """The command that runs a notebook again. It names no path, and no parameter that only says how to execute."""
    words = ["python", "-m", "repro", "run", notebook]
    given = parameters.changed() | {"splits": parameters.splits, "seeds": parameters.seeds} | dict(options)
    for name, value in given.items():
        if name in parameters.execution:
            continue
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += ["-p", name, Path(text).name if name in ("data_root", "pretrained_rgb", "pretrained_flow") else text]
    return shlex.join(words)
