"""The bottlenecks of ResNet-50, and the places in and around them where temporal modules are put."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from repro.models.layers.conv import conv

EXPANSION = 4


@dataclass(frozen=True)
class Place:
    """A bottleneck, as seen by the function that makes a module for it."""

    stage: int  # 2..5
    block: int  # within the stage, from 0
    last: bool  # whether it is the last block of its stage
    channels: int  # of the frames that the module receives
    stride: int  # of the block; a `spatial` module has to apply it


def nothing(_: Any) -> None:
    """Leaves a place empty."""


Maker = Callable[[Place], nn.Module | None]


@dataclass(frozen=True)
class Modules:
    """What is put at the four marked places. A function makes the module for a place, or returns None.

    A module maps (frames, T) to frames, with frames (B*T, C, H, W) and T the number of frames of a clip.
    """

    enter: Callable[[int], nn.Module | None] = nothing  # between stem and Res2; given the number of channels
    before: Maker = nothing  # before conv1 of a bottleneck, on its residual branch alone
    spatial: Maker = nothing  # instead of conv2, the 3x3 convolution, with its BatchNorm and ReLU
    after: Maker = nothing  # after the bottleneck's last ReLU


class Bottleneck(nn.Module):
    """[before], 1x1, 3x3 with the stride or [spatial], 1x1; plus the shortcut; then [after]. See `Modules`.

    Input frames (B*T, inputs, H, W), output (B*T, 4 * planes, H / stride, W / stride), rounded up.
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
        """The block without its `after` module."""
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
    """Bottlenecks in a row; each receives T, the number of frames of a clip."""

    def forward(self, x: Tensor, t: int) -> Tensor:
        for block in self:
            x = block(x, t)
        return x


def make_stage(stage: int, depth: int, inputs: int, planes: int, modules: Modules) -> Stage:
    """Stage 2..5 with `depth` bottlenecks; the first projects its shortcut and, from Res3 on, halves H and W."""
    blocks = []
    for i in range(depth):
        first = i == 0
        stride = 2 if first and stage > 2 else 1
        at = partial(Place, stage, i, last=i == depth - 1, stride=stride)
        before, spatial = modules.before(at(channels=inputs)), modules.spatial(at(channels=planes))
        after = modules.after(at(channels=planes * EXPANSION))
        blocks.append(Bottleneck(inputs, planes, stride, first, before, spatial, after))
        inputs = planes * EXPANSION
    return Stage(*blocks)
