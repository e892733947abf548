"""From a list of runs to their records: what is recorded is skipped, teachers come first, processes share the work.

A run's folder holds its record, its checkpoint and its lock. The lock is the system's (flock), so it goes when its
process dies: killed at any moment, the next start takes the run up from its last whole epoch.
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import joblib
import torch
from joblib.externals.loky import get_reusable_executor
from lightning_fabric import Fabric
from torch import nn

from repro import evaluate, models, paths, records, train
from repro.config import Data, Run, content, file_hash
from repro.data import catalog
from repro.data.clips import ClipDataset, channels
from repro.errors import ReproError, unknown
from repro.models.tools import checkpoints as weights
from repro.models.tools import inference as fast
from repro.models.tools.freeze import freeze_batchnorm_except_first, freeze_except
from repro.progress import Progress
from repro.records import Record

DEVICES = ("auto", "cpu", "cuda", "mps")


def record_path(run: Run) -> Path:
    return paths.runs() / run.id / "record.json"


def weights_path(run: Run) -> Path:
    return paths.runs() / run.id / "weights.pt"


def plan(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs and their teachers, each once, in levels: all teachers of a level stand in earlier ones."""
    levels: dict[str, tuple[int, Run]] = {}

    def add(run: Run) -> int:
        level = 0 if run.teacher is None else add(run.teacher) + 1
        levels[run.id] = (level, run)
        return level

    for run in runs:
        add(run)
    depth = max((level for level, _ in levels.values()), default=-1) + 1
    return [[run for level, run in levels.values() if level == d] for d in range(depth)]


def missing(runs: Sequence[Run]) -> list[Run]:
    """The planned runs, teachers included, that have no record here yet."""
    return [run for level in plan(runs) for run in level if not record_path(run).exists()]


def execute(runs: Sequence[Run], jobs: int = -1, device: str = "auto") -> list[Record]:
    """Makes every run that is not recorded yet and returns the records of `runs`, in order.

    jobs: processes at once, -1 for one a core (one in all for full-size networks or on a GPU). A run that fails is
    named at the end, in one error, when all the others are done. Under torchrun all processes share each run.
    """
    accelerator = resolve_device(device)
    shared = int(os.environ.get("WORLD_SIZE", "1")) > 1
    one_at_a_time = accelerator != "cpu" or any(run.profile in ("gpu", "paper") for run in runs)
    jobs = 1 if shared or (jobs == -1 and one_at_a_time) else joblib.cpu_count() if jobs == -1 else jobs
    progress, failed = Progress(len(missing(runs)), "runs"), {}
    if progress.total:
        print(f"{progress.total} runs to make, {jobs} at a time on {accelerator}", file=sys.stderr)
        get_reusable_executor().shutdown()  # workers that packed clips; growing now, they would be reported as leaking
    for level in plan(runs):
        for run in level:
            if run.teacher is not None and run.teacher.id in failed:
                failed[run.id] = f"run {run.id} needs its teacher, run {run.teacher.id}"
        todo = [run for run in level if not record_path(run).exists() and run.id not in failed]
        if not todo:
            continue
        workers = min(jobs, len(todo))
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch="n_jobs")
        for run, error in parallel(_attempts(todo, accelerator, progress)):
            progress.done += 1
            if error:
                failed[run.id] = error
                print(f"failed: {error}", file=sys.stderr)
    if failed:
        raise ReproError(f"{len(failed)} runs failed, the others are recorded: " + "; ".join(failed.values()))
    return [records.read(record_path(run)) for run in runs]


def resolve_device(device: str) -> str:
    """'auto' becomes the best accelerator at hand; a device that is not there is an error."""
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, available in there.items() if available)
    if not there[device]:
        raise ReproError(f"device {device!r} is not available here; use 'auto' or 'cpu'")
    return device


def _attempts(todo: Sequence[Run], accelerator: str, progress: Progress) -> Iterator[Any]:
    """Calls for joblib, which takes the next one when a process is free: that is when a run starts."""
    for run in todo:
        progress.starts(run.title)
        yield joblib.delayed(_attempt)(run, accelerator)


def _attempt(run: Run, accelerator: str) -> tuple[Run, str]:
    try:
        make(run, accelerator)
        return run, ""
    except ReproError as error:
        return run, str(error)
    except (RuntimeError, OSError, MemoryError, cv2.error) as error:  # no memory, a full disk: not the other runs' end
        return run, f"run {run.id}: {type(error).__name__}: {error}"


