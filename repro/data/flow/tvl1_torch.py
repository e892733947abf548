"""TV-L1 optical flow of a batch of pairs on torch tensors: the same code on the CPU and on CUDA.

The algorithm and the order of operations are those of `tvl1.py` and `tvl1_steps.py`, where formulas and references are.
On CPU tensors the results agree within 1e-6 px; on a GPU the code was not run. It is made for batches of 16 to 64 pairs
on a GPU; on a CPU the compiled functions are much faster. Each pair has its own stopping test: the test stays on the
device and freezes the pair at once. Every `check_every` iterations the host asks which pairs still move, and goes on
with those alone.
"""

import itertools
import threading
from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from repro.data.flow.median_torch import median_filter
from repro.data.flow.parameters import MIN_SIDE, TVL1, parameters
from repro.data.flow.tvl1_steps import BORDER, FLAT
from repro.errors import ReproError, require

BATCH = 32  # pairs at a time in a clip
ONE = threading.Lock()  # the memory of a device is that of one batch, however many clips are decoded side by side


def _fma(a: Tensor, b: Tensor, c: Tensor | float) -> Tensor:
    """a * b + c in float32, rounded once: the product is exact in double precision."""
    c = c.double() if isinstance(c, Tensor) else c
    return (a.double() * b.double() + c).float()


