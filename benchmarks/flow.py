"""Speed of optical flow: ours against OpenCV contrib's TV-L1, same frames, one process, one thread.

    python benchmarks/flow.py [--json FILE] [--video FILE]

OpenCV's TV-L1 is only in opencv-contrib, which must not be in the project's environment. Without it the ratio is not
printed, and ours is compared with DIS and Farneback of plain OpenCV instead. To compare, make a throwaway environment
with numba, torch and opencv-contrib-python-headless, and run this file there with PYTHONPATH set to the project.

Times are CPU seconds of one thread, medians of interleaved runs, so other load on the machine matters little; only
the two-process and torch parts use the clock. `--video` adds pairs of real frames to the synthetic ones.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from pathlib import Path

import cv2
import numba
import numpy as np
import torch

from repro.data.flow import methods as flow
from repro.data.flow.tvl1_torch import tvl1_batch

SIZES = {"112x112": (112, 112), "256x256": (256, 256), "320x240": (240, 320)}  # height, width


def texture(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    waves = np.random.default_rng(seed).uniform(-1, 1, (24, 3)) * (0.4, 0.4, np.pi)
    return 128 + 14 * sum(np.cos(a * x + b * y + phase) for a, b, phase in waves)


def pairs(h: int, w: int) -> dict[str, list[np.ndarray]]:
    """A shift, a rotation with zoom, and an object that moves before a still, noisy background."""
    y, x = np.mgrid[:h, :w].astype(float)
    angle = np.deg2rad(2)
    dx, dy = x - w / 2, y - h / 2
    turned = 1.03 * (np.cos(angle) * dx + np.sin(angle) * dy), 1.03 * (np.cos(angle) * dy - np.sin(angle) * dx)
    noise = np.random.default_rng(0).normal(0, 2, (2, h, w))
    scene = [texture(x, y, 1) + noise[k] for k in range(2)]
    for k in range(2):
        inside = np.hypot(dx - 3 * k, dy - k) < min(h, w) / 5
        scene[k][inside] = texture(x - 3 * k, y - k, 2)[inside]
    frames = {
        "shift": [texture(x, y, 0), texture(x - 1.7, y + 0.8, 0)],
        "rotation": [texture(dx, dy, 0), texture(*turned, 0)],
        "object": scene,
    }
    return {name: [np.clip(np.rint(f), 0, 255).astype(np.uint8) for f in pair] for name, pair in frames.items()}


def video_pairs(path: Path, h: int, w: int) -> dict[str, list[np.ndarray]]:
    video, greys = cv2.VideoCapture(str(path)), []
    while len(greys) < 22:
        fine, frame = video.read()
        if not fine:
            break
        greys.append(cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (w, h), interpolation=cv2.INTER_AREA))
    return {f"{path.stem}:{t}": greys[t : t + 2] for t in range(0, len(greys) - 1, 7)}


def opencv(frames: list[np.ndarray]) -> np.ndarray:
    method = cv2.optflow.createOptFlow_DualTVL1()
    return np.stack([method.calc(*frames[t : t + 2], None) for t in range(len(frames) - 1)])


def methods() -> dict:
    found = {"ours": lambda frames: flow.extract(frames, "tvl1")}
    if hasattr(cv2, "optflow"):
        found["opencv"] = opencv
    for name in ("dis", "farneback"):
        found[name] = lambda frames, name=name: flow.extract(frames, name)
    return found


def one_thread(videos: list[Path], repeats: int) -> list[dict]:
    """Milliseconds a pair of each method, interleaved; medians over repeats, and the ratio to OpenCV's."""
    rows = []
    for label, (h, w) in SIZES.items():
        frames = pairs(h, w)
        for video in videos:
            frames |= video_pairs(video, h, w)
        for content, pair in frames.items():
            clip = pair * 2 + pair[:1]  # there and back, twice: a clip, so that neither side pays for setting up a pair
            spent, flows = {name: [] for name in methods()}, {}
            for _ in range(repeats):
                for name, method in methods().items():
                    start = time.thread_time()
                    flows[name] = method(clip)
                    spent[name].append(1e3 * (time.thread_time() - start) / (len(clip) - 1))
            row = {"size": label, "frames": content} | {n: statistics.median(v) for n, v in spent.items()}
            if "opencv" in row:
                ours, theirs = flows["ours"], flows["opencv"]
                row |= {"ratio": row["opencv"] / row["ours"], "identical": bool(np.array_equal(ours, theirs))}
                row["mean_error"] = float(np.linalg.norm(ours - theirs, axis=-1).mean())
            rows.append(row)
            print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{v!s:>9}" for k, v in row.items()))
        for column in ("ours", "ratio"):
            if column in rows[-1]:
                value = statistics.median(r[column] for r in rows if r["size"] == label)
                print(f"{label}: median {column} {value:.1f}{' ms a pair' if column == 'ours' else 'x'}")
    return rows


