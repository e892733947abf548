"""Training clips a second on one core: from a packed file to 16x112x112 uint8, against JPEG files read with Pillow.

The baseline reads as the reference code does: one file per frame, Pillow decodes, crops, resizes and makes float tensors.
The time grows with the bytes of a frame, so they are printed too. Without `--video` the frames are random texture
with the 1/f spectrum of natural images, at 340x256. `sparse` is 6 frames in 6 segments, cropped as TSN does, to 224x224.

    python benchmarks/clips.py [--video FILE] [--json FILE]
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

from repro import machine
from repro.data import store, transforms
from repro.data.sampling import clip_indices, random_start, segment_starts
from repro.data.store import Recipe

RECIPE = Recipe(flow="dis")


def a_video(path: Path, count: int = 64) -> None:
    """A 340x256 video of texture that slides, 1/f, grey, and so soft that a frame takes about what UCF101's do."""
    frequency = np.hypot(np.fft.fftfreq(320)[:, None], np.fft.fftfreq(480))
    phase = np.exp(2j * np.pi * np.random.default_rng(0).random((320, 480)))
    plane = cv2.GaussianBlur(np.fft.ifft2(phase / np.maximum(frequency, 1 / 480)).real, (0, 0), 1.1)
    texture = cv2.cvtColor(np.clip(128 + 50 * plane / plane.std(), 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (340, 256))
    for i in range(count):
        writer.write(np.ascontiguousarray(texture[i // 2 : i // 2 + 256, 2 * i : 2 * i + 340]))
    writer.release()


def ours(packed: Path, rng: np.random.Generator, out: np.ndarray) -> None:
    clip = store.open_packed(packed, RECIPE)
    crop = transforms.multiscale_corner_crop(clip.header["height"], clip.header["width"], 0.5, rng, flip=True)
    indices = clip_indices(random_start(clip.frames, 16, rng), 16, clip.frames)
    transforms.apply(clip.rgb(indices, crop), crop.flip, out)


def sparse(packed: Path, rng: np.random.Generator, out: np.ndarray) -> None:
    clip = store.open_packed(packed, RECIPE)
    crop = transforms.tsn_crop(clip.header["height"], clip.header["width"], 0.66, rng, flip=True)
    transforms.apply(clip.rgb(segment_starts(clip.frames, 1, len(out), rng), crop), crop.flip, out)


def pillow(folder: Path, count: int, size: tuple[int, int], rng: np.random.Generator) -> torch.Tensor:
    crop = transforms.multiscale_corner_crop(*size, 0.5, rng, flip=True)
    frames = []
    for i in clip_indices(random_start(count, 16, rng), 16, count):
        image = Image.open(folder / f"{i:05d}.jpg").convert("RGB")
        box = (crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
        image = image.crop(box).resize((112, 112), Image.Resampling.BILINEAR)
        frames.append(F.to_tensor(F.hflip(image) if crop.flip else image))
    return torch.stack(frames, 1)


def measure(video: Path | None) -> dict:
    """Medians of seven rounds, the three in turn so that all see the same machine."""
    rng = np.random.default_rng(0)
    out, few = np.empty((16, 112, 112, 3), np.uint8), np.empty((6, 224, 224, 3), np.uint8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if video is None:
            a_video(folder / "a.avi")
        packed = folder / "a.clip"
        count = store.pack(video or folder / "a.avi", packed, RECIPE)
        frames = store.open_packed(packed, RECIPE).rgb(range(count))
        for i, frame in enumerate(frames):
            cv2.imwrite(str(folder / f"{i:05d}.jpg"), frame[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 95))
        size = sum(f.stat().st_size for f in folder.glob("*.jpg")) / count
        work = {
            "packed": lambda: ours(packed, rng, out),
            "pillow": lambda: pillow(folder, count, frames[0].shape[:2], rng),
            "sparse": lambda: sparse(packed, rng, few),
        }
        rates: dict[str, list[float]] = {label: [] for label in work}
        for _ in range(7):
            for label, once in work.items():
                start = time.perf_counter()
                for _ in range(60):
                    once()
                rates[label].append(60 / (time.perf_counter() - start))
    median = {label: statistics.median(values) for label, values in rates.items()}
    return {
        "video": video.name if video else "1/f texture",
        "frame": f"{frames[0].shape[1]}x{frames[0].shape[0]}",
        "kB a frame": round(size / 1e3, 1),
        "clips_per_second": {label: round(rate, 1) for label, rate in median.items()},
        "ratio": round(median["packed"] / median["pillow"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", type=Path, nargs="*", default=())
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    found = []
    for video in (None, *given.video):
        found.append(measure(video))
        print(found[-1])
    if given.json:
        given.json.write_text(json.dumps({"measured": found, **machine.environment("cpu x1")}, indent=1) + "\n")


if __name__ == "__main__":
    main()
