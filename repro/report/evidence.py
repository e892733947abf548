"""The tables of results/, read and checked: tables and verdicts. Nothing here knows a paper by name."""

import ast
import csv
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repro import notebooks, paths
from repro.errors import ReproError

CLAIMS = "claims"  # the table of this name, where a folder has one, is the verdict table
ACROSS = "Across the papers"
COMPARED = "compared with "  # the verdict of the row that the others are compared with


@dataclass(frozen=True)
class Table:
    """One CSV of results/PROFILE/DATASET/ with the words of the Markdown file beside it.

    paper: the name's prefix where repro/papers/ has a module of that name, or nothing. rows: cells as text, `columns`
    long. command: what makes the table; nothing where rows have different ones and `columns` holds them. runs: {first
    cell of a row: ids of its runs}.
    """

    profile: str
    dataset: str
    name: str
    paper: str
    title: str
    claim: str
    tier: str
    command: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    runs: dict[str, tuple[str, ...]]

    @property
    def id(self) -> str:
        """Unique on the page, fit for a link."""
        return re.sub(r"[^\w-]+", "-", f"{self.profile}-{self.dataset}-{self.name}")

    @property
    def notebook(self) -> str:
        """The notebook that the command runs, or nothing."""
        words = shlex.split(self.command)
        return words[4] if words[:4] == ["python", "-m", "repro", "run"] and len(words) > 4 else ""

    def column(self, name: str) -> list[str]:
        """The cells of a column; empty ones where there is no such column."""
        return [row[self.columns.index(name)] if name in self.columns else "" for row in self.rows]


def tables(profile: str) -> list[Table]:
    """All tables of a profile, in the order of the notebooks, of each the embedded data set's first."""
    found = [_table(file) for file in (paths.out() / "results" / profile).glob("*/*.csv")]
    order = [*notebooks.NOTEBOOKS, ""]

    def place(table: Table) -> tuple:
        known = table.notebook if table.notebook in order else ""
        return order.index(known), table.name, table.dataset != "synthetic", table.dataset

    return sorted(found, key=place)


