"""Maps laid over clips: what a network saw, stills with a curve over time, a clip that plays; also of your own video."""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from torch import nn

from repro.config import Run
from repro.data import prepare, store, transforms
from repro.data.catalog import Catalog
from repro.data.clips import ClipDataset, batches, collate, recipe_of
from repro.data.flow import methods as flow
from repro.evaluate import Scores
from repro.evidence.statistics import bootstrap
from repro.figures import results as plots
from repro.maps import cam as explain
from repro.maps import overlap as pointing

HEAT = np.array([213, 94, 0], np.float32)  # vermilion, on grey frames
COLOURS = ("#56b4e9", "#0072b2", "#777777", "#cc79a7", "#009e73")  # of the curves, in the order of the systems
PANEL = 176  # pixels, about the side of a playing clip


@dataclass(frozen=True)
class Seen:
    """A test view as a network sees it. name: of its video; label: its class number; frames: (T, S, S, 3) uint8 RGB;
    flows: (T, S, S, 3) uint8, colours, where it sees flow; clip: (1, C, T, S, S) uint8; mask: (T, S, S), where known."""

    name: str
    label: int
    frames: np.ndarray
    flows: np.ndarray | None
    clip: torch.Tensor
    mask: np.ndarray | None


@dataclass(frozen=True)
class Explained:
    """A view, a network's map of it, (T, S, S) in [0, 1], and the name of the class that the network takes it for."""

    seen: Seen
    heat: np.ndarray
    answer: str


def see(data: ClipDataset, i: int) -> Seen:
    """Test view `i` of a data set of one modality."""
    view, item = data.views[i], data[i]
    packed = store.open_packed(data.files[view.video], data.recipe)
    frames = np.empty((len(view.starts), data.data.size, data.data.size, 3), np.uint8)
    transforms.apply(packed.rgb(view.starts, view.crop), view.crop.flip, frames)
    (modality,) = data.modalities
    flows = None
    if modality == "flow":
        pixels = flow.dequantise(item["flow"][..., :2], data.data.bound)
        limit = max(float(np.quantile(np.hypot(pixels[..., 0], pixels[..., 1]), 0.995)), 0.5)
        flows = np.stack([flow.colour(f, limit) for f in pixels])
    mask = pointing.mask(data, i) if data.data.dataset == "synthetic" else None
    clip = collate([item])[modality]  # (1, C, T, S, S)
    return Seen(data.table["clip"].iloc[view.video], int(item["label"]), frames, flows, clip, mask)


def test_view(run: Run, catalog: Catalog, number: int) -> Seen:
    """The middle window of the `number`-th test video of a run, counted round the test part; of segments the first crop,
    which is the centre's."""
    data = ClipDataset(catalog, "test", run.data, (run.data.modality,))
    views = [i for i, view in enumerate(data.views) if view.video == number % len(data.files)]
    return see(data, views[len(views) // 2 if run.data.sampling == "consecutive" else 0])


def own_video(run: Run, classes: Sequence[str], path: Path) -> ClipDataset:
    """Any video file as a test set of one video, stored, cut and resized as the run's own test videos.

    A file that is missing, broken, or of a single frame is a ReproError that names it.
    """
    path = path.expanduser().resolve()
    data = dataclasses.replace(run.data, dataset="own", catalog="", excluded=(), root=str(path.parent), group="")
    row = {"clip": path.name, "path": str(path), "label": -1, "class": "", "group": "", "part": "test"}
    catalog = Catalog("own", run.data.split, tuple(classes), pd.DataFrame([row]), (), "")
    prepare.require_all(prepare.prepare(catalog.table, "own", path.parent, recipe_of(data), jobs=1))
    return ClipDataset(catalog, "test", data, (data.modality,))


def explained(model: nn.Module, seen: Seen, classes: Sequence[str], layer: str, method: str) -> Explained:
    """The answer of a network on a view, and where `layer` holds evidence for it."""
    with torch.inference_mode():
        answer = int(model(seen.clip).logits.argmax())
    return Explained(seen, explain.cam(model, seen.clip, layer, method, answer)[0], classes[answer])


def scores(model: nn.Module, data: ClipDataset) -> Scores:
    """The scores of a network on every view of a test set of one modality, on the CPU."""
    (modality,) = data.modalities
    with torch.inference_mode():
        logits = [model(items[modality]).logits.numpy() for items in batches(data, 16)]
    video = np.array([view.video for view in data.views])
    return Scores(np.concatenate(logits), video, data.labels.astype(np.int64), data.data.average)


def overlay(frames: np.ndarray, maps: np.ndarray, side: int) -> np.ndarray:
    """(T, side, side, 3) uint8: frames (T, S, S, 3) in grey, coloured where the maps (T, S, S) in [0, 1] are high."""
    shown = []
    for frame, heat in zip(frames, maps, strict=True):
        grey = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_CUBIC)
        ground = 70 + 0.7 * grey[..., None].astype(np.float32)
        weight = 0.9 * cv2.resize(heat, (side, side), interpolation=cv2.INTER_LINEAR)[..., None] ** 0.8
        shown.append((1 - weight) * ground + weight * HEAT)
    return np.clip(shown, 0, 255).astype(np.uint8)


def stills_figure(systems: Mapping[str, Explained], title: str, count: int = 8) -> Figure:
    """Frames, flow where a system sees it, each system's map over them, and below how the map spreads over time.

    The systems' clips have the same number of frames, of which `count` evenly spaced ones are shown. The figure is
    outlined where its mask is known.
    """
    first = next(iter(systems.values())).seen
    shown = np.linspace(0, len(first.frames) - 1, min(count, len(first.frames))).round().astype(int)
    rows = [("frames", first.frames, None)]
    rows += [("flow", each.seen.flows, None) for each in systems.values() if each.seen.flows is not None][:1]
    for label, each in systems.items():
        rows.append((f"{label}:\n{each.answer}", overlay(each.seen.frames, each.heat, PANEL), each.seen.mask))
    figure = Figure(figsize=(1.15 * len(shown) + 2.2, 1.15 * len(rows) + 2.2), dpi=80, layout="constrained")
    heights = [1] * len(rows) + [1.5]
    grid = figure.add_gridspec(len(rows) + 1, len(shown), height_ratios=heights, wspace=0.03, hspace=0.03)
    for r, (label, images, mask) in enumerate(rows):
        for c, t in enumerate(shown):
            axes = figure.add_subplot(grid[r, c])
            still(axes, images[t], None if mask is None else mask[t])
            if c == 0:
                axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    _curves(figure.add_subplot(grid[-1, :]), systems)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def still(axes, image: np.ndarray, mask: np.ndarray | None) -> None:
    """An image without frame or ticks; its mask (S, S), where there is one, as a white outline."""
    axes.imshow(image, interpolation="bicubic", extent=(0, 1, 1, 0))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if mask is not None and mask.max() > 0.5:
        at = (np.arange(mask.shape[0]) + 0.5) / mask.shape[0]
        axes.contour(at, at, mask, [0.5], colors="white", linewidths=0.9)


def _curves(axes, systems: Mapping[str, Explained]) -> None:
    for (label, each), colour in zip(systems.items(), COLOURS, strict=False):
        curve = explain.temporal_curve(each.heat)
        curve = 100 * curve / max(curve.sum(), 1e-9)  # each map has its own scale, so only shares can be compared
        axes.plot(np.arange(len(curve)), curve, "o-", ms=3.5, lw=1.6, color=colour, label=label)
    axes.set(xlim=(-0.5, len(curve) - 0.5), xlabel="frame of the clip", ylim=(0, None))
    axes.set_title("% of the map in each frame", fontsize=9)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)


