"""Which committed runs are made again: by id, by the row of a table, or drawn at random. Every answer is ids of runs."""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from repro.errors import ReproError, Unavailable, require, unknown
from repro.notebooks import NOTEBOOKS
from repro.papers.table import Table
from repro.parameters import Parameters
from repro.records import Record

Recorded = Mapping[str, Record]  # committed records by the id of their run


def named(text: str, recorded: Recorded, profile: str) -> list[str]:
    """The run of an id or of its first characters, or the runs of a row, "table:label"."""
    return by_row(text, recorded, profile) if ":" in text or text in tables(profile) else [by_id(text, recorded)]


def by_id(text: str, recorded: Recorded) -> str:
    """The one run whose id begins with `text`."""
    found = [id for id in recorded if id.startswith(text)]
    if len(found) == 1:
        return found[0]
    many = f"begins the ids of {len(found)} committed runs ({', '.join(found[:8])}{', ...' * (len(found) > 8)}): give more of it"
    none = "is neither the beginning of a committed run's id nor the row of a table, such as imrs_table3:CE"
    raise ReproError(f"{text!r} {many if found else none}")


def by_row(text: str, recorded: Recorded, profile: str) -> list[str]:
    """The recorded runs of a row, all seeds and splits. text: the table's name, a colon, the row's label."""
    name, _, label = text.partition(":")
    planned = tables(profile)
    if name not in planned:
        raise unknown("table", name, planned)
    rows = {row.label: row for row in planned[name].rows}
    if label not in rows:
        raise unknown(f"row of {name}", label, rows)
    found = list(dict.fromkeys(run.id for run in rows[label].runs if run.id in recorded))
    if not found:
        raise ReproError(f"no run of {text!r} has a committed record in profile {profile!r} to compare with")
    return found


def tables(profile: str) -> dict[str, Table]:
    """The planned tables of a profile on the embedded set, by name."""
    return {table.name: table for table in _tables(profile)}


def _tables(profile: str) -> Iterator[Table]:
    for notebook in NOTEBOOKS.values():
        for plan in notebook.tables:
            try:
                yield plan(Parameters(profile=profile, splits=notebook.splits))
            except Unavailable:  # a protocol that needs a file
                continue


def rows_of(profile: str) -> dict[str, str]:
    """{id of a run: the first "table:label" that has it}."""
    found: dict[str, str] = {}
    for table in _tables(profile):
        for row in table.rows:
            for run in row.runs:
                found.setdefault(run.id, f"{table.name}:{row.label}")
    return found


def sample(count: int, seed: int, recorded: Recorded, root: str = "") -> list[str]:
    """`count` runs drawn at random, each system once before any twice: equal arguments give equal runs.

    A system is a network's name, a kind of objective and a modality. Runs on a folder of videos are drawn where `root` is it.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for id, record in sorted(recorded.items()):
        if not needs_folder(record, root):
            groups.setdefault(system(record), []).append(id)
    there = sum(map(len, groups.values()))
    require(1 <= count <= there, "sample", count, f"from 1 to {there}, the committed runs that can be made again")
    drawing = random.Random(seed)
    systems = drawing.sample(sorted(groups), len(groups))
    first = [drawing.choice(groups[each]) for each in systems][:count]
    left = [id for ids in groups.values() for id in ids if id not in first]
    return first + drawing.sample(left, count - len(first))


def system(record: Record) -> tuple[str, ...]:
    """Network, kind of objective and modality of a record's run."""
    config = record.config
    return config["model"]["name"], config["objective"]["kind"], config["data"]["modality"]


def needs_folder(record: Record, root: str) -> bool:
    """Whether a record's run was made on a folder of videos other than `root`."""
    data = record.config["data"]
    return data["dataset"] == "folder" and (not root or Path(root).name != data["source"])


def require_folders(records: Sequence[Record], root: str) -> None:
    """A ReproError for the first record whose run needs a folder of videos that was not given."""
    for record in records:
        if needs_folder(record, root):
            source = record.config["data"]["source"]
            raise ReproError(f"run {record.id} was made on the folder {source!r}: name it, --data-root .../{source}")