def make(run: Run, accelerator: str = "cpu") -> Record:
    """Trains and tests one run, unless another process has just done it, and writes its record."""
    with _locked(paths.runs() / run.id):
        if record_path(run).exists() and weights_path(run).exists():
            return records.read(record_path(run))
        if run.teacher is not None and not weights_path(run.teacher).exists():
            make(run.teacher, accelerator)
        start = time.perf_counter()
        world = int(os.environ.get("WORLD_SIZE", "1"))
        # one thread for a small network: as fast as two, and the result does not depend on how many runs go at once
        torch.set_num_threads(1 if run.profile in ("smoke", "small") else max(1, (os.cpu_count() or 1) // world))
        fabric = Fabric(
            accelerator=accelerator,
            devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
            num_nodes=world // int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
            strategy="ddp" if world > 1 else "auto",
            precision=run.precision,
        )
        fabric.launch()
        torch.backends.cudnn.benchmark = True
        clips = load_catalog(run.data)
        model = build(run, clips.classes)
        with fabric.rank_zero_first():
            teacher = frozen_teacher(run, clips.classes, fabric) if run.teacher else None
        workers = 0 if accelerator == "cpu" else min(8, os.cpu_count() or 1)
        seen = (run.data.modality,) if teacher is None else (run.data.modality, train.teacher_input(run))
        training = ClipDataset(clips, "train", run.data, seen, run.seed)
        validation = ClipDataset(clips, "val", run.data, (run.data.modality,)) if run.data.val_fraction else None
        folder = paths.runs() / run.id
        with open(folder / "log.txt" if fabric.is_global_zero else os.devnull, "a", buffering=1) as log:
            history = train.fit(
                run, fabric, model, teacher, training, validation, folder / "checkpoint.pt", workers,
                say=lambda line: print(line, file=log),
            )  # fmt: skip
        testing = ClipDataset(clips, "test", run.data, (run.data.modality,))
        ready = fast.for_inference(model, bf16=False)
        # as many frames at once as in training
        batch = max(run.optimisation.batch * run.data.frames // (run.data.test_frames or run.data.frames), 1)
        scores = evaluate.predict(ready, testing, fabric, batch, run.data.modality, workers)
        stored, found = evaluate.measure(scores)
        record = Record(
            id=run.id,
            config=content(run),
            history=history,
            metrics=found,
            scores=stored,
            labels=scores.labels.tolist(),
            clips=testing.table["clip"].tolist(),
            classes=list(clips.classes),
            excluded=list(run.data.excluded),
            provenance=records.environment(f"{accelerator} x{world}")
            | {"seconds": round(time.perf_counter() - start, 1), "date": datetime.now(UTC).isoformat("T", "seconds")},
        )
        if fabric.is_global_zero:
            weights.save_weights(weights_path(run), model, list(clips.classes), {"run": run.id})
            records.write(record, record_path(run))
            (folder / "checkpoint.pt").unlink()
        fabric.barrier()
        return record


def load_catalog(data: Data) -> catalog.Catalog:
    """The table of clips of a run, checked to be the one the run was planned with."""
    found = catalog.load(
        data.dataset, Path(data.root), data.split,
        group=data.group or None, val_fraction=data.val_fraction, allow_missing=bool(data.excluded),
    )  # fmt: skip
    if found.id != data.catalog:
        raise ReproError(f"{data.root}: its clips have changed since the run was planned; start again")
    return found


def build(run: Run, classes: Sequence[str], initialise: bool = True) -> nn.Module:
    """The run's network, seeded, with its frozen parts; `initialise`: from its public checkpoint, where it has one."""
    torch.manual_seed(run.seed)
    inputs = channels(run.data)
    model = models.build(run.model.name, num_classes=len(classes), in_channels=inputs, **run.model.arguments)
    opt = run.optimisation
    if opt.init and initialise:
        if not Path(opt.init_file).is_file() or file_hash(Path(opt.init_file)) != opt.init:
            raise ReproError(f"{opt.init_file}: not there, or not the checkpoint the run was planned with; start again")
        for network in getattr(model, "pathways", (model,)):  # one file starts each stream of a network with several
            print(weights.load_public(network, Path(opt.init_file)), file=sys.stderr)
    if opt.trained:
        freeze_except(model, opt.trained)
    if opt.partial_batchnorm:
        freeze_batchnorm_except_first(model)
    return model


def trained(run: Run) -> nn.Module:
    """The finished network of a run, in eval mode on the CPU, for looking at."""
    record = records.read(record_path(run))
    if not weights_path(run).exists():
        raise ReproError(
            f"run {run.id} has a record but no weights; delete {record_path(run).parent} and execute it again"
        )
    model = build(run, record.classes, initialise=False)
    weights.load_weights(weights_path(run), model, record.classes)
    return model.eval()


def frozen_teacher(run: Run, classes: Sequence[str], fabric: Fabric) -> nn.Module:
    """The teacher of `run`: eval mode, no gradients, BatchNorm folded, on the device."""
    teacher = build(run.teacher, classes, initialise=False)
    weights.load_weights(weights_path(run.teacher), teacher, list(classes))
    return fabric.to_device(fast.for_inference(teacher, bf16=False))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Only one process at a time is in here for a folder; under torchrun the first process holds it for all."""
    folder.mkdir(parents=True, exist_ok=True)
    if int(os.environ.get("RANK", "0")) > 0:
        yield
        return
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
