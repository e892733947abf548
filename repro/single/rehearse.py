"""A rehearsal: every phase of a system's published protocol on a few drawn videos, before a week is spent on all of them.

The lists, the networks, the sizes of clips and all code are those of a full run. The official lists are read whole; all
clips but a few are left out as missing (`Data.allow_missing`), so a rehearsal's run has an id of its own and its tier is
never "paper". It is made in a folder of its own, where no table looks.
"""

import contextlib
import functools
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch
from filelock import FileLock
from joblib.externals.loky import get_reusable_executor

from repro import execute, make, networks, paths, processes
from repro.config import Run
from repro.data import catalog
from repro.errors import ReproError
from repro.parameters import Parameters
from repro.single import fused, plan, standins, weights

STEPS, HELD_OUT = 2, 2  # steps in an epoch; videos of the validation part, and of the test part
ON_A_PROCESSOR = 2  # clips at a time
RANDOM = "random values in the form of the public file; --pretrained-rgb and --pretrained-flow take that one itself"
SMALLER = ("epochs", "steps", "batch")  # fields of `Optimisation`


class Phases:
    """Seconds and peak memory of phases that follow each other. While it is entered, memory is looked at ten times a second."""

    def __init__(self, accelerator: str):
        self.on_gpu, self.begin, self.end = accelerator == "cuda", time.time(), threading.Event()
        self.seen: list[tuple[float, int, int]] = []  # when; bytes of this process and those it started; of the GPU
        self.rows: list[tuple[str, ...]] = []

    def __enter__(self) -> "Phases":
        threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end.set()

    def _look(self) -> None:
        here = psutil.Process()
        while not self.end.wait(0.1):
            used = 0
            for process in (here, *here.children(recursive=True)):
                with contextlib.suppress(psutil.Error):  # it has ended
                    used += process.memory_info().rss
            free, total = torch.cuda.mem_get_info() if self.on_gpu else (0, 0)
            self.seen.append((time.time(), used, total - free))

    def done(self, name: str, full: str, until: float = 0.0) -> None:
        """Ends a phase, now or at the time `until`, and says so. full: what a full run asks in its place."""
        end = max(until or time.time(), self.begin)
        peaks = [max((each[i] for each in self.seen if self.begin <= each[0] <= end), default=0) for i in (1, 2)]
        memory = [f"{peak / 1e9:.1f} GB" if peak else "-" for peak in peaks[: 1 + self.on_gpu]]
        self.rows.append((name, f"{end - self.begin:.1f}", *memory, full))
        self.begin = end
        print(f"{name}: {self.rows[-1][1]} s", flush=True)

    def table(self) -> str:
        """All phases, one line each, below a header."""
        header = (
            "phase",
            "seconds",
            "peak memory",
            *(["GPU"] * self.on_gpu),
            "a full run asks (arithmetic, not measured)",
        )
        rows = [header, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def rehearse(system: str, parameters: Parameters, lists: Path, folder: Path, batch: int) -> None:
    """Goes through all phases, says what is smaller than in a full run, and prints the time of each phase at the end.

    parameters: by `plan.rehearsal`. folder: takes all that is written; it is removed at the end, and kept where a phase
    fails. batch: clips at a time; 0: the published number, and `ON_A_PROCESSOR` without a GPU.
    """
    accelerator = networks.resolve_device(parameters.device)
    lock = folder.with_suffix(".lock")
    with paths.writing(lock):
        lock.touch()
    with FileLock(lock), paths.moved(REPRO_DATA=folder, REPRO_RUNS=folder / "runs"):
        if folder.exists():
            print(f"goes on with the rehearsal in {folder}, which was not finished; what it has takes no time again")
        try:
            with Phases(accelerator) as phases:
                small = batch or (ON_A_PROCESSOR if accelerator == "cpu" else 0)
                _through_all(system, parameters, lists, folder, small, phases)
        except BaseException:  # also Ctrl-C: the folder is named whatever the end
            if folder.exists():
                print(f"not finished; what the rehearsal has written is in {folder}", flush=True)
            raise
        shutil.rmtree(folder)
    print(f"done, and {folder} is removed. The videos were drawn, so no accuracy of a rehearsal means anything.")


def _through_all(system: str, parameters: Parameters, lists: Path, folder: Path, batch: int, phases: Phases) -> None:
    published = plan.published(system, parameters)
    runs = [plan.rehearsed(run, batch) for run in published]
    pairs = list(zip(_in_order(published), _in_order(runs), strict=True))
    dataset, root = parameters.dataset, Path(parameters.root)
    classes, clips = standins.parted(dataset, lists, published[0].data.val_fraction)
    whole = Counter(clip.part for clip in clips)
    phases.done("read the lists", f"the same: {_counted(whole)}; {len(classes)} classes")
    train = STEPS * max(run.optimisation.batch for run in runs)
    chosen = standins.handful(clips, {"train": train, "val": HELD_OUT, "test": HELD_OUT})
    print("\n".join(_smaller(pairs, whole, Counter(clip.part for clip in chosen), folder)))

    for _, run in pairs:
        file = Path(run.optimisation.init_file)
        if file.parent == folder and not file.exists():
            standins.random_weights(run, file)
        networks.build(run, classes)  # weights that do not fit fail before anything is computed
    phases.done("build networks, load their start", "the same, with the public files")
    standins.write(dataset, lists, root, chosen, parameters.jobs)
    phases.done("draw videos", "nothing: its videos are real")
    found = catalog.of(published[0].data)
    if list(found.classes) != classes or sorted(found.table["clip"]) != sorted(clip.name for clip in chosen):
        raise ReproError(f"{root}: the catalog has other clips than the {len(chosen)} that were drawn; delete {folder}")
    phases.done("catalog", f"the same: {_counted(whole)}")
    execute.prepare_clips(runs, parameters.jobs)
    phases.done("prepare: decode, flow, pack", f"{whole.total():,} videos")
    for full, run in pairs:
        _trained(full, run, whole, parameters, phases)
    both = fused.fuse([weights.load(run.id) for run in runs], plan.FUSED.get(system, ()))
    streams = f"fuse {' : '.join(f'{share:g}' for share in both.shares)}" if len(runs) > 1 else "one network"
    phases.done(f"read records and weights, {streams}", f"{whole['test']:,} scores")
    print(phases.table())


def _in_order(runs: Sequence[Run]) -> list[Run]:
    """Runs and those that they need, which come first."""
    return [run for level in execute.levels(runs) for run in level]


def _counted(clips: Counter[str]) -> str:
    return ", ".join(f"{clips[part]:,} {part}" for part in catalog.PARTS)


def _smaller(pairs: Sequence[tuple[Run, Run]], whole: Counter[str], chosen: Counter[str], folder: Path) -> list[str]:
    """What a rehearsal has less of than a full run, and what it has in place of something else: one line each."""
    lines = [
        f"clips: {_counted(chosen)}, in place of {_counted(whole)}; one split, one seed",
        f"videos: {chosen.total()} drawn ones, 320x240, 40 to 50 frames, motion JPEG whatever their names end in",
    ]
    for full, run in pairs:
        fields = {name: (getattr(full.optimisation, name), getattr(run.optimisation, name)) for name in SMALLER}
        said = [f"{name} {few}, in place of {many}" for name, (many, few) in fields.items() if few != many]
        lines.append(f"{run.model.name} on {run.data.modality}: {'; '.join(said)}")
        file = Path(run.optimisation.init_file)
        start = file if run.optimisation.init else "scratch, as published"
        lines.append(f"  starts from {RANDOM if file.parent == folder else start}")
    return [*lines, "all else is the published protocol: networks, sizes, frames, schedule, selection, views"]


def _trained(full: Run, run: Run, whole: Counter[str], parameters: Parameters, phases: Phases) -> None:
    """Trains a run in a process that is killed after an epoch, and goes on in this one until there is a record."""
    what, opt, data = f"{run.model.name} on {run.data.modality}", full.optimisation, full.data
    accelerator = networks.resolve_device(parameters.device)
    get_reusable_executor().shutdown()  # workers that packed clips; growing now, they would be reported as leaking
    processes.alone(functools.partial(_one_epoch, accelerator=accelerator), run)
    steps = max(whole["train"] // opt.batch, 1)
    asked = f"{opt.epochs} epochs x {steps:,} steps of {opt.batch} clips = {opt.epochs * steps:,} steps"
    phases.done(f"train {what}, killed after an epoch", asked)
    execute.execute([run], weights=True, **parameters.execution)
    log = make.log_path(run)
    if "goes on after epoch" not in log.read_text():
        died = "the process of the first epoch died before there was one, perhaps for want of memory"
        raise ReproError(f"{log}: the training did not go on from a checkpoint: {died}; give a smaller --batch")
    phases.done(f"go on with {what}", "", until=log.stat().st_mtime)  # training ends with the last line of its log
    views = "all windows" if data.views == "windows" else "ten crops" if data.crops == "ten" else "one crop"
    phases.done(
        f"test {what}, record", f"{whole['test']:,} videos, {views} of {data.test_frames or data.frames} frames"
    )


def _one_epoch(run: Run, accelerator: str) -> None:
    """Makes a run in this process, which is killed as soon as there is a checkpoint."""

    def kill() -> None:
        while not make.checkpoint_path(run).exists():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    with contextlib.suppress(ReproError, RuntimeError, OSError, MemoryError):  # it fails again at once, and is reported
        make.make(run, accelerator)
