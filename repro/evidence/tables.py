"""Tables from records: the paper's number, ours with its spread, what differs, a verdict, and where it comes from.

A table never trains: it reads the records that `execute` left. One frame becomes CSV, Markdown, HTML and LaTeX.
"""

import html
import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from repro import execute, metrics, paths, records
from repro.config import Run
from repro.errors import ReproError
from repro.evidence import statistics as verdicts
from repro.parameters import Parameters

NOT_AVAILABLE = "not available"
ONE_SEED = " (one seed)"  # such a verdict knows nothing of the spread between seeds


@dataclass(frozen=True)
class Row:
    """One system of a table. systems: for every (split, seed) the runs whose probabilities are averaged, often one.

    shares: the weight of each run of a system; empty: equal. weighted: splits count by their test videos, not equally.
    """

    label: str
    systems: tuple[tuple[Run, ...], ...]
    shares: tuple[float, ...] = ()
    weighted: bool = False


@dataclass(frozen=True)
class Table:
    """A table of a paper as runs. Every row is compared with the row `against`; `claim` is what the paper says."""

    name: str
    title: str
    claim: str
    against: str
    rows: tuple[Row, ...]
    paper: pd.DataFrame  # columns row, metric (top1, gain, order), value, tag, source: the paper's for this data set
    notebook: str
    options: tuple[tuple[str, str], ...] = ()  # further parameters of its notebook, for the command
    protocol: str = ""  # whose protocol its runs follow, where the paper's own is not known

    def tier(self, parameters: Parameters) -> str:
        """The study's tier; never "paper" alone where the protocol is another's."""
        borrowed = self.protocol and parameters.tier == "paper"
        return f"paper's data, {self.protocol}'s protocol" if borrowed else parameters.tier

    def runs(self) -> list[Run]:
        """All runs of the table, each once."""
        return list({run.id: run for row in self.rows for system in row.systems for run in system}.values())


def published(paper: str, table: str, dataset: str, split: str) -> pd.DataFrame:
    """The numbers of a paper's table, in percent, for a data set; HMDB51's where the data set is none of the paper's."""
    numbers = pd.read_csv(Path(__file__).parents[1] / "papers" / "numbers" / f"{paper}.csv", dtype={"split": str})
    wanted = dataset if dataset in set(numbers["dataset"]) else "hmdb51"
    return numbers[(numbers["table"] == table) & (numbers["dataset"] == wanted) & (numbers["split"] == split)]


