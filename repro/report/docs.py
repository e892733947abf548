"""The tables of docs/*.md that show tables of results/: a comment names the file, the table's own header the columns.

<!-- rows of results/small/synthetic/claims.csv -->

| claim | verdict |
|---|---|
"""

import csv
import re
from pathlib import Path

from repro import paths
from repro.errors import ReproError, unknown
from repro.evidence.markup import as_markdown

SHOWN = re.compile(r"(<!-- rows of (results/\S+\.csv) -->\n\n)(\|.*\|)\n(\|[-|]+\|)\n(?:\|.*\n)*")


def write(file: Path, root: Path) -> None:
    """Copies the rows of every such table of a Markdown file again from `root`/results.

    Raises ReproError for a table or a column that does not exist.
    """
    old = file.read_text(encoding="utf-8")
    new = SHOWN.sub(lambda found: _table(found, file, root), old)
    if new != old:
        with paths.atomic(file) as part:
            part.write_text(new, encoding="utf-8")


def _table(found: re.Match, file: Path, root: Path) -> str:
    mark, name, header, ruler = found.groups()
    source = root / name
    if not source.is_file():
        raise ReproError(f"{file} shows {name}, which does not exist: correct its name there")
    with source.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        rows = list(reader)
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    for column in columns:
        if column not in reader.fieldnames:
            raise unknown(f"column of {name}, shown in {file}", column, reader.fieldnames)
    shown = ("| " + " | ".join(as_markdown(row[column]) for column in columns) + " |\n" for row in rows)
    return f"{mark}{header}\n{ruler}\n{''.join(shown)}"
