"""Full-size networks on a folder of real videos: seconds a training step and a test video, and peak memory.

    python benchmarks/full_size.py --root DIR --group RE [--only NAME ...] [--json FILE]

Every network trains and is tested by the project's own code, as `python -m repro train SYSTEM --profile paper` does, with
the published frames, size, sampling, views and learning rate. Less than published: `EPOCHS`, `BATCH`, `TRAIN` videos of a
class, and one group as the test part. Training starts from random weights, so the accuracy says only that the code runs.

Each network has a process of its own, so that its peak is its own. FILE is written after each one; what it has of the same
machine and the same run is not measured again. Processor time is that of all threads. Other programs disturb it less than the
clock, as long as threads sleep where they wait for each other: OMP_WAIT_POLICY=passive, else they spin.
"""

import argparse
import functools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from repro import execute, machine, make, networks, paths, train
from repro.config import Run
from repro.data import catalog, clips, store
from repro.models.tools.cost import multiply_adds
from repro.parameters import Parameters
from repro.single import plan

EPOCHS, BATCH, TRAIN = 2, 4, 3
NETWORKS = {  # a system of the command line, and its modality; the teacher comes before the student who needs it
    "3D ResNeXt-101, RGB": ("resnext3d", "rgb"),
    "IMRS, flow teacher": ("resnext3d-ce", "flow"),
    "IMRS, student": ("imrs", ""),
    "TSN on BN-Inception, RGB": ("tsn", "rgb"),
    "TSN on BN-Inception, flow": ("tsn", "flow"),
    "T-STAM, RGB": ("tstam", "rgb"),
    "T-STAM, flow": ("tstam", "flow"),
    "TSN on ResNet-50": ("tsn-resnet", "rgb"),
    "TSM": ("tsm", "rgb"),
    "SMNet": ("smnet", "rgb"),
    "STME": ("stme", "rgb"),
    "STMSA": ("stmsa", "rgb"),
    "STDDCN, two streams": ("stddcn", ""),
}


def run_of(network: str, root: Path, group: str) -> Run:
    """The published run with less of it, and with random weights in place of the public ones."""
    system, modality = NETWORKS[network]
    given = Parameters(
        "paper", "folder", str(root), seeds=0, group=group, folds="all", pretrained_rgb="none", pretrained_flow="none"
    )
    less = {"epochs": EPOCHS, "batch": BATCH, "init": "", "init_file": ""}
    sets = [f"optimisation.{name}={value}" for name, value in less.items()]
    if system == "imrs":
        sets += [f"teacher.{text}" for text in sets]
    return plan.plan(system, given, modality, None, "", [*sets, f"data.train_per_class={TRAIN}"])


def clocked(owner: object, name: str) -> list[tuple[float, float]]:
    """Puts a clock around a function: the list gets the seconds and the processor seconds of each call."""
    function, seen = getattr(owner, name), []

    @functools.wraps(function)
    def timed(*args, **options):
        start, processor = time.perf_counter(), time.process_time()
        found = function(*args, **options)
        seen.append((time.perf_counter() - start, time.process_time() - processor))
        return found

    setattr(owner, name, timed)
    return seen


def measure(run: Run) -> dict:
    """In this process: trains and tests a run whose clips are packed."""
    execute.execute(run.needs, jobs=1, device="cpu", weights=True)
    steps, epochs, tests = (
        clocked(*each) for each in ((train.Training, "step"), (train.Training, "epoch"), (make, "test"))
    )
    load = os.getloadavg()[0]
    (record,) = execute.execute([run], jobs=1, device="cpu")
    count, data, opt = len(record.labels), run.data, run.optimisation
    trained = len(catalog.of(data).part("train")) // opt.batch * opt.batch
    shape = (data.channels, data.frames, data.size, data.size)
    return {
        "run": run.id,
        "clip": "x".join(map(str, shape)),
        "G multiply-adds": round(
            multiply_adds(networks.build(run, record.classes, initialise=False), (1, *shape)) / 1e9, 2
        ),
        "clips an epoch": trained,
        "steps": len(steps),
        "s a step": round(statistics.median(each[0] for each in steps), 3),
        "processor s a step": round(statistics.median(each[1] for each in steps), 3),
        "training clips/s": round(trained * opt.epochs / sum(each[0] for each in epochs), 2),
        "test videos": count,
        "s a test video": round(tests[0][0] / count, 2),
        "processor s a test video": round(tests[0][1] / count, 2),
        "peak GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 1),
        "top-1": round(record.metrics["video_top1"], 3),
        "load average before": round(load, 1),
    }


def stored(run: Run) -> dict:
    """What the packed clips of a run take on the disk, frames and flow together."""
    files = [store.packed_path(clips.store_folder(run.data), clip) for clip in catalog.of(run.data).table["clip"]]
    frames = [store.open_packed(file, clips.recipe_of(run.data)).frames for file in files]
    size = sum(file.stat().st_size for file in files)
    return {"clips": len(files), "frames": sum(frames), "kB a frame": round(size / sum(frames) / 1e3, 1)}


def before(file: Path | None, about: dict) -> dict[str, dict]:
    """The rows of an earlier measurement on the same videos and machine, by the run."""
    if file is None or not file.exists():
        return {}
    found = json.loads(file.read_text())
    same = all(found[name] == about[name] for name in ("videos", "group", "machine", "versions"))
    return {row["run"]: row for row in found["rows"]} if same else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="a folder of videos, one subfolder per class")
    parser.add_argument("--group", required=True, help="finds the person in a file name: '^(?P<group>[a-z]+)_'")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, metavar="NAME", default=list(NETWORKS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--here", choices=NETWORKS, help="measure in this process; the command calls itself so")
    given = parser.parse_args()
    os.environ["REPRO_RUNS"] = str(paths.data() / "full_size")
    if given.here:
        print(json.dumps(measure(run_of(given.here, given.root, given.group))))
        return
    runs = {name: run_of(name, given.root, given.group) for name in NETWORKS}
    execute.prepare_clips(list(runs.values()))
    about = {"videos": given.root.name, "group": given.group, "epochs": EPOCHS, "batch": BATCH}
    about |= {"stored": stored(next(iter(runs.values()))), **machine.environment("cpu x1")}
    measured = before(given.json, about)
    for name in given.only:
        run = runs[name]
        if run.id not in measured:
            shutil.rmtree(paths.runs() / run.id, ignore_errors=True)
            command = (sys.executable, __file__, "--root", given.root, "--group", given.group, "--here", name)
            quiet = os.environ | {"OMP_WAIT_POLICY": "passive"}
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=quiet)
            measured[run.id] = {"network": name, **json.loads(done.stdout.splitlines()[-1])}
        print(measured[run.id], flush=True)
        if given.json:
            rows = [measured[each.id] for each in runs.values() if each.id in measured]
            with paths.atomic(given.json) as part:
                part.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    shutil.rmtree(paths.runs())


if __name__ == "__main__":
    main()
