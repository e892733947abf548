"""BN-Inception without its classifier: the backbone of TSN and T-STAM.

Paper: Ioffe and Szegedy 2015, "Batch normalization" (the network in its appendix). Serves T-STAM (Shi, Li, Liu, Dai 2020),
section 2, with squeeze-and-excitation (Hu, Shen, Sun 2018) after the inception blocks, and the TSN row of IMRS's Table 5.
References: the public PyTorch files of TSN (Wang et al. 2016) and of Cadene's collection, converted from Caffe. Their
names of modules and tensors are kept so that their weights map one to one (`repro.models.tools.checkpoints`).

Those weights were trained on BGR in 0..255 minus (104, 117, 128), std 1. The network reverses the channels of RGB and
subtracts the mean itself, so that clips travel as RGB uint8.

Known differences from those files:
- Their flow enters minus 128, and so does ours; this project stores a flow of zero as 128 (127.5, rounded).
- The max pooling of 3c and 4e pads odd maps, so that its branch is as large as the others at any frame size; theirs fails
  there. Even maps, as with 224x224 frames, are not padded, as in theirs.
- BatchNorm's momentum is PyTorch's 0.1. The converted files say 0.9, Caffe's convention for the same value.
- Excitations, width, strides and the choice of blocks are arguments: small networks run the same code.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import ReproError, require, unknown
from repro.models.layers.excitation import SqueezeExcitation

# Channels at width 64: 1x1 | 3x3: reduced, out | double 3x3: reduced, first, second | pool, projection.
# A block without a 1x1 branch halves H and W; its pool has no projection.
BLOCKS = {
    "3a": (64, (64, 64), (64, 96, 96), ("avg", 32)),
    "3b": (64, (64, 96), (64, 96, 96), ("avg", 64)),
    "3c": (None, (128, 160), (64, 96, 96), ("max", None)),
    "4a": (224, (64, 96), (96, 128, 128), ("avg", 128)),
    "4b": (192, (96, 128), (96, 128, 128), ("avg", 128)),
    "4c": (160, (128, 160), (128, 160, 160), ("avg", 128)),
    "4d": (96, (128, 192), (160, 192, 192), ("avg", 128)),
    "4e": (None, (128, 192), (192, 256, 256), ("max", None)),
    "5a": (352, (192, 320), (160, 224, 224), ("avg", 128)),
    "5b": (352, (192, 320), (192, 224, 224), ("max", 128)),
}
BGR_MEAN, FLOW_MEAN = (104.0, 117.0, 128.0), 128.0


class BNInception(nn.Module):
    """See `bn_inception`. Modules are flat, each convolution directly before its BatchNorm, as `fold_batchnorm` expects.

    The submodule inception_3a_excite returns the output of block 3a, with or without a gate, and so on.
    """

    def __init__(self, in_channels, width, blocks, stem_stride, stem_pools, gate, mean, std):
        super().__init__()
        self.in_channels, self.blocks, self.stem_pools = in_channels, blocks, stem_pools
        mean = torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1)  # (1, C, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", torch.tensor(float(std)), persistent=False)

        def scaled(channels: int) -> int:
            return channels * width // 64

        def add(name: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> int:
            setattr(self, name, nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2))
            setattr(self, f"{name}_bn", nn.BatchNorm2d(outputs))
            return outputs

        c = add("conv1_7x7_s2", in_channels, scaled(64), 7, stem_stride)
        c = add("conv2_3x3_reduce", c, scaled(64), 1)
        c = add("conv2_3x3", c, scaled(192), 3)
        for block in blocks:
            name, (single, triple, double, (_, projection)) = f"inception_{block}", BLOCKS[block]
            stride = 1 if single else 2
            outputs = [add(f"{name}_1x1", c, scaled(single), 1)] if single else []
            reduced = add(f"{name}_3x3_reduce", c, scaled(triple[0]), 1)
            outputs.append(add(f"{name}_3x3", reduced, scaled(triple[1]), 3, stride))
            reduced = add(f"{name}_double_3x3_reduce", c, scaled(double[0]), 1)
            first = add(f"{name}_double_3x3_1", reduced, scaled(double[1]), 3)
            outputs.append(add(f"{name}_double_3x3_2", first, scaled(double[2]), 3, stride))
            outputs.append(add(f"{name}_pool_proj", c, scaled(projection), 1) if projection else c)
            c = sum(outputs)
            setattr(self, f"{name}_excite", gate(block, c))
        self.out_channels = c
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                nn.init.zeros_(module.bias)

    def _conv(self, name: str, x: Tensor) -> Tensor:
        return F.relu(getattr(self, f"{name}_bn")(getattr(self, name)(x)), inplace=True)

    def _block(self, block: str, x: Tensor) -> Tensor:
        name, (single, _, _, (pool, projection)) = f"inception_{block}", BLOCKS[block]
        branches = [self._conv(f"{name}_1x1", x)] if single else []
        branches.append(self._conv(f"{name}_3x3", self._conv(f"{name}_3x3_reduce", x)))
        double = self._conv(f"{name}_double_3x3_1", self._conv(f"{name}_double_3x3_reduce", x))
        branches.append(self._conv(f"{name}_double_3x3_2", double))
        if not single:
            odd = (x.shape[2] % 2, x.shape[3] % 2)  # H, W
            pooled = F.max_pool2d(x, 3, stride=2, padding=odd, ceil_mode=True)
        elif pool == "max":
            pooled = F.max_pool2d(x, 3, stride=1, padding=1)
        else:
            pooled = F.avg_pool2d(x, 3, stride=1, padding=1)  # zeros at the border count
        branches.append(self._conv(f"{name}_pool_proj", pooled) if projection else pooled)
        return getattr(self, f"{name}_excite")(torch.cat(branches, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (N, C, H, W), RGB or flow, values in 0..255, any dtype, to maps (N, D, h, w): h = H / 32 at full size."""
        x = (frames.to(self.mean.dtype) - self.mean) / self.std
        if self.in_channels == 3:
            x = x.flip(1)  # RGB to BGR
        x = self._conv("conv1_7x7_s2", x)
        if self.stem_pools >= 1:
            x = F.max_pool2d(_at_least_2x2(x, frames), 3, stride=2, ceil_mode=True)
        x = self._conv("conv2_3x3", self._conv("conv2_3x3_reduce", x))
        if self.stem_pools == 2:
            x = F.max_pool2d(_at_least_2x2(x, frames), 3, stride=2, ceil_mode=True)
        for block in self.blocks:
            halves = BLOCKS[block][0] is None
            x = self._block(block, _at_least_2x2(x, frames) if halves else x)
        return x


