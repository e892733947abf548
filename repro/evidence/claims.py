"""What our records say of each claim: a verdict, an interval, the paper's number and the command that makes it again.

A claim of several pairs is supported only if every pair is, contradicted if any is, else not resolved. The intervals
are each pair's own, 95 %, so a claim of many pairs is contradicted by chance more often than a claim of one. Nothing
here trains: a claim without records is "not run".
"""

import dataclasses
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro import execute, notebooks
from repro.config import Run
from repro.errors import Unavailable, unknown
from repro.evidence import tables
from repro.evidence.statistics import CONTRADICTED, NOT_RESOLVED, SUPPORTED, Gain, together
from repro.evidence.tables import NOT_AVAILABLE, ONE_SEED, Row, Table
from repro.figures import results as plots
from repro.papers.claims import CLAIMS, Claim
from repro.parameters import Parameters

NOT_RUN = "not run"
NO_NUMBER, IMPLIED = "stated without a number", "implied without a number"
LOOKS = {SUPPORTED: (plots.OURS, "o"), CONTRADICTED: ("#d55e00", "X"), NOT_RESOLVED: ("#777777", "s")}  # colour, marker


@dataclass(frozen=True)
class Finding:
    """A claim and what the records say. gains: one a pair, none where nothing is recorded; decisive: the index of the
    pair that stands for the claim, the smallest gain of those that share its verdict; seeds: how many every split has.
    """

    claim: Claim
    verdict: str
    gains: tuple[Gain, ...]
    decisive: int
    published: str
    seeds: int
    runs: tuple[Run, ...]
    tier: str
    command: str

    @property
    def over(self) -> str:
        """Which pair of several the gain is of: "over Res3", or "4 over 3" where the better rows differ."""
        better, worse = self.claim.pairs[self.decisive]
        several = len({b for b, _ in self.claim.pairs}) > 1
        return "" if len(self.claim.pairs) == 1 else f"{better} over {worse}" if several else f"over {worse}"


def judge(gains: Sequence[Gain]) -> tuple[str, int]:
    """The verdict on a claim of several pairs, and the index of the pair that stands for it."""
    each = [gain.verdict(+1) for gain in gains]
    found = together(each)
    return found, min((i for i, v in enumerate(each) if v == found), key=lambda i: gains[i].mean)


def recorded(rows: Sequence[Row]) -> list[Row]:
    """The rows with those splits and seeds alone that all of them have records of; without systems where none."""
    there = set.intersection(*({_place(s) for s in row.systems if _is_recorded(s)} for row in rows))
    return [dataclasses.replace(row, systems=tuple(s for s in row.systems if _place(s) in there)) for row in rows]


def _place(system: Sequence[Run]) -> tuple[int, int]:
    return system[0].data.split, system[0].seed


def _is_recorded(system: Sequence[Run]) -> bool:
    return all(execute.record_path(run).exists() for run in system)


def evaluate(parameters: Parameters, claims: Sequence[Claim] = CLAIMS) -> list[Finding]:
    """A finding a claim, on those splits and seeds of the parameters that all of the claim's rows have records of."""
    return [_evaluate(claim, parameters) for claim in claims]


def _evaluate(claim: Claim, parameters: Parameters) -> Finding:
    try:
        table = claim.table(parameters)
    except Unavailable as error:  # one paper's protocol may want a file that another's does not
        return Finding(claim, NOT_RUN, (), 0, NOT_AVAILABLE, 0, (), parameters.tier, str(error))
    places = {_place(s) for s in recorded(_rows(table, claim))[0].systems}
    if not places:
        usual = notebooks.parameters_of(table.notebook, {}).splits
        asked = dataclasses.replace(
            parameters, splits=tuple(s for s in parameters.splits if s in usual) or parameters.splits
        )
        least = min((_published(table, *pair, claim.source) for pair in claim.pairs), key=_number)
        return Finding(claim, NOT_RUN, (), 0, least, 0, (), table.tier(parameters), tables.command(table, asked))
    splits, seeds = (tuple(sorted(set(numbers))) for numbers in zip(*places, strict=True))
    here = dataclasses.replace(parameters, splits=splits, seeds=seeds)
    table = claim.table(here)  # of these splits alone: the paper's numbers may be others for them
    rows = {row.label: row for row in recorded(_rows(table, claim))}
    gains = tuple(tables.gain_over(rows[better], rows[worse]) for better, worse in claim.pairs)
    verdict, decisive = judge(gains)
    least = min(sum(split == s for split, _ in places) for s in splits)
    runs = {run.id: run for row in rows.values() for system in row.systems for run in system}
    return Finding(
        claim, verdict + ONE_SEED * (least == 1), gains, decisive, _published(table, *claim.pairs[decisive], claim.source), least,
        tuple(runs.values()), table.tier(parameters), tables.command(table, here),
    )  # fmt: skip


def _rows(table: Table, claim: Claim) -> list[Row]:
    rows = {row.label: row for row in table.rows}
    labels = list(dict.fromkeys(label for pair in claim.pairs for label in pair))
    for label in labels:
        if label not in rows:
            raise unknown(f"row of {table.name}", label, rows)
    return [rows[label] for label in labels]


