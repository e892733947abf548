"""Committed runs made again from scratch, in a folder of their own, and compared with their records.

data/again/ holds these runs and their teachers, so neither data/runs/ nor results/ changes. A run that is finished there is
not made again.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from repro import execute, networks, paths, records
from repro.again import choose, compare
from repro.again.compare import Again
from repro.config import Run
from repro.errors import ReproError
from repro.records import Record


def folder() -> Path:
    """Of the runs made again and, below it, of the files that list them."""
    return paths.data() / "again"


def rerun(
    ids: Sequence[str], recorded: Mapping[str, Record], profile: str, jobs: int = -1, root: str = "", keep: bool = False
) -> tuple[list[Again], list[str]]:
    """Makes the runs `ids` of `recorded` again, teachers first, and compares them. Made before, they are only compared.

    root: the folder of videos of runs that have one. keep: lists them in results/PROFILE/again/, else in data/again/PROFILE/.
    Returns the comparisons and the errors of the runs that failed.
    """
    choose.require_folders([recorded[id] for id in ids], root)
    runs = [records.run_of(recorded[id].config, root) for id in ids]
    for id, run in zip(ids, runs, strict=True):
        if run.id != id:
            raise ReproError(f"run {id} cannot be made again: in this version of the package its id is {run.id}")
    failed = []
    with paths.moved(REPRO_RUNS=folder() / "runs"):
        for device in dict.fromkeys(_device(recorded[id]) for id in ids):
            of_device = [run for run in runs if _device(recorded[run.id]) == device]
            print(_announced(of_device, recorded, jobs, device), file=sys.stderr)
            try:
                execute.execute(of_device, jobs, device, fresh=True)
            except ReproError as error:
                failed.append(str(error))
        made = [record for record in map(records.here, runs) if record is not None]
    found = compare.compare(made, recorded, choose.rows_of(profile))
    target = paths.out() / "results" / profile / "again" if keep else folder() / profile
    for path in compare.add(found, target):
        print(f"listed in {path}", file=sys.stderr)
    return found, failed


def _device(record: Record) -> str:
    """The accelerator that a record was made on: cpu of "cpu x1". A run is compared with one on the same kind of device."""
    return record.provenance["machine"]["device"].split()[0]


def _announced(runs: Sequence[Run], recorded: Mapping[str, Record], jobs: int, device: str) -> str:
    """What is to be made, and about how long it takes: the committed records say how long each took there."""
    todo = execute.missing(runs, fresh=True)
    before = len({run.id for run in runs} - {run.id for run in todo})
    if not todo:
        return f"all {before} runs were made again before, in {folder()}; delete that folder to make them anew"
    seconds = [float(recorded[run.id].provenance["seconds"]) for run in todo if run.id in recorded]
    workers = execute.workers(todo, jobs, networks.resolve_device(device))
    longest = max(seconds, default=0.0)
    minutes = math.ceil(max(sum(seconds) / workers, longest) / 60)
    untimed = f", {len(todo) - len(seconds)} of unknown time" if len(seconds) < len(todo) else ""
    again = f"; {before} were made before" if before else ""
    return (
        f"{len(todo)} runs to make again, teachers included, in {folder()}: about {minutes} minutes by the committed "
        f"records, once their clips are prepared{untimed}{again}"
    )


def words(found: Sequence[Again]) -> str:
    """Runs made again as a table, the processors below it, and the count, for the terminal."""
    table = pd.DataFrame([compare.cells(each) for each in found])
    if not found:
        return compare.summary(found)
    where = [f"{column}: {', '.join(sorted(set(table.pop(column))))}" for column in ("committed on", "again on")]
    return "\n".join([table.to_string(index=False), *where, compare.summary(found)])
