"""A paper's table and a paper's claim as data: which runs make each row, and what the paper says of them."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from repro.config import Run
from repro.parameters import Parameters

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Row:
    """One system of a table.

    systems: one entry per split and seed, the runs whose probabilities are averaged (often a single run).
    shares: the weight of each run of a system; empty: equal.
    weighted: in a mean over splits, each split counts by its number of test videos.
    planted: share of the test videos that count as right although they are not, drawn for each run: a control's effect.
    """

    label: str
    systems: tuple[tuple[Run, ...], ...]
    shares: tuple[float, ...] = ()
    weighted: bool = False
    planted: float = 0.0

    @property
    def runs(self) -> list[Run]:
        """The runs of all systems, in order; a run that several systems share is there several times."""
        return [run for system in self.systems for run in system]


@dataclass(frozen=True)
class Table:
    """A table of a paper as runs. Every row is compared with the row `against`.

    numbers: where the paper's own numbers are: a file in repro/papers/numbers/, the name of the table, the split.
    notebook: the notebook that shows the table; options: its further parameters, for the command.
    ladders: labels of rows, each of which the paper says is better than the one before it.
    over: of a curve, whose rows are "STREAM, NUMBER" or "STREAM, NUMBER UNIT": what the number is, for an axis.
    protocol: whose protocol the runs follow, where the paper's own is not known.
    """

    name: str
    paper: str
    title: str
    claim: str
    against: str
    rows: tuple[Row, ...]
    numbers: tuple[str, str, str]
    notebook: str
    options: tuple[tuple[str, str], ...] = ()
    protocol: str = ""
    ladders: tuple[tuple[str, ...], ...] = ()
    over: str = ""

    def tier(self, parameters: Parameters) -> str:
        """The tier of the parameters; never "paper" alone where the protocol is another paper's."""
        borrowed = self.protocol and parameters.tier == "paper"
        return f"paper's data, {self.protocol}'s protocol" if borrowed else parameters.tier

    def runs(self) -> list[Run]:
        """All runs of the table, each once."""
        return unique(run for row in self.rows for run in row.runs)


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper in plain words, and the pairs of rows (better, worse) of a table that test it.

    source: where the paper says it; "implied" where no sentence says it outright.
    table: the function that plans the runs of the rows.
    relation: what the first row of a pair is claimed to be; "not worse" allows it the margin of equivalence.
    """

    statement: str
    paper: str
    source: str
    table: Callable[[Parameters], Table]
    pairs: Pairs
    relation: Literal["better", "not worse"] = "better"


def unique(runs: Iterable[Run]) -> list[Run]:
    """The runs in order, each id once."""
    return list({run.id: run for run in runs}.values())


def with_needs(runs: Iterable[Run]) -> list[Run]:
    """The runs, each followed by those it needs (its start, its teacher and theirs), each id once."""
    return unique(each for run in runs for each in (run, *with_needs(run.needs)))


def beats(better: str, *worse: str) -> Pairs:
    """One row is better than each of the others."""
    return tuple((better, each) for each in worse)


def each_beats(worse: str, *better: str) -> Pairs:
    """Each of several rows is better than the one."""
    return tuple((each, worse) for each in better)


def ladder(*labels: str) -> Pairs:
    """Each row is better than the one before it."""
    return tuple((upper, lower) for lower, upper in itertools.pairwise(labels))