def _published(table: Table, better: str, worse: str, source: str) -> str:
    """The paper's gain for this data set (HMDB51's for others): as stated, or from two accuracies, or without a number."""
    if table.paper.empty:
        return NOT_AVAILABLE
    paper = {metric: own.set_index("row") for metric, own in table.paper.groupby("metric")}
    stated, top1 = paper.get("gain"), paper.get("top1")
    if stated is not None and worse == table.against and better in stated.index:
        return f"{stated.loc[better, 'value']:+.1f}"
    if top1 is None or not {better, worse} <= set(top1.index):
        return IMPLIED if "implied" in source else NO_NUMBER
    derived = "derived" in set(top1.loc[[better, worse], "tag"])
    return f"{top1.loc[better, 'value'] - top1.loc[worse, 'value']:+.1f}{' (derived)' * derived}"


def _number(published: str) -> float:
    """The number in a published gain; infinity where it has none."""
    return float(published.partition(" ")[0]) if published[0] in "+-" else np.inf


def frame(findings: Sequence[Finding], parameters: Parameters) -> pd.DataFrame:
    """One line a claim, with the command that makes its runs and its table again."""
    lines = []
    for finding in findings:
        gain = finding.gains[finding.decisive] if finding.gains else None
        ours = f"{100 * gain.mean:+.1f} [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]" if gain else ""
        ours += f" ({finding.over})" if gain and finding.over else ""
        lines.append({
            "claim": finding.claim.statement, "paper": finding.claim.paper, "source": finding.claim.source,
            "paper's gain": finding.published, "our gain [95 %]": ours, "seeds": finding.seeds,
            "verdict": finding.verdict, "tier": finding.tier, "command": finding.command,
        })  # fmt: skip
    result = pd.DataFrame(lines)
    result.attrs = {
        "title": "The papers' claims.",
        "claim": "Each sentence is tested on our runs; of a claim with several pairs the deciding one is shown.",
        "tier": parameters.tier,
        "command": tables.notebook_command("claims", parameters),
        "runs": [" ".join(run.id for run in finding.runs) for finding in findings],
    }
    return result


def sentence(findings: Sequence[Finding]) -> str:
    """How many claims came out which way."""
    kinds = [finding.verdict.removesuffix(ONE_SEED) for finding in findings]
    parts = [f"{kinds.count(k)} {k}" for k in (SUPPORTED, CONTRADICTED, NOT_RESOLVED, NOT_RUN) if k in kinds]
    return f"Of {len(findings)} claims: {', '.join(parts)}."


def figure(findings: Sequence[Finding], parameters: Parameters) -> Figure:
    """A forest plot: the deciding gain of every claim with its interval, its other pairs as dots, the paper's gain."""
    labels = [textwrap.fill(f.claim.statement, 74) for f in findings]
    result = Figure(figsize=(10.5, 0.4 * len(findings) + 1.7), layout="constrained")
    axes = result.subplots()
    axes.axvline(0, color=plots.INK, lw=1)
    for place, finding in enumerate(findings):
        if np.isfinite(number := _number(finding.published)):
            axes.plot(number, place, "D", ms=6, mfc="white", mec=plots.PAPER, mew=1.6, zorder=4)
        if not finding.gains:
            axes.annotate(NOT_RUN, (0, place), (-6, 0), textcoords="offset points", ha="right", va="center")
            continue
        colour, marker = LOOKS[finding.verdict.removesuffix(ONE_SEED)]
        gain = finding.gains[finding.decisive]
        others = [100 * g.mean for i, g in enumerate(finding.gains) if i != finding.decisive]
        axes.plot(others, np.full(len(others), place), ".", ms=8, color=plots.INK, alpha=0.5)
        axes.plot([100 * gain.low, 100 * gain.high], [place, place], color=colour, lw=2.2, solid_capstyle="round")
        axes.plot(100 * gain.mean, place, marker, ms=8, color=colour, zorder=3)
    axes.set_yticks(range(len(findings)), labels, fontsize=9)
    axes.set_ylim(len(findings) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    papers = [finding.claim.paper for finding in findings]
    for start in (i for i, paper in enumerate(papers) if i == 0 or paper != papers[i - 1]):
        axes.axhline(start - 0.5, color=plots.INK, lw=0.6)
        axes.text(1.01, start, papers[start], transform=axes.get_yaxis_transform(), va="center", fontweight="bold")
    for kind, (colour, marker) in LOOKS.items():
        axes.plot([], [], marker, ms=8, color=colour, label=kind)
    axes.plot(
        [], [], "D", ms=6, mfc="white", mec=plots.PAPER, mew=1.6, ls="none", label="the paper's gain, on its data"
    )
    axes.plot([], [], ".", ms=8, color=plots.INK, alpha=0.5, label="the claim's other pairs")
    axes.set_xlabel(f"gain in points of top-1, with its 95 % interval ({parameters.where})")
    result.legend(loc="outside lower center", ncols=5)
    result.suptitle("The papers' claims: is the better row better?", x=0.01, ha="left", fontweight="bold")
    return result