def _resize(images: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    """Bilinear (B, h, w) -> (B, *size) with pixel centres aligned; `scale` is source pixels a target pixel."""
    for axis in (2, 1):  # across, then down
        count = images.shape[axis]
        place = (torch.arange(size[axis - 1], device=images.device, dtype=torch.float64) + 0.5) * scale[axis - 1] - 0.5
        place = place.clamp(0, count - 1)
        low = place.floor()
        t = (place - low).float()
        t = t if axis == 2 else t[:, None]  # (W,) or (H, 1)
        low = low.long()
        first = images.index_select(axis, low)
        images = _fma(images.index_select(axis, (low + 1).clamp(max=count - 1)) - first, t, first)
    return images


def _pyramid(images: Tensor, params: TVL1) -> list[Tensor]:
    levels = [images]
    while len(levels) < params.scales:
        h, w = (round(side * params.step) for side in levels[-1].shape[1:])
        if min(h, w) < MIN_SIDE:
            break
        levels.append(_resize(levels[-1], (h, w), (1 / params.step, 1 / params.step)))
    return levels


def _cubic(t: Tensor) -> list[Tensor]:
    """Keys' four weights, a = -0.75, for positions t in [0, 1) between the second and the third tap."""
    a, r = -0.75, 1 - t
    first, last = a * (t * (r * r)), a * (r * (t * t))
    second = _fma(_fma(torch.full_like(t, a + 2), t, -(a + 3)), t * t, 1.0)
    return [first, second, ((1 - first) - second) - last, last]


def _warp(channels: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Bicubic samples (B, 3, H, W) of channels (B, 3, H, W) at (x + u, y + v); zero outside."""
    b, c, h, w = channels.shape
    flat = F.pad(channels, [BORDER] * 4).reshape(b, c, -1)  # (B, 3, (H + 8)(W + 8))
    x = (torch.arange(w, device=u.device, dtype=u.dtype) + u).clamp(1 - BORDER, w + 1)
    y = (torch.arange(h, device=u.device, dtype=u.dtype)[:, None] + v).clamp(1 - BORDER, h + 1)
    left, top = x.floor(), y.floor()
    across, down = _cubic(x - left), _cubic(y - top)
    start = (top.long() + BORDER - 1) * (w + 2 * BORDER) + left.long() + BORDER - 1  # (B, H, W)
    result = None
    for j in range(4):
        row = None
        for k in range(4):
            place = (start + j * (w + 2 * BORDER) + k).reshape(b, 1, -1).expand(-1, c, -1)
            tap, weight = flat.gather(2, place).reshape(b, c, h, w), across[k][:, None]
            row = tap * weight if row is None else _fma(tap, weight, row)
        result = row * down[j][:, None] if result is None else _fma(row, down[j][:, None], result)
    return result


def _gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    wide = F.pad(image[:, None], [1] * 4, mode="replicate")[:, 0]
    return (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]) * 0.5, (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]) * 0.5


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    """Backward differences of (B, H, W); the first column is added up in the compiled kernel's order."""
    left, above = F.pad(p, (1, 0))[:, :, :-1], F.pad(q, (0, 0, 1, 0))[:, :-1]
    result = (p - left) + (q - above)
    result[:, :, 0] = (p[:, :, 0] + q[:, :, 0]) - above[:, :, 0]
    return result


def _dual(flow: Tensor, p: Tensor, q: Tensor, step: float) -> tuple[Tensor, Tensor]:
    gx = F.pad(flow[:, :, 1:] - flow[:, :, :-1], (0, 1))
    gy = F.pad(flow[:, 1:] - flow[:, :-1], (0, 0, 0, 1))
    n = 1 + step * (gx.double() ** 2 + gy.double() ** 2).sqrt().float()
    return (p + step * gx) / n, (q + step * gy) / n


def _iterate(state: list[Tensor], fixed: list[Tensor], constants: tuple[float, ...], moving: Tensor) -> Tensor:
    """One primal and one dual step of the samples that still move, in place; returns which ones go on, (B,)."""
    u, v, p11, p12, p21, p22 = state
    rho, ix, iy, squared = fixed
    lt, theta, step, stop = constants
    residual, limit = rho + (ix * u + iy * v), lt * squared
    d = torch.where(squared > FLAT, residual / squared, 0.0)
    d = torch.where(residual < -limit, -lt, d)
    d = torch.where(residual > limit, lt, d)
    new_u = u - d * ix + theta * _divergence(p11, p12)
    new_v = v - d * iy + theta * _divergence(p21, p22)
    change = ((new_u - u) ** 2 + (new_v - v) ** 2).sum((1, 2))
    new = [new_u, new_v, *_dual(new_u, p11, p12, step), *_dual(new_v, p21, p22, step)]
    for old, value in zip(state, new, strict=True):
        torch.where(moving[:, None, None], value, old, out=old)
    return moving & (change > stop)


def _relax(state: list[Tensor], fixed: list[Tensor], constants: tuple, params: TVL1, check_every: int) -> list[Tensor]:
    """Iterates one linearisation until every sample has stopped; the batch shrinks to the samples that still move."""
    done = [plane.clone() for plane in state]
    index = torch.arange(len(state[0]), device=state[0].device)  # place of each working sample in `done`
    moving = torch.ones_like(index, dtype=torch.bool)
    for count in range(params.outer * params.inner):
        if count and count % check_every == 0:
            keep = moving.nonzero()[:, 0]  # the one synchronisation
            if len(keep) < len(index):
                for target, plane in zip(done, state, strict=True):
                    target[index] = plane
                state, fixed = [x[keep] for x in state], [x[keep] for x in fixed]
                index, moving = index[keep], moving[keep]
            if len(index) == 0:
                return done
        if count % params.inner == 0 and params.median > 1:
            for plane in state[:2]:
                torch.where(moving[:, None, None], median_filter(plane, params.median), plane, out=plane)
        moving = _iterate(state, fixed, constants, moving)
    for target, plane in zip(done, state, strict=True):
        target[index] = plane
    return done


def _float(values: float) -> float:
    return float(np.float32(values))


@torch.no_grad()
def tvl1_batch(prev: Tensor, next: Tensor, params: TVL1 | None = None, check_every: int = 10) -> Tensor:
    """TV-L1 flow (B, H, W, 2) float32 in pixels, x then y, from `prev` to `next`, grey (B, H, W) on one device.

    uint8, or float32 in 0..255. Tensors that differ in shape, type or device, frames under 16 x 16 and NaN raise
    ReproError. check_every: iterations between two checks by the host which pairs still move; changes no result.
    """
    params = parameters("tvl1", params)
    require(check_every >= 1, "check_every", check_every, "at least 1")
    if prev.ndim != 3 or prev.dtype not in (torch.uint8, torch.float32):
        raise ReproError(f"frames must be (B, H, W) uint8 or float32, got {tuple(prev.shape)} {prev.dtype}")
    if (prev.shape, prev.dtype, prev.device) != (next.shape, next.dtype, next.device):
        kinds = " and ".join(f"{tuple(x.shape)} {x.dtype} on {x.device}" for x in (prev, next))
        raise ReproError(f"the two batches differ: {kinds}")
    if min(prev.shape[1:]) < MIN_SIDE:
        raise ReproError(f"flow needs frames of at least {MIN_SIDE}x{MIN_SIDE}, got {tuple(prev.shape[1:])}")
    if prev.dtype == torch.float32 and not (prev.isfinite() & next.isfinite()).all():
        raise ReproError("a frame contains NaN or infinite values; flow needs finite ones, 0 to 255")
    flow = None
    levels = [_pyramid(images.float(), params) for images in (prev, next)]
    for target, image in zip(*(reversed(level) for level in levels), strict=True):
        h, w = target.shape[1:]
        if flow is None:
            flow = [torch.zeros_like(target), torch.zeros_like(target)]
        else:
            scale = (flow[0].shape[1] / h, flow[0].shape[2] / w)
            flow = [(_resize(plane, (h, w), scale).double() * (1 / params.step)).float() for plane in flow]
        state = [*flow, *(torch.zeros_like(target) for _ in range(4))]
        lt, theta = _float(params.lambda_ * params.theta), _float(params.theta)
        constants = (lt, theta, _float(params.tau / params.theta), _float(params.epsilon**2 * h * w))
        channels = torch.stack([image, *_gradients(image)], 1)  # (B, 3, H, W)
        for _ in range(params.warps):
            warped, ix, iy = _warp(channels, state[0], state[1]).unbind(1)
            rho = ((warped - ix * state[0]) - iy * state[1]) - target
            state = _relax(state, [rho, ix, iy, ix * ix + iy * iy], constants, params, check_every)
        flow = state[:2]
    return torch.stack(flow, -1)


def stream(greys: Iterable[np.ndarray], params: TVL1, device: str) -> Iterator[np.ndarray]:
    """Flow (H, W, 2) from each grey frame (H, W) to the next, `BATCH` pairs at a time; one batch of all threads at a time."""
    greys = iter(greys)
    last = list(itertools.islice(greys, 1))
    while following := list(itertools.islice(greys, BATCH)):
        frames = torch.from_numpy(np.stack(last + following))  # (pairs + 1, H, W)
        with ONE:
            images = frames.to(device)
            flows = tvl1_batch(images[:-1], images[1:], params).cpu().numpy()
        yield from flows
        last = following[-1:]
