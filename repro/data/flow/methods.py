"""Optical flow between consecutive frames: TV-L1 (compiled here), DIS and Farneback (OpenCV's).

TV-L1 is the flow of every two-stream paper here. The kernels in `_tvl1` follow Zach, Pock and Bischof (2007) and the
IPOL article of Sanchez, Meinhardt-Llopis and Facciolo (2013), with the choices and defaults of OpenCV's contrib
module: its output, used as a black box, is the reference (tests/test_flow.py). The reference is OpenCV 5; OpenCV 4
rounds the positions at which it samples to 1/32 pixel, which alone moves the flow of real frames by 0.02 px.
Flow is float32 (T-1, H, W, 2), x then y, in pixels, from frame t to frame t+1.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from repro.data.flow import tvl1 as _tvl1
from repro.errors import ReproError, unknown

MIN_SIDE = 16  # pixels: OpenCV builds no pyramid level with a shorter side, and a frame is the finest level


def _numbers(params, whole: Sequence[str]) -> None:
    for name, value in asdict(params).items():
        fits = isinstance(value, int) if name in whole else isinstance(value, (int, float)) and math.isfinite(value)
        if isinstance(value, bool) or not fits:
            wanted = "whole number" if name in whole else "finite number"
            raise ReproError(f"{type(params).__name__}: {name} must be a {wanted}, got {value!r}")


def _need(params, rules: dict[str, bool]) -> None:
    for rule, holds in rules.items():
        if not holds:
            raise ReproError(f"{type(params).__name__} needs {rule}, got {params}")


@dataclass(frozen=True)
class TVL1:
    """OpenCV's parameters and defaults; no initial flow, no illumination term (gamma = 0)."""

    tau: float = 0.25  # step of the dual variables
    lambda_: float = 0.15  # weight of the data term: smaller is smoother
    theta: float = 0.3  # tightness of the coupling between the two halves
    scales: int = 5  # pyramid levels at most; those with a side under MIN_SIDE are left out
    step: float = 0.8  # size of a level against the next finer one
    warps: int = 5  # linearisations a level
    epsilon: float = 0.01  # root mean square update in pixels at which a warp stops
    inner: int = 30  # iterations between two median filters
    outer: int = 10  # median filters a warp
    median: int = 5  # side of the median filter of the flow; 1 is none

    def __post_init__(self) -> None:
        _numbers(self, ("scales", "warps", "inner", "outer", "median"))
        rules = {
            "tau, lambda_, theta > 0": min(self.tau, self.lambda_, self.theta) > 0,
            "0 < step < 1": 0 < self.step < 1,
            "epsilon >= 0": self.epsilon >= 0,
            "scales, warps, inner, outer >= 1": min(self.scales, self.warps, self.inner, self.outer) >= 1,
            "median 1, 3 or 5": self.median in (1, 3, 5),
        }
        _need(self, rules)


@dataclass(frozen=True)
class DIS:
    """Dense inverse search (Kroeger et al. 2016), OpenCV's presets: 0 ultra fast, 1 fast, 2 medium."""

    preset: int = 2

    def __post_init__(self) -> None:
        _numbers(self, ("preset",))
        _need(self, {"preset 0, 1 or 2": self.preset in (0, 1, 2)})


@dataclass(frozen=True)
class Farneback:
    """Polynomial expansion (Farneback 2003), the values of OpenCV's tutorial."""

    step: float = 0.5
    levels: int = 3
    window: int = 15
    iterations: int = 3
    neighbours: int = 5
    sigma: float = 1.2

    def __post_init__(self) -> None:
        _numbers(self, ("levels", "window", "iterations", "neighbours"))
        rules = {
            "0 < step < 1": 0 < self.step < 1,
            "levels, window, iterations >= 1": min(self.levels, self.window, self.iterations) >= 1,
            "neighbours 5 or 7": self.neighbours in (5, 7),
            "sigma > 0": self.sigma > 0,
        }
        _need(self, rules)


METHODS = {"tvl1": TVL1, "dis": DIS, "farneback": Farneback}
Params = TVL1 | DIS | Farneback


def parameters(method: str, params: Params | None = None) -> Params:
    """`params`, or the method's defaults. Unknown methods and another method's parameters raise ReproError."""
    if method not in METHODS:
        raise unknown("flow method", method, METHODS)
    params = METHODS[method]() if params is None else params
    if not isinstance(params, METHODS[method]):
        raise ReproError(f"flow method {method!r} takes {METHODS[method].__name__} parameters, got {params!r}")
    return params


def identity(method: str, params: Params | None = None) -> dict[str, str | int | float]:
    """What a stored flow must have been made with to be reused: the method and all its parameters, for JSON."""
    return {"method": method, **asdict(parameters(method, params))}


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
            raise ReproError("a frame holds NaN or infinite values; flow needs finite ones, 0 to 255")
        if frame.min() < 0 or frame.max() > 255:
            raise ReproError(f"float frames must lie in 0..255, got {frame.min():g}..{frame.max():g}; clip or rescale")
    frame = np.ascontiguousarray(frame)
    return frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _same(first: np.ndarray, other: np.ndarray, index: int) -> None:
    if first.shape != other.shape or first.dtype != other.dtype:
        raise ReproError(
            f"frames differ: frame 0 is {first.dtype} {first.shape}, frame {index} is {other.dtype} {other.shape}; "
            "flow needs frames of one size and type"
        )


