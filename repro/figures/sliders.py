"""Figures that change as sliders move. Where nobody can move one, as under papermill, three states are shown instead."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from IPython import get_ipython
from IPython.display import Image
from matplotlib.figure import Figure
from PIL import Image as Pictures
from torch import Tensor

from repro.figures.style import png

GAP = 12  # pixels between pictures


def sliders(
    draw: Callable[..., Figure], states: Sequence[Mapping[str, Any]], **choices: Sequence[Any]
) -> widgets.VBox | Image:
    """One slider per keyword of `draw`, over its choices, above the figure that `draw` gives for them.

    states: keywords of `draw`, drawn one below the other where nobody watches; the first is where the sliders begin.
    """
    if not _watched():
        return Image(_stacked([png(draw(**state)) for state in states]))
    picture = widgets.Image(value=png(draw(**states[0])), layout={"width": "auto", "align_self": "flex-start"})
    moved = {
        name: widgets.SelectionSlider(
            options=list(values), value=states[0][name], description=name, continuous_update=False
        )
        for name, values in choices.items()
    }

    def redraw(_: Any) -> None:
        picture.value = png(draw(**{name: slider.value for name, slider in moved.items()}))

    for slider in moved.values():
        slider.observe(redraw, "value")
    return widgets.VBox([*moved.values(), picture])


def descent(
    start: Tensor, terms: Callable[[Tensor], Mapping[str, Tensor]], steps: int = 60, rate: float = 0.02
) -> dict[str, np.ndarray]:
    """What becomes of the terms of a loss, (steps,) each, while Adam moves a tensor from `start` to lower terms["loss"].

    rate: how far an element moves in a step, about.
    """
    moved = start.detach().clone().requires_grad_()
    optimiser, found = torch.optim.Adam([moved], lr=rate), []
    for _ in range(steps):
        each = terms(moved)
        found.append({name: float(value.detach()) for name, value in each.items()})
        optimiser.zero_grad()
        each["loss"].backward()
        optimiser.step()
    return {name: np.array([line[name] for line in found]) for name in found[0]}


def _watched() -> bool:
    """Whether somebody executes this cell who could answer a question: not papermill, nbconvert or a script."""
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and bool(kernel.get_parent().get("content", {}).get("allow_stdin"))


def _stacked(pictures: Sequence[bytes]) -> bytes:
    """PNGs one below the other."""
    images = [Pictures.open(io.BytesIO(picture)) for picture in pictures]
    height = sum(image.height for image in images) + GAP * (len(images) - 1)
    stack, top = Pictures.new("RGB", (max(image.width for image in images), height), "white"), 0
    for image in images:
        stack.paste(image, (0, top))
        top += image.height + GAP
    out = io.BytesIO()
    stack.save(out, "PNG", optimize=True)
    return out.getvalue()
