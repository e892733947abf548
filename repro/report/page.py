"""From evidence to one HTML page. Style, script and images are inside it; it links only files of the project."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from repro import notebooks, paths
from repro.evidence.results import Line
from repro.evidence.statistics import Outcome
from repro.models.tools.cost import SYSTEMS, published_models
from repro.papers import TITLES
from repro.report import again, cards, evidence, grid, pictures, runs
from repro.report.cards import Card
from repro.report.evidence import Table
from repro.report.grid import Cell, Grid
from repro.report.links import link
from repro.report.pictures import Figure

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
TIME = "temporal_order"  # the notebook on the direction of time, which has a section of its own
MANY = 3  # tables of one notebook of ours; more fold into one line
DOCS = ("evidence", "results", "deviations")  # pages in docs/ that this page links


def render(profile: str, profiles: Sequence[str], folder: Path) -> str:
    """The page of `profiles` as text, for a file in `folder`. Names what `profile` lacks. Equal inputs give equal text."""
    tables = [table for each in profiles for table in evidence.tables(each)]
    counts = counted()
    exact, others = _exact(counts, True), _exact(counts, False)
    shown = [t for t in tables if t.result.name != evidence.CLAIMS and not _counts_again(t, exact)]
    figures = {(f.profile, f.dataset, f.name): f for f in pictures.figures(profiles, folder)}
    verdicts = _verdicts(evidence.verdicts(tables), figures)
    keys = {table.id: (table.profile, table.dataset, table.result.name) for table in shown}
    beside = {id: figures.pop(key) for id, key in keys.items() if key in figures}
    planned, executed = again.plans(profiles), _executed(folder)
    return _template().render(
        profile=profile,
        profiles=list(dict.fromkeys(table.profile for table in tables)),
        docs={name: link(paths.ROOT / "docs" / f"{name}.md", folder) for name in DOCS},
        tiers=TIERS,
        outcomes=OUTCOMES,
        look=grid.look,
        tally=cards.tally,
        number=cards.number,
        cards=cards.of_tables(tables, counts),
        verdicts=verdicts,
        missing=evidence.missing(tables, profile),
        exact=exact,
        exact_others=others,
        counted=[t for t in shown if t.result.tier == "exact" and t.result.notebook != TIME],
        time_order=[table for table in shown if table.result.notebook == TIME],
        papers=_by_paper([t for t in shown if t.result.tier != "exact" and t.result.notebook != TIME]),
        grids={table.id: grid.of_result(table.caption, table.result, again.of_rows(table, planned)) for table in shown},
        runs={table.id: made for table in shown if (made := runs.of_table(table, folder)) is not None},
        figures=beside,
        others=list(figures.values()),
        again=again.section(profiles),
        notebooks=_notebooks(profile, folder, executed),
        executed=executed,
    )


def summary(profiles: Sequence[str]) -> list[Card]:
    """The cards of the page of `profiles`."""
    return cards.of_tables([table for each in profiles for table in evidence.tables(each)], counted())


def counted() -> dict[str, list[dict[str, Any]]]:
    """All exact counts, made now, by group of networks."""
    return {group: published_models(group) for group in SYSTEMS}


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("repro.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("page.html")


@dataclass(frozen=True)
class Verdicts:
    """The verdicts of one place. where: as `cards.place` gives it. figure: the forest plot, where there is one."""

    where: tuple[str, ...]
    outcomes: list[Outcome]
    lines: Grid
    figure: Figure | None


def _verdicts(judged: Sequence[tuple[Table, Line]], figures: dict[tuple[str, ...], Figure]) -> list[Verdicts]:
    """One per place, so that tiers never share a table; their plots are taken from `figures`, {profile, data set, name}."""
    places: dict[tuple[str, ...], list[tuple[Table, Line]]] = {}
    for table, line in judged:
        places.setdefault(cards.place(table, line), []).append((table, line))
    made = []
    for where, found in places.items():
        table, lines = found[0][0], [line for _, line in found]
        caption = f"Verdicts, {', '.join(where)}"
        made.append(
            Verdicts(
                where,
                [line.verdict.outcome for line in lines],
                grid.of_lines(caption, lines, table.result.numeric, where[0], FIRST),
                figures.pop((table.profile, table.dataset, evidence.CLAIMS), None),
            )
        )
    return made


def _exact(counts: Mapping[str, Sequence[Mapping[str, Any]]], printed: bool) -> Grid:
    """The exact counts of networks whose cost a paper prints, or of all others; no column without a value."""
    rows = [row for group in counts.values() for row in group]
    chosen = [row for row in rows if (row["match"] is not None) == printed]
    names = dict.fromkeys(name for row in chosen for name in row)
    columns = [name for name in names if any(row.get(name) not in (None, "-") for row in chosen)]
    caption = "Exact counts beside printed ones" if printed else "Exact counts of networks whose cost no paper prints"
    return grid.of_values(caption, columns, [[row.get(name) for name in columns] for row in chosen])


def _counts_again(table: Table, exact: Grid) -> bool:
    """Whether the exact counts on the page hold all that a table has."""
    lines = table.result.lines
    return bool(lines) and all(set(line.cells) >= set(exact.columns) for line in lines)


def _by_paper(tables: Sequence[Table]) -> list[tuple[str, str, list[tuple[str, list[Table]]]]]:
    """Name, citation and tables of every paper that has tables, in the groups of `_groups`."""
    found = ((name, cite, [t for t in tables if t.result.paper == key]) for key, (name, cite) in TITLES.items())
    return [(name, cite, _groups(own) if not cite else [("", own)]) for name, cite, own in found if own]


def _groups(tables: Sequence[Table]) -> list[tuple[str, list[Table]]]:
    """(the notebook's title, its tables) of a notebook with more than `MANY` tables, which fold into one; else ("", tables)."""
    groups = ((name, list(own)) for name, own in itertools.groupby(tables, key=lambda table: table.result.notebook))
    titles = {name: notebook.title for name, notebook in notebooks.NOTEBOOKS.items()}
    return [(titles.get(name, name) if len(own) > MANY else "", own) for name, own in groups]


def _executed(folder: Path) -> dict[str, str]:
    """Links to the executed copies of notebooks that the folder of the page has, by name."""
    files = {name: folder / "notebooks" / f"{name}.html" for name in notebooks.NOTEBOOKS}
    return {name: link(file, folder) for name, file in files.items() if file.exists()}


def _notebooks(profile: str, folder: Path, executed: Mapping[str, str]) -> Grid:
    """Every notebook with its source, its title, which leads to the executed copy, and the command that executes it."""
    rows = [
        [
            Cell(name, link=link(notebooks.path_of(name), folder)),
            Cell(notebook.title, link=executed.get(name, "")),
            Cell(notebooks.command(name, profile), "code"),
        ]
        for name, notebook in notebooks.NOTEBOOKS.items()
    ]
    return Grid("Notebooks", ("notebook", "what it shows", "command"), rows)
