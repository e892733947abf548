"""STMSA: the thesis's third model, ResNet-50 with grouped spatiotemporal multi-scale convolution and self-attention.

Source: the abstract of the thesis behind IMRS ("combines spatiotemporal multi-scale convolution with self-attention").
Nothing else is known: no text, tables or numbers are available. The name is ours. Serves the ablation multi-scale,
self-attention, both, and the number of groups.

Known: sparse sampling; "a spatiotemporal grouping multi-scale module in 2D ResNet50"; it "adaptively learns essential
global video information via self-attention". Chosen here, from the closest public definitions:
- Multi-scale: in the place of the 3x3 convolution of every bottleneck, in cascade as Res2Net (Gao et al. 2019) and TEA's
  MTA (Li et al. 2020) have it. Of s groups of channels, group i takes group i-1's result in, convolves it channelwise over
  time with kernel 3 and dilation i, starting as a shift by i frames, and then by 3x3. The groups' widths are a plain
  block's, so it has fewer parameters and multiply-adds than the network it replaces.
- Self-attention: a non-local block, embedded Gaussian (Wang et al. 2018), over all T*H*W positions, keys and values
  max-pooled 2x2 in space, once, after Res4: there the maps are still 14x14 at 224x224, and few enough. TSM's code has five,
  after every second block of Res3 and Res4 (attention_stages=(3, 4), attention_blocks="second"); those alone take nearly
  as many multiply-adds as ResNet-50.
  The products are divided by the square root of their length (Vaswani et al. 2017), without which the softmax of 512
  terms starts saturated. The last BatchNorm's scale starts at zero: the network starts as if they were not there.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import ReproError, unknown
from repro.models.layers.temporal import ChannelwiseTemporal
from repro.models.resnet2d import STAGES, ResNet2D, conv


class Scale(nn.Module):
    """One group: time with a dilation, then 3x3, BatchNorm, ReLU. (B*T, C/s, H, W) to that, H and W by the stride."""

    def __init__(self, channels: int, stride: int, dilation: int):
        super().__init__()
        self.temporal = ChannelwiseTemporal(channels, dilation=dilation)
        self.conv = conv(channels, channels, 3, stride)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, t: int) -> Tensor:
        return self.relu(self.bn(self.conv(self.temporal(x, t))))


class MultiScale(nn.Module):
    """y_1 = S_1(x_1), y_i = S_i(x_i + y_{i-1}), with S_i a `Scale` of dilation i; y_i = S_i(x_i) where the stride is not 1.

    x_i are the s = groups equal parts of the channels. Frames (B*T, C, H, W) to the same, H and W by the stride.
    """

    def __init__(self, channels: int, stride: int, groups: int):
        super().__init__()
        if groups < 1 or channels % groups:
            raise ReproError(f"multi-scale convolution: groups is {groups}, but must divide {channels} channels")
        self.cascade = stride == 1
        self.scales = nn.ModuleList(Scale(channels // groups, stride, i + 1) for i in range(groups))

    def forward(self, x: Tensor, t: int) -> Tensor:
        results = []
        for part, scale in zip(x.chunk(len(self.scales), dim=1), self.scales, strict=True):  # (B*T, C/s, H, W)
            results.append(scale(part + results[-1] if results and self.cascade else part, t))
        return torch.cat(results, 1)


class SelfAttention(nn.Module):
    """x + BN(W_o y), y[i] = sum_j softmax_j(q[i] k[j] / sqrt(D)) v[j], with D = C/2 and i, j positions of the whole clip.

    q, k, v are 1x1 convolutions of x; k and v then max-pooled 2x2, so there are four times fewer j than i. They have no
    bias: the softmax takes that of k out, the BatchNorm that of v.
    Frames (B*T, C, H, W) to the same.
    """

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
        """The softmax: (B, T, H, W, T, H/2, W/2), sums to one over the last three, H/2 and W/2 rounded up."""
        q, k = self.query(x), self.pool(self.key(x))
        products = _positions(q, t) @ _positions(k, t).transpose(1, 2) / q.shape[1] ** 0.5  # (B, T*H*W, T*H/2*W/2)
        return products.softmax(-1).unflatten(2, (t, *k.shape[2:])).unflatten(1, (t, *q.shape[2:]))


def _positions(x: Tensor, t: int) -> Tensor:
    """(B*T, D, H, W) to (B, T*H*W, D); of channels-last frames, a view."""
    return x.movedim(1, -1).unflatten(0, (-1, t)).flatten(1, 3)


class STMSA(ResNet2D):
    """See `stmsa`."""

    @torch.no_grad()
    def attend(self, clips: Tensor) -> dict[str, Tensor]:
        """What attends to what: by the name of its block, (B, T, H, W, T, H/2, W/2), from a position to all others.

        clips (B, C, T, H, W). For each T, H, W the weights over the last three axes sum to one; H and W are those of
        the block's map (at 224x224, 14 in Res4), halves rounded up. In the model's mode: call `eval()` before.
        """
        maps, x, t = {}, self.stem(clips), clips.shape[2]
        for i, stage in enumerate(self.stages()):
            for j, block in enumerate(stage):
                x = block.residual(x, t)
                if block.after is not None:
                    maps[f"layer{i + 1}.{j}"] = block.after.weights(x, t)
                    x = block.after(x, t)
        return maps


def stmsa(
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
    multi_scale: bool = True,
    groups: int = 4,
    attention: bool = True,
    attention_stages: Sequence[int] = (4,),
    attention_blocks: Literal["last", "second"] = "last",
) -> nn.Module:
    """STMSA. The arguments up to std are those of `repro.models.resnet2d.tsn_resnet`.

    multi_scale, groups: whether the 3x3 convolutions become multi-scale ones, of how many groups; divides width.
    attention, attention_stages, attention_blocks: whether self-attention follows these of Res2..Res5: the last block
        of each, or every second one, from the first. Without multi-scale convolution and attention it is TSN.
    """
    stages = tuple(attention_stages)
    if attention_blocks not in ("last", "second"):
        raise unknown("value of attention_blocks", attention_blocks, ("last", "second"))
    if not stages or not set(stages) <= set(STAGES):
        raise ReproError(f"stmsa: attention_stages is {stages!r}, but must be some of the stages {STAGES}")

    def spatial(channels: int, stride: int) -> nn.Module:
        return MultiScale(channels, stride, groups)

    def after(stage: int, block: int, channels: int) -> nn.Module | None:
        last = block == tuple(depths)[stage - 2] - 1
        placed = stage in stages and (last if attention_blocks == "last" else block % 2 == 0)
        return SelfAttention(channels) if attention and placed else None

    return STMSA(
        num_classes, in_channels, depths, width, stem_kernel, stem_stride, stem_pool, dropout, mean, std,
        spatial=spatial if multi_scale else None, after=after,
    )  # fmt: skip