def _at_least_2x2(x: Tensor, frames: Tensor) -> Tensor:
    """x; ReproError if it cannot be halved. (Strided convolutions of a single position also train wrongly in bf16 on CPUs.)"""
    if min(x.shape[2:]) < 2:
        raise ReproError(
            f"frames of {frames.shape[2]}x{frames.shape[3]} pixels are too small for this network, which halves a map of "
            f"{x.shape[2]}x{x.shape[3]}: use larger frames, a smaller stem_stride or fewer stem_pools"
        )
    return x


def bn_inception(
    in_channels: int = 3,
    width: int = 64,
    blocks: Sequence[str] = tuple(BLOCKS),
    stem_stride: int = 2,
    stem_pools: int = 2,
    excitation: Literal["none", "se"] = "none",
    excitation_blocks: Sequence[str] | None = None,
    excitation_reduction: int = 16,
    mean: Sequence[float] | None = None,
    std: float = 1.0,
) -> BNInception:
    """The convolutional part of BN-Inception: frames (N, C, H, W) to maps (N, `out_channels`, H / 32, W / 32).

    Parameters
    ----------
    in_channels: 3 for RGB; for flow 2 (one displacement) or 10, TSN's stack of five: x1, y1, ..., x5, y5.
    width: channels after the stem, even; all others scale with it.
    blocks: some of 3a..5b, in order. 3c and 4e halve H and W. Every block keeps the branches of the table.
    stem_stride, stem_pools: stride of the first convolution; how many of the stem's two max poolings there are. Small
        frames need less: (1, 1) for 28x28 or (2, 0) for 32x32 leave maps of 4x4, or about 7x7 without 4e.
    excitation: squeeze-and-excitation after the blocks, or none.
    excitation_blocks: after which blocks; None: after all. The paper says "9 inception operations, with SE-Net added
        after each inception". GoogLeNet has nine, BN-Inception ten; "each" describes the design, so the default is all
        ten (+646,398 parameters). For a literal nine leave one out.
    excitation_reduction: r of SE (16). Where r does not divide the channels of a block, as happens at small widths, their
        greatest common divisor is used; at width 64 r = 16 always divides.
    mean, std: values enter as (x - mean) / std; mean in the order of the clip's channels, R, G, B. By default the public
        weights' mean and std 1; a small network trained from scratch learns better from inputs of order one (std about 60).

    Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    blocks = tuple(blocks)
    excited = blocks if excitation_blocks is None else tuple(excitation_blocks)
    mean = (BGR_MEAN[::-1] if in_channels == 3 else (FLOW_MEAN,) * in_channels) if mean is None else tuple(mean)
    ordered = len(blocks) > 0 and blocks == tuple(b for b in BLOCKS if b in blocks)
    require(in_channels >= 1, "in_channels", in_channels, "at least 1")
    require(width >= 2 and width % 2 == 0, "width", width, "an even number of at least 2")
    require(ordered, "blocks", blocks, f"some of {', '.join(BLOCKS)}, in this order")
    require(stem_stride >= 1, "stem_stride", stem_stride, "at least 1")
    require(stem_pools in (0, 1, 2), "stem_pools", stem_pools, "0, 1 or 2")
    require(excited and set(excited) <= set(blocks), "excitation_blocks", excited, f"some of {', '.join(blocks)}")
    require(excitation_reduction >= 1, "excitation_reduction", excitation_reduction, "at least 1")
    require(len(mean) == in_channels, "mean", mean, f"one number for each of the {in_channels} input channels")
    require(std > 0, "std", std, "positive")
    if excitation not in ("none", "se"):
        raise unknown("excitation", excitation, ("none", "se"))

    def gate(block: str, channels: int) -> nn.Module:
        if excitation == "none" or block not in excited:
            return nn.Identity()
        return SqueezeExcitation(channels, math.gcd(channels, excitation_reduction))

    return BNInception(in_channels, width, blocks, stem_stride, stem_pools, gate, mean, std)
