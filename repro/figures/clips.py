"""Film strips: frames and flow of clips."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from repro.data.flow import methods as flow
from repro.figures.style import titled


def frames_figure(rows: Mapping[str, np.ndarray], count: int = 6) -> Figure:
    """`count` evenly spaced frames of each row of (T, H, W, 3) uint8."""
    figure = titled(1.0 * count, 0.9 * len(rows) + 0.3)
    for axes_row, (label, frames) in zip(figure.subplots(len(rows), count, squeeze=False), rows.items(), strict=True):
        for axes, i in zip(axes_row, np.linspace(0, len(frames) - 1, count).round().astype(int), strict=True):
            axes.imshow(frames[i], interpolation="nearest")
            axes.set_axis_off()
        axes_row[0].set_title(label, fontsize=9)
    return figure


def flow_figure(frames: np.ndarray, flows: np.ndarray, count: int = 6) -> Figure:
    """Frames (T, H, W, 3) above their flow (T-1, H, W, 2) in pixels, coloured by the wheel at the right."""
    limit = max(float(np.quantile(np.hypot(flows[..., 0], flows[..., 1]), 0.995)), 0.5)
    figure = titled(1.5 * (count + 1), 2.9)
    grid = figure.subplots(2, count + 1)
    for column, i in enumerate(np.linspace(0, len(flows) - 1, count).round().astype(int)):
        grid[0, column].imshow(frames[i])
        grid[0, column].set_title(f"frame {i}", fontsize=9)
        grid[1, column].imshow(flow.colour(flows[i], limit))
    grid[0, count].imshow(flow.colour_wheel(101))
    grid[0, count].set_title(f"rim: {limit:.1f} px per frame", fontsize=9)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure
