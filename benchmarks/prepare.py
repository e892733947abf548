"""Pairs a second and peak memory of packing one clip, by its length: decode, resize, flow, JPEG, write.

Each length has a process of its own, so that its peak is its own; a first clip of 32 frames loads and compiles all before
the clock starts. The clips are generated: texture that slides, 320x240, 25 frames a second, motion JPEG. `--video` measures
real ones in their place.

    python benchmarks/prepare.py [--frames 100 300 600 1200] [--video FILE ...] [--side 256] [--flow dis] [--json FILE]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from repro import machine
from repro.data import store
from repro.data.store import Recipe

SIZE = 320, 240


def a_video(path: Path, count: int, size: tuple[int, int] = SIZE) -> Path:
    """Soft texture that slides by a pixel a frame, forth and back. size: width and height."""
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0] + 256, 3), dtype=np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
    for i in range(count):
        left = abs(i % 512 - 256)
        writer.write(np.ascontiguousarray(texture[:, left : left + size[0]]))
    writer.release()
    return path


def measure(count: int, video: Path | None, recipe: Recipe) -> dict:
    """In this process: a video, or one of `count` frames."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store.pack(a_video(folder / "first.avi", 32), folder / "first.clip", recipe)
        source = video or a_video(folder / "a.avi", count)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.perf_counter(), time.process_time()
        count = store.pack(source, folder / "a.clip", recipe)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        size = (folder / "a.clip").stat().st_size
    return {
        "frames": count,
        "peak MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "MB before": round(before / 1e3),
        "packed MB": round(size / 1e6, 1),
        "pairs/s": round((count - 1) / seconds, 1),
        "pairs per CPU second": round((count - 1) / cpu, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 300, 600, 1200])
    parser.add_argument("--video", type=Path, nargs="+", default=[])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--flow", default="dis")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--here", action="store_true", help="measure in this process; the command calls itself so")
    given = parser.parse_args()
    if given.here:
        video = given.video[0] if given.video else None
        print(json.dumps(measure(given.frames[0], video, Recipe(side=given.side, flow=given.flow))))
        return
    rows = []
    for each in given.video or given.frames:
        what = ("--video" if given.video else "--frames", str(each))
        options = (*what, "--side", str(given.side), "--flow", given.flow, "--here")
        done = subprocess.run([sys.executable, __file__, *options], capture_output=True, text=True, check=True)
        rows.append(({"video": each.name} if given.video else {}) | json.loads(done.stdout))
        print(rows[-1], flush=True)
    if given.json:
        clip = {} if given.video else {"clip": f"{SIZE[0]}x{SIZE[1]}"}
        about = {**clip, "side": given.side, "flow": given.flow}
        given.json.write_text(json.dumps({**about, "rows": rows, **machine.environment("cpu x1")}, indent=1) + "\n")


if __name__ == "__main__":
    main()
