"""A table as the page shows it: cells with a look, columns of numbers on the right."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from repro.evidence.results import Line, Result
from repro.evidence.statistics import Outcome, Verdict

SOME, LONG, TEXT = 16, 36, 90  # characters: cells longer than these get a least width each


@dataclass(frozen=True)
class Cell:
    """One cell. look: a class of page.css for the text itself ("tier", "code", an outcome); link: where it leads, or nothing."""

    text: str
    look: str = ""
    link: str = ""


@dataclass(frozen=True)
class Grid:
    """Columns by name, rows of as many cells, and the places of the columns that hold numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    numeric: Collection[int] = ()

    def width(self, place: int, cell: Cell) -> str:
        """The class of a cell: of a number, or of its length in three steps."""
        if place in self.numeric:
            return "n"
        if cell.look:
            return cell.look if cell.look == "code" else ""
        steps = {TEXT: "text", LONG: "long", SOME: "some"}
        return next((name for least, name in steps.items() if len(cell.text) > least), "")


def look(outcome: Outcome) -> str:
    """The class of page.css for an outcome."""
    return outcome.name.lower().replace("_", "-")


def of_result(caption: str, result: Result, again: Sequence[str] = ()) -> Grid:
    """A finished table as it is, without a column that repeats its tier. again: the command of each line, the last column."""
    made = of_lines(caption, result.lines, result.numeric, result.tier)
    if not any(again):
        return made
    rows = [[*row, Cell(command, "code" if command else "")] for row, command in zip(made.rows, again, strict=True)]
    return Grid(made.caption, [*made.columns, "make again"], rows, made.numeric)


def of_lines(
    caption: str, lines: Sequence[Line], numeric: Collection[str], tier: str, first: Sequence[str] = ()
) -> Grid:
    """Lines of one tier, the columns `first` first. A column without text is left out, and so is one of the tier alone."""
    names = dict.fromkeys([*first, *(name for line in lines for name in line.cells)])
    columns = [
        name
        for name in names
        if any(line.cells.get(name) for line in lines)
        and not (name == "tier" and all(line.cells.get(name) == tier for line in lines))
    ]
    cells = [[_cell(name, line.cells.get(name, ""), line.verdict) for name in columns] for line in lines]
    return Grid(caption, columns, cells, {place for place, name in enumerate(columns) if name in numeric})


def _cell(column: str, text: str, verdict: Verdict | None) -> Cell:
    if column == "verdict" and verdict is not None:
        return Cell(text, look(verdict.outcome))
    looks = {"command": "code", "tier": "tier"}
    return Cell(text, looks.get(column, "") if text else "")


def of_values(caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], links: Sequence[str] = ()) -> Grid:
    """Plain values. A column of numbers alone, None aside, is numeric. links: of the rows' first cells."""
    numeric = {place for place in range(len(columns)) if _numbers([row[place] for row in rows])}
    cells = [[Cell(words(value)) for value in row] for row in rows]
    for row, link in zip(cells, links, strict=bool(links)):
        row[0] = Cell(row[0].text, link=link)
    return Grid(caption, columns, cells, numeric)


def _numbers(values: Sequence[Any]) -> bool:
    given = [value for value in values if value is not None]
    return bool(given) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in given)


def words(value: Any) -> str:
    """A value as text: thousands with commas, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(words, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
