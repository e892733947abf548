"""Small videos of sliding texture, and tables of them."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd


def write_video(path: Path, count: int = 6, size: tuple[int, int] = (64, 48), seed: int = 0) -> Path:
    """A video of smooth texture that slides by two pixels a frame."""
    texture = np.random.default_rng(seed).integers(0, 256, (size[1] + 40, size[0] + 40, 3), dtype=np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(texture, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
    for i in range(count):
        left = 2 * min(i % 40, 40 - i % 40)  # forth and back
        writer.write(texture[: size[1], left : left + size[0]])
    writer.release()
    return path


def clips(root: Path, count: int) -> pd.DataFrame:
    files = [write_video(root / "c" / f"{i}.avi", seed=i) for i in range(count)]
    return pd.DataFrame({"clip": [f"c/{i}" for i in range(count)], "path": [str(f) for f in files]})
