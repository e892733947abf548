"""STME: ResNet-50 with a temporal shift, spatiotemporal excitation, motion excitation and feature enhancement.

Source: the abstract of the thesis behind IMRS, its second model ("an action recognition model based on spatiotemporal and
motion features"). Nothing else is known: no text, tables, numbers or implementation are available. The name is ours. Serves
the ablation shift, + spatiotemporal excitation, + motion excitation, + enhancement.

Known: sparse sampling; a "time shift module, spatiotemporal excitation module, and motion excitation module" inside 2-D
ResNet-50; a "spatiotemporal feature enhancement module to improve the spatiotemporal information of the input video
clips". Chosen here:
- The first three: those of ACTION-Net (Wang, She, Smolic 2021) without its channel excitation, before conv1 of every
  bottleneck. The gates of both excitations are computed from the shifted input and summed. Summing and averaging are
  equivalent: the BatchNorm after conv1 removes any factor. The shift is TSM's fixed one, since the abstract names it.
- Enhancement: on the input of Res2, the clip's first features, once. Its temporal convolution starts as the shift. Its
  BatchNorm's scale starts at zero, so that the network starts without it, and loads public weights unharmed.

`PlainExcitation` and `PlainEnhancement` are the equations. The network uses `Excitation` and `FeatureEnhancement` of
`repro.models.layers.temporal`, which compute the same faster; tests/test_temporal.py compares them.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.models.layers.bottleneck import Modules, Place, nothing
from repro.models.layers.temporal import Excitation, FeatureEnhancement
from repro.models.resnet2d import Backbone, ResNet2D
from repro.models.tools.arguments import takes


class PlainExcitation(nn.Module):
    """With u = shift(x):  y = (u s + u) + (u m + u).

    Shift: 1/divide of the channels come from the next frame, as many from the previous one; zero beyond the clip's ends.
    Spatiotemporal excitation: s = sigmoid(K mean_C u), K a 3x3x3 convolution; one gate for each position.
    Motion excitation: z = BN(W_1 u), d[t] = L z[t+1] - z[t] and 0 for the last frame, m = sigmoid(W_2 mean_HW d), one gate
    for each channel and frame. L is a channelwise 3x3 convolution. Only BN has a bias.

    Clips (B, C, T, H, W) to the same.
    """

    def __init__(self, channels: int, divide: int = 8, reduction: int = 16):
        super().__init__()
        reduced, self.fold = channels // reduction, channels // divide
        self.ste = nn.Conv3d(1, 1, 3, padding=1, bias=False)  # K
        self.reduce = nn.Conv3d(channels, reduced, 1, bias=False)  # W_1
        self.bn = nn.BatchNorm3d(reduced)
        self.move = nn.Conv3d(reduced, reduced, (1, 3, 3), padding=(0, 1, 1), groups=reduced, bias=False)  # L
        self.expand = nn.Conv1d(reduced, channels, 1, bias=False)  # W_2

    def forward(self, x: Tensor) -> Tensor:
        ahead = F.pad(x[:, : self.fold, 1:], (0, 0, 0, 0, 0, 1))  # (B, fold, T, H, W), zero for the last frame
        behind = F.pad(x[:, self.fold : 2 * self.fold, :-1], (0, 0, 0, 0, 1, 0))  # the same, zero for the first frame
        u = torch.cat((ahead, behind, x[:, 2 * self.fold :]), 1)  # (B, C, T, H, W)
        s = torch.sigmoid(self.ste(u.mean(1, keepdim=True)))  # (B, 1, T, H, W)
        z = self.bn(self.reduce(u))  # (B, C/r, T, H, W)
        d = self.move(z)[:, :, 1:] - z[:, :, :-1]  # (B, C/r, T-1, H, W)
        d = F.pad(d.mean((3, 4)), (0, 1))  # (B, C/r, T), zero for the last frame
        m = torch.sigmoid(self.expand(d))[..., None, None]  # (B, C, T, 1, 1)
        return (u * s + u) + (u * m + u)


class PlainEnhancement(nn.Module):
    """y = x + BN(S(T(x))), T a channelwise convolution over time, S a channelwise 3x3 one. Clips (B, C, T, H, W) to the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.temporal = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0), groups=channels, bias=False)  # T
        self.spatial = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1), groups=channels, bias=False)  # S
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bn(self.spatial(self.temporal(x)))


@takes(Backbone)
def stme(
    num_classes: int,
    in_channels: int = 3,
    *,
    shift: bool = True,
    ste: bool = True,
    me: bool = True,
    enhancement: bool = True,
    divide: int = 8,
    reduction: int = 16,
    **backbone: Any,
) -> nn.Module:
    """STME. num_classes, in_channels, backbone: as for `repro.models.resnet2d.tsn_resnet`.

    shift, ste, me, enhancement: whether the network has the shift, the spatiotemporal excitation, the motion excitation,
        the feature enhancement. With the shift alone it is TSM, with none of them TSN.
    divide: 1/divide of the channels shift each way, at least 2. reduction: r of the motion excitation.
    Raises ReproError naming the value and the rule if one of them makes no sense.
    """

    def before(place: Place) -> nn.Module | None:
        return Excitation(place.channels, shift, ste, me, divide, reduction) if shift or ste or me else None

    modules = Modules(enter=FeatureEnhancement if enhancement else nothing, before=before)
    return ResNet2D(num_classes, in_channels, Backbone(**backbone), modules)
