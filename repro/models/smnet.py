"""SMNet: ResNet-50 whose residual blocks hold a spatio-temporal excitation and a motion excitation.

Paper: Yang, Lu, Zhou 2022, "A Spatio-Temporal Motion Network for Action Recognition Based on Spatial Attention" (Entropy
24(3), 368). Only its abstract and the captions of three figures are known here; its tables and ablations are not
available. Serves the ablation of its two parts and of their places. The paper calls the first part SE; it is no
squeeze-and-excitation, and is named in full here.

Known: ResNet-50, TSN's sparse sampling; the first part "uses group convolution to fuse temporal information" and "spatial
attention to extract spatial information"; the second "uses the difference between adjacent frames"; SMNet is inserted
"into the residual blocks"; a caption speaks of four modules. Everything else is chosen here, from the closest public
definitions:
- Group convolution: over time, kernel 3, one group a channel (TSM's shift made learnable, as in ACTION-Net), starting as
  the shift. The paper's figure draws two groups; one group a channel has the fewest parameters, which is its aim. Its
  result is itself what goes on, so that order is seen in the features and not in a gate alone.
- Spatial attention: CBAM's, a 7x7 convolution of the mean over the channels. CBAM's second map, the maximum, is left out as
  in ACTION-Net: with its gradient it takes seven times as long as the mean, on the largest maps of the network.
- Motion excitation: ACTION-Net's, `MotionGate`.
- The two are parallel and summed, as in ACTION-Net: with u the temporal convolution of the block's input and s, m the gates
  computed from it, conv1 sees (u s + u) + (u m + u).
- Four modules: one in each stage, before conv1 of its last block. `blocks="all"` has one in each of the 16 blocks, as the
  relatives (TSM, TEA, ACTION-Net) do, and takes a quarter more time; in networks of one block a stage the two agree.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from repro.errors import ReproError, unknown
from repro.models.layers.conv import Conv3d
from repro.models.layers.temporal import ChannelwiseTemporal, MotionGate, channel_mean, excite
from repro.models.resnet2d import STAGES, ResNet2D


class SpatialAttention(nn.Module):
    """sigmoid(K mean_C x), K a k x k convolution of one map, without bias.

    Frames (B*T, C, H, W) to a gate (B*T, 1, H, W) in (0, 1).
    """

    def __init__(self, kernel: int):
        super().__init__()
        # As a 3-D convolution: the project's, which is right in bfloat16 where a map is smaller than the kernel.
        self.conv = Conv3d(1, 1, (1, kernel, kernel), padding=(0, kernel // 2, kernel // 2), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        m = channel_mean(x).transpose(0, 1)[None]  # (1, 1, B*T, H, W)
        return torch.sigmoid(self.conv(m))[0].transpose(0, 1)


class SMNetModule(nn.Module):
    """With both excitations u * s + u + u * m + u, with one of them u * s + u or u * m + u.

    u is the channelwise temporal convolution of the input (the input, without spatio-temporal excitation), s the spatial
    attention and m the motion gate of u. Frames (B*T, C, H, W) to the same.
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


def smnet(
    num_classes: int,
    in_channels: int = 3,
    depths: Sequence[int] = (3, 4, 6, 3),
    width: int = 64,
    stem_kernel: int = 7,
    stem_stride: int = 2,
    stem_pool: bool = True,
    dropout: float = 0.5,
    mean: Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    ste: bool = True,
    me: bool = True,
    stages: Sequence[int] = STAGES,
    blocks: Literal["all", "last"] = "last",
    kernel: int = 7,
    reduction: int = 16,
) -> nn.Module:
    """SMNet. The arguments up to std are those of `repro.models.resnet2d.tsn_resnet`.

    ste, me: whether the modules have spatio-temporal excitation, motion excitation. Without both it is TSN.
    stages, blocks: modules stand in the last block of each of these of Res2..Res5, or in all their blocks.
    kernel: of the spatial attention, odd. reduction: C to C/r in the motion excitation.
    """
    stages = tuple(stages)
    if blocks not in ("all", "last"):
        raise unknown("value of blocks", blocks, ("all", "last"))
    if not stages or not set(stages) <= set(STAGES):
        raise ReproError(f"smnet: stages is {stages!r}, but must be some of the stages {STAGES}")
    if kernel < 1 or kernel % 2 == 0:
        raise ReproError(f"smnet: kernel is {kernel}, but must be odd")

    def before(stage: int, block: int, channels: int) -> nn.Module | None:
        placed = stage in stages and (blocks == "all" or block == tuple(depths)[stage - 2] - 1)
        return SMNetModule(channels, ste, me, kernel, reduction) if placed and (ste or me) else None

    return ResNet2D(
        num_classes, in_channels, depths, width, stem_kernel, stem_stride, stem_pool, dropout, mean, std, before=before
    )  # fmt: skip
