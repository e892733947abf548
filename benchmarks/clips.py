"""Training clips a second on one core: from a packed file to 16x112x112 uint8, against JPEG files read with Pillow.

The baseline is how the reference code reads: one file a frame, Pillow decodes, crops, resizes and makes float tensors.

    python benchmarks/clips.py [--json FILE]
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F

from repro import records
from repro.data import store, transforms
from repro.data.sampling import clip_indices, random_start
from repro.data.store import Recipe

RECIPE = Recipe(flow="dis")


def a_video(path: Path, count: int = 64) -> None:
    """A 340x256 video of smooth texture that slides."""
    noise = np.random.default_rng(0).integers(0, 256, (320, 480, 3), dtype=np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.5), None, 0, 255, cv2.NORM_MINMAX)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (340, 256))
    for i in range(count):
        writer.write(np.ascontiguousarray(texture[i // 2 : i // 2 + 256, 2 * i : 2 * i + 340]))
    writer.release()


def ours(packed: Path, rng: np.random.Generator, out: np.ndarray) -> None:
    clip = store.open_packed(packed, RECIPE)
    crop = transforms.multiscale_corner_crop(256, 340, 0.5, rng, flip=True)
    transforms.apply(clip.rgb(clip_indices(random_start(clip.frames, 16, rng), 16, clip.frames)), crop, out)


def pillow(folder: Path, count: int, rng: np.random.Generator) -> torch.Tensor:
    crop = transforms.multiscale_corner_crop(256, 340, 0.5, rng, flip=True)
    frames = []
    for i in clip_indices(random_start(count, 16, rng), 16, count):
        image = Image.open(folder / f"{i:05d}.jpg").convert("RGB")
        box = (crop.left, crop.top, crop.left + crop.side, crop.top + crop.side)
        image = image.crop(box).resize((112, 112), Image.Resampling.BILINEAR)
        frames.append(F.to_tensor(F.hflip(image) if crop.flip else image))
    return torch.stack(frames, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rng, out = np.random.default_rng(0), np.empty((16, 112, 112, 3), np.uint8)
    rates: dict[str, list[float]] = {"packed": [], "pillow": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        a_video(folder / "a.avi")
        count = store.pack(folder / "a.avi", folder / "a.clip", RECIPE)
        for i, frame in enumerate(store.open_packed(folder / "a.clip", RECIPE).rgb(range(count))):
            cv2.imwrite(str(folder / f"{i:05d}.jpg"), frame[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 95))
        work = {"packed": lambda: ours(folder / "a.clip", rng, out), "pillow": lambda: pillow(folder, count, rng)}
        for _ in range(7):  # in turn, so that both see the same machine
            for label, once in work.items():
                start = time.perf_counter()
                for _ in range(60):
                    once()
                rates[label].append(60 / (time.perf_counter() - start))
    median = {label: statistics.median(values) for label, values in rates.items()}
    record = {"clips_per_second": median, "ratio": median["packed"] / median["pillow"], **records.environment("cpu x1")}
    print(f"packed {median['packed']:.0f} clips/s, Pillow on files {median['pillow']:.0f}, ratio {record['ratio']:.2f}")
    if given.json:
        given.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
