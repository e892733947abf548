"""Maps laid over clips: stills with a curve over time, a clip that plays, and shares of maps by method."""

from collections.abc import Mapping

import cv2
import numpy as np
from IPython.display import Video
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from repro.evidence.intervals import crossed
from repro.figures.style import INK, OURS, PAPER, colours, plain, titled, video
from repro.maps.cam import temporal_curve
from repro.maps.measurements import Overlap
from repro.maps.views import Explained, Whole

HEAT = np.array([213, 94, 0], np.float32)  # vermilion, on grey frames
PANEL = 176  # pixels, the side of one clip in an animation


def overlay(frames: np.ndarray, maps: np.ndarray, side: int) -> np.ndarray:
    """(T, side, side, 3) uint8: frames (T, S, S, 3) in grey, orange where the maps (T, S, S) in [0, 1] are high."""
    shown = []
    for frame, heat in zip(frames, maps, strict=True):
        grey = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (side, side), interpolation=cv2.INTER_CUBIC)
        ground = 70 + 0.7 * grey[..., None].astype(np.float32)
        weight = 0.9 * cv2.resize(heat, (side, side), interpolation=cv2.INTER_LINEAR)[..., None] ** 0.8
        shown.append((1 - weight) * ground + weight * HEAT)
    return np.clip(shown, 0, 255).astype(np.uint8)


def enlarged(frames: np.ndarray) -> np.ndarray:
    """(T, PANEL, PANEL, 3): frames (T, S, S, 3) at the size of an animation."""
    return np.stack([cv2.resize(frame, (PANEL, PANEL), interpolation=cv2.INTER_CUBIC) for frame in frames])


def still(axes: Axes, image: np.ndarray, mask: np.ndarray | None, label: str = "") -> None:
    """An image without frame or ticks, its label at the left; its mask (S, S), where there is one, as a white outline."""
    axes.imshow(image, interpolation="bicubic", extent=(0, 1, 1, 0))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if label:
        axes.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    if mask is not None and mask.max() > 0.5:
        at = (np.arange(mask.shape[0]) + 0.5) / mask.shape[0]
        axes.contour(at, at, mask, [0.5], colors="white", linewidths=0.9)


def spaced(frames: int, count: int) -> np.ndarray:
    """Indices of at most `count` evenly spaced frames of a clip."""
    return np.linspace(0, frames - 1, min(count, frames)).round().astype(int)


def stills_figure(systems: Mapping[str, Explained], title: str, count: int = 8) -> Figure:
    """Frames, flow where a system sees it, each system's map over the frames, and below how each map spreads over time.

    The clips of all systems have the same number of frames; `count` evenly spaced ones are shown. The person is outlined
    where its mask is known.
    """
    first = next(iter(systems.values())).seen
    shown = spaced(len(first.frames), count)
    rows = [("frames", first.frames, None)]
    rows += [("flow", each.seen.flows, None) for each in systems.values() if each.seen.flows is not None][:1]
    for label, each in systems.items():
        rows.append((f"{label}:\n{plain(each.answer)}", overlay(each.seen.frames, each.heat, PANEL), each.seen.mask))
    figure = titled(1.15 * len(shown) + 2.2, 1.15 * len(rows) + 2.2, title)
    heights = [1] * len(rows) + [1.5]
    grid = figure.add_gridspec(len(rows) + 1, len(shown), height_ratios=heights, wspace=0.03, hspace=0.03)
    for r, (label, images, masks) in enumerate(rows):
        for c, t in enumerate(shown):
            mask = None if masks is None else masks[t]
            still(figure.add_subplot(grid[r, c]), images[t], mask, label if c == 0 else "")
    _curves(figure.add_subplot(grid[-1, :]), systems)
    return figure


def _curves(axes: Axes, systems: Mapping[str, Explained]) -> None:
    """Each map's mass per frame, in percent of the map: maps have scales of their own, so only shares compare."""
    for (label, each), shade in zip(systems.items(), colours(list(systems)), strict=True):
        curve = temporal_curve(each.heat)
        curve = 100 * curve / max(curve.sum(), 1e-9)
        axes.plot(np.arange(1, len(curve) + 1), curve, "o-", ms=3.5, lw=1.6, color=shade, label=label)
    axes.set(xlim=(0.5, len(curve) + 0.5), ylim=(0, None))
    axes.set_xlabel("frame of the clip", fontsize=9)
    axes.set_ylabel("% of the map", fontsize=9)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)


