"""ResNet-50 on the frames of a clip, with four marked places for temporal modules; TSN and TSM, the baselines.

Papers: Wang et al. 2016 (TSN: no temporal module, the frames' scores are averaged) and Lin, Gan, Han 2019 (TSM: a shift
before conv1 of every bottleneck). Serves the baseline rows of the tables of SMNet, STME and STMSA; it is the backbone of
these three networks and of STDDCN.
Reference implementations: torchvision's resnet50 (v1.5: the stride is on the 3x3 convolution), whose parameter names are
kept so that its weights load unchanged; TSM's, for the place of the shift and for the head.

Known differences from them:
- Mean and standard deviation are part of the network, so that clips travel as uint8.
- The last layer has PyTorch's usual initial values; TSN and TSM draw them from N(0, 0.001).
- Every number of channels other than 3 is treated as flow: mean 127.5 (0 pixels, before rounding) and the mean of ImageNet's
  standard deviations, as in TSM.
- Width, depths and stem are arguments: small networks for small machines run the same code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from repro.errors import ReproError, require
from repro.models.layers.bottleneck import EXPANSION, Modules, Place, Stage, make_stage
from repro.models.layers.conv import conv
from repro.models.layers.frames import fold_time
from repro.models.layers.output import Output
from repro.models.layers.shift import Shift
from repro.models.tools.arguments import takes

STAGES = (2, 3, 4, 5)  # the papers' Res2..Res5 are layer1..layer4 of torchvision
IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
FLOW = 127.5, 57.63
SMALLEST = 5  # side after the stem that leaves Res5's stride two positions: on one, bf16 gradients on the CPU are wrong
ADDED = ("enter", "before", "spatial", "after")  # submodules that no public checkpoint has


@dataclass(frozen=True)
class Backbone:
    """The 2-D network and its input. All networks of this family take these fields as keyword arguments.

    Raises ReproError naming the value and the rule if one of them makes no sense.
    """

    depths: Sequence[int] = (3, 4, 6, 3)  # blocks in Res2..Res5; ResNet-101 has (3, 4, 23, 3)
    width: int = 64  # channels after the stem; the stages have 4, 8, 16, 32 times as many, the last are the features
    stem_kernel: int = 7  # of the first convolution, odd
    stem_stride: int = 2
    stem_pool: bool = True  # max pooling after the first convolution
    dropout: float = 0.5  # on each frame's features, before the last layer (TSM: 0.5; TSN and TSM on UCF101: 0.8)
    mean: Sequence[float] | None = None  # clips in 0..255 enter as (x - mean) / std; None: ImageNet's or flow's
    std: float | Sequence[float] | None = None  # one number, or one for each channel

    def __post_init__(self):
        depths = tuple(self.depths)
        object.__setattr__(self, "depths", depths)
        require(len(depths) == 4 and min(depths) >= 1, "depths", depths, "four numbers of blocks, each at least 1")
        require(self.width >= 1, "width", self.width, "at least 1")
        require(self.stem_kernel >= 1 and self.stem_kernel % 2 == 1, "stem_kernel", self.stem_kernel, "odd")
        require(self.stem_stride >= 1, "stem_stride", self.stem_stride, "at least 1")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "in [0, 1)")

    def normalisation(self, channels: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the input, each (1, C, 1, 1); by default ImageNet's for 3 channels, else flow's."""
        default_mean, default_std = IMAGENET if channels == 3 else ([FLOW[0]] * channels, FLOW[1])
        mean = default_mean if self.mean is None else self.mean
        std = default_std if self.std is None else self.std
        std = [float(std)] * channels if isinstance(std, int | float) else std
        require(len(mean) == channels, "mean", mean, f"one number for each of the {channels} input channels")
        require(len(std) == channels and min(std) > 0, "std", std, "positive, one number or one for each channel")
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (mean, std))
        return mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)


