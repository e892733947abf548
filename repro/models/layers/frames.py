"""Folding time into the batch: how 2-D networks process clips."""

from torch import Tensor

from repro.errors import ReproError


def fold_time(clips: Tensor, channels: int) -> Tensor:
    """Clips (B, C, T, H, W) as frames (B*T, C, H, W), clip by clip; unfold with `unflatten(0, (B, T))`.

    The loader's clips are views of (B, T, H, W, C) memory. Of these it makes no copy, and the frames are channels last.
    Raises ReproError for another shape than (B, `channels`, T, H, W).
    """
    if clips.dim() != 5 or clips.shape[1] != channels:
        raise ReproError(f"clips have shape {tuple(clips.shape)}, but this network takes (B, {channels}, T, H, W)")
    return clips.transpose(1, 2).flatten(0, 1)  # (B, T, C, H, W) -> (B*T, C, H, W)
