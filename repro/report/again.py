"""How each row of a table is made again, and the runs that were made again elsewhere, beside their committed records."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from repro.again import choose, compare
from repro.papers.table import Table as Plan
from repro.report import grid
from repro.report.evidence import Table
from repro.report.grid import Grid

RERUN = ("python", "-m", "repro", "rerun")
NONE = "No run has been made again on another machine yet."


def section(profiles: Sequence[str]) -> tuple[str, Grid | None]:
    """A sentence that counts, and one row per run made again; no grid without any."""
    found = [each for profile in profiles for each in compare.everything(profile)]
    if not found:
        return NONE, None
    rows = [compare.cells(each) for each in found]
    sentence = f"{compare.summary(found)} {compare.outside(found)}".strip()
    return sentence, grid.of_values("Runs made again", list(rows[0]), [list(row.values()) for row in rows])


def plans(profiles: Sequence[str]) -> dict[str, dict[str, Plan]]:
    """The tables that `rerun` takes rows of, by name, for each profile."""
    return {profile: choose.tables(profile) for profile in profiles}


def of_rows(table: Table, planned: Mapping[str, Mapping[str, Plan]]) -> list[str]:
    """The command that makes the runs of each line again; empty for a line that is no row of runs on the embedded set."""
    name = table.result.name
    if table.dataset != "synthetic" or name not in planned[table.profile]:
        return [""] * len(table.result.lines)
    rows = {row.label for row in planned[table.profile][name].rows}
    labels = [line.cells.get("row") if line.runs else None for line in table.result.lines]
    return [_command(table.profile, f"{name}:{label}") if label in rows else "" for label in labels]


def of_run(profile: str, run: str, config: Mapping[str, Any]) -> str:
    """The command that makes one run again. config: by dotted name."""
    folder = config["data.source"] if config["data.dataset"] == "folder" else ""
    return _command(profile, run, *(["--data-root", f".../{folder}"] if folder else []))


def _command(profile: str, *words: str) -> str:
    return shlex.join([*RERUN, *words, *(["--profile", profile] if profile != "small" else [])])
