"""Figures under sliders: what is drawn for their values, and what is shown where nobody can move them."""

import io
import types

import numpy as np
import pytest
import torch
from PIL import Image

from repro.figures import ideas, sliders, style

STATES = [{"height": 1, "count": 2}, {"height": 3, "count": 2}, {"height": 2, "count": 4}]


def draw(height, count):
    return ideas.bars({"x": [height] * count}, "place")


def in_kernel(monkeypatch, allow_stdin: bool) -> None:
    parent = {"content": {"allow_stdin": allow_stdin}}
    monkeypatch.setattr(
        sliders, "get_ipython", lambda: types.SimpleNamespace(kernel=types.SimpleNamespace(get_parent=lambda: parent))
    )


def test_a_slider_that_moves_draws_anew(monkeypatch):
    in_kernel(monkeypatch, allow_stdin=True)
    height, count, picture = sliders.sliders(draw, STATES, height=(1, 2, 3), count=(2, 4)).children
    assert picture.value == style.png(draw(1, 2))
    height.value = 3
    assert picture.value == style.png(draw(3, 2))
    count.value = 4
    assert picture.value == style.png(draw(3, 4))


def test_without_anybody_the_states_are_shown_one_below_the_other(monkeypatch):
    in_kernel(monkeypatch, allow_stdin=False)  # as papermill executes
    shown = np.asarray(Image.open(io.BytesIO(sliders.sliders(draw, STATES, height=(1, 2, 3), count=(2, 4)).data)))
    top = 0
    for state in STATES:
        one = np.asarray(Image.open(io.BytesIO(style.png(draw(**state)))))
        np.testing.assert_array_equal(shown[top : top + len(one), : one.shape[1]], one)
        top += len(one) + sliders.GAP
    assert top - sliders.GAP == len(shown)


def test_a_state_that_no_slider_reaches_is_an_error(monkeypatch):
    in_kernel(monkeypatch, allow_stdin=True)
    with pytest.raises(Exception, match="Invalid selection"):
        sliders.sliders(draw, STATES, height=(2, 3), count=(2, 4))


def test_descent_ends_where_the_loss_is_least():
    goal = torch.tensor([1.0, -1.0])
    path = sliders.descent(torch.zeros(2), lambda x: {"loss": (x - goal).square().sum(), "first": x[0]}, 300, 0.05)
    assert path["loss"].shape == (300,)
    assert path["loss"][0] == 2
    assert path["loss"][-1] < 1e-3
    assert path["first"][-1] == pytest.approx(1, abs=0.03)
