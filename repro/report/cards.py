"""One card per paper: does it reproduce? Its sentences count the claims of results/ and the exact counts, nothing else."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repro.evidence.results import Line
from repro.evidence.statistics import DECIDED, Outcome
from repro.papers import TITLES
from repro.report import evidence
from repro.report.evidence import Table

TOLD = (*DECIDED, Outcome.NOT_RUN)  # the outcomes of a claim, in the order of a sentence
ALWAYS = (Outcome.SUPPORTED, Outcome.CONTRADICTED)  # said even where no claim has it
WHY = "power under 50 % for the paper's gain"


@dataclass(frozen=True)
class Finding:
    """Claims that stand and fall together. row: of a table, whose runs they all rest on; empty for a claim of its own.

    claims: statement and outcome of each.
    """

    row: str
    claims: tuple[tuple[str, Outcome], ...]

    def __str__(self) -> str:
        counts = tally([outcome for _, outcome in self.claims])
        return f"{len(self.claims)} claims rest on the runs of one row, “{self.row}”, and are one finding: {counts}."


@dataclass(frozen=True)
class Answer:
    """What the runs of one place say of a paper's claims. where: as `place` gives it. sentence: to be quoted.

    basis: runs and seeds. power: what the design could have seen where a claim is not testable, else empty.
    """

    where: tuple[str, ...]
    sentence: str
    basis: str
    power: str
    findings: tuple[Finding, ...]

    @property
    def shared(self) -> tuple[Finding, ...]:
        """The findings of several claims."""
        return tuple(finding for finding in self.findings if finding.row)

    @property
    def size(self) -> str:
        """How many claims, and how many findings where these are fewer."""
        claims = number(sum(len(finding.claims) for finding in self.findings), "claim")
        return f"{claims} in {number(len(self.findings), 'finding')}" if self.shared else claims


@dataclass(frozen=True)
class Card:
    """A paper. answers: one per place with claims, none without any. exact: one line on what can be counted."""

    name: str
    cite: str
    answers: tuple[Answer, ...]
    exact: str


def of_tables(tables: Sequence[Table], counted: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Card]:
    """The cards of finished tables: of those of claims, and of the exact ones of claims on cost."""
    costs = [line for table in tables if table.result.name == evidence.COSTS for line in table.result.lines]
    return cards(evidence.verdicts(tables), counted, costs)


def cards(
    judged: Sequence[tuple[Table, Line]], counted: Mapping[str, Sequence[Mapping[str, Any]]], costs: Sequence[Line]
) -> list[Card]:
    """One card per paper, in the order of `TITLES`.

    judged: `evidence.verdicts`. counted: rows of `published_models` by group. costs: lines of the claims on cost, decided
    by counts; their sources begin with the name of a paper.
    """
    names = [(name, cite) for key, (name, cite) in TITLES.items() if key]
    return [Card(name, cite, _answers(name, judged), _exact(name, counted, costs)) for name, cite in names]


def place(table: Table, line: Line) -> tuple[str, ...]:
    """The tier of a claim, the data set where the tier does not name it, and a profile other than small."""
    return table.at(line.cells.get("tier", table.result.tier))


def _answers(name: str, judged: Sequence[tuple[Table, Line]]) -> tuple[Answer, ...]:
    places: dict[tuple[str, ...], list[Line]] = {}
    for table, line in judged:
        if line.cells["paper"] == name:
            places.setdefault(place(table, line), []).append(line)
    return tuple(_answer(name, where, lines) for where, lines in places.items())


def _answer(name: str, where: tuple[str, ...], lines: Sequence[Line]) -> Answer:
    says = sentence(name, where, [line.verdict.outcome for line in lines])
    return Answer(where, says, _basis(lines), _power(lines), findings(lines))


def sentence(name: str, where: Sequence[str], outcomes: Collection[Outcome]) -> str:
    """How many of a paper's claims came out which way, at a tier."""
    tier, *more = where
    start = f"{tier.capitalize()} tier" + (f" ({', '.join(more)})" if more else "")
    if set(outcomes) == {Outcome.NOT_RUN}:
        return f"{start}: no claim of {name} has been run ({len(outcomes)} can be)."
    counts = Counter(outcomes)
    parts = [_is(counts[each], each) for each in TOLD if counts[each] or each in ALWAYS]
    return f"{start}: of {number(len(outcomes), 'claim')} of {name}, {', '.join(parts[:-1])} and {parts[-1]}."


