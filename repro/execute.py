"""From a list of runs to their records: recorded runs are read, the others are made, teachers first, cores shared."""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import joblib
from joblib.externals.loky import get_reusable_executor

from repro import launched, models, networks, processes, records
from repro.config import Data, Run
from repro.data import catalog
from repro.data.clips import prepared, recipe_of
from repro.errors import ReproError, one_line
from repro.follow import follow
from repro.make import is_made, make
from repro.records import Record

if TYPE_CHECKING:  # an optional dependency
    from repro.cluster import Cluster


def execute(
    runs: Sequence[Run], jobs: int = -1, device: str = "auto", fresh: bool = False, weights: bool = False,
    log: str = "", cluster: "Cluster | None" = None,
) -> list[Record]:  # fmt: skip
    """The records of `runs`, in order. Runs without a record are prepared, trained and tested first.

    jobs: processes at once; -1: one per core, but a single one for full-size networks or on a GPU.
    fresh: a record committed with the project does not count, only one made on this machine.
    weights: the trained network must be on this machine too; a run without it is made again.
    log: see `make.make`.
    cluster: prepares and makes the runs in place of this machine's processes.
    A run that fails is named in one error at the end, when all others are done. Under torchrun all processes share each run.
    """
    accelerator = cluster.accelerator(device) if cluster else networks.resolve_device(device)
    todo = missing(runs, fresh, weights)
    for run in todo:
        models.check(run.model.name, run.model.arguments)
    ids = {run.id for run in todo}
    recorded = [run for run in runs if run.id not in ids]
    _compare_clips(recorded)
    _compare_starts(recorded)
    failed: dict[str, str] = {}
    if todo:
        prepare_clips(todo, jobs, cluster)
        attempt = functools.partial(_attempt, accelerator=accelerator, log=log)
        if cluster:
            said = f"{len(todo)} runs to make, on {accelerator}; watch them at {cluster.dashboard}"
            follow(said, todo, _on(cluster, todo, attempt, accelerator), failed)
        else:
            count = workers(todo, jobs, accelerator)
            said = f"{len(todo)} runs to make, {count} at a time on {accelerator}"
            if launched.processes() > 1:
                said += f", each by {launched.processes()} processes"
            follow(said, todo, _here(todo, attempt, count, failed), failed)
    if failed:
        raise ReproError(f"{len(failed)} runs failed, the others are recorded: " + "; ".join(failed.values()))
    return [records.get(run) for run in runs]


def missing(runs: Sequence[Run], fresh: bool = False, weights: bool = False) -> list[Run]:
    """The runs that have to be made, and before them those whose networks they need: starts and teachers."""
    wanted = {}
    for run in runs:
        recorded = records.path_here(run.id).exists() if fresh else records.find(run) is not None
        if not recorded or (weights and not is_made(run)):
            wanted[run.id] = run
    waiting = list(wanted.values())
    while waiting:
        for run in waiting.pop().needs:
            if not is_made(run) and run.id not in wanted:
                wanted[run.id] = run
                waiting.append(run)
    return [run for level in levels(list(wanted.values())) for run in level if run.id in wanted]


def prepare_clips(runs: Sequence[Run], jobs: int = -1, cluster: "Cluster | None" = None) -> None:
    """Decodes every clip that the runs see, computes its flow and stores both; the embedded set is drawn first."""
    trained = {(_clips(run.data), recipe_of(run.data)) for run in runs if run.optimisation.epochs}
    different = {(_clips(run.data), recipe_of(run.data)): run.data for run in runs}
    for key, data in different.items():
        prepared(data, jobs, cluster, None if key in trained else "test")


def _clips(d: Data) -> tuple:
    """What decides which clips a run sees."""
    parts = d.split, d.folds, d.test_groups, d.parts, d.parts_file, d.val_fraction, d.train_per_class
    return d.dataset, catalog.data_root(d), d.group, d.allow_missing, *parts


def _compare_clips(runs: Sequence[Run]) -> None:
    """Compares the clips that recorded runs saw with the clips at hand, where there are any: no result mixes two data sets."""
    at_hand: dict[tuple, catalog.Catalog | None] = {}
    for run in runs:
        clips = _clips(run.data)
        if clips not in at_hand:
            at_hand[clips] = catalog.at_hand(run.data)
        if at_hand[clips] is not None:
            _same_clips(run, records.get(run), at_hand[clips])


