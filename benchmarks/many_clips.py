"""Peak memory of `prepare`, of its first process and of its largest worker, by the number of clips.

Each number has a process of its own. The clips are links to one generated video of 8 frames, 64x48, so that what grows
is the number alone.

    python benchmarks/many_clips.py [--clips 100 1000 10000] [--json FILE]
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
from prepare import a_video

from repro import commands, machine

JOBS, SIDE, FLOW = 2, 32, "dis"


def links(root: Path, count: int) -> None:
    """`count` names of one video, in ten classes."""
    small = root / "small.avi"
    a_video(small, 8, (64, 48))
    for i in range(count):
        folder = root / "videos" / f"class{i % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(small, folder / f"person{i % 100}_{i}.avi")


def peak(process: int) -> int:
    """The most memory that a process had, in MB: Linux tells it."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return round(int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6)


def measure(count: int) -> dict:
    """In this process: `python -m repro prepare folder`."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        os.environ["REPRO_DATA"] = str(Path(name, "data"))
        links(Path(name), count)
        start = time.perf_counter()
        commands.prepare("folder", root=Path(name, "videos"), side=SIDE, flow=FLOW, jobs=JOBS)
        seconds = time.perf_counter() - start
        return {
            "clips": sum(1 for _ in Path(name, "data").rglob("*.clip")),
            "peak MB": peak(os.getpid()),
            "peak MB of a worker": max(peak(worker.pid) for worker in multiprocessing.active_children()),
            "clips/s": round(count / seconds, 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--here", action="store_true", help="measure in this process; the command calls itself so")
    given = parser.parse_args()
    if given.here:
        print(json.dumps(measure(given.clips[0])))
        return
    rows = []
    for count in given.clips:
        command = (sys.executable, __file__, "--clips", str(count), "--here")
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(rows[-1], flush=True)
    if given.json:
        about = {"workers": JOBS, "side": SIDE, "flow": FLOW, "rows": rows}
        given.json.write_text(json.dumps({**about, **machine.environment("cpu x1")}, indent=1) + "\n")


if __name__ == "__main__":
    main()