def _table(file: Path) -> Table:
    columns, rows = _cells(file)
    commands = {row[columns.index("command")] for row in rows}
    dropped = {"runs"} | ({"command"} if len(commands) == 1 else set())
    kept = [i for i, name in enumerate(columns) if name not in dropped]
    runs: dict[str, tuple[str, ...]] = {}
    for row in rows:
        ids = row[columns.index("runs")].split() if "runs" in columns else []
        for each in ids:
            if not re.fullmatch(r"[0-9a-f]{12}", each):
                raise _damaged(file, f"{each!r} is no id of a run")
        runs[row[0]] = (*runs.get(row[0], ()), *ids)
    title, claim, tier = _words(file.with_suffix(".md"))
    folder = file.parent
    return Table(
        folder.parent.name, folder.name, file.stem, paper_of(file.stem), title or file.stem.replace("_", " "), claim, tier,
        commands.pop() if len(commands) == 1 else "", tuple(columns[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in rows), {row: ids for row, ids in runs.items() if ids},
    )  # fmt: skip


def _cells(file: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with open(file, encoding="utf-8", newline="") as lines:
            columns, *rows = csv.reader(lines, strict=True)
    except (ValueError, csv.Error) as error:  # not text, no header, or a quote left open
        raise _damaged(file, error) from None
    if "command" not in columns or len(set(columns)) < len(columns) or not rows:
        raise _damaged(file, "it needs columns of different names, `command` among them, and a row")
    for number, row in enumerate(rows, 2):
        if len(row) != len(columns):
            raise _damaged(file, f"row {number} has {len(row)} cells, the header {len(columns)}")
        try:
            shlex.split(row[columns.index("command")])
        except ValueError as error:
            raise _damaged(file, f"the command in row {number}: {error}") from None
    return columns, rows


def _damaged(file: Path, why: object) -> ReproError:
    return ReproError(f"{file}: not a table that repro wrote ({why}); delete it and run its notebook again")


def _words(file: Path) -> tuple[str, str, str]:
    """Title, claim and tier from the Markdown file of a table; nothing where it is missing or says nothing."""
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    head = re.match(r"\*\*(?P<title>.+?)\*\*(?P<claim>[^\n]*)", text)
    tier = re.search(r"^Tier: (.+?)\. Command: ", text, re.MULTILINE)
    return (head["title"] if head else "", head["claim"].strip() if head else "", tier[1] if tier else "")


def verdicts(found: list[Table]) -> Iterator[dict[str, str]]:
    """One line a comparison: a folder's claims.csv where there is one, else every row with a verdict in its tables.

    Claims come first, for they are what the papers say; those that a folder of videos has no runs for are left out.
    """
    for table in sorted(found, key=lambda t: t.name != CLAIMS):
        folder = [t for t in found if (t.profile, t.dataset) == (table.profile, table.dataset)]
        if "verdict" not in table.columns or (table.name != CLAIMS and CLAIMS in [t.name for t in folder]):
            continue
        base = next((v.removeprefix(COMPARED) for v in table.column("verdict") if v.startswith(COMPARED)), "")
        for row in table.rows:
            line = dict(zip(table.columns, row, strict=True))
            if line["verdict"].startswith(COMPARED) or line["verdict"] == "nothing claimed":
                continue
            if line["verdict"] == "not run" and table.dataset.startswith("folder-"):
                continue
            paper = paper_title(table.paper).partition(":")[0]
            of_paper = table.name != CLAIMS and "row" in line  # then `paper` is the paper's number, not its name
            yield {
                "claim": line.get("claim") or f"{line.get('row', row[0])}{f' against {base}' if base else ''}",
                "paper": line.get("paper", "") if table.name == CLAIMS else paper,
                "source": line.get("source", table.title.partition(":")[0].removeprefix(f"{paper}, ")),
                "link": "" if table.name == CLAIMS else f"#{table.id}",
                "published": line.get("paper" if of_paper else "published", ""),
                "paper's gain": line.get("paper's gain", ""),
                "our gain [95 %]": line.get("our gain [95 %]", ""),
                "seeds": line.get("seeds", ""),
                "verdict": line["verdict"],
                "tier": line.get("tier", table.tier),
                "data": table.dataset.removeprefix("folder-").replace("synthetic", ""),
                "profile": table.profile if len({t.profile for t in found}) > 1 else "",
                "command": line.get("command", table.command),
            }


def missing(found: list[Table], profile: str) -> list[dict[str, str]]:
    """Notebooks that should draw more tables than lie in results/ for this profile, with the command that makes them."""
    given = "" if profile == "small" else f" -p profile {profile}"
    lines = []
    for name, functions in notebooks.NOTEBOOKS.items():
        mine = {t.name for t in found if (t.profile, t.notebook) == (profile, name) and not t.name.endswith("_claims")}
        if len(mine) < len(functions):
            tables = (f"{f.__module__.rpartition('.')[2]} {f.__name__.replace('_', ' ')}" for f in functions)
            there = f"; there are only: {', '.join(sorted(mine))}" if mine else ""
            lines.append({"tables": f"{', '.join(tables)}{there}", "command": f"python -m repro run {name}{given}"})
    return lines


def paper_of(name: str) -> str:
    """The paper that a table, by the prefix of its name, belongs to; nothing where it belongs to several."""
    prefix = name.partition("_")[0]
    return prefix if (_papers() / f"{prefix}.py").exists() else ""


def paper_title(paper: str) -> str:
    """How a paper's module names it in its first line: up to the end of the title in quotes, or of the sentence."""
    if not paper:
        return ACROSS
    text = ast.get_docstring(ast.parse((_papers() / f"{paper}.py").read_text(encoding="utf-8"))) or paper.upper()
    return re.match(r'[^"]*"[^"]*"|[^.]*', " ".join(text.split()))[0]


def _papers() -> Path:
    return Path(notebooks.__file__).parent / "papers"
