"""From evidence to one HTML page. Style, script and images are inside it; it links only files of the project."""

from collections.abc import Sequence
from pathlib import Path

import jinja2

from repro import notebooks, paths
from repro.evidence.results import Line
from repro.evidence.statistics import Outcome
from repro.models.tools.cost import published_models
from repro.papers import TITLES
from repro.report import again, evidence, grid, pictures, runs
from repro.report.evidence import Table
from repro.report.grid import Cell, Grid
from repro.report.links import link

TIERS = {
    "exact": "counts of parameters and multiply-adds, to the last digit, beside the numbers that the papers print",
    "synthetic": "networks trained on the embedded videos: claims can be tested, accuracies cannot be compared with the papers'",
    "small real": "networks trained on small sets of real videos",
    "paper": "the published protocol on the published data, or another paper's protocol where the table names one",
    "published numbers": "what papers print; ours, where there are any, in a column of their own that names their tier",
    "measured here": "times on the machine that made the table",
}
OUTCOMES = {
    Outcome.SUPPORTED: "our gain is on the paper's side; its p, adjusted for all claims of the paper, is below 0.05",
    Outcome.CONTRADICTED: "the same on the other side",
    Outcome.EQUIVALENT: "the whole 95 % interval of our gain is within one point of zero",
    Outcome.NOT_RESOLVED: "none of these: this evidence cannot decide",
    Outcome.NOT_TESTABLE: "not resolved, and the power to find the paper's gain (2 points without a number) is under 50 %",
    Outcome.NOT_RUN: "no records; the command makes them",
}
FIRST = ("claim", "verdict")  # columns of the verdicts that fit on a phone
DOCS = ("evidence", "results", "deviations")  # pages in docs/ that this page links


def render(profile: str, profiles: Sequence[str], folder: Path) -> str:
    """The page of `profiles` as text, for a file in `folder`. Names what `profile` lacks. Equal inputs give equal text."""
    tables = [table for each in profiles for table in evidence.tables(each)]
    judged = evidence.verdicts(tables)
    exact = _exact()
    shown = [t for t in tables if t.result.name != evidence.CLAIMS and not _counts_again(t, exact)]
    figures = {(f.profile, f.dataset, f.name): f for f in pictures.figures(profiles, folder)}
    keys = {table.id: (table.profile, table.dataset, table.result.name) for table in shown}
    beside = {id: figures[key] for id, key in keys.items() if key in figures}
    return _template().render(
        profile=profile,
        profiles=list(dict.fromkeys(table.profile for table in tables)),
        docs={name: link(paths.ROOT / "docs" / f"{name}.md", folder) for name in DOCS},
        tiers=TIERS,
        outcomes=OUTCOMES,
        look=grid.look,
        counts=evidence.counts(judged),
        verdicts=_verdicts(judged),
        missing=evidence.missing(tables, profile),
        papers=_by_paper(shown),
        grids={table.id: grid.of_result(table.caption, table.result) for table in shown},
        runs={table.id: made for table in shown if (made := runs.of_table(table, folder)) is not None},
        figures=beside,
        others=[figure for figure in figures.values() if figure not in beside.values()],
        exact=exact,
        again=again.section(profiles),
        notebooks=_notebooks(profile, folder),
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("repro.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html")


def _verdicts(judged: Sequence[tuple[Table, Line]]) -> Grid | None:
    """The verdicts of all folders in one grid; data set and profile where they are not the usual ones."""
    lines = []
    for table, line in judged:
        where = {"data": table.dataset if table.dataset != "synthetic" else ""}
        lines.append((line, where | {"profile": table.profile if table.profile != "small" else ""}))
    numeric = {name for table, _ in judged for name in table.result.numeric}
    return grid.of_lines("Verdicts", lines, numeric, FIRST) if lines else None


def _exact() -> Grid:
    """All exact counts, made now."""
    counted = published_models()
    columns = list(dict.fromkeys(name for row in counted for name in row))
    return grid.of_values("Exact counts", columns, [[row.get(name) for name in columns] for row in counted])


def _counts_again(table: Table, exact: Grid) -> bool:
    """Whether the exact counts on the page hold all that a table has."""
    lines = table.result.lines
    return bool(lines) and all(set(line.cells) >= set(exact.columns) for line in lines)


def _by_paper(tables: Sequence[Table]) -> list[tuple[str, str, list[Table]]]:
    """Name, citation and tables of every paper that has tables."""
    groups = ((name, cite, [t for t in tables if t.result.paper == key]) for key, (name, cite) in TITLES.items())
    return [group for group in groups if group[-1]]


def _notebooks(profile: str, folder: Path) -> Grid:
    """Every notebook with its source and the command that executes it."""
    rows = [
        [
            Cell(name, link=link(notebooks.path_of(name), folder)),
            Cell(notebook.title),
            Cell(notebooks.command(name, profile), "code"),
        ]
        for name, notebook in notebooks.NOTEBOOKS.items()
    ]
    return Grid("Notebooks", ("notebook", "what it shows", "command"), rows)
