"""The temporal modules of SMNet, STME and STMSA in the form the networks use; each model's file has the plain form.

Frames are (B*T, C, H, W), the T frames of a clip in a row. Against the plain modules these have switches for the ablations,
use the fast parts of `repro.models.layers.shift` and `gates`, and never unfold frames that a 2-D layer can take folded.
tests/test_temporal.py compares outputs and gradients of both forms.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import require
from repro.models.layers.conv import conv
from repro.models.layers.gates import MotionGate, SpatialAttention, SpatioTemporalGate, excite
from repro.models.layers.shift import ChannelwiseTemporal, Shift


class SMNetModule(nn.Module):
    """`repro.models.smnet.PlainSMNetModule` with switches. Frames (B*T, C, H, W) to the same.

    With both excitations u * s + u + u * m + u; with one of them u * s + u, or x * m + x on the input x itself.
    """

    def __init__(self, channels: int, ste: bool, me: bool, kernel: int, reduction: int):
        super().__init__()
        self.temporal = ChannelwiseTemporal(channels) if ste else None
        self.spatial = SpatialAttention(kernel) if ste else None
        self.motion = MotionGate(channels, reduction) if me else None

    def forward(self, x: Tensor, t: int) -> Tensor:
        if self.temporal is None:
            return x * (1 + self.motion(x, t))
        u = self.temporal(x, t)
        s = self.spatial(u)
        return u * (1 + s) if self.motion is None else excite(u, s, self.motion(u, t))


class Excitation(nn.Module):
    """`repro.models.stme.PlainExcitation` with switches. Frames (B*T, C, H, W) to the same.

    u is the shifted input, or without shift the input. The result is the sum of u * g + u over the gates that are on; u
    if none is.
    """

    def __init__(self, channels: int, shift: bool, ste: bool, me: bool, divide: int, reduction: int):
        super().__init__()
        self.shift = Shift(divide) if shift else None
        self.ste = SpatioTemporalGate() if ste else None
        self.me = MotionGate(channels, reduction) if me else None

    def forward(self, x: Tensor, t: int) -> Tensor:
        if self.shift is not None:
            x = self.shift(x, t)
        gates = [gate(x, t) for gate in (self.ste, self.me) if gate is not None]
        if len(gates) == 2:
            return excite(x, *gates)
        return x * (1 + gates[0]) if gates else x


class FeatureEnhancement(nn.Module):
    """`repro.models.stme.PlainEnhancement`. Frames (B*T, C, H, W) to the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.temporal = ChannelwiseTemporal(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor, t: int) -> Tensor:
        return x + self.bn(self.conv(self.temporal(x, t)))


class Scale(nn.Module):
    """One group of `MultiScale`: (B*T, C/s, H, W) to that, H and W divided by the stride and rounded up."""

    def __init__(self, channels: int, stride: int, dilation: int):
        super().__init__()
        self.temporal = ChannelwiseTemporal(channels, dilation=dilation)
        self.conv = conv(channels, channels, 3, stride)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, t: int) -> Tensor:
        return self.relu(self.bn(self.conv(self.temporal(x, t))))


class MultiScale(nn.Module):
    """`repro.models.stmsa.PlainMultiScale`. Frames (B*T, C, H, W) to that, H and W divided by the stride and rounded up."""

    def __init__(self, channels: int, stride: int, groups: int):
        super().__init__()
        divides = groups >= 1 and channels % groups == 0
        require(divides, "multi-scale convolution: groups", groups, f"a divisor of its {channels} channels")
        self.cascade = stride == 1
        self.scales = nn.ModuleList(Scale(channels // groups, stride, i + 1) for i in range(groups))

    def forward(self, x: Tensor, t: int) -> Tensor:
        results = []
        for part, scale in zip(x.chunk(len(self.scales), dim=1), self.scales, strict=True):  # (B*T, C/s, H, W)
            results.append(scale(part + results[-1] if results and self.cascade else part, t))
        return torch.cat(results, 1)


class SelfAttention(nn.Module):
    """`repro.models.stmsa.PlainSelfAttention`, by the library's fused attention. Frames (B*T, C, H, W) to the same."""

    def __init__(self, channels: int):
        super().__init__()
        inner = max(channels // 2, 1)
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1, bias=False) for _ in range(3))
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.out = nn.Conv2d(inner, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor, t: int) -> Tensor:
        q, k, v = (_positions(f, t) for f in (self.query(x), self.pool(self.key(x)), self.pool(self.value(x))))
        y = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0]  # (B, T*H*W, D), one head
        y = y.unflatten(1, (t, *x.shape[2:])).flatten(0, 1).movedim(-1, 1)  # (B*T, D, H, W)
        return x + self.bn(self.out(y))

    def weights(self, x: Tensor, t: int) -> Tensor:
        """The softmax: (B, T, H, W, T, H/2, W/2), sums to one over the last three axes; H/2 and W/2 rounded up."""
        q, k = self.query(x), self.pool(self.key(x))
        products = _positions(q, t) @ _positions(k, t).transpose(1, 2) / q.shape[1] ** 0.5  # (B, T*H*W, T*H/2*W/2)
        return products.softmax(-1).unflatten(2, (t, *k.shape[2:])).unflatten(1, (t, *q.shape[2:]))


def _positions(x: Tensor, t: int) -> Tensor:
    """(B*T, D, H, W) to (B, T*H*W, D); a view of channels-last frames."""
    return x.movedim(1, -1).unflatten(0, (-1, t)).flatten(1, 3)
