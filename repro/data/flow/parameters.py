"""The methods of optical flow and their parameters, checked at construction."""

import math
from dataclasses import asdict, dataclass, fields

from repro.errors import ReproError, require, unknown

MIN_SIDE = 16  # pixels: OpenCV builds no pyramid level with a shorter side, and a frame is the finest level


def _numbers(params) -> None:
    """Every field must be a finite number, and a whole number where it is annotated so."""
    for f in fields(params):
        value, what = getattr(params, f.name), f"{type(params).__name__}.{f.name}"
        if f.type is int:
            require(type(value) is int, what, value, "a whole number")
        else:
            require(type(value) in (int, float) and math.isfinite(value), what, value, "a finite number")


def _check(params, names: tuple[str, ...], holds, rule: str) -> None:
    for name in names:
        value = getattr(params, name)
        require(holds(value), f"{type(params).__name__}.{name}", value, rule)


@dataclass(frozen=True)
class TVL1:
    """OpenCV's parameters and defaults; no initial flow, no illumination term (gamma = 0)."""

    tau: float = 0.25  # step of the dual variables
    lambda_: float = 0.15  # weight of the data term: smaller is smoother
    theta: float = 0.3  # tightness of the coupling between the two halves
    scales: int = 5  # pyramid levels at most; levels with a side under MIN_SIDE are dropped
    step: float = 0.8  # size of a level relative to the next finer one
    warps: int = 5  # linearisations per level
    epsilon: float = 0.01  # root mean square update in pixels at which a warp stops
    inner: int = 30  # iterations between two median filters
    outer: int = 10  # median filters per warp
    median: int = 5  # side of the median filter of the flow; 1 is none

    def __post_init__(self) -> None:
        _numbers(self)
        _check(self, ("tau", "lambda_", "theta"), lambda x: x > 0, "positive")
        _check(self, ("step",), lambda x: 0 < x < 1, "between 0 and 1")
        _check(self, ("epsilon",), lambda x: x >= 0, "zero or positive")
        _check(self, ("scales", "warps", "inner", "outer"), lambda x: x >= 1, "at least 1")
        _check(self, ("median",), lambda x: x in (1, 3, 5), "1, 3 or 5")


@dataclass(frozen=True)
class DIS:
    """Dense inverse search (Kroeger et al. 2016), OpenCV's presets: 0 ultra fast, 1 fast, 2 medium."""

    preset: int = 2

    def __post_init__(self) -> None:
        _numbers(self)
        _check(self, ("preset",), lambda x: x in (0, 1, 2), "0, 1 or 2")


@dataclass(frozen=True)
class Farneback:
    """Polynomial expansion (Farneback 2003), with the values of OpenCV's tutorial."""

    step: float = 0.5
    levels: int = 3
    window: int = 15
    iterations: int = 3
    neighbours: int = 5
    sigma: float = 1.2

    def __post_init__(self) -> None:
        _numbers(self)
        _check(self, ("step",), lambda x: 0 < x < 1, "between 0 and 1")
        _check(self, ("levels", "window", "iterations"), lambda x: x >= 1, "at least 1")
        _check(self, ("neighbours",), lambda x: x in (5, 7), "5 or 7")
        _check(self, ("sigma",), lambda x: x > 0, "positive")


# "tvl1_torch" is TV-L1 on torch tensors, which can be on a GPU. It has a name of its own, and so an identity and a store
# of its own, because it does not give quite the stored bytes of "tvl1": of 203,840 values of real frames 8 differ, by
# one of 256 levels (CPU tensors; at most 1e-6 px before rounding). It was not run on a GPU.
METHODS = {"tvl1": TVL1, "tvl1_torch": TVL1, "dis": DIS, "farneback": Farneback}
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
    """The method and all its parameters as plain JSON values. Stored flow is reused only where they are equal."""
    return {"method": method, **asdict(parameters(method, params))}
