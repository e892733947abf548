"""ResNet-50 with time: the frames of a clip pass one 2-D network, and temporal modules may stand at four marked places.

Papers: Wang et al. 2016 (TSN: no temporal module, the frames' scores are averaged) and Lin, Gan, Han 2019 (TSM: a shift
before conv1 of every bottleneck); the backbone of SMNet, of the thesis's two ResNet-50 models and of STDDCN here.
Reference implementations: torchvision's resnet50 (v1.5: the stride is on the 3x3 convolution), whose parameter names
are kept so that its weights load as they are; TSM's for where the shift stands and for the head.

Known differences from them:
- Mean and standard deviation are part of the network, so that clips travel as uint8.
- The last layer has PyTorch's usual initial values; TSN and TSM start it at N(0, 0.001).
- For flow: mean 127.5 (flow of 0 pixels) and the mean of ImageNet's standard deviations, as TSM has it. Every number
  of channels other than 3 is taken for flow.
- Width, depths and stem are arguments: small networks for small machines run the same code.

A place takes a function of plain numbers that makes the module for it, or None; modules map (frames, T) to frames.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from repro.errors import ReproError
from repro.models.layers.frames import fold_time
from repro.models.layers.output import Output
from repro.models.layers.temporal import Shift

EXPANSION = 4
STAGES = (2, 3, 4, 5)  # Res2..Res5 are layer1..layer4
IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
FLOW = 127.5, 57.63
SMALLEST = 5  # side after the stem that leaves Res5's stride two positions: on one, bf16 CPU gradients are wrong

Before = Callable[[int, int, int], nn.Module | None]  # stage, block, channels of the block's input
Spatial = Callable[[int, int], nn.Module]  # channels, stride
After = Callable[[int, int, int], nn.Module | None]  # stage, block, channels of the block's output


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias, with torchvision's initial values."""
    module = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return module


class Bottleneck(nn.Module):
    """[before], 1x1, 3x3 (carries the stride) or what stands in its place, 1x1; plus the shortcut; then [after].

    Input frames (B*T, inputs, H, W), output (B*T, 4 * planes, H / stride, W / stride), rounded up.
    before: on the residual branch alone. spatial: in place of the 3x3 convolution, its BatchNorm and its ReLU.
    """

    def __init__(
        self,
        inputs: int,
        planes: int,
        stride: int,
        projection: bool,
        before: nn.Module | None,
        spatial: nn.Module | None,
        after: nn.Module | None,
    ):
        super().__init__()
        outputs = planes * EXPANSION
        self.before = before
        self.conv1 = conv(inputs, planes, 1)
        self.bn1 = nn.BatchNorm2d(planes)
        self.spatial = spatial
        if spatial is None:
            self.conv2 = conv(planes, planes, 3, stride)
            self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = conv(planes, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = (
            nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)) if projection else nn.Identity()
        )
        self.after = after

    def residual(self, x: Tensor, t: int) -> Tensor:
        """The block without what stands after it."""
        shortcut = self.downsample(x)
        if self.before is not None:
            x = self.before(x, t)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x))) if self.spatial is None else self.spatial(x, t)
        x = self.bn3(self.conv3(x))
        x += shortcut
        return self.relu(x)

    def forward(self, x: Tensor, t: int) -> Tensor:
        x = self.residual(x, t)
        return x if self.after is None else self.after(x, t)


class Stage(nn.Sequential):
    """Bottlenecks in a row, each told the number of frames of a clip."""

    def forward(self, x: Tensor, t: int) -> Tensor:
        for block in self:
            x = block(x, t)
        return x


