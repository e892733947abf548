"""Tables from records: the paper's number, ours with its spread, the difference, a verdict, and where all comes from.

A table never trains: it reads the records that are there.
"""

import dataclasses
import functools
import itertools
import math
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from repro import metrics, papers, records
from repro.config import Run
from repro.errors import ReproError
from repro.evidence.intervals import Gain, paired_gain
from repro.evidence.results import NOT_AVAILABLE, Line, Result
from repro.evidence.statistics import DECIDED, Outcome, Test, Verdict, holm, power_for
from repro.papers.table import Row, Table
from repro.parameters import Parameters

NUMBERS = Path(papers.__file__).parent / "numbers"
NUMERIC = (
    "paper", "ours", "top-5", "seeds", "seed SD", "training", "imitation", "paper's gain", "our gain [95 %]", "difference",
    "p (Holm)",
)  # fmt: skip
FOLDS = 3  # from so many folds of real videos the fold is the unit; of two, one degree of freedom would be left
COMPARED = "paper's gain", "our gain [95 %]", "difference"  # columns
TRAINED = 0.8  # top-1 of the training clips, below which a row is marked as not trained
IMITATES = 0.15  # R2 of the teacher's features, below which a student is marked: it tests nothing about its teacher


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
        right = planted(metrics.correct(*probabilities(system, row.shares), k), row.planted, system[0].seed)
        found.setdefault(system[0].data.split, []).append(right)
    return {split: np.stack(each) for split, each in found.items()}


def planted(right: np.ndarray, share: float, seed: int) -> np.ndarray:
    """(N,) hits with `share` of all N videos turned from wrong to right, as many as there are; `seed` draws which."""
    wrong = np.flatnonzero(~right)
    turned = np.random.default_rng(seed).permutation(wrong)[: round(share * len(right))]
    found = right.copy()
    found[turned] = True
    return found


def accuracy(row: Row, k: int = 1) -> np.ndarray:
    """(S,) top-k in percent, one value per seed, each the mean over splits. Drops seeds that some split lacks."""
    found = list(hits(row, k).values())
    common = min(len(each) for each in found)
    weights = [each.shape[1] for each in found] if row.weighted else None
    return 100 * np.average([each[:common].mean(axis=1) for each in found], axis=0, weights=weights)


def seed_sd(row: Row) -> float | None:
    """Standard deviation of top-1 over the seeds of a split, in points, pooled over splits; None with one seed."""
    variances = [each.mean(axis=1).var(ddof=1) for each in hits(row).values() if len(each) > 1]
    return 100 * float(np.sqrt(np.mean(variances))) if variances else None