def _is(count: int, outcome: Outcome) -> str:
    verb = "are" if count > 1 else "is"
    return f"{count or 'none'} {verb} {outcome}{f' ({WHY})' if outcome is Outcome.NOT_TESTABLE else ''}"


def findings(lines: Sequence[Line]) -> tuple[Finding, ...]:
    """The claims of one paper, those that rest on the same row together, in the order of their first claims."""
    groups: dict[tuple[str, int], list[tuple[str, Outcome]]] = {}
    for i, line in enumerate(lines):
        row = line.cells.get("rests on", "")
        groups.setdefault((row, 0 if row else i), []).append((line.cells["claim"], line.verdict.outcome))
    return tuple(Finding(row if len(claims) > 1 else "", tuple(claims)) for (row, _), claims in groups.items())


def _basis(lines: Sequence[Line]) -> str:
    runs = {run for line in lines for run in line.runs}
    if not runs:
        return "No runs."
    seeds = sorted(line.verdict.seeds for line in lines if line.runs)
    return f"{number(len(runs), 'run')}, {_range(seeds)} seed{'s' * (seeds[-1] != 1)} per row."


def _power(lines: Sequence[Line]) -> str:
    blind = [line.verdict for line in lines if line.verdict.outcome is Outcome.NOT_TESTABLE and line.verdict.gain]
    if not blind:
        return ""
    ordered = sorted(blind, key=lambda verdict: verdict.gain.smallest_gain)
    smallest = _range([verdict.smallest_gain_text for verdict in ordered])
    return f"Power of 80 % for a claim not testable here takes a gain of {smallest} points."


def _range(ordered: Sequence[object]) -> str:
    return " to ".join(dict.fromkeys(map(str, (ordered[0], ordered[-1]))))


def _exact(name: str, counted: Mapping[str, Sequence[Mapping[str, Any]]], costs: Sequence[Line]) -> str:
    parts = []
    own = [row for rows in counted.values() for row in rows if row["model"] == name]
    if own:  # the last is the whole system
        row = own[-1]
        parts.append(f"{row['parameters']:,} parameters, {row['gmacs']} G multiply-adds ({row['input']})")
    printed = [row["match"] for row in counted.get(name, ()) if row["match"] is not None]
    if printed:
        parts.append(f"{sum(printed)} of {len(printed)} printed rows of cost reproduced")
    else:
        parts.append("no printed cost is known")
    judged = [line for line in costs if line.verdict is not None]
    said = [line.verdict.outcome for line in judged if line.cells["source"].partition(",")[0] == name]
    if said:
        holds = said.count(Outcome.HOLDS)
        parts.append(f"{holds} of {number(len(said), 'claim')} on cost hold{'s' * (holds == 1)}")
    return f"Exact tier: {'; '.join(parts)}."


def tally(outcomes: Collection[Outcome]) -> str:
    """How often each outcome occurs that says something of a claim: "1 supported, 2 not resolved"; empty without any."""
    counts = Counter(outcomes)
    silent = (Outcome.REFERENCE, Outcome.UNCLAIMED)
    return ", ".join(f"{counts[each]} {each}" for each in Outcome if counts[each] and each not in silent)


def number(count: int, noun: str) -> str:
    """A number and a noun: "1 claim", "2 claims"."""
    return f"{count} {noun}{'s' * (count != 1)}"
