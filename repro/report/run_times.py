"""What the runs behind each notebook cost, from the records: the table that `python -m repro list` reads."""

import itertools
from collections.abc import Iterable

from repro import notebooks, records
from repro.config import Run
from repro.evidence import tables
from repro.evidence.results import Line, Result
from repro.papers.table import unique, with_needs
from repro.parameters import Parameters


def table() -> Result:
    """One line per notebook and one for all of them. A run that several notebooks show counts once in the last.

    minutes: of one processor core, for the runs that have a record.
    """
    planned = {name: with_needs(_behind(notebook)) for name, notebook in notebooks.NOTEBOOKS.items()}
    planned[notebooks.EVERYTHING] = unique(itertools.chain(*planned.values()))
    seconds = {run.id: records.seconds(run) for run in planned[notebooks.EVERYTHING]}
    return Result(
        name="run_times",
        paper="",
        title="What the runs of each notebook cost.",
        claim="",
        tier=Parameters().tier,
        notebook="claims",
        command=tables.notebook_command("claims", Parameters()),
        lines=tuple(_line(name, [seconds[run.id] for run in runs]) for name, runs in planned.items()),
        numeric=("runs", "recorded", "minutes"),
    )


def _behind(notebook: notebooks.Notebook) -> Iterable[Run]:
    """The small profile's runs behind a notebook's tables."""
    parameters = Parameters(splits=notebook.splits)
    return [run for plan in notebook.tables for run in plan(parameters).runs()]


def _line(name: str, seconds: list[float | None]) -> Line:
    known = [each for each in seconds if each is not None]
    minutes = f"{sum(known) / 60:.1f}"
    return Line({"notebook": name, "runs": str(len(seconds)), "recorded": str(len(known)), "minutes": minutes})
