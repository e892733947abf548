"""The tables of docs/*.md that show tables of results/: a comment names the file, the table's own header the columns.

<!-- rows of results/small/synthetic/claims.csv -->

| claim | verdict |
|---|---|
"""

import re
from pathlib import Path

import pandas as pd

from repro import paths
from repro.errors import ReproError, unknown
from repro.evidence import results

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
    frame = pd.read_csv(source, dtype=str, keep_default_na=False)
    columns = [cell.strip() for cell in header.strip("|").split("|")]
    for column in columns:
        if column not in frame.columns:
            raise unknown(f"column of {name}, shown in {file}", column, frame.columns)
    rows = results.markdown(frame[columns]).splitlines()[2:]  # the page has a header of its own
    return "\n".join([f"{mark}{header}", ruler, *rows, ""])
