"""STDDCN: an appearance and a motion pathway with dense connections between them, taught by their own fusion.

Paper: Hao, Zhang 2019, "Spatiotemporal distilled dense-connectivity network for video action recognition" (Pattern
Recognition 92, 13-24; SDDN in its highlights). Serves the ablation of connections, distillation, direction and density.
There is no public implementation. Only the paper's abstract and highlights are known here; its backbone, losses, numbers
and ablations are not available.

Known: two streams; "block-level dense connections between appearance and motion pathways", adapted from DenseNet;
"distillation among two streams (each treated as a student) and their last fusion (treated as teacher)"; end to end.
Chosen here:
- Pathways: two ResNet-50; the blocks that are connected are its four stages. One tensor contains both inputs.
- Connections: Res3, Res4 and Res5 of a pathway receive its own map and maps of the other pathway: those of all earlier stages
  ("dense"), or of the previous stage alone ("single"). With x the own map and z_j those of the other:
  sum: x + sum_j BN(P_j z_j), P_j a 1x1 convolution with the stride that leads to the size of x;
  concat: x + BN(P [x, z_1, z_2, ...]), P a 1x1 convolution, the z_j subsampled to the size of x.
  The scales of these BatchNorms start at zero: training starts as the plain two-stream network, to the bit.
- Fusion: the averaged last features of both pathways, side by side (concat) or added (sum), then a linear layer: the
  teacher. Each pathway keeps its own head: the students. The loss is `repro.losses.mutual_distillation`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from repro.errors import require, unknown
from repro.models.layers.bottleneck import Modules
from repro.models.layers.conv import conv
from repro.models.layers.frames import fold_time
from repro.models.resnet2d import Backbone, ResNet2D, average
from repro.models.tools.arguments import takes

DIRECTIONS = ("none", "m->a", "a->m", "both")


class StreamsOutput(NamedTuple):
    """`repro.models.layers.output.Output` of the fusion, and the logits of the pathways."""

    logits: Tensor  # (B, classes), of the fusion: the teacher
    features: Tensor  # (B, D), the input of the fusion's linear layer, averaged over T
    appearance: Tensor  # (B, classes), the student that sees RGB
    motion: Tensor  # (B, classes), the student that sees flow


class Connection(nn.Module):
    """The input of a stage of one pathway, from its own map x and the other pathway's maps, the latest last.

    own: channels of x. sources: channels of each of the other's maps, and how many times larger it is than x (1, 2, 4).
    Own map (N, C, H, W) and the other's (N, C_j, s_j * H, s_j * W), rounded, to (N, C, H, W).
    """

    def __init__(self, own: int, sources: Sequence[tuple[int, int]], combine: str):
        super().__init__()
        self.strides = [stride for _, stride in sources]
        self.combine = combine
        if combine == "sum":
            self.project = nn.ModuleList(_projection(channels, own, stride) for channels, stride in sources)
        else:
            self.project = _projection(own + sum(channels for channels, _ in sources), own, 1)

    def forward(self, x: Tensor, others: Sequence[Tensor]) -> Tensor:
        if self.combine == "sum":
            return x + sum(project(other) for project, other in zip(self.project, others, strict=True))
        sized = [other[:, :, ::s, ::s] for other, s in zip(others, self.strides, strict=True)]  # each (N, C_j, H, W)
        return x + self.project(torch.cat((x, *sized), 1))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    norm = nn.BatchNorm2d(outputs)
    nn.init.zeros_(norm.weight)
    return nn.Sequential(conv(inputs, outputs, 1, stride), norm)


class STDDCN(nn.Module):
    """See `stddcn`."""

    def __init__(self, appearance: ResNet2D, motion: ResNet2D, direction: str, dense: bool, combine: str):
        super().__init__()
        self.appearance, self.motion = appearance, motion
        self.combine, self.dense = combine, dense
        channels = [stage[-1].conv3.out_channels for stage in appearance.stages()]  # of Res2..Res5, in both pathways

        def connections(present: bool) -> nn.ModuleList:
            """One before each of Res3, Res4, Res5, or none."""
            pairs = ([(channels[j], 2 ** (k - j)) for j in range(0 if dense else k, k + 1)] for k in range(3))
            return nn.ModuleList(Connection(channels[k], s, combine) for k, s in enumerate(pairs) if present)

        self.to_appearance = connections(direction in ("m->a", "both"))
        self.to_motion = connections(direction in ("a->m", "both"))
        features = appearance.fc.in_features
        self.dropout = nn.Dropout(appearance.dropout.p)
        self.fc = nn.Linear(2 * features if combine == "concat" else features, appearance.fc.out_features)

    @property
    def pathways(self) -> tuple[ResNet2D, ResNet2D]:
        """The two networks; each starts from a public checkpoint of its own."""
        return self.appearance, self.motion

    def forward(self, clips: Tensor) -> StreamsOutput:
        """Clips (B, 3 + 2 * stack, T, H, W), RGB first, in 0..255, any dtype, to the fusion's output and the students'."""
        fold_time(clips, 3 + self.motion.conv1.in_channels)  # only for its error about the shape of the whole clip
        t, a, m = clips.shape[2], self.appearance.stem(clips[:, :3]), self.motion.stem(clips[:, 3:])
        maps_a, maps_m = [], []  # outputs of the stages so far, before connections are added
        for k, (stage_a, stage_m) in enumerate(zip(self.appearance.stages(), self.motion.stages(), strict=True)):
            if k:
                since = 0 if self.dense else k - 1
                a = self.to_appearance[k - 1](maps_a[-1], maps_m[since:]) if len(self.to_appearance) else a
                m = self.to_motion[k - 1](maps_m[-1], maps_a[since:]) if len(self.to_motion) else m
            a, m = stage_a(a, t), stage_m(m, t)
            maps_a.append(a)
            maps_m.append(m)
        a, m = self.appearance.pool(a), self.motion.pool(m)  # (B*T, D)
        both = torch.cat((a, m), 1) if self.combine == "concat" else a + m
        fused = average(self.fc(self.dropout(both)), both, t)
        return StreamsOutput(*fused, self.appearance.classify(a, t).logits, self.motion.classify(m, t).logits)


@takes(Backbone)
def stddcn(
    num_classes: int,
    in_channels: int = 13,
    *,
    direction: Literal["none", "m->a", "a->m", "both"] = "both",
    dense: bool = True,
    combine: Literal["sum", "concat"] = "sum",
    **backbone: Any,
) -> nn.Module:
    """STDDCN. backbone: as for `repro.models.resnet2d.tsn_resnet`, for both pathways.

    in_channels: 3 of RGB, then 2 * stack of flow, x and y in turn (two-stream networks: a stack of 5, so 13). mean and std
        are those of all in_channels, by default ImageNet's and the flow's; a single number for std applies to all.
    direction: which pathway receives connections: appearance from motion (m->a), the reverse, both, none.
    dense: from all earlier stages, or from the previous one only ("single").
    combine: how connections and the last fusion join their inputs, see the top of this file.
    Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    resnet = Backbone(**backbone)
    if direction not in DIRECTIONS:
        raise unknown("direction", direction, DIRECTIONS)
    if combine not in ("sum", "concat"):
        raise unknown("value of combine", combine, ("sum", "concat"))
    streams = in_channels >= 5 and in_channels % 2 == 1
    require(streams, "in_channels", in_channels, "3 of RGB and 2, 4, 6, ... of flow: 5, 7, 9, ...")
    for name, values in (("mean", resnet.mean), ("std", resnet.std)):
        fits = not isinstance(values, Sequence) or len(values) == in_channels
        require(fits, name, values, f"one number for each of the {in_channels} channels")

    def pathway(channels: slice) -> ResNet2D:
        mean, std = (v[channels] if isinstance(v, Sequence) else v for v in (resnet.mean, resnet.std))
        inputs = len(range(in_channels)[channels])
        return ResNet2D(num_classes, inputs, replace(resnet, mean=mean, std=std), Modules())

    return STDDCN(pathway(slice(0, 3)), pathway(slice(3, None)), direction, dense, combine)
