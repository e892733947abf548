"""Figures of results. Everything is read from tables and records; nothing here trains or reads a network."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from repro.evidence import tables
from repro.evidence import time_order as order
from repro.evidence.intervals import crossed
from repro.evidence.markup import as_markdown
from repro.evidence.results import NOT_AVAILABLE, Result
from repro.figures.style import INK, OURS, PAPER, colour, colours, plain, titled
from repro.papers.table import Table
from repro.parameters import Parameters
from repro.records import Record


def figure_of(table: Table, parameters: Parameters) -> Figure:
    """The figure that shows a table of runs in its notebook."""
    if table.over:
        return curve_figure(table, parameters)
    return streams_figure(table, parameters) if table.name == "imrs_streams" else table_figure(table, parameters)


def table_figure(table: Table, parameters: Parameters) -> Figure:
    """A table at a glance: each row's accuracy, seeds as dots, beside the paper's where it has any; in percent.

    The panels have scales of their own on purpose: the paper's data are not ours, so only the order of rows compares.
    """
    labels = [row.label for row in table.rows]
    paper = tables.published(table.numbers, parameters.dataset)
    paper = paper[paper["metric"] == "top1"]
    numbers = dict(zip(paper["row"], paper["value"], strict=True))
    figure = titled(8.5, 0.45 * len(labels) + 1.6, table.title)
    panels = figure.subplots(1, 2 if numbers else 1, sharey=True, squeeze=False)[0]
    if numbers:
        for place, label in enumerate(labels):
            _dots(panels[0], place, np.array([numbers[label]] if label in numbers else []), PAPER)
        panels[0].set(title=f"paper ({paper['dataset'].iloc[0].upper()})", xlabel="top-1, %")
    for place, row in enumerate(table.rows):
        _dots(panels[-1], place, tables.accuracy(row), colour(row.label))
    panels[0].set_yticks(range(len(labels)), labels)
    panels[0].invert_yaxis()
    panels[-1].set(title=plain(f"ours ({parameters.where})"), xlabel="top-1, %; dots: seeds")
    return figure


def _dots(axes: Axes, place: float, values: np.ndarray, shade: str) -> None:
    """The values as dots on one line of `axes`, and their mean as a diamond with its number."""
    axes.margins(x=0.15, y=0.15)
    if len(values) == 0:
        axes.text(0.02, place, NOT_AVAILABLE, transform=axes.get_yaxis_transform(), va="center", color=INK)
        return
    mean = values.mean()
    axes.plot(values, np.full(len(values), place), "o", ms=5, alpha=0.45, color=shade)
    axes.plot([mean], [place], "D", ms=8, color=shade)
    axes.annotate(f"{mean:.1f}", (mean, place), (0, 8), textcoords="offset points", ha="center", color=INK)


def streams_figure(table: Table, parameters: Parameters) -> Figure:
    """Figure 4's bars for every stream: the mean of top-1 and top-5, which its text says it shows, and each of the two.

    One group of bars per split and, with several, their mean. Dots: seeds.
    """
    splits = list(parameters.splits)
    columns = [f"split {s}" for s in splits] + (["mean"] if len(splits) > 1 else [])
    figure = titled(12, 3.8, f"{table.title.rstrip('.')} ({parameters.where})")
    panels = {"mean of top-1 and top-5": (1, 5), "top-1": (1,), "top-5": (5,)}
    for axes, (name, ks) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        for i, row in enumerate(table.rows):
            found = [tables.hits(row, k) for k in ks]
            values = [100 * np.mean([each[split].mean(axis=1) for each in found], axis=0) for split in splits]
            values += [np.mean([tables.accuracy(row, k) for k in ks], axis=0)] if len(splits) > 1 else []
            x = np.arange(len(columns)) + (i - (len(table.rows) - 1) / 2) * 0.8 / len(table.rows)
            style = {"color": colour(row.label), "hatch": "//" if "," in row.label else "", "label": row.label}
            bars = axes.bar(x, [v.mean() for v in values], 0.75 / len(table.rows), **style)
            for place, each in zip(x, values, strict=True):
                axes.plot(np.full(len(each), place), each, "o", ms=3, mfc="white", mec=INK, mew=0.8)
            inside = {"label_type": "center", "rotation": 90, "color": "white", "fontweight": "bold"}
            axes.bar_label(bars, [f"{v.mean():.1f}" for v in values], fontsize=8, **inside)
        axes.set_xticks(range(len(columns)), columns)
        axes.set(ylim=(0, 105), yticks=range(0, 101, 20), ylabel=f"{name}, %; dots: seeds")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def curve_figure(table: Table, parameters: Parameters) -> Figure:
    """Accuracy over the number in the labels of a curve's rows, one line per stream; dots: seeds.

    The axis is logarithmic where the largest number is eight times the smallest or more.
    """
    figure = titled(7, 3.8, f"{table.title.rstrip('.')} ({parameters.where})")
    axes = figure.subplots()
    streams: dict[str, dict[float, np.ndarray]] = {}
    for row in table.rows:
        name, _, number = row.label.partition(", ")
        streams.setdefault(name, {})[float(number.split()[0])] = tables.accuracy(row)
    for name, found in streams.items():
        axes.plot(list(found), [values.mean() for values in found.values()], "-", color=colour(name), label=name)
        for number, values in found.items():
            axes.plot(np.full(len(values), number), values, "o", ms=4, alpha=0.5, color=colour(name))
    numbers = sorted({number for found in streams.values() for number in found})
    if numbers[-1] >= 8 * numbers[0] > 0:
        axes.set_xscale("log", base=2)
    axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
    axes.set(xlabel=table.over, ylabel="top-1, %; dots: seeds", ylim=(0, 101))
    axes.legend()
    return figure


def history_figure(records: Mapping[str, Record]) -> Figure:
    """Cross-entropy and accuracy by epoch, one line per run.

    A student's loss has other terms too; its cross-entropy alone compares with the loss of the other runs.
    """
    figure = titled(9, 3.4)
    left, right = figure.subplots(1, 2)
    for (label, record), shade in zip(records.items(), colours(list(records)), strict=True):
        history = pd.DataFrame(record.history)
        entropy = history["cross_entropy"] if "cross_entropy" in history else history["loss"]
        left.plot(history["epoch"], entropy, color=shade, label=label)
        right.plot(history["epoch"], 100 * history["clip_top1"], "--", color=shade, alpha=0.6)
        if "val_top1" in history:
            right.plot(history["epoch"], 100 * history["val_top1"], color=shade)
    left.set(title="training clips", xlabel="epoch", ylabel="cross-entropy, nats (log scale)", yscale="log")
    right.set(
        title="dashed: training clips; solid: validation videos", xlabel="epoch", ylabel="top-1, %", ylim=(0, 101)
    )
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def per_class_figure(records: Mapping[str, Record]) -> Figure:
    """Top-1 of every class, one bar per run."""
    classes = next(iter(records.values())).classes
    figure = titled(9, 3.4)
    axes = figure.subplots()
    for i, ((label, record), shade) in enumerate(zip(records.items(), colours(list(records)), strict=True)):
        values = [100 * record.metrics["per_class"].get(str(c), np.nan) for c in range(len(classes))]
        x = np.arange(len(classes)) + (i - (len(records) - 1) / 2) * 0.8 / len(records)
        axes.bar(x, values, 0.75 / len(records), color=shade, label=label)
    axes.set_xticks(range(len(classes)), list(map(plain, classes)), rotation=40, ha="right")
    axes.set(ylabel="top-1 of each class, %", ylim=(0, 105))
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def prediction_figure(probabilities: np.ndarray, classes: Sequence[str], label: int) -> Figure:
    """The five most probable classes of a clip, given (K,) probabilities; the true one, `label`, is marked."""
    best = np.argsort(-probabilities)[:5]
    figure = titled(6, 2.2)
    axes = figure.subplots()
    names = [plain(classes[i]) + ("  (true)" if i == label else "") for i in best]
    axes.barh(names, 100 * probabilities[best], color=[OURS if i == label else "#b4bcc8" for i in best])
    axes.invert_yaxis()
    axes.set(xlabel="probability, %", xlim=(0, 100))
    return figure


def _confusion(record: Record) -> np.ndarray:
    """(K, K) counts: true class by answer."""
    return confusion_matrix(record.labels, record.scores.argmax(axis=1), labels=range(len(record.classes)))


def confusion_figure(record: Record) -> Figure:
    """True classes by answers, in percent of the true class."""
    counts = _confusion(record)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = titled(2.5 + 0.3 * len(counts), 2.5 + 0.3 * len(counts))
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    for i, j in zip(*np.nonzero(counts), strict=True):
        shade = "white" if share[i, j] > 55 else INK
        axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", color=shade, fontsize=8)
    names = list(map(plain, record.classes))
    axes.set_xticks(range(len(counts)), names, rotation=50, ha="right")
    axes.set_yticks(range(len(counts)), names)
    axes.grid(False)
    axes.set(xlabel="answer", ylabel="true class (numbers: % of the class)")
    return figure


def confusion_sentence(record: Record) -> str:
    """The most frequent mistake, in words."""
    counts = _confusion(record)
    np.fill_diagonal(counts, 0)
    if counts.sum() == 0:
        return "**What it shows.** Every test video is classified correctly."
    true, answer = np.unravel_index(counts.argmax(), counts.shape)
    return (
        f"**What it shows.** {counts.sum()} of {len(record.labels)} test videos are classified wrongly; most often "
        f"*{as_markdown(record.classes[true])}* is called *{as_markdown(record.classes[answer])}* "
        f"({counts[true, answer]} times)."
    )


def latency_figure(measured: Result) -> Figure:
    """Milliseconds per clip of each system, on a logarithmic scale from 1 ms."""
    frame = measured.frame
    milliseconds = frame["ms a clip"].astype(float)
    figure = titled(8, 2.5)
    axes = figure.subplots()
    bars = axes.barh(frame["system"], milliseconds, color=[colour(system) for system in frame["system"]])
    axes.bar_label(bars, [f"{ms:,.0f} ms" for ms in milliseconds], padding=4)
    axes.invert_yaxis()
    axes.set(xscale="log", xlim=(1, 8 * milliseconds.max()), title=measured.claim)
    axes.set_xlabel("ms per clip, log scale")
    return figure


def order_figure(table: Table, parameters: Parameters) -> Figure:
    """How often each network prefers a movement to its reverse: seeds as dots, the 95 % interval, chance as a line."""
    figure = titled(8.5, 0.42 * len(table.rows) + 1.5, table.title)
    axes = figure.subplots()
    for place, row in enumerate(table.rows):
        right = order.hits(row, parameters)
        share = crossed([right.astype(float)])
        axes.plot([100 * max(share.low, 0), 100 * min(share.high, 1)], [place, place], color=INK, lw=1.4)
        _dots(axes, place, 100 * right.mean(axis=1), colour(row.label))
    axes.axvline(100 * order.CHANCE, color=PAPER, lw=1.4, zorder=0)
    axes.set_yticks(range(len(table.rows)), [row.label for row in table.rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"right direction, % of test videos ({plain(parameters.where)}); orange line: chance")
    return figure
