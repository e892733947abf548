"""The runs that were made again elsewhere, beside their committed records."""

from collections.abc import Sequence

from repro.again import compare
from repro.report import grid
from repro.report.grid import Grid

NONE = "No run has been made again on another machine yet."


def section(profiles: Sequence[str]) -> tuple[str, Grid | None]:
    """A sentence that counts, and one row per run made again; no grid without any."""
    found = [each for profile in profiles for each in compare.everything(profile)]
    if not found:
        return NONE, None
    rows = [compare.cells(each) for each in found]
    sentence = f"{compare.summary(found)} {compare.outside(found)}".strip()
    return sentence, grid.of_values("Runs made again", list(rows[0]), [list(row.values()) for row in rows])
