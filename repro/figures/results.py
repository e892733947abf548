"""Figures from records and clips. Nothing here trains; each function returns a matplotlib Figure or an image."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from repro import paths
from repro.data.flow import methods as flow
from repro.evidence import statistics, tables
from repro.evidence import time_order as order
from repro.evidence.tables import Table
from repro.parameters import Parameters
from repro.records import Record

OURS, PAPER, INK = "#0072b2", "#e69f00", "#444444"  # colours that the colour-blind can tell apart
STYLE = {
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "axes.axisbelow": True,
    "font.size": 10, "figure.dpi": 110, "savefig.bbox": "tight", "axes.titlelocation": "left", "legend.frameon": False,
}  # fmt: skip
matplotlib.rcParams.update(STYLE)


def save(figure: Figure, name: str, parameters: Parameters) -> Path:
    """Writes figures/PROFILE/DATASET/NAME.png, the same bytes for the same figure, in 256 colours to be small."""
    path, drawn = paths.out() / "figures" / parameters.profile / parameters.name / f"{name}.png", io.BytesIO()
    figure.savefig(drawn, format="png")
    with paths.atomic(path) as part:
        Image.open(drawn).convert("RGB").quantize(256).save(part, format="png", optimize=True)
    return path


def table_figure(table: Table, parameters: Parameters) -> Figure:
    """A table at a glance: every row's accuracy, seeds as dots, beside the paper's where it has any; in percent.

    The scales differ on purpose: the paper's data are not ours, and only the order of rows can be compared.
    """
    labels = [row.label for row in table.rows]
    ours = [tables.accuracy(row) for row in table.rows]
    paper = table.paper[table.paper["metric"] == "top1"]
    numbers = dict(zip(paper["row"], paper["value"], strict=True))
    figure = Figure(figsize=(8.5, 0.45 * len(labels) + 1.6), layout="constrained")
    panels = figure.subplots(1, 2 if numbers else 1, sharey=True, squeeze=False)[0]
    places = np.arange(len(labels))
    if numbers:
        theirs = [np.array([numbers[name]]) if name in numbers else np.array([]) for name in labels]
        _dots(panels[0], places, theirs, PAPER)
        panels[0].set_title(f"paper ({paper['dataset'].iloc[0].upper()}), top-1 %")
    _dots(panels[-1], places, ours, OURS)
    panels[0].set_yticks(places, labels)
    panels[0].invert_yaxis()
    panels[-1].set_title(f"ours ({parameters.where}), top-1 %")
    figure.suptitle(table.title, x=0.01, ha="left", fontweight="bold")
    return figure


def _dots(axes, places: np.ndarray, values: Sequence[np.ndarray], colour: str) -> None:
    for place, each in zip(places, values, strict=True):
        if len(each) == 0:
            axes.text(0.02, place, tables.NOT_AVAILABLE, transform=axes.get_yaxis_transform(), va="center", color=INK)
            continue
        axes.plot(each, np.full(len(each), place), "o", ms=5, alpha=0.45, color=colour)
        axes.plot([each.mean()], [place], "D", ms=8, color=colour)
        axes.annotate(
            f"{each.mean():.1f}", (each.mean(), place), (0, 8), textcoords="offset points", ha="center", color=INK
        )
    axes.margins(x=0.15, y=0.15)


def streams_figure(table: Table, parameters: Parameters) -> Figure:
    """Figure 4's bars: top-1 and top-5 of every stream, per split and their mean, with the spread over seeds."""
    splits = list(parameters.splits)
    columns = [f"split {s}" for s in splits] + (["mean"] if len(splits) > 1 else [])
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    colours = ["#999999", "#56b4e9", "#0072b2", "#cc79a7"]
    for axes, k in zip(figure.subplots(1, 2), (1, 5), strict=True):
        for i, row in enumerate(table.rows):
            per_split = {split: 100 * each.mean(axis=1) for split, each in tables.hits(row, k).items()}
            values = [per_split[s] for s in splits] + ([tables.accuracy(row, k)] if len(splits) > 1 else [])
            x = np.arange(len(columns)) + (i - 1.5) * 0.19
            spread = [v.std(ddof=1) if len(v) > 1 else 0 for v in values]
            axes.bar(
                x, [v.mean() for v in values], 0.18, yerr=spread, color=colours[i], label=row.label, error_kw={"lw": 1}
            )
        axes.set_xticks(range(len(columns)), columns)
        low = min(bar.get_height() for bar in axes.patches)
        axes.set_ylim(max(0, low - 15), 100.5)
        axes.set_title(f"top-{k} %")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    figure.suptitle(f"{table.title} ({parameters.where})", x=0.01, ha="left", fontweight="bold")
    return figure


