"""T-STAM's attention, drawn: the frames that it weighs, and the regions that its spatial heads look at."""

from collections.abc import Mapping

import numpy as np
from IPython.display import Video
from matplotlib.figure import Figure, SubFigure

from repro.figures.maps import PANEL, enlarged, overlay, spaced, still
from repro.figures.style import COLOURS, INK, plain, titled, video
from repro.maps.attention import Attended


def attention_figure(views: Mapping[str, Attended], title: str, count: int = 8) -> Figure:
    """Views side by side: frames, flow where the network sees it, each head's map over the frames, weights as bars.

    The person is outlined where its mask is known.
    """
    first = next(iter(views.values()))
    shown = spaced(len(first.frames), count)
    rows = 1 + (first.seen.flows is not None) + len(first.heads)
    figure = titled(len(views) * (0.85 * len(shown) + 0.6), 0.85 * rows + 2.0, title)
    parts = figure.subfigures(1, len(views), squeeze=False, wspace=0.05)[0]
    for part, (name, view) in zip(parts, views.items(), strict=True):
        _view(part, name, view, shown)
    return figure


def _view(part: SubFigure, name: str, view: Attended, shown: np.ndarray) -> None:
    true = "" if view.right or view.seen.label < 0 else f", but is {view.seen.name.split('/')[0]}"
    part.suptitle(plain(f"{name}: classified as {view.answer}{true}"), fontsize=10, x=0.5)
    rows = [("frames", view.seen.frames, None)]
    rows += [("flow", view.seen.flows, None)] if view.seen.flows is not None else []
    for j, maps in enumerate(view.heads, 1):
        rows.append((f"head {j}", overlay(view.seen.frames, maps, PANEL), view.seen.mask))
    grid = part.add_gridspec(len(rows) + 1, len(shown), height_ratios=[1] * len(rows) + [0.9], wspace=0.03, hspace=0.03)
    for r, (label, images, masks) in enumerate(rows):
        for c, t in enumerate(shown):
            mask = None if masks is None else masks[t]
            still(part.add_subplot(grid[r, c]), images[t], mask, label if c == 0 else "")
    axes = part.add_subplot(grid[-1, :])
    axes.bar(np.arange(len(shown)), 100 * view.frames[shown], 0.7, color=COLOURS["T-STAM"])
    axes.axhline(100 / len(view.frames), color=INK, lw=1.2)
    axes.set(xlim=(-0.5, len(shown) - 0.5), xticks=range(len(shown)), xticklabels=shown + 1, ylim=(0, None))
    axes.set_xlabel("frame of the clip", fontsize=8)
    axes.set_title("weight of each frame, % (line: equal weights)", fontsize=8)
    axes.tick_params(labelsize=8)


def film(view: Attended, fps: float = 4.0) -> Video:
    """The clip beside itself under each head's map; the bar above grows with the frame's weight."""
    panels = [enlarged(view.seen.frames)] + [overlay(view.seen.frames, maps, PANEL) for maps in view.heads]
    strip = np.concatenate(panels, axis=2)  # (T, PANEL, panels * PANEL, 3)
    bar = np.full((len(strip), 12, strip.shape[2], 3), 235, np.uint8)
    shade = [int(COLOURS["T-STAM"][i : i + 2], 16) for i in (1, 3, 5)]
    for t, weight in enumerate(view.frames / view.frames.max()):
        bar[t, :, : round(weight * strip.shape[2])] = shade
    return video(np.concatenate([bar, strip], axis=1), fps)
