"""Temporal segment network on BN-Inception: one frame a segment, scores averaged.

Paper: Wang et al. 2016, "Temporal segment networks"; T-STAM (Shi, Li, Liu, Dai 2020) compares with it, with and without
squeeze-and-excitation (section 4.3.4), and IMRS's Table 5 lists it. Reference implementation: tsn-pytorch.

Known differences: dropout of the flow stream (0.7 there) is an argument, as for RGB; which BatchNorm trains is decided
outside (`repro.models.tools.inference.freeze_batchnorm_except_first`), and so are learning rates a layer.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from repro.errors import ReproError
from repro.models.bn_inception import BLOCKS, BNInception, bn_inception
from repro.models.layers.frames import fold_time
from repro.models.layers.output import Output


class TSN(nn.Module):
    """See `tsn`."""

    arch = "BNInception"  # as tsn-pytorch's checkpoints call it

    def __init__(self, base_model: BNInception, num_classes: int, dropout: float, head_std: float):
        super().__init__()
        self.base_model = base_model
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(base_model.out_channels, num_classes)
        nn.init.normal_(self.fc.weight, 0, head_std)
        nn.init.zeros_(self.fc.bias)

    def forward(self, clip: Tensor) -> Output:
        """Clips (B, C, T, H, W), values in 0..255, any dtype, to logits (B, classes) and features (B, 16 * width)."""
        maps = self.base_model(fold_time(clip, self.base_model.in_channels))  # (B * T, D, h, w)
        frames = maps.mean(dim=(2, 3), dtype=self.fc.weight.dtype)  # (B * T, D); float32 also under bf16 autocast
        times = (len(clip), clip.shape[2])
        logits = self.fc(self.dropout(frames)).unflatten(0, times).mean(1)  # (B, T, classes) -> (B, classes)
        return Output(logits, frames.unflatten(0, times).mean(1))


def tsn(
    num_classes: int,
    in_channels: int = 3,
    width: int = 64,
    blocks: Sequence[str] = tuple(BLOCKS),
    stem_stride: int = 2,
    stem_pools: int = 2,
    excitation: Literal["none", "se"] = "none",
    excitation_blocks: Sequence[str] | None = None,
    excitation_reduction: int = 16,
    dropout: float = 0.8,
    head_std: float = 0.001,
    mean: Sequence[float] | None = None,
    std: float = 1.0,
) -> nn.Module:
    """TSN on BN-Inception, for any number of frames; the defaults are the paper's RGB stream.

    Parameters: num_classes; dropout before the classifier; head_std, standard deviation of its initial weights. The
    others are those of `repro.models.bn_inception.bn_inception`. Raises ReproError naming the value and the rule.
    """
    check_head("tsn", num_classes, dropout, head_std)
    base_model = bn_inception(
        in_channels, width, blocks, stem_stride, stem_pools,
        excitation, excitation_blocks, excitation_reduction, mean, std,
    )  # fmt: skip
    return TSN(base_model, num_classes, dropout, head_std)


def check_head(model: str, num_classes: int, dropout: float, head_std: float) -> None:
    """Raises one ReproError for a value of the classifier that makes no sense."""
    rules = (
        ("num_classes", num_classes, num_classes >= 1, "at least 1"),
        ("dropout", dropout, 0 <= dropout < 1, "in [0, 1)"),
        ("head_std", head_std, head_std > 0, "positive"),
    )
    for name, value, holds, rule in rules:
        if not holds:
            raise ReproError(f"{model}: {name} is {value!r}, but must be {rule}")
