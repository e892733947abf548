"""T-STAM's attention as maps: the frames that it weighs, and the regions that its spatial heads look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.maps.views import Seen
from repro.records import Record


@dataclass(frozen=True)
class Attended:
    """A test view, and where a network looks in it.

    frames: (T,) weights, sum 1. heads: (l, T, S, S), the maximum of each map is 1. answer: the name of the predicted
    class. right: whether it is the clip's class.
    """

    seen: Seen
    frames: np.ndarray
    heads: np.ndarray
    answer: str
    right: bool


def over_pixels(positions: Tensor, clips: Tensor) -> Tensor:
    """(B, T, l, S, S), sum 1 in each frame: spatial weights (B, T, l, h, w), enlarged bilinearly to their clips' size."""
    spread = F.interpolate(positions.float().flatten(0, 1), size=clips.shape[3:], mode="bilinear")  # (B * T, l, S, S)
    spread = spread / spread.sum(dim=(2, 3), keepdim=True)
    return spread.unflatten(0, positions.shape[:2])


def spatial_maps(model: nn.Module, clips: Tensor) -> np.ndarray:
    """(B, T, S, S): the mean of the spatial heads, every frame with the same weight."""
    with torch.inference_mode():
        return over_pixels(model.attend(clips).positions, clips).mean(2).cpu().numpy()


def weighted_maps(model: nn.Module, clips: Tensor) -> np.ndarray:
    """(B, T, S, S): the mean of the spatial heads, each frame times its temporal weight."""
    with torch.inference_mode():
        found = model.attend(clips)
        frames = found.frames[:, :, None, None].float()  # (B, T, 1, 1)
        return (frames * over_pixels(found.positions, clips).mean(2)).cpu().numpy()


def attend(model: nn.Module, seen: Seen, classes: Sequence[str]) -> Attended:
    """The answer of a network to a test view, and where it looks."""
    with torch.inference_mode():
        answer = int(model(seen.clip).logits.argmax())
        found = model.attend(seen.clip)
        heads = over_pixels(found.positions, seen.clip)[0].transpose(0, 1).numpy()  # (l, T, S, S)
    heads = heads / heads.max(axis=(2, 3), keepdims=True)
    return Attended(seen, found.frames[0].numpy(), heads, classes[answer], answer == seen.label)


def right_and_wrong(record: Record) -> list[int]:
    """Numbers of the test videos that a network classified correctly, and wrongly, with the largest margin.

    The margin is the best score minus the second best. One number where all answers are right, or all are wrong.
    """
    scores = record.scores.astype(float)
    hit = scores.argmax(1) == np.array(record.labels)
    best = np.sort(scores, axis=1)
    margin = best[:, -1] - best[:, -2]  # (N,)
    return [int(np.where(kind, margin, -1).argmax()) for kind in (hit, ~hit) if kind.any()]
