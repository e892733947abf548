"""Optical flow between consecutive frames: TV-L1 (compiled here), DIS and Farneback (OpenCV's).

TV-L1 is the flow of every two-stream paper here. The reference in tests/test_flow.py is the output of OpenCV 5's
contrib module. OpenCV 4 rounds the positions at which it samples to 1/32 pixel; this alone moves the flow of real
frames by 0.02 px. Flow is float32 (T-1, H, W, 2), x then y, in pixels, from frame t to frame t+1.
"""

import itertools
import math
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from repro.data.flow import tvl1 as _tvl1
from repro.data.flow.parameters import DIS, MIN_SIDE, TVL1, Farneback, Params, parameters
from repro.errors import ReproError, require


def _grey(frame: np.ndarray) -> np.ndarray:
    """One frame as grey (H, W), RGB weighted the way OpenCV does; frames that flow cannot use raise ReproError."""
    if not isinstance(frame, np.ndarray) or frame.dtype not in (np.uint8, np.float32):
        raise ReproError(f"a frame must be a uint8 or float32 array, got {getattr(frame, 'dtype', type(frame))}")
    if frame.ndim != 2 and (frame.ndim != 3 or frame.shape[2] != 3):
        raise ReproError(f"a frame must be grey (H, W) or RGB (H, W, 3), got shape {frame.shape}")
    if min(frame.shape[:2]) < MIN_SIDE:
        size = f"{frame.shape[1]}x{frame.shape[0]}"
        raise ReproError(f"flow needs frames of at least {MIN_SIDE}x{MIN_SIDE} pixels, got {size}; enlarge the frames")
    if frame.dtype == np.float32:
        if not np.isfinite(frame).all():
            raise ReproError("a frame contains NaN or infinite values; flow needs finite ones, 0 to 255")
        if frame.min() < 0 or frame.max() > 255:
            raise ReproError(f"float frames must be in 0..255, got {frame.min():g}..{frame.max():g}; clip or rescale")
    frame = np.ascontiguousarray(frame)
    return frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _same(first: np.ndarray, other: np.ndarray, index: int) -> None:
    if first.shape != other.shape or first.dtype != other.dtype:
        raise ReproError(
            f"frames differ: frame 0 is {first.dtype} {first.shape}, frame {index} is {other.dtype} {other.shape}; "
            "flow needs frames of one size and type"
        )


def tvl1(prev: np.ndarray, next: np.ndarray, params: TVL1 | None = None) -> np.ndarray:
    """TV-L1 flow (H, W, 2) float32 in pixels, x then y, from `prev` to `next`.

    Frames are grey (H, W) or RGB (H, W, 3), uint8, or float32 in 0..255. Constant frames give zero flow. Frames that
    differ in size or type, are smaller than 16 x 16 or contain NaN raise ReproError. The first call of a new installation
    compiles the kernels (seconds) and keeps them on disk.
    """
    params = parameters("tvl1", params)
    greys = [_grey(frame) for frame in (prev, next)]
    _same(prev, next, 1)
    (flow,) = _tvl1.stream(greys, params)
    return flow


def _dis(greys: Iterable[np.ndarray], params: DIS) -> Iterator[np.ndarray]:
    for prev, following in itertools.pairwise(greys):  # a new object each time: it would start from the flow before
        yield cv2.DISOpticalFlow_create(params.preset).calc(prev, following, None)


def _farneback(greys: Iterable[np.ndarray], params: Farneback) -> Iterator[np.ndarray]:
    p = params
    for prev, following in itertools.pairwise(greys):
        yield cv2.calcOpticalFlowFarneback(
            prev, following, None, p.step, p.levels, p.window, p.iterations, p.neighbours, p.sigma, 0
        )


STREAMS = {"tvl1": _tvl1.stream, "dis": _dis, "farneback": _farneback}