def _compare_starts(runs: Sequence[Run]) -> None:
    """Compares the public checkpoints of recorded runs with the files at hand: a run's id has the name of the file alone."""
    for run in runs:
        opt = run.optimisation
        if opt.init and Path(opt.init_file).is_file() and networks.start_hash(run) != records.get(run).start:
            raise ReproError(
                f"run {run.id} ({run.title}) was recorded from another file named {opt.init} than {opt.init_file}; "
                f"rename that file, or delete {records.path_here(run.id).parent}"
            )


def _same_clips(run: Run, record: Record, found: catalog.Catalog) -> None:
    if record.catalog == found.id:
        return
    here = found.part("test")["clip"].tolist()
    changes = {
        "classes": set(record.classes) ^ set(found.classes),
        "test clips": set(record.clips) ^ set(here),
        "missing files": set(record.excluded) ^ set(found.excluded),
    }
    said = [f"{len(names)} {what} differ, first {min(names)!r}" for what, names in changes.items() if names]
    raise ReproError(
        f"run {run.id} ({run.title}) was recorded on other clips than those in {catalog.data_root(run.data)}: "
        f"{'; '.join(said) or 'training clips, their groups or the sizes of the files differ'}. "
        f"Point data_root at the clips of the record, or delete {records.path_here(run.id).parent} and use fresh = True"
    )


def workers(runs: Sequence[Run], jobs: int, accelerator: str) -> int:
    """Processes that make runs at the same time."""
    one_at_a_time = accelerator != "cpu" or any(run.profile in ("gpu", "paper") for run in runs)
    if launched.processes() > 1 or (jobs == -1 and one_at_a_time):
        return 1
    return joblib.cpu_count() if jobs == -1 else jobs


Attempt = Callable[..., str | None]  # of a run and the errors of the runs that it needs


def _here(
    todo: Sequence[Run], attempt: Attempt, count: int, failed: dict[str, str]
) -> Iterator[tuple[Run, str | None]]:
    """(run, error) of runs made side by side on this machine, level by level. A run that needs a failed one is left out."""
    get_reusable_executor().shutdown()  # workers that packed clips; growing now, they would be reported as leaking
    for level in _levels_of(todo):
        lost = [run for run in level if any(needed.id in failed for needed in run.needs)]
        yield from ((run, None) for run in lost)
        if ready := [run for run in level if run not in lost]:
            yield from processes.each(attempt, ready, min(count, len(ready)), ahead=1)


def _on(
    cluster: "Cluster", todo: Sequence[Run], attempt: Attempt, accelerator: str
) -> Iterator[tuple[Run, str | None]]:
    """(run, error) of runs made on a cluster, each as soon as the networks that it needs are there."""
    order = [run for level in _levels_of(todo) for run in level]
    place = {run.id: i for i, run in enumerate(order)}
    needs = [[place[needed.id] for needed in run.needs if needed.id in place] for run in order]
    yield from cluster.each(attempt, order, needs, accelerator)


def _attempt(run: Run, *errors: str | None, accelerator: str, log: str) -> str | None:
    """Makes a run; returns what went wrong, or nothing. errors: those of the runs it needs; with any, it is not made.

    Under torchrun what went wrong is a ReproError: the other processes wait within this run, so none may go on to the next.
    """
    if any(error != "" for error in errors):
        return None
    try:
        make(run, accelerator, log)
        return ""
    except ReproError as error:
        said = str(error)
    except (RuntimeError, OSError, MemoryError, cv2.error) as error:  # no memory, a full disk: not the other runs' end
        said = f"run {run.id}: {one_line(error)}"
    if launched.processes() > 1:
        raise ReproError(
            f"{said} (after an error in one process all end; the same command goes on from the last epoch)"
        )
    return f"failed: {said}"


def _levels_of(todo: Sequence[Run]) -> list[list[Run]]:
    """The levels of the runs to make, without those that are made already."""
    ids = {run.id for run in todo}
    return [[run for run in level if run.id in ids] for level in levels(todo)]


def levels(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs and those they need, each once: what a level needs is in earlier levels."""
    found: dict[str, tuple[int, Run]] = {}

    def add(run: Run) -> int:
        level = max((add(needed) + 1 for needed in run.needs), default=0)
        found[run.id] = (level, run)
        return level

    for run in runs:
        add(run)
    depth = max((level for level, _ in found.values()), default=-1) + 1
    return [[run for level, run in found.values() if level == d] for d in range(depth)]