def film(systems: Mapping[str, Explained], fps: float = 6.0) -> Video:
    """The clip beside itself under each system's map, captioned with the system."""
    panels = {"clip": enlarged(next(iter(systems.values())).seen.frames)}
    panels |= {label: overlay(each.seen.frames, each.heat, PANEL) for label, each in systems.items()}
    return video(_captioned(panels), fps)


def film_whole(whole: Whole, maps: Mapping[str, np.ndarray], fps: float = 6.0) -> Video:
    """Frames at the video's own size, beside them the same under each map (T, S, S), captioned."""
    under = {label: under_map(whole, heat) for label, heat in maps.items()}
    return video(_captioned({"video": whole.frames, **under}), fps)


def under_map(whole: Whole, heat: np.ndarray) -> np.ndarray:
    """Frames (T, H, W, 3) uint8 under a map (T, S, S). What the network does not see keeps its colours.

    The map of a mirrored view is mirrored back.
    """
    frames, heat = whole.frames.copy(), heat[:, :, ::-1] if whole.flip else heat
    rows, columns = slice(whole.top, whole.top + whole.side), slice(whole.left, whole.left + whole.side)
    frames[:, rows, columns] = overlay(frames[:, rows, columns], np.ascontiguousarray(heat), whole.side)
    return frames


def _captioned(panels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Panels (T, H, W, 3) side by side, each under its name: (T, H + 20, panels * W, 3)."""
    strip = np.concatenate(list(panels.values()), axis=2)
    bar = Image.new("RGB", (strip.shape[2], 20), "white")
    for i, label in enumerate(panels):
        at = i * strip.shape[2] // len(panels) + 4
        ImageDraw.Draw(bar).text((at, 3), label, "#222222", ImageFont.load_default(12))
    bars = np.broadcast_to(np.asarray(bar), (len(strip), *np.shape(bar)))
    return np.concatenate([bars, strip], axis=1)


def shares_figure(found: Mapping[str, Mapping[str, Overlap]], title: str) -> Figure:
    """{method: {system: its overlap}}: shares on the person with their 95 % intervals, one panel per system."""
    systems = list(next(iter(found.values())))
    figure = titled(3.1 * len(systems) + 1.2, 0.34 * len(found) + 1.8, title)
    panels = figure.subplots(1, len(systems), sharex=True, sharey=True, squeeze=False)[0]
    for axes, system in zip(panels, systems, strict=True):
        for place, method in enumerate(found):
            overlap = found[method][system]
            _share(axes, place - 0.13, overlap.trained.share, "o", OURS, OURS)
            _share(axes, place + 0.13, overlap.untrained.share, "D", INK, "white")
        (chance,) = {round(100 * float(each[system].trained.chance.mean()), 4) for each in found.values()}
        axes.axvline(chance, color=PAPER, lw=1.4, zorder=0)
        axes.set_title(system, fontsize=10)
        axes.set(xlabel="% of the map on the person", xlim=(0, None))
    panels[0].set_yticks(range(len(found)), list(found))
    panels[0].invert_yaxis()
    marks = [("o", OURS, OURS, "trained"), ("D", INK, "white", "random weights")]
    handles = [panels[0].plot([], [], m, color=c, mfc=f, label=name)[0] for m, c, f, name in marks]
    handles += panels[0].plot([], [], color=PAPER, lw=1.4, label="chance: the part of the clip that the person fills")
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _share(axes: Axes, place: float, shares: np.ndarray, marker: str, shade: str, face: str) -> None:
    share = crossed([shares])
    axes.plot([100 * max(share.low, 0), 100 * min(share.high, 1)], [place, place], color=shade, lw=1.3)
    axes.plot([100 * share.mean], [place], marker, ms=5.5, color=shade, mfc=face)
