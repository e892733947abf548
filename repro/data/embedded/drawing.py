"""The frames of a clip of the embedded data set: scene, persons and camera, all from its options and its number."""

import dataclasses

import cv2
import numpy as np

from repro.data.embedded.options import ALL, CLASSES, POOLS, PRETEXT_PAIRS, TIME_PAIRS, Synthetic
from repro.data.embedded.person import PROGRAMS, SUPERSAMPLING, backdrop, clothes, colour, draw, poses, thing

FORWARD = {backward: forward for forward, backward in TIME_PAIRS + PRETEXT_PAIRS}


def _camera(count: int, unit: float, pan: float, rng: np.random.Generator) -> np.ndarray:
    """(count, 2, 3) affine maps: a steady pan of at most `pan` pixels per frame, shake in units of `unit` pixels, a little
    roll and zoom."""
    t = np.arange(count) - (count - 1) / 2
    x, y, roll, zoom = (
        sum(a * np.sin(2 * np.pi * (t / rng.uniform(5, 20) + rng.random())) for a in rng.uniform(0.1, 0.6, 2))
        for _ in range(4)
    )
    x, y = (unit * shake + share * pan * rng.uniform(-1, 1) * t for shake, share in ((x, 1), (y, 0.5)))
    cos, sin = (1 + 0.01 * zoom) * np.cos(0.012 * roll), (1 + 0.01 * zoom) * np.sin(0.012 * roll)
    return np.stack([np.stack([cos, -sin, x], 1), np.stack([sin, cos, y], 1)], 1)


def palette_of(class_name: str, options: Synthetic, index: int, pool: str) -> int:
    """The palette of a clip, 0 to 11; palette k belongs to class k."""
    own = ALL.index(class_name)
    rng = np.random.default_rng((options.seed, POOLS.index(pool), 2, own, index))
    biased = rng.random() < options.bias and pool == "train"
    return own % len(CLASSES) if biased else int(rng.integers(len(CLASSES)))


@dataclasses.dataclass(frozen=True)
class _Scene:
    """What a clip shows, before the camera. Places are in canvas pixels from the centre of the scene."""

    picture: np.ndarray  # (H', W', 3), larger than the canvas
    corner: np.ndarray  # of the picture, from the centre
    people: tuple[tuple[list[dict], dict, float, np.ndarray], ...]  # poses, clothes, stature, pelvis; the last acts


def _scene(name: str, options: Synthetic, index: int, pool: str, rng: np.random.Generator, count: int) -> _Scene:
    key = (options.seed, POOLS.index(pool))
    look = np.random.default_rng((*key, 0, index))  # not by class: each class has a clip with this scene and person
    large = SUPERSAMPLING * options.side
    size = np.array((large * 4 // 3, large))  # of the canvas: W, H
    palette = palette_of(name, options, index, pool)
    hue = palette / len(CLASSES) + rng.uniform(-0.03, 0.03)
    wears = clothes(hue, look)
    dark, bright = np.array(colour(hue, 0.6, 0.4)), np.array(colour(hue + 0.08, 0.35, 0.93))
    ramp = np.clip(rng.uniform(0.75, 1.1) * np.linspace(dark, bright, 256), 0, 255).astype(np.uint8)
    grey = backdrop(look, (round(1.35 * size[1]), round(1.35 * size[0])))[:, :: rng.choice((-1, 1))]
    picture = ramp[(255 * grey).astype(np.uint8)]
    middle = np.array(picture.shape[1::-1]) / 2
    thing(
        picture, palette, hue, middle + rng.uniform((-0.35, 0.05), (0.35, 0.3)) * size, rng.uniform(0.07, 0.12) * large
    )
    corner = rng.uniform(-0.1, 0.1, 2) * size - middle
    stature = rng.uniform(options.smallest, 0.92) * large
    pelvis = rng.uniform((-0.13, 0.03), (0.13, 0.09)) * size
    actor = (poses(FORWARD.get(name, name), count, rng, options.action), wears, stature, pelvis)
    if rng.random() >= options.distractors:
        return _Scene(picture, corner, (actor,))
    aside = np.array((rng.choice((-1, 1)) * rng.uniform(0.25, 0.4), rng.uniform(-0.1, 0)))
    moves = poses(PROGRAMS[rng.integers(len(PROGRAMS))], count, rng, options.action)
    other = (moves, clothes(rng.random(), rng), rng.uniform(0.45, 0.65) * stature, pelvis + aside * size)
    return _Scene(picture, corner, (other, actor))


def clip(name: str, options: Synthetic, index: int, pool: str, masked: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB frames (T, H, W, 3) uint8 of one clip and, if `masked`, the person's mask (T, H, W) bool."""
    rng = np.random.default_rng((options.seed, POOLS.index(pool), 1, ALL.index(name), index))
    count = int(rng.integers(options.frames, options.frames * 5 // 4 + 1))
    height, width, large = options.side, options.side * 4 // 3, SUPERSAMPLING * options.side
    size = (large * 4 // 3, large)  # of the canvas: W, H
    scene = _scene(name, options, index, pool, rng, count)
    frames = np.empty((count, height, width, 3), np.uint8)
    mask = np.empty((count, height, width), bool) if masked else None
    for t, view in enumerate(_camera(count, large / 48, options.pan * large, rng)):
        turn, origin = view[:, :2], view[:, 2] + np.array(size) / 2
        to_canvas = np.column_stack([turn, turn @ scene.corner + origin])
        canvas = cv2.warpAffine(scene.picture, to_canvas, size, borderMode=cv2.BORDER_REFLECT)
        for moves, wears, stature, pelvis in scene.people:
            body = np.column_stack([turn * stature, turn @ pelvis + origin])
            draw(canvas, moves[t], body, wears)
        frames[t] = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
        if masked:  # of the person who acts, drawn last
            silhouette = np.zeros_like(canvas)
            draw(silhouette, moves[t], body, None)
            mask[t] = cv2.resize(silhouette[..., 0], (width, height), interpolation=cv2.INTER_AREA) > 127
    if name in FORWARD:
        frames, mask = frames[::-1], mask[::-1] if masked else None
    return frames, mask
