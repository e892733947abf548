"""STMSA: ResNet-50 with grouped spatiotemporal multi-scale convolution and self-attention.

Source: the abstract of the thesis behind IMRS, its third model ("combines spatiotemporal multi-scale convolution with
self-attention"). Nothing else is known: no text, tables, numbers or implementation are available. The name is ours. Serves
the ablation of multi-scale convolution, self-attention and both, and of the number of groups.

Known: sparse sampling; "a spatiotemporal grouping multi-scale module in 2D ResNet50"; it "adaptively learns essential
global video information via self-attention". Chosen here, from the closest public definitions:
- Multi-scale: instead of the 3x3 convolution of every bottleneck, a cascade like that of Res2Net (Gao et al. 2019) and of
  TEA's MTA (Li et al. 2020). The temporal convolution of group i has dilation i and starts as a shift by i frames. The
  groups divide the channels of the plain block, so the network has fewer parameters and multiply-adds than ResNet-50.
- Self-attention: a non-local block, embedded Gaussian (Wang et al. 2018), over all positions of the clip, keys and values
  max-pooled 2x2 in space; one block, after Res4, whose maps are 14x14 at 224x224 and thus small enough. TSM's code has five,
  after every second block of Res3 and Res4 (attention_stages=(3, 4), attention_blocks="second"); these five alone take
  nearly as many multiply-adds as ResNet-50.
  The products are divided by the square root of their length (Vaswani et al. 2017); otherwise the softmax starts saturated.
  The last BatchNorm's scale starts at zero: the network starts without self-attention.

`PlainMultiScale` and `PlainSelfAttention` are the equations. The network uses `MultiScale` and `SelfAttention` of
`repro.models.layers.temporal`, which compute the same faster; tests/test_temporal.py compares them.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from repro.errors import require, unknown
from repro.models.layers.bottleneck import Modules, Place, nothing
from repro.models.layers.temporal import MultiScale, SelfAttention
from repro.models.resnet2d import STAGES, Backbone, ResNet2D
from repro.models.tools.arguments import takes


class PlainMultiScale(nn.Module):
    """y_1 = S_1(x_1), y_i = S_i(x_i + y_{i-1}), with x_i the s = groups equal parts of the channels.

    S_i convolves each channel over time with dilation i, then by 3x3 with the stride; BatchNorm, ReLU. With a stride other
    than 1 sizes differ, and y_i = S_i(x_i). Clips (B, C, T, H, W) to that, H and W divided by the stride and rounded up.
    """

    def __init__(self, channels: int, stride: int = 1, groups: int = 4):
        super().__init__()
        c = channels // groups
        self.cascade = stride == 1
        self.scales = nn.ModuleList(
            nn.Sequential(
                nn.Conv3d(c, c, (3, 1, 1), padding=(i, 0, 0), dilation=(i, 1, 1), groups=c, bias=False),
                nn.Conv3d(c, c, (1, 3, 3), (1, stride, stride), padding=(0, 1, 1), bias=False),
                nn.BatchNorm3d(c),
                nn.ReLU(),
            )
            for i in range(1, groups + 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.scales), dim=1)  # s of (B, C/s, T, H, W)
        y = [self.scales[0](parts[0])]
        for part, scale in zip(parts[1:], self.scales[1:], strict=True):
            y.append(scale(part + y[-1] if self.cascade else part))
        return torch.cat(y, 1)  # (B, C, T, H/stride, W/stride)


class PlainSelfAttention(nn.Module):
    """x + BN(W_o y), y[i] = sum_j softmax_j(q[i] k[j] / sqrt(D)) v[j], with D = C/2 and i, j positions of the whole clip.

    q, k, v are 1x1 convolutions of x; k and v are max-pooled 2x2 in space, so there are four times fewer j than i. None has
    a bias; for k and v it would be without effect, since the softmax and the BatchNorm remove it.
    Clips (B, C, T, H, W) to the same.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = channels // 2
        self.query, self.key, self.value = (nn.Conv3d(channels, inner, 1, bias=False) for _ in range(3))
        self.pool = nn.MaxPool3d((1, 2, 2), ceil_mode=True)
        self.out = nn.Conv3d(inner, channels, 1, bias=False)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        q = self.query(x).flatten(2).transpose(1, 2)  # (B, T*H*W, D)
        k = self.pool(self.key(x)).flatten(2)  # (B, D, T*H/2*W/2)
        v = self.pool(self.value(x)).flatten(2).transpose(1, 2)  # (B, T*H/2*W/2, D)
        weights = (q @ k / q.shape[2] ** 0.5).softmax(-1)  # (B, T*H*W, T*H/2*W/2)
        y = (weights @ v).transpose(1, 2).unflatten(2, x.shape[2:])  # (B, D, T, H, W)
        return x + self.bn(self.out(y))


class STMSA(ResNet2D):
    """See `stmsa`."""

    @torch.no_grad()
    def attend(self, clips: Tensor) -> dict[str, Tensor]:
        """The weights of self-attention, by block name ("layer3.5"): (B, T, H, W, T, H/2, W/2), from a position to all.

        clips (B, C, T, H, W). For each T, H, W the weights over the last three axes sum to one; H and W are those of
        the block's map (at 224x224, 14 in Res4), halves rounded up. It runs in the model's mode: call `eval()` first.
        """
        maps, x, t = {}, self.stem(clips), clips.shape[2]
        for i, stage in enumerate(self.stages()):
            for j, block in enumerate(stage):
                x = block.residual(x, t)
                if block.after is not None:
                    maps[f"layer{i + 1}.{j}"] = block.after.weights(x, t)
                    x = block.after(x, t)
        return maps


@takes(Backbone)
def stmsa(
    num_classes: int,
    in_channels: int = 3,
    *,
    multi_scale: bool = True,
    groups: int = 4,
    attention: bool = True,
    attention_stages: Sequence[int] = (4,),
    attention_blocks: Literal["last", "second"] = "last",
    **backbone: Any,
) -> nn.Module:
    """STMSA. num_classes, in_channels, backbone: as for `repro.models.resnet2d.tsn_resnet`.

    multi_scale, groups: whether multi-scale convolutions replace the 3x3 ones, and their number of groups, a divisor of width.
    attention, attention_stages, attention_blocks: whether self-attention follows blocks of these of Res2..Res5: the last
        block of each, or every second one from the first. Without multi-scale convolution and attention it is TSN.
    Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    stages = tuple(attention_stages)
    if attention_blocks not in ("last", "second"):
        raise unknown("value of attention_blocks", attention_blocks, ("last", "second"))
    require(stages and set(stages) <= set(STAGES), "attention_stages", stages, f"some of the stages {STAGES}")

    def spatial(place: Place) -> nn.Module:
        return MultiScale(place.channels, place.stride, groups)

    def after(place: Place) -> nn.Module | None:
        placed = place.last if attention_blocks == "last" else place.block % 2 == 0
        return SelfAttention(place.channels) if attention and placed and place.stage in stages else None

    modules = Modules(spatial=spatial if multi_scale else nothing, after=after)
    return STMSA(num_classes, in_channels, Backbone(**backbone), modules)