class ResNet2D(nn.Module):
    """See `tsn_resnet` for the arguments they share.

    enter: what stands between the stem and Res2, a function of the stem's channels.
    before, spatial, after: what stands in the bottlenecks, see `Bottleneck`.
    """

    def __init__(
        self,
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
        *,
        enter: Callable[[int], nn.Module] | None = None,
        before: Before = lambda stage, block, channels: None,
        spatial: Spatial | None = None,
        after: After = lambda stage, block, channels: None,
    ):
        super().__init__()
        depths = tuple(depths)
        self.arch = f"resnet{3 * sum(depths) + 2}"  # as torchvision calls it: resnet50
        rgb = in_channels == 3
        mean = (IMAGENET[0] if rgb else [FLOW[0]] * in_channels) if mean is None else mean
        std = (IMAGENET[1] if rgb else FLOW[1]) if std is None else std
        std = [float(std)] * in_channels if isinstance(std, int | float) else std
        for name, value, holds, rule in (
            ("num_classes", num_classes, num_classes >= 1, "at least 1"),
            ("in_channels", in_channels, in_channels >= 1, "at least 1"),
            ("depths", depths, len(depths) == 4 and min(depths) >= 1, "four numbers of blocks, each at least 1"),
            ("width", width, width >= 1, "at least 1"),
            ("stem_kernel", stem_kernel, stem_kernel >= 1 and stem_kernel % 2, "odd"),
            ("stem_stride", stem_stride, stem_stride >= 1, "at least 1"),
            ("dropout", dropout, 0 <= dropout < 1, "in [0, 1)"),
            ("mean", mean, len(mean) == in_channels, f"one number for each of the {in_channels} input channels"),
            ("std", std, len(std) == in_channels and min(std) > 0, "positive, one number or one for each channel"),
        ):
            if not holds:
                raise ReproError(f"ResNet: {name} is {value!r}, but must be {rule}")
        # Not persistent: a checkpoint holds what was learned, and public checkpoints have no such keys.
        for name, values in (("mean", mean), ("std", std)):
            values = torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)  # (1, C, 1, 1)
            self.register_buffer(name, values, persistent=False)
        self.conv1 = conv(in_channels, width, stem_kernel, stem_stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem_pool else nn.Identity()
        self.enter = None if enter is None else enter(width)
        inputs = width
        for i, depth in enumerate(depths):
            stage, planes, blocks = STAGES[i], width * 2**i, []
            for j in range(depth):
                first = j == 0  # has the stride (from the second stage on) and the projection shortcut
                stride = 2 if first and i else 1
                blocks.append(
                    Bottleneck(
                        inputs, planes, stride, first,
                        before=before(stage, j, inputs),
                        spatial=None if spatial is None else spatial(planes, stride),
                        after=after(stage, j, planes * EXPANSION),
                    )
                )  # fmt: skip
                inputs = planes * EXPANSION
            setattr(self, f"layer{i + 1}", Stage(*blocks))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(inputs, num_classes)
        added = (
            "enter",
            "before",
            "spatial",
            "after",
        )  # no public checkpoint has these: `repro.models.tools.checkpoints`
        self.fresh = tuple(name for name, _ in self.named_modules() if name.split(".")[-1] in added)
        self.replaced = (
            () if spatial is None else ("conv2", "bn2")
        )  # which a public checkpoint has, and this network not

    def stem(self, clips: Tensor) -> Tensor:
        """Clips (B, C, T, H, W), values in 0..255, any dtype, to what enters Res2, (B*T, width, H', W')."""
        x = fold_time(clips, self.conv1.in_channels)  # (B*T, C, H, W)
        x = (x.to(self.mean.dtype) - self.mean) / self.std
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        if min(x.shape[2:]) < SMALLEST:
            raise ReproError(
                f"clips of {clips.shape[3]}x{clips.shape[4]} pixels are {x.shape[2]}x{x.shape[3]} behind the stem, but "
                f"must be {SMALLEST}x{SMALLEST} or more: take larger clips or a stem with less stride or no pooling"
            )
        return x if self.enter is None else self.enter(x, clips.shape[2])

    def stages(self) -> tuple[Stage, ...]:
        """Res2..Res5."""
        return self.layer1, self.layer2, self.layer3, self.layer4

    def pool(self, x: Tensor) -> Tensor:
        """The last feature map (B*T, D, H, W) to features of frames (B*T, D); float32 also under bf16 autocast."""
        return x.mean(dim=(2, 3), dtype=self.fc.weight.dtype)

    def classify(self, features: Tensor, t: int) -> Output:
        """Features of frames (B*T, D) to the mean over T of their logits, and of the features themselves."""
        return average(self.fc(self.dropout(features)), features, t)

    def forward(self, clips: Tensor) -> Output:
        """Clips (B, C, T, H, W), values in 0..255, any dtype, to logits (B, classes) and features (B, 32 * width)."""
        x = self.stem(clips)
        t = clips.shape[2]
        for layer in self.stages():
            x = layer(x, t)
        return self.classify(self.pool(x), t)


def average(logits: Tensor, features: Tensor, t: int) -> Output:
    """TSN's consensus: means over the T frames of a clip; (B*T, classes) and (B*T, D) to (B, classes) and (B, D)."""
    return Output(logits.unflatten(0, (-1, t)).mean(1), features.unflatten(0, (-1, t)).mean(1))


def tsn_resnet(
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
) -> nn.Module:
    """ResNet-50 on single frames: a clip's logits are the mean of its frames' (TSN). Blind to their order.

    Parameters
    ----------
    num_classes: size of the head.
    in_channels: 3 for RGB, 2 * stack for stacks of flow (TSN: 10).
    depths: blocks in Res2..Res5; ResNet-101 is (3, 4, 23, 3).
    width: channels after the stem; the stages have 4, 8, 16, 32 times as many, the last being the features.
    stem_kernel, stem_stride, stem_pool: first convolution, odd kernel, and whether max pooling follows.
    dropout: on each frame's features, before the last layer (TSM: 0.5; TSN and TSM on UCF101: 0.8).
    mean, std: clips in 0..255 enter as (x - mean) / std. By default ImageNet's for 3 channels, else flow's.

    Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    return ResNet2D(
        num_classes, in_channels, depths, width, stem_kernel, stem_stride, stem_pool, dropout, mean, std
    )  # fmt: skip


def tsm(
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
    divide: int = 8,
) -> nn.Module:
    """TSM: `tsn_resnet` with a shift before conv1 of every bottleneck; no parameter more.

    divide: 1/divide of the channels come from the next frame, as many from the last one.
    As in TSM's code, every second bottleneck has a shift where Res4 has 23 blocks or more (ResNet-101).
    """
    every = 2 if tuple(depths)[2:3] >= (23,) else 1

    def before(stage: int, block: int, channels: int) -> nn.Module | None:
        return Shift(divide) if block % every == 0 else None

    return ResNet2D(
        num_classes, in_channels, depths, width, stem_kernel, stem_stride, stem_pool, dropout, mean, std, before=before
    )  # fmt: skip
