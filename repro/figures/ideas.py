"""Tensors drawn: maps over the frames of a clip, numbers as bars, matrices, curves, and the frames that sampling draws.

The notebooks show the ideas of the papers with these functions. They take arrays, or tensors without gradient, and draw
them as they are.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from repro.figures.maps import spaced
from repro.figures.style import INK, OURS, PAPER, colour, colours, titled

SIGNED, POSITIVE = "RdBu_r", "Blues"  # of matrices
GLOW = "inferno"  # of maps without negative values
WIDE = 0.96  # of a frame, in units of the distance between neighbouring ones


def strips(rows: Mapping[str, ArrayLike], count: int = 9) -> Figure:
    """Rows over `count` evenly spaced of the T frames of a clip, one above the other.

    A row is of images (T, H, W, 3) uint8, of maps (T, H, W), or of one number per frame (T,). Maps have one scale per row,
    written beside it: dark to bright from the least to the greatest value or, where there are negative values, blue to red
    around white, which is zero. Numbers are bars from zero, in all rows on one scale.
    """
    arrays = {label: np.asarray(row) for label, row in rows.items()}
    shown = spaced(len(next(iter(arrays.values()))), count)
    most = max((row[shown].max() for row in arrays.values() if row.ndim == 1), default=0)
    figure = titled(0.95 * len(shown) + 1.6, 0.78 * len(arrays) + 0.6)
    column = figure.subplots(len(arrays), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (label, row) in zip(column, arrays.items(), strict=True):
        beside = ""
        if row.ndim == 1:
            axes.bar(np.arange(len(shown)), row[shown], 0.7, color=OURS)
            axes.set_ylim(0, 1.05 * most)
            axes.yaxis.set_major_locator(MaxNLocator(3))
        else:
            scale, beside = _scale(row) if row.ndim == 3 else ({}, "")
            top = WIDE * row.shape[1] / row.shape[2]  # as high as the first two axes say, in units of a frame's place
            for place, image in enumerate(row[shown]):
                axes.imshow(image, extent=(place - WIDE / 2, place + WIDE / 2, 0, top), **scale)
            axes.set(yticks=[], ylim=(0, top))
            axes.spines[:].set_visible(False)
        axes.grid(False)
        axes.tick_params(length=0, labelsize=8, labelbottom=False)
        axes.set_ylabel(label + beside, rotation=0, ha="right", va="center", fontsize=9)
    column[0].set(xlim=(-0.5, len(shown) - 0.5))
    column[0].set_xticks(range(len(shown)), [f"frame {t + 1}" for t in shown])
    column[0].tick_params(labeltop=True)
    return figure


def _scale(maps: np.ndarray) -> tuple[dict, str]:
    """How a row of maps is coloured, and its scale in words."""
    low, high = float(maps.min()), float(maps.max())
    if low < 0:
        most = max(-low, high)
        return {"cmap": SIGNED, "vmin": -most, "vmax": most}, f"\n-{most:.2g} to {most:.2g}"
    return {"cmap": GLOW, "vmin": low, "vmax": high}, f"\n{low:.2g} to {high:.2g}"


def bars(
    panels: Mapping[str, ArrayLike], xlabel: str, names: Sequence[str] = (), lines: Mapping[str, float] | None = None,
    title: str = "",
) -> Figure:  # fmt: skip
    """Panels one above the other, each with N numbers (N,) as bars from zero over the same N places, all on one scale.

    A panel has the colour of the stream or system that its label begins with. names: of the places; without them they are
    numbered from 1. lines: by panel, a value to compare with.
    """
    values = [np.asarray(each) for each in panels.values()]
    places = np.arange(1, len(values[0]) + 1)
    figure = titled(8.5, 1.25 * len(values) + 0.9 + 0.5 * bool(names), title)
    column = figure.subplots(len(values), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, label, heights in zip(column, panels, values, strict=True):
        axes.bar(places, heights, 0.75, color=colour(label))
        axes.axhline(0, color=INK, lw=0.8)
        if label in (lines or {}):
            axes.axhline(lines[label], color=PAPER, lw=1.4)
        axes.set_title(label, fontsize=9)
        axes.set_xlim(0.4, len(places) + 0.6)
    if names:
        column[-1].set_xticks(places, names, rotation=40, ha="right")
    column[-1].set_xlabel(xlabel)
    return figure


def matrices(
    panels: Mapping[str, ArrayLike],
    rows: str,
    columns: str,
    names: tuple[Sequence[str], Sequence[str]] = ((), ()),
    numbers: str = "",
) -> Figure:
    """Matrices (M, N) side by side, each with a scale of its own. White is zero.

    Larger values are a darker blue; where there are negative values, these are blue and positive ones red. rows, columns:
    what the axes count, from 1, or name by `names`. numbers: a format such as ".2f", in which each value is written into
    its cell.
    """
    arrays = {label: np.asarray(each) for label, each in panels.items()}
    tall, wide = next(iter(arrays.values())).shape
    height = np.clip(0.42 * tall if numbers else 3.4, 1.2, 3.6)
    width = np.clip(height * wide / tall, 2.6, 8.5 / len(arrays))
    figure = titled(len(arrays) * (width + 1.3), height + 1.1)
    for axes, (label, values) in zip(figure.subplots(1, len(arrays), squeeze=False)[0], arrays.items(), strict=True):
        most = max(float(np.abs(values).max()), 1e-12)
        scale = (SIGNED, -most) if values.min() < 0 else (POSITIVE, 0)
        edges = (0.5, values.shape[1] + 0.5, values.shape[0] + 0.5, 0.5)
        image = axes.imshow(values, cmap=scale[0], vmin=scale[1], vmax=most, aspect="auto", extent=edges)
        axes.grid(False)
        axes.set_title(label, fontsize=10)
        axes.set(xlabel=columns, ylabel=rows)
        for axis, given in ((axes.yaxis, names[0]), (axes.xaxis, names[1])):
            axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            if given:
                axis.set_ticks(range(1, len(given) + 1), given)
        if not numbers:
            figure.colorbar(image, ax=axes, shrink=0.8)
            continue
        for (i, j), value in np.ndenumerate(values):
            shade = "white" if abs(value) > 0.6 * most else INK
            axes.text(j + 1, i + 1, format(value, f"z{numbers}"), ha="center", va="center", color=shade, fontsize=9)
    return figure


def curves(
    x: ArrayLike, lines: Mapping[str, ArrayLike], xlabel: str, ylabel: str, log: bool = False,
    marks: Mapping[str, float] | None = None, limits: tuple[float, float] | None = None,
) -> Figure:  # fmt: skip
    """Lines (N,) over x (N,); log: both axes logarithmic. A line (S, N) has S repeats, drawn thin, and their mean.

    marks: places on the x axis with their names. limits: of the y axis, for figures that are compared.
    """
    figure = titled(7, 3.6)
    axes = figure.subplots()
    strokes = itertools.islice(itertools.cycle(("-", "--", "-.", ":")), len(lines))
    for (label, line), shade, stroke in zip(lines.items(), colours(list(lines)), strokes, strict=True):
        repeats = np.atleast_2d(np.asarray(line))
        if len(repeats) > 1:
            axes.plot(x, repeats.T, color=shade, lw=0.8, alpha=0.5)
        axes.plot(x, repeats.mean(axis=0), color=shade, ls=stroke, lw=2, label=label)
    for label, place in (marks or {}).items():
        axes.axvline(place, color=PAPER, lw=1.4, zorder=0, label=label)
    if log:
        axes.set(xscale="log", yscale="log")
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=limits)
    axes.legend()
    return figure


def draws(panels: Mapping[str, Sequence[ArrayLike]], frames: int, rows: Sequence[str]) -> Figure:
    """The frames of a video, numbered from 1 to `frames`, that sampling draws: panels side by side.

    A panel has one row of frame numbers, from 0, for each of `rows`. Thin lines part the equal intervals of the first row.
    """
    figure = titled(max(2.3 * len(panels) + 1, 7), 0.26 * len(rows) + 1.4)
    for axes, (label, drawn) in zip(
        figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels.items(), strict=True
    ):
        for edge in np.linspace(0, frames, len(drawn[0]) + 1):
            axes.axvline(edge + 0.5, color=PAPER, lw=0.9, zorder=0)
        for place, numbers in enumerate(drawn):
            axes.plot(np.asarray(numbers) + 1, np.full(len(numbers), place), "s", ms=5, color=OURS)
        axes.set_title(label, fontsize=10)
        axes.set(xlabel="frame of the video", xlim=(0, frames + 1))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_yticks(range(len(rows)), rows)
        axes.grid(axis="x", visible=False)
    axes.invert_yaxis()
    return figure
