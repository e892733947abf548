"""Gates over space or over channels, computed from neighbouring frames, and the product that applies two of them.

Frames are (B*T, C, H, W), the T frames of a clip in a row. Sources: Wang, She, Smolic 2021 (ACTION-Net) and its code;
Woo et al. 2018 (CBAM: `SpatialAttention`).

A network with block input x and gates g_1..g_n passes sum_i (x * g_i + x) = x * (n + g_1 + ... + g_n) to its next
convolution. `excite` computes this for two gates in one product. Channels-last frames stay channels last.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import require
from repro.models.layers.conv import Conv3d


class SpatialAttention(nn.Module):
    """sigmoid(K mean_C x), with K a k x k convolution of this one map, without bias.

    Frames (B*T, C, H, W) to a gate (B*T, 1, H, W) in (0, 1).
    """

    def __init__(self, kernel: int):
        super().__init__()
        # A 3-D convolution, because `Conv3d` is correct in bfloat16 where a map is smaller than the kernel.
        self.conv = Conv3d(1, 1, (1, kernel, kernel), padding=(0, kernel // 2, kernel // 2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        m = channel_mean(x).transpose(0, 1)[None]  # (1, 1, B*T, H, W)
        return torch.sigmoid(self.conv(m))[0].transpose(0, 1)  # (B*T, 1, H, W)


class SpatioTemporalGate(nn.Module):
    """ACTION's STE: sigmoid(K mean_C x), with K a 3x3x3 convolution of this one map (27 parameters, no bias).

    Frames (B*T, C, H, W) to a gate (B*T, 1, H, W) in (0, 1).
    """

    def __init__(self):
        super().__init__()
        self.conv = Conv3d(1, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor, t: int) -> Tensor:
        m = channel_mean(x).transpose(0, 1).unflatten(1, (-1, t)).transpose(0, 1)  # (B, 1, T, H, W)
        return torch.sigmoid(self.conv(m))[:, 0].flatten(0, 1)[:, None]  # (B*T, 1, H, W)


class MotionGate(nn.Module):
    """ACTION's ME: with z = BN(W_1 x), d[t] = K z[t+1] - z[t], 0 at the last frame; gate = sigmoid(W_2 mean_HW(d)).

    W_1 reduces C to C/r, K is a channelwise 3x3 convolution, W_2 expands to C again; none has a bias.
    Frames (B*T, C, H, W) to a gate (B*T, C, 1, 1) in (0, 1). Raises ReproError for an r that does not divide C.
    """

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        divides = reduction >= 1 and channels % reduction == 0
        require(divides, "motion gate: reduction", reduction, f"a divisor of its {channels} channels")
        reduced = channels // reduction
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.bn = nn.BatchNorm2d(reduced)
        self.conv = nn.Conv2d(reduced, reduced, 3, padding=1, groups=reduced, bias=False)
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, x: Tensor, t: int) -> Tensor:
        z = self.bn(self.reduce(x))  # (B*T, C/r, H, W)
        sums = _tap_sums(z) / (z.shape[2] * z.shape[3])  # (B*T, 3, 3, C/r)
        # mean_HW is linear, so it may precede K and the difference, which then cost next to nothing.
        moved = (sums * self.conv.weight[:, 0].permute(1, 2, 0)).sum((1, 2))  # mean_HW(K z), (B*T, C/r)
        moved, now = moved.unflatten(0, (-1, t)), sums[:, 1, 1].unflatten(0, (-1, t))  # (B, T, C/r)
        d = F.pad(moved[:, 1:] - now[:, :-1], (0, 0, 0, 1)).flatten(0, 1)  # (B*T, C/r), zero at the last frames
        return torch.sigmoid(self.expand(d[:, :, None, None].to(x.dtype)))  # (B*T, C, 1, 1)


def _tap_sums(z: Tensor) -> Tensor:
    """(N, C, H, W) to (N, 3, 3, C): for each tap of a zero-padded 3x3 convolution, the sum of the pixels it multiplies.

    The upper taps never multiply the last row, the lower ones never the first; the same holds for columns.
    """
    h, w = z.shape[2:]
    rows = z.movedim(1, -1).flatten(2)  # (N, H, W*C), a view of channels-last frames
    rows = torch.matmul(_met(h, z), rows).unflatten(2, (w, -1))  # (N, 3, W, C)
    return torch.matmul(_met(w, z), rows)  # (N, 3, 3, C)


def _met(n: int, like: Tensor) -> Tensor:
    """(3, n): 1 where a tap multiplies a pixel, 0 where not: the first tap misses the last pixel, the last the first."""
    met = like.new_ones(3, n)
    met[0, -1] = met[2, 0] = 0
    return met


def channel_mean(x: Tensor) -> Tensor:
    """(B*T, C, H, W) to (B*T, 1, H, W), as a sum: the library's mean copies bfloat16 twice, forward and backward."""
    return x.sum(1, keepdim=True) / x.shape[1]


def excite(x: Tensor, over_space: Tensor, over_channels: Tensor) -> Tensor:
    """x * (2 + s + c), the sum of x * s + x and x * c + x.

    x (B*T, C, H, W), over_space s (B*T, 1, H, W), over_channels c (B*T, C, 1, 1).
    """
    return _Excite.apply(x, over_space.to(x.dtype), over_channels.to(x.dtype))


class _Excite(torch.autograd.Function):
    """Broadcasting would lay s + c out channels first, and each product with x would take ten times as long."""

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
