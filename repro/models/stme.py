"""STME: the thesis's second model, ResNet-50 with shift, spatiotemporal excitation, motion excitation and enhancement.

Source: the abstract of the thesis behind IMRS ("an action recognition model based on spatiotemporal and motion features").
Nothing else is known: no text, tables or numbers are available. The name is ours. Serves the ablation shift, + excitation,
+ motion excitation, + enhancement.

Known: sparse sampling, a "time shift module, spatiotemporal excitation module, and motion excitation module" inside 2-D
ResNet-50, and a "spatiotemporal feature enhancement module to improve the spatiotemporal information of the input video
clips". Chosen here:
- The first three: ACTION-Net's (Wang, She, Smolic 2021) without its channel excitation, before conv1 of every bottleneck:
  u = shift(x), then u * g + u from the gates of both excitations, summed. Summed or averaged is one: the BatchNorm behind
  conv1 takes any factor out. The shift is TSM's fixed one, since the abstract names that module.
- Enhancement: on the input of Res2, the first features of the clip, once: x + BN(S(T(x))), with T a channelwise convolution
  over time, starting as the shift, and S a channelwise 3x3 one. The BatchNorm's scale starts at zero, so that the network
  starts as if it were not there, and loads public weights unharmed.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from repro.models.layers.temporal import ChannelwiseTemporal, MotionGate, Shift, SpatioTemporalGate, excite
from repro.models.resnet2d import ResNet2D


class Excitation(nn.Module):
    """u = shift(x) or x; the sum of u * g + u over the gates that are on, or u. Frames (B*T, C, H, W) to the same."""

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
    """x + BN(S(T(x))), S and T channelwise over space and time. Frames (B*T, C, H, W) to the same."""

    def __init__(self, channels: int):
        super().__init__()
        self.temporal = ChannelwiseTemporal(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor, t: int) -> Tensor:
        return x + self.bn(self.conv(self.temporal(x, t)))


def stme(
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
    shift: bool = True,
    ste: bool = True,
    me: bool = True,
    enhancement: bool = True,
    divide: int = 8,
    reduction: int = 16,
) -> nn.Module:
    """STME. The arguments up to std are those of `repro.models.resnet2d.tsn_resnet`.

    shift, ste, me, enhancement: whether the network has the shift, the spatiotemporal excitation, the motion excitation,
        the feature enhancement. With the first alone it is TSM, with none of them TSN.
    divide: 1/divide of the channels shift each way. reduction: C to C/r in the motion excitation.
    """

    def before(stage: int, block: int, channels: int) -> nn.Module | None:
        return Excitation(channels, shift, ste, me, divide, reduction) if shift or ste or me else None

    return ResNet2D(
        num_classes, in_channels, depths, width, stem_kernel, stem_stride, stem_pool, dropout, mean, std,
        before=before, enter=FeatureEnhancement if enhancement else None,
    )  # fmt: skip
