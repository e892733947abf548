"""T-STAM, one stream of it: BN-Inception with squeeze-and-excitation, attention to frames and to regions.

Paper: Shi, Li, Liu, Dai 2020, "T-STAM: an end-to-end action recognition model based on two-stream spatio-temporal
attention mechanism", sections 2 and 3. Serves its Figures 6 and 7 and its tables. There is no public implementation. RGB
and flow are two such networks, trained separately; their scores are fused 1 : 3 (section 4.3.3).

Numbers in parentheses are the paper's equations. Where the text is ambiguous:
- (1) maps each x_i by a shared fully connected layer, then a 1x1 convolution leads to 256 channels; the text gives the
  result as N x 256, yet (7) weights it by position. Two linear maps in a row are one, so here w_1 is one 1x1 convolution
  C -> 256, and x_hat_i keeps its positions: (256, h, w).
- (2), (3): "a score for each frame" is one number, so conv maps the mean of x_hat_i over its positions, 256 -> 1;
  `per_channel` keeps 256 scores for each frame. f_t sums alpha_i times that mean; a sum over positions would be far larger
  than f_s in (8).
- (4) acts on X, as printed; a BatchNorm follows each convolution, the first before the tanh.
- (7) prints x_hat_i without the position k that it sums over; x_hat_ik is meant. X itself cannot be meant, since (8) adds
  f_s to f_t, which has 256 numbers. As printed (7) sums over frames, where (3) averages: see the argument `frames`.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from repro.errors import ReproError, require, unknown
from repro.models.bn_inception import BNInception, bn_inception
from repro.models.layers.frames import fold_time
from repro.models.layers.output import Output
from repro.models.tools.arguments import takes
from repro.models.tsn import classifier

FRAMES = ("mean", "sum")


class Attention(NamedTuple):
    """The weights of a batch of clips."""

    frames: Tensor  # (B, T), sum to one over T: eq. (2); with per_channel their mean over channels
    positions: Tensor  # (B, T, l, h, w), sum to one over h and w for each frame and head: eq. (6)


class TSTAM(nn.Module):
    """See `tstam`."""

    arch = "BNInception"  # the backbone's name in tsn-pytorch's checkpoints
    fresh = ("embed", "score", "spatial", "fc")  # parts that no public checkpoint has

    def __init__(self, base_model: BNInception, num_classes, heads, embedding, per_channel, frames, dropout, head_std):
        super().__init__()
        c = base_model.out_channels
        self.base_model = base_model
        self.frames = frames
        self.embed = nn.Conv2d(c, embedding, 1)  # w_1, b_1 of eq. (1)
        self.score = nn.Linear(embedding, embedding if per_channel else 1)  # the 1x1 conv of eq. (2)
        self.spatial = nn.Sequential(  # eq. (4); the l heads side by side, each one group of the second convolution
            nn.Conv2d(c, heads * (c // 2), 1),
            nn.BatchNorm2d(heads * (c // 2)),
            nn.Tanh(),
            nn.Conv2d(heads * (c // 2), heads, 5, padding=2, groups=heads),
            nn.BatchNorm2d(heads),
        )
        self.dropout, self.fc = classifier(heads * embedding, num_classes, dropout, head_std)

    def forward(self, clip: Tensor) -> Output:
        """Clips (B, C, T, H, W), values in 0..255, any dtype, to logits (B, classes) and features F (B, l * d)."""
        embedded, pooled, alpha, positions = self._look(clip)
        f_t = (alpha * pooled).sum(1)  # (B, d): eq. (3)
        f_s = torch.einsum("btlhw,btdhw->bld", positions, embedded)  # eq. (7)
        if self.frames == "mean":
            f_s = f_s / clip.shape[2]
        features = (f_t[:, None] + f_s).flatten(1)  # (B, l * d): eqs. (8), (9)
        return Output(self.fc(self.dropout(features)), features)

    def attend(self, clip: Tensor) -> Attention:
        """The weights of frames and positions that `forward` uses for clips (B, C, T, H, W)."""
        _, _, alpha, positions = self._look(clip)
        return Attention(alpha.mean(2), positions)

    def _look(self, clip: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x_hat (B, T, d, h, w), its mean (B, T, d), eq. (2) (B, T, 1 or d), eq. (6) (B, T, l, h, w)."""
        dtype = self.fc.weight.dtype  # float32 also under bf16 autocast, so that weights sum to one
        times = (clip.shape[0], clip.shape[2])  # not len(clip), which torch.export takes for a constant
        maps = self.base_model(fold_time(clip, self.base_model.in_channels))  # (B*T, C, h, w)
        if min(maps.shape[2:]) < 2:  # also, a 5x5 convolution of one row trains wrongly in bf16 on CPUs
            raise ReproError(
                f"clips of {clip.shape[3]}x{clip.shape[4]} pixels leave a map of {maps.shape[2]}x{maps.shape[3]}, but spatial "
                "attention needs 2x2 positions or more: use larger frames, or a stem with less stride or pooling"
            )
        embedded = self.embed(maps)  # (B*T, d, h, w)
        pooled = embedded.mean(dim=(2, 3), dtype=dtype).unflatten(0, times)  # (B, T, d)
        alpha = self.score(pooled).softmax(1, dtype=dtype)  # (B, T, 1) or (B, T, d)
        scores = self.spatial(maps)  # (B*T, l, h, w)
        positions = scores.flatten(2).softmax(2, dtype=dtype).view(scores.shape)
        return embedded.unflatten(0, times), pooled, alpha, positions.unflatten(0, times)


@takes(bn_inception)
def tstam(
    num_classes: int,
    in_channels: int = 3,
    *,
    heads: int = 4,
    embedding: int = 256,
    per_channel: bool = False,
    frames: Literal["mean", "sum"] = "mean",
    excitation: Literal["none", "se"] = "se",
    dropout: float = 0.8,
    head_std: float = 0.001,
    **backbone: Any,
) -> nn.Module:
    """One stream of T-STAM, for any number of frames; the defaults are the paper's, its RGB stream.

    Parameters
    ----------
    heads: l, spatial attention models (the paper tries 1 to 5 and keeps 4).
    embedding: d, channels of x_hat.
    per_channel: one temporal weight per channel and frame instead of one per frame.
    frames: eq. (7) over the frames. "sum" is printed. "mean" is the default, since the paper trains with 6 frames and tests
        with 25: f_t, a weighted mean, keeps its size, while a sum would be four times as large in testing.
    excitation: "none" is the paper's T-STAM without SE-Net.
    num_classes, dropout, head_std: as for `repro.models.tsn.tsn`. in_channels, backbone: as for `bn_inception`.

    Raises ReproError naming the value and the rule if one of them makes no sense.
    """
    require(heads >= 1, "heads", heads, "at least 1")
    require(embedding >= 1, "embedding", embedding, "at least 1")
    if frames not in FRAMES:
        raise unknown("value of frames", frames, FRAMES)
    base_model = bn_inception(in_channels, excitation=excitation, **backbone)
    return TSTAM(base_model, num_classes, heads, embedding, per_channel, frames, dropout, head_std)
