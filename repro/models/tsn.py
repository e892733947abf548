"""Temporal segment network on BN-Inception: one frame per segment, scores averaged.

Paper: Wang et al. 2016, "Temporal segment networks". Serves T-STAM (Shi, Li, Liu, Dai 2020), section 4.3.4, which compares
it with and without squeeze-and-excitation, and a row of IMRS's Table 5. Reference implementation: tsn-pytorch.

Known differences:
- One default for dropout, the RGB stream's 0.8; the flow stream (0.7 there) sets it.
- Which rate a layer has and which BatchNorm trains are not decided here but by `repro.models.tools.groups.multiples` and
  `repro.models.tools.freeze.freeze_batchnorm_except_first`.
"""

from typing import Any

from torch import Tensor, nn

from repro.errors import require
from repro.models.bn_inception import BNInception, bn_inception
from repro.models.layers.frames import fold_time
from repro.models.layers.output import Output
from repro.models.tools.arguments import takes


class TSN(nn.Module):
    """See `tsn`."""

    arch = "BNInception"  # the name in tsn-pytorch's checkpoints

    def __init__(self, base_model: BNInception, num_classes: int, dropout: float, head_std: float):
        super().__init__()
        self.base_model = base_model
        self.dropout, self.fc = classifier(base_model.out_channels, num_classes, dropout, head_std)

    def forward(self, clip: Tensor) -> Output:
        """Clips (B, C, T, H, W), values in 0..255, any dtype, to logits (B, classes) and features (B, 16 * width)."""
        maps = self.base_model(fold_time(clip, self.base_model.in_channels))  # (B*T, D, h, w)
        frames = maps.mean(dim=(2, 3), dtype=self.fc.weight.dtype)  # (B*T, D); float32 also under bf16 autocast
        times = (clip.shape[0], clip.shape[2])  # not len(clip), which torch.export takes for a constant
        logits = self.fc(self.dropout(frames)).unflatten(0, times).mean(1)  # (B, T, classes) -> (B, classes)
        return Output(logits, frames.unflatten(0, times).mean(1))


def classifier(features: int, num_classes: int, dropout: float, head_std: float) -> tuple[nn.Dropout, nn.Linear]:
    """TSN's head: dropout, then a linear layer with initial weights from N(0, head_std) and biases of zero.

    Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    require(num_classes >= 1, "num_classes", num_classes, "at least 1")
    require(0 <= dropout < 1, "dropout", dropout, "in [0, 1)")
    require(head_std > 0, "head_std", head_std, "positive")
    linear = nn.Linear(features, num_classes)
    nn.init.normal_(linear.weight, 0, head_std)
    nn.init.zeros_(linear.bias)
    return nn.Dropout(dropout), linear


@takes(bn_inception)
def tsn(
    num_classes: int, in_channels: int = 3, *, dropout: float = 0.8, head_std: float = 0.001, **backbone: Any
) -> nn.Module:
    """TSN on BN-Inception, for any number of frames; the defaults are the paper's RGB stream.

    num_classes: size of the head. dropout: on each frame's features, before the head. head_std: standard deviation of the
    head's initial weights. in_channels, backbone: as for `repro.models.bn_inception.bn_inception`.
    Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    return TSN(bn_inception(in_channels, **backbone), num_classes, dropout, head_std)
