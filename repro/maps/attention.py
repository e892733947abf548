"""T-STAM's attention, drawn and measured: the frames it weighs, and the regions that its spatial heads look at."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from repro.figures import results as plots
from repro.maps import views as clips_view
from repro.maps.views import PANEL, Seen
from repro.records import Record


@dataclass(frozen=True)
class Attended:
    """A test view and where a network looks in it. frames: (T,), sums to one; heads: (l, T, S, S), each map of a frame
    from 0 to its highest value 1; answer: the name of the class that the network takes it for; right: whether it is."""

    seen: Seen
    frames: np.ndarray
    heads: np.ndarray
    answer: str
    right: bool


def over_pixels(positions: Tensor, clips: Tensor) -> Tensor:
    """(B, T, l, S, S): spatial weights (B, T, l, h, w) spread bilinearly over the pixels of their clips; a frame's sum to one."""
    spread = F.interpolate(positions.float().flatten(0, 1), size=clips.shape[3:], mode="bilinear")  # (B * T, l, S, S)
    spread = spread / spread.sum(dim=(2, 3), keepdim=True)
    return spread.unflatten(0, positions.shape[:2])


def spatial_maps(model: nn.Module, clips: Tensor) -> np.ndarray:
    """(B, T, S, S): the heads' mean, every frame with the same weight; for `pointing`."""
    with torch.inference_mode():
        return over_pixels(model.attend(clips).positions, clips).mean(2).cpu().numpy()


def weighted_maps(model: nn.Module, clips: Tensor) -> np.ndarray:
    """(B, T, S, S): the heads' mean, frames by their temporal weights; for `pointing`."""
    with torch.inference_mode():
        found = model.attend(clips)
        frames = found.frames[:, :, None, None].float()  # (B, T, 1, 1)
        return (frames * over_pixels(found.positions, clips).mean(2)).cpu().numpy()


def attend(model: nn.Module, seen: Seen, classes: tuple[str, ...]) -> Attended:
    """What a network answers to a test view, and where it looks."""
    with torch.inference_mode():
        answer = int(model(seen.clip).logits.argmax())
        found = model.attend(seen.clip)
        heads = over_pixels(found.positions, seen.clip)[0].transpose(0, 1).numpy()  # (l, T, S, S)
    heads = heads / heads.max(axis=(2, 3), keepdims=True)
    return Attended(seen, found.frames[0].numpy(), heads, classes[answer], answer == seen.label)


def right_and_wrong(record: Record) -> list[int]:
    """Numbers of two test videos: the one answered right and the one answered wrong with most confidence; one where all
    answers are of one kind."""
    scores = record.scores.astype(float)
    hit = scores.argmax(1) == np.array(record.labels)
    margin = np.sort(scores, axis=1)[:, -1] - np.sort(scores, axis=1)[:, -2]  # (N,)
    return [int(np.where(kind, margin, -1).argmax()) for kind in (hit, ~hit) if kind.any()]


def figure(views: Mapping[str, Attended], title: str, count: int = 8) -> Figure:
    """Views side by side: the frames, what the network sees if that is flow, each head's map over them, and the frames'
    weights as bars under them. The figure is outlined where its mask is known."""
    first = next(iter(views.values()))
    shown = np.linspace(0, len(first.frames) - 1, min(count, len(first.frames))).round().astype(int)
    flow = first.seen.flows is not None
    rows = 1 + flow + len(first.heads)
    drawn = Figure(figsize=(len(views) * (0.85 * len(shown) + 0.6), 0.85 * rows + 2.0), layout="constrained")
    for part, (label, view) in zip(
        drawn.subfigures(1, len(views), squeeze=False, wspace=0.05)[0], views.items(), strict=True
    ):
        true = "" if view.right or view.seen.label < 0 else f", but is {view.seen.name.split('/')[0]}"
        part.suptitle(f"{label}: seen as {view.answer}{true}", fontsize=10, x=0.5)
        grid = part.add_gridspec(rows + 1, len(shown), height_ratios=[1] * rows + [0.9], wspace=0.03, hspace=0.03)
        images = [("frames", view.seen.frames, None)] + [("flow", view.seen.flows, None)] * flow
        images += [
            (f"head {j + 1}", clips_view.overlay(view.seen.frames, maps, PANEL), view.seen.mask)
            for j, maps in enumerate(view.heads)
        ]
        for r, (name, pictures, mask) in enumerate(images):
            for c, t in enumerate(shown):
                axes = part.add_subplot(grid[r, c])
                clips_view.still(axes, pictures[t], None if mask is None else mask[t])
                if c == 0:
                    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
        axes = part.add_subplot(grid[-1, :])
        axes.bar(np.arange(len(shown)), 100 * view.frames[shown], 0.7, color=plots.OURS)
        axes.axhline(100 / len(view.frames), color=plots.PAPER, lw=1.2)
        axes.set(xlim=(-0.5, len(shown) - 0.5), xticks=range(len(shown)), xticklabels=shown + 1, ylim=(0, None))
        axes.set_title("weight of each frame, % (line: all alike)", fontsize=8)
        axes.tick_params(labelsize=8)
    drawn.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return drawn


def playing(view: Attended, fps: float = 4.0) -> bytes:
    """An animated WebP: the clip beside itself under each head's map; the bar above grows with the frame's weight."""
    panels = [np.stack([cv2.resize(f, (PANEL, PANEL), interpolation=cv2.INTER_CUBIC) for f in view.seen.frames])]
    panels += [clips_view.overlay(view.seen.frames, maps, PANEL) for maps in view.heads]
    strip = np.concatenate(panels, axis=2)  # (T, PANEL, panels * PANEL, 3)
    bar = np.full((len(strip), 12, strip.shape[2], 3), 235, np.uint8)
    for t, weight in enumerate(view.frames / view.frames.max()):
        bar[t, :, : round(weight * strip.shape[2])] = (0, 114, 178)
    return plots.animation(np.concatenate([bar, strip], axis=1), fps)
