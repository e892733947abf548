"""Crop, resize and flip of a whole clip, one set of parameters a clip, into a given uint8 buffer.

Channels decide what is in the images: 3 is RGB, 2 is flow (x, y), whose x component changes sign in a flip.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

CORNERS = ("centre", "top left", "top right", "bottom left", "bottom right")


@dataclass(frozen=True)
class Crop:
    """A square of the frame, in pixels, and whether it is flipped."""

    top: int
    left: int
    side: int
    flip: bool = False


def centre_crop(height: int, width: int) -> Crop:
    """The largest centred square: short side to the output size, centre crop (MARS's test)."""
    side = min(height, width)
    return Crop((height - side) // 2, (width - side) // 2, side)


def random_crop(height: int, width: int, size: int, rng: np.random.Generator, flip: bool) -> Crop:
    """A `size` x `size` square anywhere in the frame (the words of IMRS, section 4.2.2)."""
    top, left = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
    return Crop(int(top), int(left), size, bool(flip and rng.random() < 0.5))


def multiscale_corner_crop(height: int, width: int, smallest: float, rng: np.random.Generator, flip: bool) -> Crop:
    """MARS's training crop: one of five scales of the short side, from 1 down to `smallest` in equal ratios, at one of
    five positions (centre and corners)."""
    side = round(min(height, width) * smallest ** (rng.integers(0, 5) / 4))
    where = CORNERS[rng.integers(0, 5)]
    top = {"centre": (height - side) // 2, "top": 0, "bottom": height - side}[where.split()[0]]
    left = {"centre": (width - side) // 2, "left": 0, "right": width - side}[where.split()[-1]]
    return Crop(top, left, side, bool(flip and rng.random() < 0.5))


def apply(images: Sequence[np.ndarray], crop: Crop, out: np.ndarray) -> None:
    """Crops, resizes (bilinear) and flips T images (H, W, C) uint8 into `out` (T, size, size, C) uint8."""
    size = out.shape[1], out.shape[2]
    rows, columns = slice(crop.top, crop.top + crop.side), slice(crop.left, crop.left + crop.side)
    for image, target in zip(images, out, strict=True):
        cv2.resize(image[rows, columns], size, dst=target, interpolation=cv2.INTER_LINEAR)
        if crop.flip:
            cv2.flip(target, 1, dst=target)
    if crop.flip and out.shape[-1] == 2:
        np.subtract(255, out[..., 0], out=out[..., 0])  # the mirror image moves the other way in x