class ResNet2D(nn.Module):
    """The network that a `Backbone` and the `Modules` at its places describe. in_channels: see `tsn_resnet`."""

    def __init__(self, num_classes: int, in_channels: int, backbone: Backbone, modules: Modules):
        super().__init__()
        require(num_classes >= 1, "num_classes", num_classes, "at least 1")
        require(in_channels >= 1, "in_channels", in_channels, "at least 1")
        self.arch = f"resnet{3 * sum(backbone.depths) + 2}"  # torchvision's name: resnet50
        # Not persistent: a checkpoint has what was learned, and public checkpoints have no such keys.
        mean, std = backbone.normalisation(in_channels)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        inputs = backbone.width
        self.conv1 = conv(in_channels, inputs, backbone.stem_kernel, backbone.stem_stride)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if backbone.stem_pool else nn.Identity()
        self.enter = modules.enter(inputs)
        for i, depth in enumerate(backbone.depths):
            planes = backbone.width * 2**i
            setattr(self, f"layer{i + 1}", make_stage(STAGES[i], depth, inputs, planes, modules))
            inputs = planes * EXPANSION
        self.dropout = nn.Dropout(backbone.dropout)
        self.fc = nn.Linear(inputs, num_classes)

    @property
    def fresh(self) -> tuple[str, ...]:
        """Submodules that no public checkpoint has: `repro.models.tools.checkpoints` leaves them as initialised."""
        return tuple(name for name, _ in self.named_modules() if name.split(".")[-1] in ADDED)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Parts of bottlenecks that a public checkpoint has and this network replaces: the file's tensors are ignored."""
        return () if self.layer1[0].spatial is None else ("conv2", "bn2")

    def stem(self, clips: Tensor) -> Tensor:
        """Clips (B, C, T, H, W), values in 0..255, any dtype, to the input of Res2, (B*T, width, H', W').

        Raises ReproError for clips of another shape, and for clips that leave a map smaller than 5x5.
        """
        x = fold_time(clips, self.conv1.in_channels)  # (B*T, C, H, W)
        x = (x.to(self.mean.dtype) - self.mean) / self.std
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        if min(x.shape[2:]) < SMALLEST:
            raise ReproError(
                f"clips of {clips.shape[3]}x{clips.shape[4]} pixels are {x.shape[2]}x{x.shape[3]} after the stem, but "
                f"must be {SMALLEST}x{SMALLEST} or more: use larger clips or a stem with less stride or no pooling"
            )
        return x if self.enter is None else self.enter(x, clips.shape[2])

    def stages(self) -> tuple[Stage, ...]:
        """Res2..Res5."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def pool(self, x: Tensor) -> Tensor:
        """The last feature map (B*T, D, H, W) to features of frames (B*T, D); float32 also under bf16 autocast."""
        return x.mean(dim=(2, 3), dtype=self.fc.weight.dtype)

    def classify(self, features: Tensor, t: int) -> Output:
        """Features of frames (B*T, D) to the means over T of their logits and of the features themselves."""
        return average(self.fc(self.dropout(features)), features, t)

    def forward(self, clips: Tensor) -> Output:
        """Clips (B, C, T, H, W), values in 0..255, any dtype, to logits (B, classes) and features (B, 32 * width)."""
        x = self.stem(clips)
        t = clips.shape[2]
        for stage in self.stages():
            x = stage(x, t)
        return self.classify(self.pool(x), t)


def average(logits: Tensor, features: Tensor, t: int) -> Output:
    """TSN's consensus: means over the T frames of a clip; (B*T, classes) and (B*T, D) to (B, classes) and (B, D)."""
    return Output(logits.unflatten(0, (-1, t)).mean(1), features.unflatten(0, (-1, t)).mean(1))


@takes(Backbone)
def tsn_resnet(num_classes: int, in_channels: int = 3, **backbone: Any) -> nn.Module:
    """TSN on ResNet-50: a clip's logits are the mean of its frames' logits, whatever their order.

    num_classes: size of the head. in_channels: 3 for RGB, 2 * stack for stacks of flow (TSN: 10).
    backbone: the fields of `Backbone`. Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    return ResNet2D(num_classes, in_channels, Backbone(**backbone), Modules())


@takes(Backbone)
def tsm(num_classes: int, in_channels: int = 3, *, divide: int = 8, **backbone: Any) -> nn.Module:
    """TSM: `tsn_resnet` with a shift before conv1 of every bottleneck, which adds no parameter.

    divide: 1/divide of the channels come from the next frame, as many from the previous one.
    As in TSM's code, only every second bottleneck has a shift if Res4 has 23 blocks or more (ResNet-101).
    """
    resnet = Backbone(**backbone)
    every = 2 if resnet.depths[2] >= 23 else 1

    def before(place: Place) -> nn.Module | None:
        return Shift(divide) if place.block % every == 0 else None

    return ResNet2D(num_classes, in_channels, resnet, Modules(before=before))
