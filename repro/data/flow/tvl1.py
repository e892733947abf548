"""TV-L1 optical flow on the CPU: float32, one thread.

Zach, Pock, Bischof, "A duality based approach for realtime TV-L1 optical flow" (DAGM 2007); Sanchez,
Meinhardt-Llopis, Facciolo, "TV-L1 optical flow estimation" (IPOL 2013). The flow (u, v) from frame I0 to frame I1
minimises the sum over all pixels of

    |grad u| + |grad v| + lambda |I1(x + u, y + v) - I0(x, y)|

    for each level of the pyramid, coarse to fine                                             solve
        `warps` times: sample I1 and its gradient at (x + u, y + v)                           level
            `outer` times: median filter of u and v                                           median
                `inner` times, until the mean update is below epsilon:                        iterate
                    u, v <- threshold the residual, then add theta div p                      primal
                    p    <- (p + tau/theta grad u) / (1 + tau/theta |grad u|), same for v     dual

The names on the right are functions: here, and in `tvl1_steps.py` the compiled loops over the pixels, written plainly.
`tvl1_vector.py` has the loops that take the time again, in vector instructions; this file calls those. Choices and
defaults are those of OpenCV's contrib module, with whose version 5 the flow agrees bit for bit.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from repro.data.flow import tvl1_steps as steps
from repro.data.flow import tvl1_vector as fast
from repro.data.flow.parameters import MIN_SIDE, TVL1


class Space:
    """The arrays of one pyramid level of (h, w) pixels, reused for all pairs of a clip.

    shared: at least 9 h w floats for the steps of a warp; one array for all levels.
    """

    def __init__(self, h: int, w: int, shared: np.ndarray):
        columns = -(-w // steps.PAD) * steps.PAD
        self.planes = fast.aligned(9, h + 1, steps.PAD + columns)  # u, v, p (4), residual, its gradient
        self.flow = self.planes[:2, 1:, steps.PAD : steps.PAD + w]  # (2, h, w), a view
        self.packed = np.zeros((h + 2 * steps.BORDER, w + 2 * steps.BORDER, 4), np.float32)
        self.weights = shared[: 8 * h * w].reshape(h, 8, w)
        self.starts = shared[8 * h * w : 9 * h * w].reshape(h, w).view(np.int32)
        self.change = fast.aligned(steps.PAD + columns)
        self.wide, self.ranks = fast.aligned(h + 4, columns + 16), fast.aligned(5, columns + 16)


def pyramid(grey: np.ndarray, params: TVL1) -> list[np.ndarray]:
    """Float32 levels of a grey frame (H, W), the finest (the frame itself) first."""
    levels = [grey.astype(np.float32)]
    while len(levels) < params.scales:
        level = cv2.resize(levels[-1], None, fx=params.step, fy=params.step, interpolation=cv2.INTER_LINEAR)
        if min(level.shape) < MIN_SIDE:
            break
        levels.append(level)
    return levels


def median(space: Space, size: int) -> None:
    """Median filter of both components of the flow, in place, the border repeated; size 1, 3 or 5 pixels."""
    w = space.flow.shape[2]
    for plane, flow in zip(space.planes, space.flow, strict=False):
        if size == 5:
            cv2.copyMakeBorder(flow, 2, 2, 2, 2, cv2.BORDER_REPLICATE, dst=space.wide[:, : w + 4])
            fast.median(space.wide, space.ranks, plane, w)
        elif size == 3:
            cv2.medianBlur(flow, 3, dst=flow)


def iterate(space: Space, params: TVL1) -> bool:
    """`inner` iterations; True as soon as the mean squared update is no more than epsilon squared, else False."""
    h, w = space.starts.shape
    limit, theta = np.float32(params.lambda_ * params.theta), np.float32(params.theta)
    step, stop = np.float32(params.tau / params.theta), np.float32(params.epsilon**2 * h * w)
    for _ in range(params.inner):
        fast.iteration(space.planes, w, space.change, limit, theta, step)
        if steps.total(space.change) <= stop:
            return True
    return False


def level(target: np.ndarray, image: np.ndarray, space: Space, params: TVL1) -> None:
    """Improves `space.flow`, the flow from `target` to `image` (h, w), in place, at one level of the pyramid."""
    steps.pack(image, space.packed)
    space.planes[2:6] = 0  # p
    for _ in range(params.warps):
        steps.positions(space.planes, space.starts, space.weights)
        fast.sample(space.packed, space.starts, space.weights, space.planes)
        steps.linearise(space.planes, target)
        for _ in range(params.outer):
            median(space, params.median)
            if iterate(space, params):
                break


def solve(prev: list[np.ndarray], following: list[np.ndarray], spaces: list[Space], params: TVL1) -> np.ndarray:
    """Flow (2, H, W), a view of spaces[0], between two pyramids, coarse to fine; `spaces` belong to their levels."""
    coarser = None
    for target, image, space in zip(reversed(prev), reversed(following), reversed(spaces), strict=True):
        h, w = target.shape
        for k, plane in enumerate(space.flow):
            if coarser is None:
                plane[:] = 0
            else:
                grown = cv2.resize(coarser.flow[k], (w, h), interpolation=cv2.INTER_LINEAR)
                np.multiply(grown, 1 / params.step, out=plane, dtype=np.float64, casting="same_kind")
        level(target, image, space, params)
        coarser = space
    return spaces[0].flow


def stream(greys: Iterable[np.ndarray], params: TVL1) -> Iterator[np.ndarray]:
    """Flow (H, W, 2) from each grey frame (H, W) to the next."""
    last, spaces = None, []
    for grey in greys:
        present = pyramid(grey, params)
        if last is None:
            shared = np.empty(9 * present[0].size, np.float32)
            spaces = [Space(*image.shape, shared) for image in present]
        else:
            yield np.stack(solve(last, present, spaces, params), -1)
        last = present