def probabilities(system: Sequence[Run], shares: Sequence[float] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Mean softmax (N, K) of the runs of a system and their labels (N,); they must have seen the same test clips."""
    read = [records.read(execute.record_path(run)) for run in system]
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
    """(S,) top-k in percent, a value a seed, each the mean over splits; seeds that not every split has are left out."""
    found = list(hits(row, k).values())
    common = min(len(each) for each in found)
    weights = [each.shape[1] for each in found] if row.weighted else None
    return 100 * np.average([each[:common].mean(axis=1) for each in found], axis=0, weights=weights)


def build(table: Table, parameters: Parameters) -> pd.DataFrame:
    """One line a row. Percentages; gains and differences in points, against the row `table.against`.

    difference is our gain minus the paper's: on other data than the paper's, the gains can be compared and the
    accuracies cannot. verdict is on the sign of the paper's gain; the interval is a paired bootstrap's, 95 %.
    """
    paper = {metric: dict(zip(own["row"], own["value"], strict=True)) for metric, own in table.paper.groupby("metric")}
    top1 = paper.get("top1", {})
    derived = set(table.paper.loc[table.paper["tag"] == "derived", "row"])
    base = next(row for row in table.rows if row.label == table.against)
    classes = len(records.read(execute.record_path(base.systems[0][0])).classes)
    lines = []
    for row in table.rows:
        ours = accuracy(row)
        line = {
            "row": row.label,
            "paper": f"{top1[row.label]:.1f}{' (derived)' * (row.label in derived)}"
            if row.label in top1
            else NOT_AVAILABLE,
            "ours": f"{ours.mean():.1f}" + (f" ± {ours.std(ddof=1):.1f}" if len(ours) > 1 else ""),
            "top-5": f"{accuracy(row, 5).mean():.1f}" if classes > 5 else NOT_AVAILABLE,
            "seeds": len(ours),
        }
        if row is base:
            line |= {
                "paper's gain": "",
                "our gain [95 %]": "",
                "difference": "",
                "verdict": f"compared with {row.label}",
            }
        else:
            line |= _compared(row, base, paper)
        lines.append(line | {"tier": table.tier(parameters)})
    frame = pd.DataFrame(lines)
    frame.attrs = {
        "title": table.title, "claim": table.claim, "command": command(table, parameters), "tier": table.tier(parameters),
    }  # fmt: skip
    frame.attrs["runs"] = [" ".join(run.id for system in row.systems for run in system) for row in table.rows]
    return frame


def _compared(row: Row, base: Row, paper: dict[str, dict[str, float]]) -> dict[str, str]:
    """The paper's gain: from two accuracies, or as the paper states it, or, where it states no number, its sign."""
    gain, top1 = gain_over(row, base), paper.get("top1", {})
    ours = f"{100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
    order = paper.get("order", {}).get(row.label)
    theirs = paper.get("gain", {}).get(row.label)
    if row.label in top1 and base.label in top1:
        theirs = top1[row.label] - top1[base.label]
    if theirs is None and order is None:
        return {"paper's gain": NOT_AVAILABLE, "our gain [95 %]": ours, "difference": "", "verdict": "nothing claimed"}
    return {
        "paper's gain": f"{theirs:+.1f}" if theirs is not None else "better" if order > 0 else "worse",
        "our gain [95 %]": ours,
        "difference": f"{100 * gain.mean - theirs:+.1f}" if theirs is not None else "",
        "verdict": gain.verdict(order if theirs is None else theirs) + ONE_SEED * (len(accuracy(row)) == 1),
    }


def gain_over(row: Row, base: Row) -> verdicts.Gain:
    """Paired gain of one row over another on the splits and seeds that both have."""
    ours, theirs = hits(row), hits(base)
    splits = sorted(ours.keys() & theirs.keys())
    seeds = {split: min(len(ours[split]), len(theirs[split])) for split in splits}
    weights = [ours[s].shape[1] for s in splits] if row.weighted else None
    return verdicts.paired_gain([ours[s][: seeds[s]] for s in splits], [theirs[s][: seeds[s]] for s in splits], weights)


def chain(table: Table, parameters: Parameters, *ladders: Sequence[str]) -> pd.DataFrame:
    """Is each row of a ladder better than the one before it? One line a step, with the interval and a verdict."""
    rows = {row.label: row for row in table.rows}
    lines = []
    for lower, upper in (step for ladder in ladders for step in itertools.pairwise(ladder)):
        gain = gain_over(rows[upper], rows[lower])
        ours = f"{100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        verdict = gain.verdict(+1) + ONE_SEED * (len(accuracy(rows[upper])) == 1)
        line = {
            "claim": f"{upper} is better than {lower}",
            "our gain [95 %]": ours,
            "seeds": len(accuracy(rows[upper])),
            "verdict": verdict,
            "tier": table.tier(parameters),
        }
        lines.append(line)
    frame = pd.DataFrame(lines)
    title = f"{table.title.rstrip('.')}: the claims."
    frame.attrs = {
        "title": title,
        "claim": table.claim,
        "command": command(table, parameters),
        "tier": table.tier(parameters),
    }
    return frame


def sentence(frame: pd.DataFrame) -> str:
    """What the table shows, in one sentence drawn from its verdicts."""
    counts = frame["verdict"].str.removesuffix(ONE_SEED).value_counts()
    parts = [
        f"{counts[v]} {v}" for v in (verdicts.SUPPORTED, verdicts.CONTRADICTED, verdicts.NOT_RESOLVED) if v in counts
    ]
    if not parts:
        return "Nothing is claimed here that could be compared."
    return f"Of what is claimed here ({frame.attrs['tier']} tier): {', '.join(parts)}."


def command(table: Table, parameters: Parameters) -> str:
    """The command that makes the table again."""
    return notebook_command(table.notebook, parameters, table.options)


def notebook_command(notebook: str, parameters: Parameters, options: Sequence[tuple[str, str]] = ()) -> str:
    """The command that runs a notebook again; how many processes ran it does not matter, and no path is told."""
    words = ["python", "-m", "repro", "run", notebook]
    given = parameters.parameters() | {"splits": parameters.splits, "seeds": parameters.seeds} | dict(options)
    for name, value in given.items():
        if name in ("jobs", "device"):
            continue
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += ["-p", name, Path(text).name if name in ("data_root", "pretrained_rgb", "pretrained_flow") else text]
    return shlex.join(words)


def save(frame: pd.DataFrame, name: str, parameters: Parameters, runs: Sequence[Run] = ()) -> Path:
    """Writes NAME.csv, .md, .html and .tex to results/PROFILE/DATASET/, and the records of `runs` and of their teachers beside
    them."""
    folder = paths.out() / "results" / parameters.profile / parameters.name
    attrs = frame.attrs
    caption = f"{attrs['title']} Claim: {attrs['claim']} Tier: {attrs['tier']}. Command: {attrs['command']}"
    style = frame.style.hide(axis="index").set_caption(html.escape(caption)).set_uuid(name)
    header = f"**{attrs['title']}** {attrs['claim']}\n\nTier: {attrs['tier']}. Command: `{attrs['command']}`\n\n"
    texts = {
        "csv": frame.assign(**{"command": attrs["command"], "runs": attrs.get("runs", "")} | dict(frame)).to_csv(
            index=False
        ),
        "md": header + markdown(frame) + "\n",
        "html": style.to_html(doctype_html=True)
        .replace("<th ", '<th scope="col" ')
        .replace("<html>", '<html lang="en">'),
        "tex": style.format(escape="latex")
        .format_index(escape="latex", axis=1)
        .to_latex(hrules=True, caption=_latex(caption)),
    }
    for ending, text in texts.items():
        with paths.atomic(folder / f"{name}.{ending}") as part:
            part.write_text(text)
    with_teachers = {r.id: r for run in runs for r in (run, run.teacher) if r is not None}
    for run in with_teachers.values():
        target = paths.out() / "results" / parameters.profile / "records" / f"{run.id}.json"
        records.write(records.read(execute.record_path(run)), target)
    return folder


def markdown(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table; missing values are empty cells."""
    values = [["" if pd.isna(value) else str(value) for value in row] for row in frame.itertuples(index=False)]
    rows = [list(frame.columns), ["---"] * frame.shape[1], *values]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)


def _latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "%_&#{}$" else c) for c in text)