def at_the_end(row: Row, name: str) -> float:
    """A value of the training history, over the last tenth of the epochs and all runs that have it; NaN without any."""
    found = []
    for run in {run.id: run for run in row.runs}.values():
        history = records.get(run).history
        found += [epoch[name] for epoch in history[-max(len(history) // 10, 1) :] if name in epoch]
    return float(np.mean(found)) if found else math.nan


def build(table: Table, parameters: Parameters) -> Result:
    """One line per row. Percentages; gains and differences in points, against the row `table.against`.

    training: top-1 of the training clips over the last tenth of the epochs, marked below `TRAINED`.
    imitation: of a student, R2 of the teacher's features over the same epochs (`repro.losses.distillation`), marked below
    `IMITATES`.

    difference is our gain minus the paper's: on other data than the paper's, gains can be compared and accuracies
    cannot. The verdict is on the sign of the paper's gain, by p-values adjusted over the rows of which the paper claims
    something; the intervals cover 95 % each, unadjusted.
    """
    paper = published(table.numbers, parameters.dataset)
    base = next(row for row in table.rows if row.label == table.against)
    classes = len(records.get(base.systems[0][0]).classes)
    gains = {row.label: gain_over(row, base) for row in table.rows if row is not base}
    said = {label: claimed_gain(label, base.label, paper) for label in gains}
    tests = {label: _test(gains[label], *said[label]) for label in gains if _sign(*said[label])}
    adjusted = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
    measured = {row.label: _measured(row, paper, classes) for row in table.rows}
    if not any(cells["imitation"] for cells in measured.values()):  # nobody has a teacher
        for cells in measured.values():
            del cells["imitation"]
    lines = []
    for row in table.rows:
        k, seeds = row.label, len(accuracy(row))
        if row is base:
            compared, verdict = dict.fromkeys(COMPARED, ""), Verdict(Outcome.REFERENCE, against=k)
        else:
            verdict = _verdict(gains[k], said[k], tests.get(k), adjusted.get(k), seeds, base.label)
            compared = _compared(gains[k], *said[k])
        cells = measured[k] | compared | {"p (Holm)": verdict.p_text}
        cells |= {"verdict": str(verdict), "tier": table.tier(parameters)}
        lines.append(Line(cells, tuple(run.id for run in row.runs), verdict))
    return _result(table, parameters, table.name, table.title, lines)


def _measured(row: Row, paper: pd.DataFrame, classes: int) -> dict[str, str]:
    """A row's own numbers, the paper's and ours."""
    stated, ours = paper[(paper["metric"] == "top1") & (paper["row"] == row.label)], accuracy(row)
    trained, r2 = at_the_end(row, "clip_top1"), at_the_end(row, "imitation")
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
        "seed SD": "" if (spread := seed_sd(row)) is None else f"{spread:.1f}",
        "training": f"{100 * trained:.0f}" + " (not trained)" * (trained < TRAINED),
        "imitation": "" if np.isnan(r2) else f"{r2:.2f}" + " (no imitation)" * (r2 < IMITATES),
    }


def _sign(theirs: float | None, order: float | None) -> float | None:
    """A number with the sign of the paper's gain; zero where the paper finds two rows equal."""
    return order if theirs is None else theirs


def _test(gain: Gain, theirs: float | None, order: float | None) -> Test:
    """Of the claim that a row is better or, with a negative sign, worse than the reference."""
    better = _sign(theirs, order) > 0
    power = power_for(gain, None if theirs is None else theirs / 100)
    return Test((gain if better else dataclasses.replace(gain, mean=-gain.mean),), (power,))


def _verdict(
    gain: Gain, said: tuple[float | None, float | None], test: Test | None, p: float | None, seeds: int, base: str
) -> Verdict:
    """Of a row: on the sign of the paper's gain. Two rows that the paper finds equal can only be found equivalent."""
    if test is not None:
        return dataclasses.replace(test.verdict(p, seeds, [base]), gain=gain)
    if said == (None, None):
        return Verdict(Outcome.UNCLAIMED, gain, seeds, base)
    return Verdict(Outcome.EQUIVALENT if gain.equivalent else Outcome.NOT_RESOLVED, gain, seeds, base)


def _compared(gain: Gain, theirs: float | None, order: float | None) -> dict[str, str]:
    """The gain of a row over the reference row, the paper's and ours, in cells."""
    words = NOT_AVAILABLE if order is None else "better" if order > 0 else "worse"
    said = words if theirs is None else f"{theirs:+.1f}"
    difference = "" if theirs is None else f"{100 * gain.mean - theirs:+.1f}"
    return dict(zip(COMPARED, (said, str(gain), difference), strict=True))


def claimed_gain(row: str, base: str, paper: pd.DataFrame) -> tuple[float | None, float | None]:
    """The paper's gain of one row over another in points, from two accuracies or as stated; and, without a number, its sign."""
    by = {metric: dict(zip(own["row"], own["value"], strict=True)) for metric, own in paper.groupby("metric")}
    top1 = by.get("top1", {})
    if row in top1 and base in top1:
        return top1[row] - top1[base], None
    return by.get("gain", {}).get(row), by.get("order", {}).get(row)


def gain_over(row: Row, base: Row) -> Gain:
    """Gain of one row over another on the splits and seeds that both have.

    From three folds of a folder of videos the fold is the unit, whoever is left out in it (`intervals.over_folds`).
    """
    ours, theirs = hits(row), hits(base)
    splits = sorted(ours.keys() & theirs.keys())
    seeds = {split: min(len(ours[split]), len(theirs[split])) for split in splits}
    weights = [ours[s].shape[1] for s in splits] if row.weighted else None
    folds = row.systems[0][0].data.dataset == "folder" and len(splits) >= FOLDS
    return paired_gain([ours[s][: seeds[s]] for s in splits], [theirs[s][: seeds[s]] for s in splits], weights, folds)


def recorded(rows: Sequence[Row]) -> list[Row]:
    """The rows with only those splits and seeds that all of them have records of; without systems where there are none."""
    there = set.intersection(*({place(s) for s in row.systems if all(map(records.find, s))} for row in rows))
    return [dataclasses.replace(row, systems=tuple(s for s in row.systems if place(s) in there)) for row in rows]


def place(system: Sequence[Run]) -> tuple[int, int]:
    """Split and seed of a system."""
    return system[0].data.split, system[0].seed


def chain(table: Table, parameters: Parameters) -> Result:
    """Is each row of a ladder of the table better than the one before it? One line per step, with a verdict.

    The p-values are adjusted over all steps of the table. A step's power is for the difference of the paper's accuracies.
    """
    rows = {row.label: row for row in table.rows}
    paper = published(table.numbers, parameters.dataset)
    top1 = paper[paper["metric"] == "top1"]  # a gain that is stated alone is over the reference row, not over a step's
    steps = [step for ladder in table.ladders for step in itertools.pairwise(ladder)]
    tests = []
    for lower, upper in steps:
        gain, (theirs, _) = gain_over(rows[upper], rows[lower]), claimed_gain(upper, lower, top1)
        tests.append(Test((gain,), (power_for(gain, None if theirs is None else theirs / 100),)))
    lines = []
    for (lower, upper), test, p in zip(steps, tests, holm([test.p for test in tests]), strict=True):
        verdict = test.verdict(p, len(accuracy(rows[upper])), [lower])
        cells = {
            "claim": f"{upper} is better than {lower}", "our gain [95 %]": str(verdict.gain), "seeds": str(verdict.seeds),
            "p (Holm)": verdict.p_text, "verdict": str(verdict), "tier": table.tier(parameters),
        }  # fmt: skip
        lines.append(Line(cells, (), verdict))
    return _result(table, parameters, f"{table.name}_claims", f"{table.title.rstrip('.')}: the claims.", lines)


def _result(table: Table, parameters: Parameters, name: str, title: str, lines: Sequence[Line]) -> Result:
    numeric = tuple(column for column in lines[0].cells if column in NUMERIC)
    return Result(
        name, table.paper, title, table.claim, table.tier(parameters), table.notebook, command(table, parameters),
        tuple(lines), numeric,
    )  # fmt: skip


def sentence(result: Result) -> str:
    """What the table shows, in one sentence drawn from its verdicts."""
    parts = [f"{n} {outcome}" for outcome in DECIDED if (n := result.outcomes.count(outcome))]
    if not parts:
        return "Nothing is claimed here that could be compared."
    return f"Of what is claimed here ({result.tier} tier): {', '.join(parts)}."


def shown(result: Result) -> str:
    """What a table shows and how to make it again, in Markdown."""
    return f"**What it shows.** {sentence(result)} {result.again}"


def command(table: Table, parameters: Parameters) -> str:
    """The command that makes the table again."""
    return notebook_command(table.notebook, parameters, table.options)


def notebook_command(notebook: str, parameters: Parameters, options: Sequence[tuple[str, str]] = ()) -> str:
    """The command that runs a notebook again. It names no path, and no parameter that only says how to execute."""
    words = ["python", "-m", "repro", "run", notebook]
    places = {"splits": parameters.splits, "seeds": parameters.seeds}
    given = {k: v for k, v in parameters.changed().items() if k not in places} | places | dict(options)
    for name, value in given.items():
        if name in parameters.execution:
            continue
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += ["-p", name, Path(text).name if name in ("data_root", "pretrained_rgb", "pretrained_flow") else text]
    return shlex.join(words)
