"""Temporal modules that two or more networks share. Frames are (B*T, C, H, W), the T frames of a clip in a row.

Sources: Lin, Gan, Han 2019 (TSM: `Shift`); Wang, She, Smolic 2021 (ACTION-Net: the others); their code for what the
papers leave open. The gates are returned bare: a network whose block input is x and whose gates are g_1..g_n gives
sum_i (x * g_i + x) = x * (n + g_1 + ... + g_n) to its next convolution, in one product (`excite`).

Speed: shift, channelwise convolution and `excite` have their own gradients here, since what autograd makes of slices and of
broadcasting, or the library of a channelwise 3-D convolution, takes up to ten times as long. Everything keeps channels-last
frames channels last. `benchmarks/temporal.py` measures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import ReproError
from repro.models.layers.conv import Conv3d


class Shift(nn.Module):
    """TSM. With x (B, T, C, H, W) and fold = C // divide:

    y[t, :fold] = x[t+1, :fold],  y[t, fold:2 fold] = x[t-1, fold:2 fold],  y[t, 2 fold:] = x[t, 2 fold:], zero where
    there is no such frame.
    """

    def __init__(self, divide: int = 8):
        super().__init__()
        if divide < 2:
            raise ReproError(f"shift: divide is {divide}, but must be at least 2: two parts of the channels move")
        self.divide = divide

    def forward(self, x: Tensor, t: int) -> Tensor:
        return _Shift.apply(x, t, x.shape[1] // self.divide)


def _shifted(x: Tensor, t: int, ahead: slice, behind: slice) -> Tensor:
    """x with the channels `ahead` from the next frame and `behind` from the last one."""
    y = x.clone()
    u, v = x.unflatten(0, (-1, t)), y.unflatten(0, (-1, t))  # (B, T, C, H, W), views
    v[:, :-1, ahead], v[:, -1, ahead] = u[:, 1:, ahead], 0
    v[:, 1:, behind], v[:, 0, behind] = u[:, :-1, behind], 0
    return y


class _Shift(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, t, fold):
        ctx.t, ctx.fold = t, fold
        return _shifted(x, t, slice(0, fold), slice(fold, 2 * fold))

    @staticmethod
    def backward(ctx, grad):
        return _shifted(grad, ctx.t, slice(ctx.fold, 2 * ctx.fold), slice(0, ctx.fold)), None, None


class ChannelwiseTemporal(nn.Module):
    """Each channel has three weights over time: y[t, c] = w[c, 0] x[t-d, c] + w[c, 1] x[t, c] + w[c, 2] x[t+d, c].

    Zero beyond the clip's ends. C * 3 parameters. ACTION's learnable shift: starts as `Shift` of distance d (dilation).
    """

    def __init__(self, channels: int, dilation: int = 1):
        super().__init__()
        self.dilation = dilation
        weight = torch.zeros(channels, 3)
        fold = channels // 8
        weight[:fold, 2] = weight[fold : 2 * fold, 0] = weight[2 * fold :, 1] = 1
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor, t: int) -> Tensor:
        return _Channelwise.apply(x, self.weight.to(x.dtype), t, min(self.dilation, t))


class _Channelwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, t, d):
        ctx.save_for_backward(x, weight)
        ctx.t, ctx.d = t, d
        return _channelwise(x, weight, t, d)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        product, t, d = torch.empty_like(x), ctx.t, ctx.d  # one buffer for three products
        u, g, p = (z.unflatten(0, (-1, t)) for z in (x, grad, product))  # (B, T, C, H, W)
        taps = ((u[:, : t - d], g[:, d:]), (u, g), (u[:, d:], g[:, : t - d]))
        rows = [torch.mul(a, b, out=p[:, : a.shape[1]]).movedim(2, -1).flatten(0, -2).sum(0) for a, b in taps]  # (C,)
        return _channelwise(grad, weight.flip(1), t, d), torch.stack(rows, 1), None, None


def _channelwise(x: Tensor, weight: Tensor, t: int, d: int) -> Tensor:
    """x (B*T, C, H, W), weight (C, 3). Three products, since the library's convolution is slow with a dilation, or in
    float32 with one thread."""
    before, now, after = weight.T.contiguous()[:, :, None, None]  # each (C, 1, 1), contiguous: ten times as fast
    y = x * now
    u, v = x.unflatten(0, (-1, t)), y.unflatten(0, (-1, t))  # (B, T, C, H, W), views
    v[:, d:].addcmul_(u[:, : t - d], before)
    v[:, : t - d].addcmul_(u[:, d:], after)
    return y


class SpatioTemporalGate(nn.Module):
    """ACTION's STE: the mean over C, a 3x3x3 convolution of this one map (27 parameters, no bias), a sigmoid.

    Frames (B*T, C, H, W) to a gate (B*T, 1, H, W) in (0, 1).
    """

    def __init__(self):
        super().__init__()
        self.conv = Conv3d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor, t: int) -> Tensor:
        m = channel_mean(x).transpose(0, 1).unflatten(1, (-1, t)).transpose(0, 1)  # (B, 1, T, H, W)
        return torch.sigmoid(self.conv(m))[:, 0].flatten(0, 1)[:, None]  # (B*T, 1, H, W)


class MotionGate(nn.Module):
    """ACTION's ME: with z = BN(W_1 x), d[t] = K(z[t+1]) - z[t], 0 at the last frame; gate = sigmoid(W_2 mean_HW(d)).

    W_1 reduces C to C/r, K is a channelwise 3x3 convolution, W_2 leads back to C; none has a bias.
    Frames (B*T, C, H, W) to a gate (B*T, C, 1, 1) in (0, 1).
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        reduced = _reduced(channels, reduction)
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.bn = nn.BatchNorm2d(reduced)
        self.conv = nn.Conv2d(reduced, reduced, 3, padding=1, groups=reduced, bias=False)
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, x: Tensor, t: int) -> Tensor:
        z = self.bn(self.reduce(x))  # (B*T, C/r, H, W)
        sums = _tap_sums(z) / (z.shape[2] * z.shape[3])  # (B*T, 3, 3, C/r)
        # mean_HW is linear: it may stand before K and the difference, which then take next to nothing.
        moved = (sums * self.conv.weight[:, 0].permute(1, 2, 0)).sum((1, 2))  # mean_HW(K(z)), (B*T, C/r)
        moved, now = moved.unflatten(0, (-1, t)), sums[:, 1, 1].unflatten(0, (-1, t))  # (B, T, C/r)
        d = F.pad(moved[:, 1:] - now[:, :-1], (0, 0, 0, 1)).flatten(0, 1)  # (B*T, C/r), zero at the last frames
        return torch.sigmoid(self.expand(d[:, :, None, None].to(x.dtype)))  # (B*T, C, 1, 1)