def pyramid(grey: np.ndarray, params: TVL1) -> list[np.ndarray]:
    """Float32 levels, the finest (the frame itself) first."""
    levels = [grey.astype(np.float32)]
    while len(levels) < params.scales:
        level = cv2.resize(levels[-1], None, fx=params.step, fy=params.step, interpolation=cv2.INTER_LINEAR)
        if min(level.shape) < MIN_SIDE:
            break
        levels.append(level)
    return levels


def _solve(prev: list[np.ndarray], following: list[np.ndarray], spaces: list, params: TVL1) -> np.ndarray:
    """Flow (H, W, 2) between two pyramids, coarse to fine; `spaces` holds the scratch arrays of each level."""
    counts = np.array([params.warps, params.outer, params.inner, params.median])
    flow = None
    for target, image, space in zip(reversed(prev), reversed(following), reversed(spaces), strict=True):
        h, w = target.shape
        planes = space[0][1:, :2, _tvl1.LEFT : _tvl1.LEFT + w]  # (H, 2, W), a view of the kernel's state
        for k in range(2):
            if flow is None:
                planes[:, k] = 0
            else:
                grown = cv2.resize(flow[k], (w, h), interpolation=cv2.INTER_LINEAR)
                planes[:, k] = grown.astype(np.float64) * (1 / params.step)
        stop = params.epsilon**2 * h * w
        numbers = (params.lambda_ * params.theta, params.theta, params.tau / params.theta, stop)
        _tvl1.level(target, image, *space, np.array(numbers, np.float32), counts)
        flow = [np.ascontiguousarray(planes[:, k]) for k in range(2)]
    return np.stack(flow, axis=-1)


def tvl1(prev: np.ndarray, next: np.ndarray, params: TVL1 | None = None) -> np.ndarray:
    """TV-L1 flow (H, W, 2) float32 in pixels, x then y, from `prev` to `next`.

    Frames are grey (H, W) or RGB (H, W, 3), uint8, or float32 in 0..255. Constant frames give zero flow. Frames that
    differ in size or type, are smaller than 16 x 16 or hold NaN raise ReproError. The first call of a new installation
    compiles the kernels (seconds) and keeps them on disk.
    """
    params = parameters("tvl1", params)
    greys = [_grey(frame) for frame in (prev, next)]
    _same(prev, next, 1)
    first, second = (pyramid(grey, params) for grey in greys)
    return _solve(first, second, [_tvl1.workspace(*level.shape) for level in first], params)


def _tvl1_clip(greys: list[np.ndarray], params: TVL1, flows: np.ndarray) -> None:
    last = pyramid(greys[0], params)
    spaces = [_tvl1.workspace(*level.shape) for level in last]
    for t, grey in enumerate(greys[1:]):
        present = pyramid(grey, params)
        flows[t] = _solve(last, present, spaces, params)
        last = present


def _dis_clip(greys: list[np.ndarray], params: DIS, flows: np.ndarray) -> None:
    for t in range(len(flows)):  # a new object each time: it would start from the flow before
        flows[t] = cv2.DISOpticalFlow_create(params.preset).calc(greys[t], greys[t + 1], None)


def _farneback_clip(greys: list[np.ndarray], params: Farneback, flows: np.ndarray) -> None:
    p = params
    for t in range(len(flows)):
        flows[t] = cv2.calcOpticalFlowFarneback(
            greys[t], greys[t + 1], None, p.step, p.levels, p.window, p.iterations, p.neighbours, p.sigma, 0
        )


def extract(frames: np.ndarray, method: str = "tvl1", params: Params | None = None) -> np.ndarray:
    """Flow (T-1, H, W, 2) float32 of a clip of uint8 frames, (T, H, W, 3) RGB or (T, H, W) grey.

    One thread for TV-L1. Unknown methods, fewer than two frames, and frames of different sizes or types raise
    ReproError.
    """
    params = parameters(method, params)
    frames = list(frames)
    if len(frames) < 2:
        raise ReproError(f"flow needs at least two frames, got {len(frames)}")
    greys = []
    for index, frame in enumerate(frames):
        greys.append(_grey(frame))
        _same(frames[0], frame, index)
        if frame.dtype != np.uint8:
            raise ReproError(f"a clip's frames must be uint8, got {frame.dtype}")
    flows = np.empty((len(frames) - 1, *greys[0].shape, 2), np.float32)
    {"tvl1": _tvl1_clip, "dis": _dis_clip, "farneback": _farneback_clip}[method](greys, params, flows)
    return flows


def quantise(flow: np.ndarray, bound: float = 20.0) -> np.ndarray:
    """Flow as uint8: clipped to [-bound, bound] pixels, mapped linearly to 0..255 and rounded; zero becomes 128."""
    if not bound > 0:
        raise ReproError(f"the bound of quantised flow must be positive, got {bound}")
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
