"""TV-L1 optical flow on the CPU: float32, one thread.

Zach, Pock, Bischof, "A duality based approach for realtime TV-L1 optical flow" (DAGM 2007); Sanchez,
Meinhardt-Llopis, Facciolo, "TV-L1 optical flow estimation" (IPOL 2013). The flow (u, v) from frame I0 to frame I1
minimises the sum over all pixels of

    |grad u| + |grad v| + lambda |I1(x + u, y + v) - I0(x, y)|

    for each level of the pyramid, coarse to fine                                             solve
        `warps` times: sample I1 and its gradient at (x + u, y + v)                           warp
            `outer` times: median filter of u and v                                           level
                `inner` times, until the mean update is below epsilon:                        iterate
                    u, v <- threshold the residual, then add theta div p                      primal
                    p    <- (p + tau/theta grad u) / (1 + tau/theta |grad u|), same for v     dual

The names on the right are functions: here `solve` and `level`, plain Python with a few calls per warp; in
`tvl1_steps.py` the compiled loops over the pixels. Choices and defaults are those of OpenCV's contrib module, with
whose version 5 the flow agrees bit for bit.
"""

import cv2
import numpy as np

from repro.data.flow import tvl1_steps as steps
from repro.data.flow.parameters import MIN_SIDE, TVL1


class Space:
    """The arrays of one pyramid level of (h, w) pixels, reused for all pairs of a clip."""

    def __init__(self, h: int, w: int):
        columns = -(-w // steps.PAD) * steps.PAD
        self.planes = np.zeros((9, h + 1, columns + 2 * steps.PAD), np.float32)  # u, v, p (4), residual, its gradient
        self.flow = self.planes[:2, 1:, steps.PAD : steps.PAD + w]  # (2, h, w), a view
        self.packed = np.zeros((h + 2 * steps.BORDER, w + 2 * steps.BORDER, 4), np.float32)
        self.change = np.zeros(steps.PAD + columns, np.float32)
        self.starts, self.samples = np.zeros(w, np.int32), np.zeros((w, 4), np.float32)
        self.across, self.down = np.zeros((2, 4, w), np.float32)


def pyramid(grey: np.ndarray, params: TVL1) -> list[np.ndarray]:
    """Float32 levels of a grey frame (H, W), the finest (the frame itself) first."""
    levels = [grey.astype(np.float32)]
    while len(levels) < params.scales:
        level = cv2.resize(levels[-1], None, fx=params.step, fy=params.step, interpolation=cv2.INTER_LINEAR)
        if min(level.shape) < MIN_SIDE:
            break
        levels.append(level)
    return levels


def level(target: np.ndarray, image: np.ndarray, space: Space, params: TVL1) -> None:
    """Improves `space.flow`, the flow from `target` to `image` (h, w), in place, at one level of the pyramid."""
    h, w = target.shape
    limit, theta = np.float32(params.lambda_ * params.theta), np.float32(params.theta)
    step, stop = np.float32(params.tau / params.theta), np.float32(params.epsilon**2 * h * w)
    steps.pack(image, space.packed)
    space.planes[2:6] = 0  # p
    for _ in range(params.warps):
        weights = space.starts, space.across, space.down, space.samples
        steps.warp(space.packed, target, space.planes, *weights)
        for _ in range(params.outer):
            if params.median > 1:
                for plane in space.flow:
                    cv2.medianBlur(plane, params.median, dst=plane)
            if not steps.iterate(space.planes, w, space.change, limit, theta, step, stop, params.inner):
                break


def solve(prev: list[np.ndarray], following: list[np.ndarray], spaces: list[Space], params: TVL1) -> np.ndarray:
    """Flow (H, W, 2) float32 between two pyramids, coarse to fine; `spaces` belong to their levels."""
    flow = None
    for target, image, space in zip(reversed(prev), reversed(following), reversed(spaces), strict=True):
        h, w = target.shape
        for k in range(2):
            if flow is None:
                space.flow[k] = 0
            else:
                grown = cv2.resize(flow[k], (w, h), interpolation=cv2.INTER_LINEAR)
                space.flow[k] = grown.astype(np.float64) * (1 / params.step)
        level(target, image, space, params)
        flow = [np.ascontiguousarray(plane) for plane in space.flow]
    return np.stack(flow, axis=-1)


def clip(greys: list[np.ndarray], params: TVL1, flows: np.ndarray) -> None:
    """Writes the flow between consecutive grey frames (H, W) to flows (T - 1, H, W, 2)."""
    last = pyramid(greys[0], params)
    spaces = [Space(*image.shape) for image in last]
    for t, grey in enumerate(greys[1:]):
        present = pyramid(grey, params)
        flows[t] = solve(last, present, spaces, params)
        last = present