def work(ready, go, spent, count: int) -> None:
    cv2.setNumThreads(1)
    clip = pairs(256, 256)["shift"] * 8
    flow.extract(clip)
    ready.release()
    go.wait()
    start = time.process_time()
    for _ in range(count):
        flow.extract(clip)
    spent.put(time.process_time() - start)


def run(processes: int, count: int) -> tuple[float, float]:
    """Clock seconds until each process has done `count` clips of 15 pairs, start-up left out, and its CPU seconds."""
    context = multiprocessing.get_context("spawn")
    ready, go, spent = context.Semaphore(0), context.Event(), context.SimpleQueue()
    workers = [context.Process(target=work, args=(ready, go, spent, count)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for _ in workers:
        ready.acquire()
    start = time.perf_counter()
    go.set()
    cpu = statistics.mean(spent.get() for _ in workers)
    for worker in workers:
        worker.join()
    return time.perf_counter() - start, cpu


def two_processes(rounds: int, count: int = 6) -> dict:
    """By the clock (right only where nothing else runs) and by CPU seconds (what the two take from each other)."""
    one, two = zip(*((run(1, count), run(2, count)) for _ in range(rounds)), strict=True)
    gains = {
        name: statistics.median(2 * a[k] / b[k] for a, b in zip(one, two, strict=True))
        for k, name in enumerate(("clock", "cpu"))
    }
    load = os.getloadavg()[0]
    print(f"two processes do {gains['clock']:.2f}x the pairs of one by the clock, {gains['cpu']:.2f}x by CPU time")
    print(f"(load average {load:.1f} on {os.cpu_count()} cores)")
    return gains | {"rounds": rounds, "load": load}


def torch_batches() -> list[dict]:
    """Pairs a second of the torch version at 256x256 (64x64 on the CPU, where it is no more than a check)."""
    rows = []
    runs = [("cpu", 64, 4)] + [("cuda", 256, b) for b in (16, 32, 64) if torch.cuda.is_available()]
    for device, side, size in runs:
        frames = list(pairs(side, side).values())
        prev, following = (
            torch.tensor(np.stack([frames[i % len(frames)][k] for i in range(size)]), device=device) for k in range(2)
        )
        for _ in range(2 if device == "cpu" else 4):  # the last one counts
            if device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            tvl1_batch(prev, following).cpu()
            spent = time.perf_counter() - start
        name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
        rows.append({"device": name, "size": side, "batch": size, "pairs_per_second": size / spent})
        print(f"torch {name} {side}x{side} batch {size}: {size / spent:.1f} pairs/s")
    if not torch.cuda.is_available():
        print("no CUDA device: the torch version is measured on the CPU only")
    return rows


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the record here")
    parser.add_argument("--video", type=Path, action="append", default=[], help="also time pairs of this file")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    versions = {m.__name__: m.__version__ for m in (cv2, numba, np, torch)} | {"python": platform.python_version()}
    print(cpu_name(), versions)
    if not hasattr(cv2, "optflow"):
        print("no cv2.optflow (opencv-contrib) here: no ratio to OpenCV's TV-L1, only DIS and Farneback")
    start = time.perf_counter()
    flow.tvl1(np.zeros((16, 16), np.uint8), np.zeros((16, 16), np.uint8))
    first = time.perf_counter() - start
    print(f"first call of the process: {first:.2f} s ({'from the cache' if first < 1.5 else 'compiled'})")
    record = {"cpu": cpu_name(), "versions": versions, "first_call_s": first}
    record["one_thread"] = one_thread(options.video, options.repeats)
    record["two_processes"] = two_processes(3)
    record["torch"] = torch_batches()
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