def _tap_sums(z: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 3, 3, C): the sum of the pixels that each tap of a zero-padded 3x3 convolution meets.

    The upper taps miss the last row, the lower ones the first; the same for columns.
    """
    h, w = z.shape[2:]
    rows = z.movedim(1, -1).flatten(2)  # (N, H, W*C), a view of channels-last frames
    rows = torch.matmul(_met(h, z), rows).unflatten(2, (w, -1))  # (N, 3, W, C)
    return torch.matmul(_met(w, z), rows)  # (N, 3, 3, C)


def _met(n: int, like: Tensor) -> Tensor:
    """(3, n): ones, but zero for what a tap does not meet: the last for the first tap, the first for the last one."""
    met = like.new_ones(3, n)
    met[0, -1] = met[2, 0] = 0
    return met


class ChannelTemporalGate(nn.Module):
    """ACTION's CE: with y = W_1 mean_HW(x), gate = sigmoid(W_2 relu(K y)), K a convolution over time, kernel 3.

    W_1 reduces C to C/r, K mixes all C/r channels, W_2 leads back to C; none has a bias.
    Frames (B*T, C, H, W) to a gate (B*T, C, 1, 1) in (0, 1).
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        reduced = _reduced(channels, reduction)
        self.reduce = nn.Linear(channels, reduced, bias=False)
        self.conv = nn.Conv1d(reduced, reduced, 3, padding=1, bias=False)
        self.expand = nn.Linear(reduced, channels, bias=False)

    def forward(self, x: Tensor, t: int) -> Tensor:
        y = self.reduce(x.mean((2, 3))).unflatten(0, (-1, t)).transpose(1, 2)  # (B, C/r, T)
        y = torch.relu(self.conv(y)).transpose(1, 2).flatten(0, 1)  # (B*T, C/r)
        return torch.sigmoid(self.expand(y))[:, :, None, None]  # (B*T, C, 1, 1)


def _reduced(channels: int, reduction: int) -> int:
    if reduction < 1 or channels % reduction:
        raise ReproError(f"temporal gate: reduction is {reduction}, but must divide {channels} channels")
    return channels // reduction


def channel_mean(x: Tensor) -> Tensor:
    """(B*T, C, H, W) to (B*T, 1, H, W). As a sum: the library's mean copies bfloat16 first, and again in its gradient."""
    return x.sum(1, keepdim=True) / x.shape[1]


def excite(x: Tensor, over_space: Tensor, over_channels: Tensor) -> Tensor:
    """x * (2 + s + c), the sum of x * s + x and x * c + x, for two gates.

    x (B*T, C, H, W), over_space s (B*T, 1, H, W), over_channels c (B*T, C, 1, 1).
    """
    return _Excite.apply(x, over_space.to(x.dtype), over_channels.to(x.dtype))


class _Excite(torch.autograd.Function):
    """Left to broadcasting, s + c would lie channels first, and each product with x would take ten times as long."""

    @staticmethod
    def forward(ctx, x, s, c):
        ctx.save_for_backward(x, s, c)
        return torch.add(s + 2, c, out=torch.empty_like(x)).mul_(x)

    @staticmethod
    def backward(ctx, grad):
        x, s, c = ctx.saved_tensors
        product = grad * x
        grad_s, grad_c = product.sum(1, keepdim=True), product.sum((2, 3), keepdim=True)
        return torch.add(s + 2, c, out=product).mul_(grad), grad_s, grad_c  # one large buffer, used twice