def history_figure(records: Mapping[str, Record]) -> Figure:
    """Loss and accuracy by epoch, one line a run."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for label, record in records.items():
        history = pd.DataFrame(record.history)
        (line,) = left.plot(history["epoch"], history["loss"], label=label)
        right.plot(history["epoch"], 100 * history["clip_top1"], "--", color=line.get_color(), alpha=0.5)
        if "val_top1" in history:
            right.plot(history["epoch"], 100 * history["val_top1"], color=line.get_color())
    left.set(title="training loss", xlabel="epoch", yscale="log")
    right.set(title="top-1 %: training clips (dashed), validation videos", xlabel="epoch")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def per_class_figure(records: Mapping[str, Record]) -> Figure:
    """Top-1 of every class, one bar a run."""
    classes = next(iter(records.values())).classes
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots()
    for i, (label, record) in enumerate(records.items()):
        values = [100 * record.metrics["per_class"].get(str(c), np.nan) for c in range(len(classes))]
        axes.bar(
            np.arange(len(classes)) + (i - (len(records) - 1) / 2) * 0.8 / len(records),
            values,
            0.75 / len(records),
            label=label,
        )
    axes.set_xticks(range(len(classes)), classes, rotation=40, ha="right")
    axes.set(title="top-1 % of each class", ylim=(0, 105))
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def frames_figure(rows: Mapping[str, np.ndarray], count: int = 8) -> Figure:
    """Film strips: `count` evenly spaced frames a row of (T, H, W, 3) uint8 each."""
    figure = Figure(figsize=(1.25 * count, 1.1 * len(rows) + 0.3), layout="constrained")
    for axes_row, (label, frames) in zip(figure.subplots(len(rows), count, squeeze=False), rows.items(), strict=True):
        for axes, i in zip(axes_row, np.linspace(0, len(frames) - 1, count).round().astype(int), strict=True):
            axes.imshow(frames[i])
            axes.set_axis_off()
        axes_row[0].set_title(label, fontsize=9)
    return figure


def flow_figure(frames: np.ndarray, flows: np.ndarray, count: int = 6) -> Figure:
    """Frames (T, H, W, 3) above their flow (T-1, H, W, 2) in pixels as colour, and the wheel that explains the colours."""
    limit = max(float(np.quantile(np.hypot(flows[..., 0], flows[..., 1]), 0.995)), 0.5)
    figure = Figure(figsize=(1.5 * (count + 1), 2.9), layout="constrained")
    grid = figure.subplots(2, count + 1)
    for column, i in enumerate(np.linspace(0, len(flows) - 1, count).round().astype(int)):
        grid[0, column].imshow(frames[i])
        grid[0, column].set_title(f"frame {i}", fontsize=9)
        grid[1, column].imshow(flow.colour(flows[i], limit))
    grid[0, count].imshow(flow.colour_wheel(101))
    grid[0, count].set_title(f"rim: {limit:.1f} px", fontsize=9)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure


def animation(frames: np.ndarray, fps: float = 12.0, scale: int = 1) -> bytes:
    """(T, H, W, 3) uint8 as an animated WebP, which browsers play; show it with IPython.display.Image."""
    images = [
        Image.fromarray(f).resize((f.shape[1] * scale, f.shape[0] * scale), Image.Resampling.NEAREST) for f in frames
    ]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "WEBP", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0, quality=85
    )
    return buffer.getvalue()


def prediction_figure(probabilities: np.ndarray, classes: Sequence[str], label: int) -> Figure:
    """The five most probable classes of a clip; the true one is marked."""
    order = np.argsort(-probabilities)[:5]
    figure = Figure(figsize=(6, 2.2), layout="constrained")
    axes = figure.subplots()
    names = [f"{classes[i]}  (true)" if i == label else classes[i] for i in order]
    axes.barh(names, 100 * probabilities[order], color=[OURS if i == label else "#bbbbbb" for i in order])
    axes.invert_yaxis()
    axes.set(xlabel="probability, %", xlim=(0, 100))
    return figure


def confusion(record: Record) -> np.ndarray:
    """(K, K) counts: true class by answer."""
    counts = np.zeros((len(record.classes), len(record.classes)), int)
    np.add.at(counts, (np.array(record.labels), record.scores.argmax(axis=1)), 1)
    return counts


def confusion_figure(record: Record) -> Figure:
    """True classes by answers, in percent of the true class."""
    counts = confusion(record)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.5 + 0.3 * len(counts)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    for i, j in zip(*np.nonzero(counts), strict=True):
        axes.text(
            j, i, f"{share[i, j]:.0f}", ha="center", va="center", color="white" if share[i, j] > 55 else INK, fontsize=8
        )
    axes.set_xticks(range(len(counts)), record.classes, rotation=50, ha="right")
    axes.set_yticks(range(len(counts)), record.classes)
    axes.grid(False)
    axes.set(xlabel="answer", ylabel="true class")
    return figure


def confusion_sentence(record: Record) -> str:
    """The most frequent mistake, in words."""
    counts = confusion(record)
    np.fill_diagonal(counts, 0)
    if counts.sum() == 0:
        return "**What it shows.** No test video is taken for another class."
    true, answer = np.unravel_index(counts.argmax(), counts.shape)
    return (
        f"**What it shows.** {counts.sum()} of {len(record.labels)} test videos are taken for another class; most often "
        f"*{record.classes[true]}* is called *{record.classes[answer]}* ({counts[true, answer]} times)."
    )


def latency_figure(measured: pd.DataFrame) -> Figure:
    """Milliseconds a clip of each system, on a logarithmic scale."""
    figure = Figure(figsize=(8, 2.4), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(measured["system"], measured["ms a clip"].astype(float), color=OURS)
    axes.bar_label(bars, [f"{ms} ms" for ms in measured["ms a clip"]], padding=4)
    axes.invert_yaxis()
    axes.set(xscale="log", title="one clip, end to end, this machine")
    axes.margins(x=0.2)
    return figure


def order_figure(table: Table, parameters: Parameters) -> Figure:
    """How often each network prefers a movement to its reverse: seeds as dots, the 95 % interval, chance as a line."""
    figure = Figure(figsize=(8.5, 0.42 * len(table.rows) + 1.5), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(table.rows):
        right = order.hits(row, parameters)
        _, low, high = statistics.bootstrap([right.astype(float)])
        axes.plot([100 * low, 100 * high], [place, place], color=INK, lw=1.4)
        _dots(axes, [place], [100 * right.mean(axis=1)], OURS)
    axes.axvline(50, color=PAPER, lw=1.4, zorder=0)
    axes.set_yticks(range(len(table.rows)), [row.label for row in table.rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"right direction, % of test videos ({parameters.where}); chance is 50")
    figure.suptitle(table.title, x=0.01, ha="left", fontweight="bold")
    return figure
