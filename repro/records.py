"""What runs leave behind: one small JSON file each, from which every table and figure is drawn.

A record is looked for twice: on this machine (data/runs/), then among those committed with the project
(results/<profile>/records/). So a fresh clone shows every table without training anything. A record that cannot be
believed counts as none, and is named (`repro.damaged`).

Everything but `provenance` is the same each time the same run is made on the same machine.
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from repro import damaged, packed, paths, stored
from repro.checked import complaint
from repro.config import Run, content
from repro.errors import ReproError
from repro.stored import Record

RUN = TypeAdapter(Run)
ENDING = ".json.gz"  # of the files in results/: gzip takes a third of 20 kB


def path_here(run_id: str) -> Path:
    """Where this machine keeps the record of a run."""
    return paths.runs() / run_id / "record.json"


def path_committed(profile: str, run_id: str) -> Path:
    """Where the project keeps the record of a run."""
    return path_in(paths.committed() / profile, run_id)


def path_in(results: Path, run_id: str) -> Path:
    """Where a folder with a profile's results keeps the record of a run."""
    return results / "records" / f"{run_id}{ENDING}"


def _there(profile: str, run_id: str) -> list[Path]:
    """The files of a run's record that exist, this machine's first."""
    return [path for path in (path_here(run_id), path_committed(profile, run_id)) if path.exists()]


def here(run: Run) -> Record | None:
    """The record of a run that was made on this machine, or None."""
    path = path_here(run.id)
    return damaged.read(read, path) if path.exists() else None


def find(run: Run) -> Record | None:
    """The record of a run: made on this machine, else committed with the project, else None."""
    return next(filter(None, (damaged.read(read, path) for path in _there(run.profile, run.id))), None)


def get(run: Run) -> Record:
    """The record of a run that has one; else an error that says so."""
    record = find(run)
    if record is None:
        raise ReproError(f"run {run.id} ({run.title}) has no record here; execute it first")
    return record


def seconds(run: Run) -> float | None:
    """How long a run took, or None without a record. The scores, the larger part of the file, are not unpacked."""
    found = (damaged.read(_seconds, path) for path in _there(run.profile, run.id))
    return next((each for each in found if each is not None), None)


def committed(profile: str) -> dict[str, Record]:
    """The records that come with the project, by the id of their run."""
    found = (damaged.read(read, path) for path in _committed_files(profile))
    return {record.id: record for record in found if record is not None}


def everything(profile: str) -> Iterator[tuple[Record, str]]:
    """All records of a profile, each with "here" or "committed"; of two with one id, this machine's."""
    ids = {path.name.removesuffix(ENDING) for path in _committed_files(profile)}
    ids |= {path.parent.name for path in paths.runs().glob("*/record.json")}
    for run_id in sorted(ids):
        found = ((damaged.read(read, path), path) for path in _there(profile, run_id))
        record, path = next((each for each in found if each[0] is not None), (None, None))
        if record is not None and record.config["profile"] == profile:
            yield record, "here" if path == path_here(run_id) else "committed"


def _committed_files(profile: str) -> list[Path]:
    return sorted((paths.committed() / profile / "records").glob(f"*{ENDING}"))


def origin(runs: Iterable[Run]) -> str:
    """Where the records of some runs come from, as a sentence."""
    return made_where("Records", [here(run) is not None for run in {run.id: run for run in runs}.values()])


def made_where(what: str, here: Collection[bool]) -> str:
    """How many of some records were made on this machine, and how many come with the project, as a sentence."""
    counts = {"made on this machine": sum(here), "committed with the project": len(here) - sum(here)}
    return f"{what}: {', '.join(f'{n} {where}' for where, n in counts.items() if n) or 'none'}."


def equal(one: Record, other: Record) -> bool:
    """Whether two records agree in everything but their provenance."""
    plain = ({**asdict(each), "provenance": None, "scores": each.scores.tolist()} for each in (one, other))
    return next(plain) == next(plain)


def run_of(config: Mapping[str, Any], root: str = "") -> Run:
    """The run whose content a record's `config` is. Text in place of a number, or an unknown field, is a ReproError.

    root: the folder of the clips' files, which a record does not keep; empty: the embedded set, or data/<dataset>.
    """
    try:  # JSON, since pydantic's strict mode takes a list for a tuple and a dict for a dataclass from JSON alone
        return _with_tuples(RUN.validate_json(json.dumps(_placed(config, root))))
    except ValidationError as error:
        raise ReproError(f"not the configuration of a run ({complaint(error)})") from None


def _placed(config: Mapping[str, Any], root: str) -> dict[str, Any]:
    """A configuration with `root` in its data and in those of the runs inside it."""
    placed = {k: _placed(v, root) if isinstance(v, Mapping) else v for k, v in config.items()}
    return placed | {"data": {**placed["data"], "root": root}} if isinstance(placed.get("data"), Mapping) else placed


def _with_tuples(value: Any) -> Any:
    """A value of a run as plans give it: JSON has no tuples."""
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value)]
        return dataclasses.replace(value, **{name: _with_tuples(getattr(value, name)) for name in fields})
    if isinstance(value, Mapping):
        return {k: _with_tuples(v) for k, v in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list | tuple) else value


def write(record: Record, path: Path) -> None:
    """Writes a record, atomically."""
    packed.write(stored.pack(record), path)


def read(path: Path) -> Record:
    """The record of a file: RUN/record.json or RUN.json.gz, with RUN the id of its run. Each is read once per process.

    ReproError for a file that is none, that was changed, that is another run's, or whose parts do not fit each other.
    """
    with _one_error(path):
        return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2048)
def _read(path: Path, modified: int) -> Record:
    record = stored.unpack(packed.read(path))
    named = path.parent.name if path.name == "record.json" else path.name.removesuffix(ENDING)
    run = run_of(record.config)
    if not named == record.id == run.id:
        raise ValueError(f"the record of run {record.id} with the configuration of {run.id}, not that of {named}")
    if content(run) != record.config:
        raise ValueError("its configuration leaves out fields")
    return record


def _seconds(path: Path) -> float:
    with _one_error(path):
        return _seconds_of(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8192)
def _seconds_of(path: Path, modified: int) -> float:
    return stored.checked(packed.read(path)).provenance.seconds


@contextlib.contextmanager
def _one_error(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ReproError(f"{path}: no such record; execute its run first") from None
    except (ReproError, ValueError, OSError, RecursionError) as error:
        remedy = "delete it and execute the run again, or take a committed one back from git"
        raise ReproError(f"{path}: not a record ({error}); {remedy}") from None
