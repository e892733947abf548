"""3D ResNeXt-101 with channel excitation: the one network of IMRS, for student and teacher.

Paper: Hu, Mao, Yao, Bi 2023, "3D network with channel excitation and knowledge distillation for action recognition"
(IMRS); serves its Tables 1-5. Reference implementations: for the backbone Hara, Kataoka, Satoh 2018 (ResNeXt-101, shortcut
type B), as used by MARS (Crasto et al. 2019), whose parameter names are kept so that their public checkpoints map one
to one (`repro.models.tools.checkpoints`); ECA-Net for the channel excitation.

Known differences from those implementations:
- The head averages over whatever T, H, W the last stage leaves; theirs is built for one clip size, with equal result.
- Mean subtraction is part of the network, so that clips travel as uint8.
- forward returns features and logits; theirs returns one or the other, by an option.
- Width, depths, cardinality and stem are arguments: small networks for small machines run the same code.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from repro.errors import ReproError, require, unknown
from repro.models.layers.conv import Conv3d
from repro.models.layers.excitation import ChannelExcitation, SqueezeExcitation
from repro.models.layers.output import Output

EXPANSION = 2
# Subtracted from inputs in 0..255: ActivityNet's RGB mean; for flow 127.5, which is 0 pixels before rounding.
MEANS = {3: (114.7748, 107.7354, 99.4750), 2: (127.5, 127.5)}
STAGES = (2, 3, 4, 5)  # the papers' Res2..Res5 are layer1..layer4 of the checkpoints


class Bottleneck(nn.Module):
    """1x1x1, grouped 3x3x3 (carries the stride), 1x1x1, each with BatchNorm; plus the shortcut.

    Input (B, inputs, T, H, W), output (B, 2 * planes, T / stride, H / stride, W / stride), rounded up.
    """

    def __init__(self, inputs: int, planes: int, stride: int, cardinality: int, projection: bool):
        super().__init__()
        outputs = planes * EXPANSION
        self.conv1 = nn.Conv3d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.conv2 = Conv3d(planes, planes, 3, stride, padding=1, groups=cardinality, bias=False)
        self.bn2 = nn.BatchNorm3d(planes)
        self.conv3 = nn.Conv3d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))
            if projection
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        x += shortcut
        return self.relu(x)


class ResNeXt3D(nn.Module):
    """See `resnext3d`. The submodule excite(i) returns the output of stage Res(i), with or without an excitation."""

    def __init__(self, num_classes, in_channels, depths, width, cardinality, gate, stem, mean, std):
        super().__init__()
        self.arch = f"resnext-{3 * sum(depths) + 2}"  # the name in Hara's checkpoints: resnext-101
        # Not persistent: a checkpoint has what was learned, and public checkpoints have no such keys.
        mean = torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1, 1)  # (1, C, 1, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", torch.tensor(float(std)), persistent=False)
        kernel, stride, pool = stem
        self.conv1 = Conv3d(in_channels, width, kernel, stride, padding=[k // 2 for k in kernel], bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1) if pool else nn.Identity()
        inputs = width
        for i, depth in enumerate(depths):
            planes = 2 * width * 2**i
            blocks = []
            for j in range(depth):
                first = j == 0  # has the stride (from the second stage on) and the projection shortcut
                blocks.append(Bottleneck(inputs, planes, 2 if first and i else 1, cardinality, projection=first))
                inputs = planes * EXPANSION
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
            setattr(self, f"excite{i + 2}", gate(i + 2, inputs))
        self.fc = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Output:
        """Clips (B, C, T, H, W), values in 0..255, any dtype, to logits (B, classes) and features (B, 32 * width)."""
        channels = self.conv1.in_channels
        if x.dim() != 5 or x.shape[1] != channels:
            raise ReproError(f"clips have shape {tuple(x.shape)}, but this network takes (B, {channels}, T, H, W)")
        x = (x.to(self.mean.dtype) - self.mean) / self.std
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.excite2(self.layer1(x))
        x = self.excite3(self.layer2(x))
        x = self.excite4(self.layer3(x))
        x = self.excite5(self.layer4(x))
        features = x.mean(dim=(2, 3, 4), dtype=self.fc.weight.dtype)  # (B, D); float32 also under bf16 autocast
        return Output(self.fc(features), features)


def resnext3d(
    num_classes: int,
    in_channels: int = 3,
    depths: Sequence[int] = (3, 4, 23, 3),
    width: int = 64,
    cardinality: int = 32,
    excitation: Literal["none", "ce", "se"] = "none",
    excitation_stages: Sequence[int] = STAGES,
    excitation_kernel: int = 3,
    excitation_reduction: int = 16,
    stem_kernel: Sequence[int] = (7, 7, 7),
    stem_stride: Sequence[int] = (1, 2, 2),
    stem_pool: bool = True,
    mean: Sequence[float] | None = None,
    std: float = 1.0,
) -> nn.Module:
    """3D ResNeXt; the defaults are the 101-layer network of the IMRS paper (Table 1).

    Parameters
    ----------
    num_classes: size of the head.
    in_channels: 3 for RGB, 2 for optical flow (x, y).
    depths: blocks in Res2, Res3, Res4, Res5.
    width: channels after the stem; the stages have 4, 8, 16, 32 times as many, the last being the features.
    cardinality: groups of the 3x3x3 convolutions; divides 2 * width.
    excitation: gate after a stage: none, channel excitation (the paper's), squeeze-and-excitation (Table 3).
    excitation_stages: which of Res2..Res5 it follows (Table 2 compares each one with all four).
    excitation_kernel, excitation_reduction: k of CE, r of SE.
    stem_kernel, stem_stride, stem_pool: first convolution over (T, H, W), odd kernel, and whether max pooling follows.
    mean, std: clips in 0..255 enter as (x - mean) / std. By default the papers' mean for 3 or 2 channels, and std 1; a
        small network trained from scratch learns better from inputs of order one (std about 60).

    Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    depths, stages = tuple(depths), tuple(excitation_stages)
    kernel, stride = tuple(stem_kernel), tuple(stem_stride)
    mean = MEANS.get(in_channels) if mean is None else tuple(mean)
    grouped = cardinality >= 1 and 2 * width % cardinality == 0
    staged = stages and set(stages) <= set(STAGES)
    odd = len(kernel) == 3 and all(k > 0 and k % 2 for k in kernel)
    centred = mean is not None and len(mean) == in_channels
    require(num_classes >= 1, "num_classes", num_classes, "at least 1")
    require(in_channels >= 1, "in_channels", in_channels, "at least 1")
    require(len(depths) == 4 and min(depths) >= 1, "depths", depths, "four numbers of blocks, each at least 1")
    require(width >= 1, "width", width, "at least 1")
    require(grouped, "cardinality", cardinality, f"a divisor of 2 * width = {2 * width}")
    require(staged, "excitation_stages", stages, "some of the stages 2, 3, 4, 5 (for none: excitation='none')")
    require(odd, "stem_kernel", kernel, "three odd numbers, for T, H, W")
    require(len(stride) == 3 and min(stride) >= 1, "stem_stride", stride, "three numbers of at least 1, for T, H, W")
    require(centred, "mean", mean, f"one number for each of the {in_channels} input channels")
    require(std > 0, "std", std, "positive")
    if excitation not in ("none", "ce", "se"):
        raise unknown("excitation", excitation, ("none", "ce", "se"))
    gate = partial(_gate, excitation, stages, excitation_kernel, excitation_reduction)
    stem = (kernel, stride, stem_pool)
    return ResNeXt3D(num_classes, in_channels, depths, width, cardinality, gate, stem, mean, std)


def _gate(kind: str, stages: Sequence[int], kernel: int, reduction: int, stage: int, channels: int) -> nn.Module:
    """What follows a stage."""
    if kind == "ce" and stage in stages:
        return ChannelExcitation(channels, kernel)
    if kind == "se" and stage in stages:
        return SqueezeExcitation(channels, reduction)
    return nn.Identity()
