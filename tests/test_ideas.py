"""The ideas in tensors: figures draw the values they are given, and each system's notebook shows its idea without any data."""

import json
import re

import numpy as np
import pytest
import torch
from IPython.display import Image
from matplotlib.colors import to_hex

from repro import notebooks
from repro.figures import ideas, style

BEFORE_THE_RUNS = (
    "ablation_ce_position", "ablation_ce_se", "ablation_lambda", "ablation_segments", "ablation_attention_heads",
    "ablation_channel_attention", "tstam", "smnet", "stme", "stmsa", "stddcn",
)  # fmt: skip
FROM_RECORDS = ("streams", "ablation_fusion_weights")
RNG = np.random.default_rng(0)


def cells(name: str) -> list[tuple[str, str]]:
    """Kind and text of each cell of a notebook."""
    found = json.loads(notebooks.path_of(name).read_text())["cells"]
    return [(cell["cell_type"], "".join(cell["source"])) for cell in found]


def section(name: str) -> tuple[int, int]:
    """The first cell of a notebook's idea, and the first cell after it."""
    headings = [i for i, (kind, text) in enumerate(cells(name)) if kind == "markdown" and text.startswith("## ")]
    (at,) = (i for i in headings if cells(name)[i][1].startswith("## The idea: "))
    return at, next(i for i in headings if i > at)


def test_strips_show_the_frames_that_their_titles_name():
    frames = RNG.integers(0, 256, (5, 6, 8, 3), dtype=np.uint8)
    maps, signed, weights = RNG.random((5, 3, 4)), RNG.normal(size=(5, 3, 4)), torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1])
    rows = {"frames": frames, "maps": maps, "signed": signed, "weights": weights, "twice": 2 * weights}
    figure = ideas.strips(rows, count=3)
    shown = [0, 2, 4]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [f"frame {t + 1}" for t in shown]
    for axes, row in zip(figure.axes[:3], (frames, maps, signed), strict=True):
        for image, t in zip(axes.images, shown, strict=True):
            np.testing.assert_array_equal(image.get_array(), row[t])
    most = np.abs(signed).max()
    for axes, low, high in ((figure.axes[1], maps.min(), maps.max()), (figure.axes[2], -most, most)):
        assert {image.get_clim() for image in axes.images} == {(low, high)}
        assert axes.get_ylabel().endswith(f"\n{low:.2g} to {high:.2g}")
    bars = [[bar.get_height() for bar in axes.patches] for axes in figure.axes[3:]]
    np.testing.assert_allclose(bars, [[0.1, 0.4, 0.1], [0.2, 0.8, 0.2]], rtol=1e-6)
    assert figure.axes[3].get_ylim() == figure.axes[4].get_ylim() == pytest.approx((0, 0.84))


def test_bars_share_their_scale_and_start_at_zero():
    panels = {"RGB: wave": [0.1, 0.9], "Flow: clap": [0.7, 0.3], "pull": [-1.0, 0.5]}
    figure = ideas.bars(panels, "class", ["clap", "wave"], {"pull": 0.25})
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    for axes, (label, values) in zip(figure.axes, panels.items(), strict=True):
        assert [bar.get_height() for bar in axes.patches] == values
        assert {bar.get_y() for bar in axes.patches} == {0}
        assert {to_hex(bar.get_facecolor()) for bar in axes.patches} == {style.colour(label)}
    assert [[line.get_ydata()[0] for line in axes.lines] for axes in figure.axes] == [[0], [0], [0, 0.25]]
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["clap", "wave"]


def test_white_is_zero_in_every_matrix():
    panels = {"band": torch.tensor([[0.0, 2.0], [1.0, 0.0]]), "signed": [[3.0, -1.0], [0.0, -0.001]]}
    figure = ideas.matrices(panels, "gate", "mean", (("a", "b"), ()), numbers=".2f")
    assert [axes.images[0].get_clim() for axes in figure.axes] == [(0, 2), (-3, 3)]
    for axes in figure.axes:
        image = axes.images[0]
        assert np.asarray(image.cmap(image.norm(0.0)))[:3].min() > 0.95
        assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["3.00", "-1.00", "0.00", "0.00"]


def test_curves_show_each_repeat_and_the_mean():
    figure = ideas.curves([1, 2], {"one": [3, 4], "two": [[1, 2], [3, 6]]}, "x", "y", log=True, marks={"1 : 3": 1.5})
    (axes,) = figure.axes
    assert [list(line.get_ydata()) for line in axes.lines[:-1]] == [[3, 4], [1, 2], [3, 6], [2, 4]]
    assert list(axes.lines[-1].get_xdata()) == [1.5, 1.5]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two", "1 : 3"]


def test_draws_number_the_frames_from_one():
    figure = ideas.draws({"N = 2": [[0, 5], [3, 9]]}, 10, ["epoch 1", "test"])
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "s"]
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in dots] == [([1, 6], [0, 0]), ([4, 10], [1, 1])]
    assert [line.get_xdata()[0] for line in axes.lines if line not in dots] == [0.5, 5.5, 10.5]


@pytest.mark.parametrize("name", BEFORE_THE_RUNS + FROM_RECORDS)
def test_the_idea_comes_before_the_table_in_short_cells(name):
    at, end = section(name)
    after = "## The table" if name in FROM_RECORDS else "## The runs"
    assert cells(name)[end][1].startswith(after)
    code = [text for kind, text in cells(name)[at:end] if kind == "code"]
    assert max(len(text.splitlines()) for text in code) <= 12
    assert any("style.png(" in text for text in code)


@pytest.mark.slow
@pytest.mark.parametrize("name", BEFORE_THE_RUNS)
def test_the_idea_needs_no_data_and_no_record(name, home):
    """Its cells run after the imports alone, twice with the same pictures, and leave nothing on the disk."""
    first = [text for kind, text in cells(name)[: section(name)[0]] if kind == "code"]
    idea = [text for kind, text in cells(name)[slice(*section(name))] if kind == "code"]
    pictures = []
    for _ in range(2):
        shown = {"show": []}
        for text in first:
            exec(text, shown)
        for text in idea:
            exec(re.sub(r"^Image\((.*)\)$", r"show.append(Image(\1))", text, flags=re.MULTILINE), shown)
        pictures.append([image.data for image in shown["show"]])
        assert all(isinstance(image, Image) for image in shown["show"])
    assert pictures[0] == pictures[1]
    assert pictures[0]
    assert not list(home.rglob("*"))
