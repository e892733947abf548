"""Moving and mixing channels over time. Frames are (B*T, C, H, W), the T frames of a clip in a row.

Sources: Lin, Gan, Han 2019 (TSM: `Shift`); Wang, She, Smolic 2021 (ACTION-Net: `ChannelwiseTemporal`, its learnable shift).

Both compute their gradients here: what autograd makes of slices, and the library's channelwise 3-D convolution, take up to
ten times as long. Channels-last frames stay channels last. `benchmarks/temporal.py` measures the networks.
"""

import torch
from torch import Tensor, nn

from repro.errors import require


class Shift(nn.Module):
    """TSM. With x (B, T, C, H, W) and fold = C // divide:

    y[t, :fold] = x[t+1, :fold],  y[t, fold:2 fold] = x[t-1, fold:2 fold],  y[t, 2 fold:] = x[t, 2 fold:];
    frames beyond the ends of the clip are zero.

    Raises ReproError for divide < 2: two parts of the channels move.
    """

    def __init__(self, divide: int = 8):
        super().__init__()
        require(divide >= 2, "shift: divide", divide, "at least 2: two parts of the channels move")
        self.divide = divide

    def forward(self, x: Tensor, t: int) -> Tensor:
        return _Shift.apply(x, t, x.shape[1] // self.divide)


class _Shift(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, t, fold):
        ctx.t, ctx.fold = t, fold
        return _shifted(x, t, slice(0, fold), slice(fold, 2 * fold))

    @staticmethod
    def backward(ctx, grad):
        return _shifted(grad, ctx.t, slice(ctx.fold, 2 * ctx.fold), slice(0, ctx.fold)), None, None


def _shifted(x: Tensor, t: int, ahead: slice, behind: slice) -> Tensor:
    """x, with the channels `ahead` taken from the next frame and `behind` from the previous one."""
    y = x.clone()
    u, v = x.unflatten(0, (-1, t)), y.unflatten(0, (-1, t))  # (B, T, C, H, W), views
    v[:, :-1, ahead], v[:, -1, ahead] = u[:, 1:, ahead], 0
    v[:, 1:, behind], v[:, 0, behind] = u[:, :-1, behind], 0
    return y


class ChannelwiseTemporal(nn.Module):
    """A convolution over time with three weights for each channel and dilation d:

    y[t, c] = w[c, 0] x[t-d, c] + w[c, 1] x[t, c] + w[c, 2] x[t+d, c]; frames beyond the ends of the clip are zero.

    It has 3 C parameters and starts as TSM's shift (divide 8) by d frames.
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
    """`ChannelwiseTemporal` of x (B*T, C, H, W) with weight (C, 3), as three products.

    The library's convolution is slow with a dilation, and in float32 with one thread.
    """
    before, now, after = weight.T.contiguous()[:, :, None, None]  # each (C, 1, 1), contiguous: ten times as fast
    y = x * now
    u, v = x.unflatten(0, (-1, t)), y.unflatten(0, (-1, t))  # (B, T, C, H, W), views
    v[:, d:].addcmul_(u[:, : t - d], before)
    v[:, : t - d].addcmul_(u[:, d:], after)
    return y
