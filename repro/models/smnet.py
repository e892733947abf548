"""SMNet: ResNet-50 with a spatio-temporal excitation and a motion excitation in its residual blocks.

Paper: Yang, Lu, Zhou 2022, "A Spatio-Temporal Motion Network for Action Recognition Based on Spatial Attention" (Entropy
24(3), 368). Serves the ablation of the two excitations and of their places. There is no public implementation. Only the
paper's abstract and the captions of three figures are known here; its tables and ablations are not available. The paper
abbreviates the first excitation as SE; it is not squeeze-and-excitation, so it is called STE here.

Known: ResNet-50 and TSN's sparse sampling; STE "uses group convolution to fuse temporal information" and "spatial
attention to extract spatial information"; motion excitation "uses the difference between adjacent frames"; SMNet is
inserted "into the residual blocks"; a caption mentions four modules.
Chosen here, from the closest public definitions:
- Group convolution: over time, kernel 3, one group for each channel, starting as TSM's shift (ACTION-Net's learnable shift).
  The paper's figure draws two groups; one for each channel has the fewest parameters, which is its aim. The result itself
  goes on, so that the order of frames reaches the features, not only a gate.
- Spatial attention: CBAM's, a 7x7 convolution of the mean over the channels. CBAM's second map, the maximum, is left out
  as in ACTION-Net: with its gradient it takes seven times as long as the mean, on the network's largest maps.
- Motion excitation: ACTION-Net's.
- The two are parallel and summed, as in ACTION-Net.
- Four modules: one in each stage, before conv1 of its last block. `blocks="all"` puts one into each of the 16 blocks, as
  the related TSM, TEA and ACTION-Net do, and takes a quarter more time. With one block per stage the two are the same.

`PlainSMNetModule` is the equation. The network uses `repro.models.layers.temporal.SMNetModule`, which computes the same
faster and can switch each excitation off; tests/test_temporal.py compares the two.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import require, unknown
from repro.models.layers.bottleneck import Modules, Place
from repro.models.layers.temporal import SMNetModule
from repro.models.resnet2d import STAGES, Backbone, ResNet2D
from repro.models.tools.arguments import takes


class PlainSMNetModule(nn.Module):
    """With u = G x:  y = (u s + u) + (u m + u).

    Spatio-temporal excitation: G convolves each channel over time; s = sigmoid(K mean_C u), one gate for each position.
    Motion excitation: z = BN(W_1 u), d[t] = L z[t+1] - z[t] and 0 for the last frame, m = sigmoid(W_2 mean_HW d), one gate
    for each channel and frame. L is a channelwise 3x3 convolution, K a k x k one. Only BN has a bias.

    Clips (B, C, T, H, W) to the same.
    """

    def __init__(self, channels: int, kernel: int = 7, reduction: int = 16):
        super().__init__()
        reduced = channels // reduction
        self.temporal = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0), groups=channels, bias=False)  # G
        self.spatial = nn.Conv3d(1, 1, (1, kernel, kernel), padding=(0, kernel // 2, kernel // 2), bias=False)  # K
        self.reduce = nn.Conv3d(channels, reduced, 1, bias=False)  # W_1
        self.bn = nn.BatchNorm3d(reduced)
        self.move = nn.Conv3d(reduced, reduced, (1, 3, 3), padding=(0, 1, 1), groups=reduced, bias=False)  # L
        self.expand = nn.Conv1d(reduced, channels, 1, bias=False)  # W_2

    def forward(self, x: Tensor) -> Tensor:
        u = self.temporal(x)  # (B, C, T, H, W)
        s = torch.sigmoid(self.spatial(u.mean(1, keepdim=True)))  # (B, 1, T, H, W)
        z = self.bn(self.reduce(u))  # (B, C/r, T, H, W)
        d = self.move(z)[:, :, 1:] - z[:, :, :-1]  # (B, C/r, T-1, H, W)
        d = F.pad(d.mean((3, 4)), (0, 1))  # (B, C/r, T), zero for the last frame
        m = torch.sigmoid(self.expand(d))[..., None, None]  # (B, C, T, 1, 1)
        return (u * s + u) + (u * m + u)


@takes(Backbone)
def smnet(
    num_classes: int,
    in_channels: int = 3,
    *,
    ste: bool = True,
    me: bool = True,
    stages: Sequence[int] = STAGES,
    blocks: Literal["all", "last"] = "last",
    kernel: int = 7,
    reduction: int = 16,
    **backbone: Any,
) -> nn.Module:
    """SMNet. num_classes, in_channels, backbone: as for `repro.models.resnet2d.tsn_resnet`.

    ste, me: whether the modules have the spatio-temporal excitation, the motion excitation. Without both it is TSN.
    stages, blocks: which of Res2..Res5 have modules, and whether in their last block or in all blocks.
    kernel: k of the spatial attention, odd. reduction: r of the motion excitation, divides the channels of each block.
    Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    stages = tuple(stages)
    if blocks not in ("all", "last"):
        raise unknown("value of blocks", blocks, ("all", "last"))
    require(stages and set(stages) <= set(STAGES), "stages", stages, f"some of the stages {STAGES}")
    require(kernel >= 1 and kernel % 2 == 1, "kernel", kernel, "odd")

    def before(place: Place) -> nn.Module | None:
        placed = place.stage in stages and (blocks == "all" or place.last)
        return SMNetModule(place.channels, ste, me, kernel, reduction) if placed and (ste or me) else None

    return ResNet2D(num_classes, in_channels, Backbone(**backbone), Modules(before=before))