def playing(systems: Mapping[str, Explained], fps: float = 6.0) -> bytes:
    """An animated WebP: the clip beside itself under each system's map, captioned with the system."""
    first = next(iter(systems.values())).seen
    panels = {"clip": np.stack([cv2.resize(f, (PANEL, PANEL), interpolation=cv2.INTER_CUBIC) for f in first.frames])}
    panels |= {label: overlay(each.seen.frames, each.heat, PANEL) for label, each in systems.items()}
    bar = Image.new("RGB", (len(panels) * PANEL, 20), "white")
    for i, label in enumerate(panels):
        ImageDraw.Draw(bar).text((i * PANEL + 4, 3), label, "#222222", ImageFont.load_default(12))
    strip = np.concatenate(list(panels.values()), axis=2)  # (T, PANEL, panels * PANEL, 3)
    bars = np.broadcast_to(np.asarray(bar), (len(strip), *np.shape(bar)))
    return plots.animation(np.concatenate([bars, strip], axis=1), fps)


def png(figure: Figure) -> bytes:
    """A figure as a PNG, for showing what is not to be kept."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def shares_figure(found: Mapping[str, Mapping[str, tuple]], title: str) -> Figure:
    """{method: {system: (trained, with random weights)}}: shares on the figure with their intervals, a panel a system."""
    systems = list(next(iter(found.values())))
    figure = Figure(figsize=(3.1 * len(systems) + 1.2, 0.34 * len(found) + 1.7), layout="constrained")
    panels = figure.subplots(1, len(systems), sharex=True, sharey=True, squeeze=False)[0]
    for axes, system in zip(panels, systems, strict=True):
        for place, method in enumerate(found):
            for measured, shift, style in zip(found[method][system], (-0.13, 0.13), ("o", "D"), strict=True):
                mean, low, high = (100 * v for v in bootstrap([measured.share]))
                colour, face = (plots.OURS, plots.OURS) if style == "o" else (plots.INK, "white")
                axes.plot([low, high], [place + shift] * 2, color=colour, lw=1.3)
                axes.plot([mean], [place + shift], style, ms=5.5, color=colour, mfc=face)
        (chance,) = {round(100 * float(m[system][0].chance.mean()), 6) for m in found.values()}
        axes.axvline(chance, color=plots.PAPER, lw=1.4, zorder=0)
        axes.set_title(system, fontsize=10)
        axes.set_xlabel("% of the map on the figure")
    panels[0].set_yticks(range(len(found)), list(found))
    panels[0].invert_yaxis()
    marks = [("o", plots.OURS, plots.OURS, "trained"), ("D", plots.INK, "white", "random weights")]
    handles = [panels[0].plot([], [], m, color=c, mfc=f, label=name)[0] for m, c, f, name in marks]
    handles += panels[0].plot([], [], color=plots.PAPER, lw=1.4, label="chance: what the figure fills of the clip")
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure
