"""One run from its clips to its record: set up, train, test, write. Killed at any moment, it goes on where it was.

A run's folder holds its lock, its checkpoint and log while it trains, then its weights and its record. The system
releases the lock when its process dies.
"""

import contextlib
import functools
import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from lightning_fabric.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import nn

from repro import evaluate, launched, machine, microbatches, networks, paths, records, train
from repro.config import Run, content
from repro.data import catalog
from repro.data.catalog import Catalog
from repro.data.clips import ClipDataset
from repro.errors import ReproError, require
from repro.models.tools import checkpoints, inference
from repro.records import Record

SMALL = ("smoke", "small")  # profiles of small networks
WAIT = 10  # seconds for the lock of a run under torchrun: those of a command that was killed end in one


def is_made(run: Run) -> bool:
    """Whether this machine has the record and the weights of a run."""
    return records.here(run) is not None and networks.are_here([run])


def log_path(run: Run) -> Path:
    """The file that gets one line per epoch while a run trains."""
    return paths.runs() / run.id / "log.txt"


def make(run: Run, accelerator: str = "cpu", log: str = "") -> Record:
    """Trains and tests one run and writes its record, unless another process has just done so.

    Under torchrun all processes share the run.
    log: "csv" or "tensorboard" also writes the history, epoch by epoch, into a folder of the run; see `loggers`.
    """
    with _only_one(paths.runs() / run.id):
        if fabric_of(run, accelerator).broadcast(is_made(run)):  # as the first process sees it, which has the lock
            return records.get(run)
        for needed in run.needs:
            if not networks.are_here([needed]):
                make(needed, accelerator, log)
        return _made(run, accelerator, log)


def _made(run: Run, accelerator: str, log: str) -> Record:
    start, fabric = time.perf_counter(), fabric_of(run, accelerator, log)
    # before training: what is wrong with either must not cost a run
    provenance, started_from = machine.environment(f"{accelerator} x{fabric.world_size}"), networks.start_hash(run)
    clips = catalog.of(run.data)
    model = networks.build(run, clips.classes)
    workers = 0 if accelerator == "cpu" else min(8, max((os.cpu_count() or 1) // launched.processes_here(), 1))
    history = _train(run, fabric, model, clips, workers)
    testing = ClipDataset(clips, "test", run.data, (run.data.modality,))
    scores = test(run, fabric, model, testing, workers)
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
        catalog=clips.id,
        excluded=list(clips.excluded),
        start=started_from,
        provenance=provenance | {
            "precision": fabric.strategy.precision.precision,
            "seconds": round(time.perf_counter() - start, 1),
            "date": datetime.now(UTC).isoformat("T", "seconds"),
        },
    )  # fmt: skip
    if fabric.is_global_zero:
        checkpoints.save_weights(networks.weights_path(run), model, list(clips.classes), {"run": run.id})
        records.write(record, records.path_here(run.id))
        checkpoint_path(run).unlink(missing_ok=True)
    fabric.barrier()
    return record


def loggers(run: Run, log: str) -> list[Logger]:
    """Fabric's logger of a run: runs/ID/csv/version_N or runs/ID/tensorboard/version_N, N counting the starts of its training."""
    if log == "csv":
        return [CSVLogger(paths.runs() / run.id, "csv", flush_logs_every_n_steps=1)]
    return [TensorBoardLogger(paths.runs() / run.id, "tensorboard")] if log else []


def fabric_of(run: Run, accelerator: str, log: str = "") -> Fabric:
    """Device, processes, precision and logger of a run on this machine."""
    world, local = launched.processes(), launched.processes_here()
    devices = {"cuda": torch.cuda.device_count(), "mps": 1}.get(accelerator, local)
    require(local <= devices, "--nproc-per-node", local, f"at most {devices}, the devices of kind {accelerator} here")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # each process would introduce itself
    # one thread for a small network: as fast as two, and the result does not depend on how many runs go at once
    torch.set_num_threads(1 if run.profile in SMALL else max(1, (os.cpu_count() or 1) // local))
    torch.backends.cudnn.benchmark = True
    bf16 = run.precision == "mixed" and inference.bf16_supported(accelerator)
    fabric = Fabric(
        accelerator=accelerator, devices=local, num_nodes=world // local, strategy="ddp" if world > 1 else "auto",
        precision="bf16-mixed" if bf16 else "32-true", loggers=loggers(run, log),
    )  # fmt: skip
    fabric.launch()
    return fabric


def _train(run: Run, fabric: Fabric, model: nn.Module, clips: Catalog, workers: int) -> list[dict]:
    """Trains `model` in place and returns the history; the log in the run's folder gets one line per epoch."""
    if not run.optimisation.epochs:
        return []
    with fabric.rank_zero_first():
        teacher = fabric.to_device(networks.frozen_teacher(run, clips.classes)) if run.teacher else None
    seen = (run.data.modality,) if run.teacher is None else (run.data.modality, run.teacher.data.modality)
    training = ClipDataset(clips, "train", run.data, seen, run.seed)
    validation = ClipDataset(clips, "val", run.data, (run.data.modality,)) if run.data.val_fraction else None
    log = log_path(run) if fabric.is_global_zero else Path(os.devnull)
    say = functools.partial(_append, log)
    return train.fit(run, fabric, model, teacher, training, validation, checkpoint_path(run), workers, say)


def _append(file: Path, line: str) -> None:
    try:
        with open(file, "a") as log:
            log.write(f"{line}\n")
    except OSError as error:  # a full disk: without the name of the file, nobody knows which
        remedy = "make room there; the same command then goes on from here"
        raise ReproError(f"{file}: cannot be written ({error.strerror}); {remedy}") from error


def test(run: Run, fabric: Fabric, model: nn.Module, testing: ClipDataset, workers: int) -> evaluate.Scores:
    """The scores of the test part, with as many frames at once as in training."""
    frames = run.data.test_frames or run.data.frames
    batch = max(microbatches.at_once(run.optimisation, fabric.world_size) * run.data.frames // frames, 1)
    ready = inference.for_inference(model, bf16=False)
    return evaluate.predict(ready, testing, fabric, batch, workers)


def checkpoint_path(run: Run) -> Path:
    """The file that a training goes on from; it is there from the first epoch to the last."""
    return paths.runs() / run.id / "checkpoint.pt"


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Holds the lock of a run's folder, once it is free; under torchrun the first process holds it for all, or gives up."""
    folder.mkdir(parents=True, exist_ok=True)
    if launched.rank():
        yield
        return
    try:
        held = FileLock(folder / "lock", timeout=WAIT if launched.processes() > 1 else -1).acquire()
    except Timeout:
        raise ReproError(f"run {folder.name} is in work: wait for the other command, or end it") from None
    with held:
        yield
