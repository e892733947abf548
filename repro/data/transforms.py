"""Crop, resize and flip of a whole clip, with one set of parameters per clip, into a given uint8 buffer."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

CORNERS = ("centre", "top left", "top right", "bottom left", "bottom right")
TSN_SCALES = (1.0, 0.875, 0.75, 0.66)  # of the short side; TSN's flow stream takes the first three
TSN_SHARE = 224 / 256  # of the short side: TSN's test crops


@dataclass(frozen=True)
class Crop:
    """A rectangle of the frame, in pixels, and whether it is flipped."""

    top: int
    left: int
    height: int
    width: int
    flip: bool = False

    def cut(self, image: np.ndarray) -> np.ndarray:
        """The part (height, width, C) of an image (H, W, C)."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def centre_crop(height: int, width: int) -> Crop:
    """The largest centred square: short side to the output size, centre crop (MARS's test)."""
    side = min(height, width)
    return Crop((height - side) // 2, (width - side) // 2, side, side)


def ten_crops(height: int, width: int, flip: bool) -> list[Crop]:
    """TSN's test crops: squares of 7/8 of the short side (224 of 256) in the centre and the corners, and mirrored.

    flip: False where left and right are different classes; then there are five.
    """
    side = round(min(height, width) * TSN_SHARE)
    places = [_corner(where, height, width, side, side) for where in CORNERS]
    return [Crop(top, left, side, side, mirrored) for mirrored in (False, True)[: 1 + flip] for top, left in places]


def random_crop(height: int, width: int, size: int, rng: np.random.Generator, flip: bool) -> Crop:
    """A `size` x `size` square anywhere in the frame (the words of IMRS, section 4.2.2)."""
    top, left = rng.integers(0, height - size + 1), rng.integers(0, width - size + 1)
    return Crop(int(top), int(left), size, size, bool(flip and rng.random() < 0.5))


def multiscale_corner_crop(height: int, width: int, smallest: float, rng: np.random.Generator, flip: bool) -> Crop:
    """MARS's training crop: one of five scales of the short side, from 1 down to `smallest` in equal ratios, at one of
    five positions (centre and corners)."""
    side = round(min(height, width) * smallest ** (rng.integers(0, 5) / 4))
    top, left = _corner(CORNERS[rng.integers(0, 5)], height, width, side, side)
    return Crop(top, left, side, side, bool(flip and rng.random() < 0.5))


def tsn_crop(height: int, width: int, smallest: float, rng: np.random.Generator, flip: bool) -> Crop:
    """TSN's training crop: height and width of `TSN_SCALES` at most one step apart and not below `smallest`, at one of
    13 fixed places: corners, centre, middles of the edges, and the four points between corner and centre."""
    scales = [scale for scale in TSN_SCALES if scale >= smallest]
    pairs = [(a, b) for i, a in enumerate(scales) for j, b in enumerate(scales) if abs(i - j) <= 1]
    down, across = (round(min(height, width) * scale) for scale in pairs[rng.integers(0, len(pairs))])
    grid = [(i, j) for i in range(5) for j in range(5) if i % 2 == j % 2]  # quarters of the room: 9 even, 4 odd places
    i, j = grid[rng.integers(0, len(grid))]
    top, left = (height - down) * i // 4, (width - across) * j // 4
    return Crop(top, left, down, across, bool(flip and rng.random() < 0.5))


def _corner(where: str, height: int, width: int, down: int, across: int) -> tuple[int, int]:
    """Top and left of a rectangle in a corner or the centre."""
    top = {"centre": (height - down) // 2, "top": 0, "bottom": height - down}[where.split()[0]]
    left = {"centre": (width - across) // 2, "left": 0, "right": width - across}[where.split()[-1]]
    return top, left


def apply(images: Sequence[np.ndarray], flip: bool, out: np.ndarray, flow: bool = False) -> None:
    """Resizes (bilinear) and flips T images (h, w, C) uint8 into `out` (T, size, size, C) uint8.

    flow: the channels are x1, y1, x2, y2, ...; the mirror image moves the other way in x.
    """
    size = out.shape[1], out.shape[2]
    for image, target in zip(images, out, strict=True):
        cv2.resize(image, size, dst=target, interpolation=cv2.INTER_LINEAR)
        if flip:
            cv2.flip(target, 1, dst=target)
    if flip and flow:
        np.subtract(255, out[..., ::2], out=out[..., ::2])
