"""IMRS's Table 5 as a figure: accuracy against cost."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro.evidence.published import AT_TEST, DATA
from repro.figures.style import COLOURS, INK, colour, titled

COSTS = {"gflops": "FLOPs of a clip as printed, G (log scale)", "params_m": "parameters, M (log scale)"}
OTHERS = "#888888"  # methods of other papers
SIDES = ((8, 0), (-8, 1), (0, 0.5))  # dx in points and alignment of a name beside its point
PLACES = [(side, dy) for dy in (0, 9, -9, 13, -13, 20, -20, 30, -30) for side in SIDES]


def without_cost(numbers: pd.DataFrame) -> str:
    """The methods that a panel cannot show, in one sentence."""
    parts = []
    for key, what in (("gflops", "FLOPs"), ("params_m", "parameters")):
        parts.append(f"no {what}: {', '.join(numbers.loc[numbers[key].isna(), 'method'])}")
    return "Not drawn, since Table 5 has " + "; ".join(parts) + "."


def figure(numbers: pd.DataFrame) -> Figure:
    """Accuracy against cost, published numbers alone.

    Hollow points are of split 1. An arrow leads from IMRS's printed cost to its cost at test.
    """
    result = titled(11.5, 10, "IMRS, Table 5: accuracy against cost")
    panels = {}
    for row, (price, words) in zip(result.subplots(2, 2), COSTS.items(), strict=True):
        for axes, (key, name) in zip(row, DATA.items(), strict=True):
            panels[axes] = numbers.dropna(subset=[price, key]).rename(columns={price: "x", key: "y"})
            _points(axes, panels[axes])
            axes.set(xlabel=words, ylabel=f"{name}, top-1, %")
    result.supxlabel(
        "hollow: split 1; filled: mean of three splits, or not stated; star: IMRS at the cost of its test", fontsize=10
    )
    result.draw_without_rendering()  # fixes where the points are
    for axes, shown in panels.items():
        _names(axes, shown)
    return result


def _points(axes, shown: pd.DataFrame) -> None:
    axes.set_xscale("log")
    axes.margins(x=0.12, y=0.1)
    for n in shown.itertuples():
        shade, star = colour(n.method, OTHERS), n.method == AT_TEST
        filling = "white" if n.splits == "1" else shade
        axes.plot(n.x, n.y, "*" if star else "o", ms=13 if star else 8, color=shade, mfc=filling, mew=1.6)
    printed, at_test = (shown.loc[shown["method"] == name, ["x", "y"]].iloc[0] for name in ("IMRS", AT_TEST))
    arrow = {"arrowstyle": "->", "color": COLOURS["IMRS"], "lw": 1.4, "shrinkA": 6, "shrinkB": 6}
    axes.annotate("", tuple(at_test), tuple(printed), arrowprops=arrow)


def _names(axes, shown: pd.DataFrame) -> None:
    """Writes each method's name at the first free place around its point, inside the panel; IMRS and MARS choose first."""
    shown = shown.sort_values("method", key=lambda names: ~names.str.contains("IMRS|MARS"), kind="stable")
    to_points = 72 / axes.figure.dpi
    points = axes.transData.transform(shown[["x", "y"]].to_numpy(float)) * to_points  # (N, 2)
    inside, taken = axes.get_window_extent().extents * to_points, [np.concatenate([p - 4, p + 4]) for p in points]
    ends = points[shown["method"].isin(("IMRS", AT_TEST)).to_numpy()]
    taken.append(np.concatenate([ends.min(axis=0) - 4, ends.max(axis=0) + 4]))  # the arrow
    for name, place, point in zip(shown["method"], shown[["x", "y"]].to_numpy(), points, strict=True):
        size = np.array([4.8 * len(name), 9.0])
        for (dx, share), dy in PLACES:
            low = point + np.array([dx - share * size[0], dy - size[1] / 2])
            box = np.concatenate([low, low + size])
            free = all((box[:2] >= b[2:]).any() or (b[:2] >= box[2:]).any() for b in taken)
            if free and (low > inside[:2]).all() and (low + size < inside[2:]).all():
                break
        taken.append(box)
        side = {0: "left", 1: "right", 0.5: "center"}[share]
        text = axes.annotate(name, place, (dx, dy), textcoords="offset points", ha=side, va="center", fontsize=8)
        text.set(color=INK, in_layout=False)
