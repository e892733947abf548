"""The tables of results/: their order, their verdicts, and which of them are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from repro import damaged, paths
from repro.config import DATASETS
from repro.errors import ReproError, Unavailable
from repro.evidence import results
from repro.evidence.results import Line, Result
from repro.evidence.statistics import Outcome
from repro.notebooks import NOTEBOOKS, Notebook, command
from repro.papers import TITLES
from repro.parameters import Parameters

CLAIMS = "claims"  # the name of the table of verdicts, one for each folder of results
COSTS = "cost_claims"  # the name of the table of claims on cost
CELLS = {CLAIMS: {"claim", "paper"}, COSTS: {"source"}}  # that the page reads of each line
NO_TABLES = ("records", "maps", "again")  # folders beside those of the data sets


@dataclass(frozen=True)
class Table:
    """A finished table and the folder it was read from, results/PROFILE/DATASET/."""

    profile: str
    dataset: str
    result: Result

    @property
    def id(self) -> str:
        """Unique on the page, without spaces: fit for a link."""
        return quote(f"{self.profile}-{self.dataset}-{self.result.name}", safe="")

    @property
    def where(self) -> tuple[str, ...]:
        """The origin of its numbers, as `at` gives it."""
        return self.at(self.result.tier)

    def at(self, tier: str) -> tuple[str, ...]:
        """A tier, the data set where the tier does not name it already, and a profile other than small."""
        named = self.dataset in (tier, "synthetic")
        return (tier,) + (self.dataset,) * (not named) + (f"profile {self.profile}",) * (self.profile != "small")

    @property
    def caption(self) -> str:
        """Title and origin in words."""
        return f"{self.result.title} Tier: {', '.join(self.where)}."


def tables(profile: str) -> list[Table]:
    """All tables of a profile in the order of the notebooks, the embedded data set's before the same table of others.

    A file that is damaged or not ours is left out, and named (`repro.damaged`).
    """
    files = sorted((paths.out() / "results" / profile).glob("*/*.json"))
    read = (damaged.read(_table, file) for file in files if file.parent.name not in NO_TABLES)
    found = [table for table in read if table is not None]
    order = {name: place for place, name in enumerate(NOTEBOOKS)}

    def place(table: Table) -> tuple:
        last = order.get(table.result.notebook, len(order))
        return last, table.result.name, table.dataset != "synthetic", table.dataset

    return sorted(found, key=place)


def _table(file: Path) -> Table:
    result = results.read(file)
    if result.name != file.stem or result.paper not in TITLES:
        raise ReproError(
            f"{file}: not a table of this project (name {result.name!r}, paper {result.paper!r}); "
            "delete it and run its notebook again"
        )
    wanted = CELLS.get(result.name, set())
    if not all(wanted <= line.cells.keys() for line in result.lines):
        raise ReproError(f"{file}: a line without {' or '.join(sorted(wanted))}; delete it and run its notebook again")
    return Table(file.parent.parent.name, file.parent.name, result)


def verdicts(found: Sequence[Table]) -> list[tuple[Table, Line]]:
    """The lines of all claims tables that have a verdict; of a folder of videos only the claims that it has runs for."""
    lines = [(table, line) for table in found if table.result.name == CLAIMS for line in table.result.lines]
    return [(table, line) for table, line in lines if line.verdict is not None and not _left_out(table, line)]


def _left_out(table: Table, line: Line) -> bool:
    return table.dataset not in DATASETS and line.verdict.outcome is Outcome.NOT_RUN


def missing(found: Sequence[Table], profile: str) -> list[tuple[str, str]]:
    """Notebooks that should show more tables than `found` has of this profile: what is missing, and the command."""
    lines = []
    for name, notebook in NOTEBOOKS.items():
        there = {table.result.name for table in found if (table.profile, table.result.notebook) == (profile, name)}
        lacking = [each for each in _expected(notebook, profile) if each not in there]
        if lacking:
            lines.append((", ".join(lacking), command(name, profile)))
    return lines


def _expected(notebook: Notebook, profile: str) -> list[str]:
    """The names of a notebook's tables; for a table that needs more than a profile, why it cannot be planned."""
    names = []
    for plan in notebook.tables:
        try:
            names.append(plan(Parameters(profile=profile, splits=notebook.splits)).name)
        except Unavailable as error:
            names.append(f"{plan.__name__} ({error})")
    return names
