"""The runs behind a table, from their records."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import damaged, paths, records
from repro.evidence.runs import flat
from repro.records import Record
from repro.report import again, grid
from repro.report.evidence import Table
from repro.report.grid import Grid
from repro.report.links import link


@dataclass(frozen=True)
class Recorded:
    """What the page shows of one record. config: by dotted name. facts: by heading."""

    file: Path
    config: Mapping[str, Any]
    facts: Mapping[str, Any]
    seconds: float
    software: str


@dataclass(frozen=True)
class Runs:
    """The runs of a table: one line per run with what differs between them, and what all of them have in common.

    shared: {dotted name of a field: value}. software: one line per set of versions. minutes: of one processor core.
    again: the command that makes the first run again.
    """

    lines: Grid
    shared: Mapping[str, str]
    software: tuple[str, ...]
    minutes: float
    again: str


def of_table(table: Table, folder: Path) -> Runs | None:
    """The runs that a table's lines name, linked to their records from a page in `folder`; None without any record."""
    labels: dict[str, dict[str, None]] = {}  # of the lines, by run
    for line in table.result.lines:
        for run in line.runs:
            labels.setdefault(run, {})[next(iter(line.cells.values()), "")] = None
    if not labels:
        return None
    files = {run: file_of(table.profile, run) for run in labels}
    read = {run: damaged.read(records.read, file) for run, file in files.items()}
    found = {run: _recorded(files[run], record) for run, record in read.items() if record is not None}
    if not found:
        return None
    names = dict.fromkeys(name for each in found.values() for name in each.config)
    run, first = next(iter(found.items()))
    differing = [
        name for name in names if any(each.config.get(name) != first.config.get(name) for each in found.values())
    ]
    rows = [
        [run, "; ".join(labels[run]), *(each.config.get(name) for name in differing), *each.facts.values()]
        for run, each in found.items()
    ]
    return Runs(
        grid.of_values(
            f"Runs of: {table.caption}", ["run", "row", *(name.replace(".", " ") for name in differing), *first.facts], rows,
            [link(each.file, folder) for each in found.values()],
        ),
        {name: grid.words(first.config[name]) or "none" for name in names if name not in differing},
        tuple(sorted({each.software for each in found.values()})),
        sum(each.seconds for each in found.values()) / 60,
        again.of_run(table.profile, run, first.config),
    )  # fmt: skip


def file_of(profile: str, run: str) -> Path:
    """The file of a run's record: beside the tables, else among those that come with the project."""
    beside = records.path_in(paths.out() / "results" / profile, run)
    return beside if beside.exists() else records.path_committed(profile, run)


def _recorded(file: Path, record: Record) -> Recorded:
    made = record.provenance
    facts = {
        "top-1 %": round(100 * record.metrics["video_top1"], 1),
        "seconds": round(made["seconds"], 1),
        "machine": f"{made['machine']['processor']}, {made['machine']['device']}",
        "commit": made["git"]["commit"][:9] + (" with changes" if made["git"]["dirty"] is True else ""),
        "clips left out": _left_out(record.excluded),
    }
    software = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return Recorded(file, dict(flat(record.config)), facts, made["seconds"], software)


def _left_out(clips: Collection[str]) -> str:
    return f"{len(clips)}: {', '.join(clips)}" if clips else "none"