def stream(
    frames: Iterable[np.ndarray], method: str = "tvl1", params: Params | None = None, device: str = "cpu"
) -> Iterator[np.ndarray]:
    """Flow (H, W, 2) float32 from each frame to the next, while the frames come: (H, W, 3) RGB or (H, W) grey, uint8.

    Only the frames that a flow needs are in memory: two, or 33 with "tvl1_torch". The flow is that of `extract`.
    device: of torch, for the method "tvl1_torch"; the others run on the CPU, "tvl1" in one thread. Unknown methods,
    another device than the CPU for them, and frames of different sizes or types raise ReproError.
    """
    params = parameters(method, params)
    require(device == "cpu" or method == "tvl1_torch", "device", device, f"'cpu' for flow {method!r}")
    if method == "tvl1_torch":
        from repro.data.flow import tvl1_torch  # here: processes that only decode start seconds faster without torch

        return tvl1_torch.stream(_greys(frames), params, device)
    return STREAMS[method](_greys(frames), params)


def _greys(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The frames of a clip as grey (H, W) uint8."""
    first = None
    for index, frame in enumerate(frames):
        grey = _grey(frame)
        first = frame if first is None else first
        _same(first, frame, index)
        if frame.dtype != np.uint8:
            raise ReproError(f"a clip's frames must be uint8, got {frame.dtype}")
        yield grey


def extract(frames: np.ndarray, method: str = "tvl1", params: Params | None = None, device: str = "cpu") -> np.ndarray:
    """Flow (T-1, H, W, 2) float32 of a clip of uint8 frames, (T, H, W, 3) RGB or (T, H, W) grey.

    Fewer than two frames, and what `stream` refuses, raise ReproError.
    """
    frames = list(frames)
    if len(frames) < 2:
        raise ReproError(f"flow needs at least two frames, got {len(frames)}")
    return np.stack(list(stream(frames, method, params, device)))


def quantise(flow: np.ndarray, bound: float = 20.0) -> np.ndarray:
    """Flow as uint8: clipped to [-bound, bound] pixels, mapped linearly to 0..255 and rounded; zero becomes 128."""
    require(0 < bound < math.inf, "bound", bound, "positive and finite")
    return np.rint((np.clip(flow, -bound, bound) + bound) * (255 / (2 * bound))).astype(np.uint8)


def dequantise(values: np.ndarray, bound: float = 20.0) -> np.ndarray:
    """Pixels as float32 from `quantise`'s uint8; a level is bound / 127.5 pixels, and no level is exactly zero."""
    return (values.astype(np.float32) * (2 * bound / 255) - bound).astype(np.float32)


# Colours around the circle and how many steps lead to the next (Baker et al., "A database and evaluation methodology
# for optical flow", IJCV 2011): more steps where the eye tells more hues apart.
WHEEL = {
    (255, 0, 0): 15, (255, 255, 0): 6, (0, 255, 0): 4, (0, 255, 255): 11, (0, 0, 255): 13, (255, 0, 255): 6,
}  # fmt: skip


def colour(flow: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Flow (H, W, 2) as RGB uint8 (H, W, 3): hue is direction, saturation length; no motion is white.

    `limit` is the length in pixels that is fully saturated (longer flow is darkened); None takes the longest.
    """
    corners = np.array([*WHEEL, next(iter(WHEEL))], float)  # (7, 3), back to the first
    ends = np.cumsum([0, *WHEEL.values()])
    x, y = np.moveaxis(flow.astype(float), -1, 0)
    length = np.hypot(x, y)
    longest = length.max() if limit is None else limit
    length = length / longest if longest > 0 else length
    position = (np.arctan2(-y, -x) / np.pi + 1) / 2 * ends[-1]
    hue = np.stack([np.interp(position, ends, channel) for channel in corners.T], axis=-1)  # (H, W, 3)
    pale = 255 - np.minimum(length, 1)[..., None] * (255 - hue)
    return np.rint(np.where(length[..., None] > 1, 0.75 * hue, pale)).astype(np.uint8)


def colour_wheel(size: int = 151) -> np.ndarray:
    """The legend of `colour`: RGB uint8 (size, size, 3), each point in the colour of the flow from the centre to it."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    disc = np.stack([x, y], axis=-1)
    return np.where((np.hypot(x, y) <= 1)[..., None], colour(disc, limit=1), 255).astype(np.uint8)
