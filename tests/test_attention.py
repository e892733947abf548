"""T-STAM's attention as maps: their size, their sum, and the videos that are chosen to be shown."""

import numpy as np
import pytest
import torch

from repro.figures import attention as drawn
from repro.maps import attention
from repro.maps.views import Seen
from repro.models import build
from repro.records import Record


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(
        "tstam", num_classes=3, width=8, blocks=("3c", "4e", "5b"), stem_pools=0, std=60.0, embedding=8, heads=2
    ).eval()


@pytest.fixture(scope="module")
def clips():
    return torch.randint(0, 256, (2, 3, 5, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_maps_have_the_size_of_the_clips_and_sum_to_one(network, clips):
    spatial, weighted = attention.spatial_maps(network, clips), attention.weighted_maps(network, clips)
    assert spatial.shape == weighted.shape == (2, 5, 32, 32)
    np.testing.assert_allclose(spatial.sum((2, 3)), 1, rtol=1e-5)  # every frame alike
    np.testing.assert_allclose(weighted.sum((1, 2, 3)), 1, rtol=1e-5)
    frames = network.attend(clips).frames.detach().numpy()
    np.testing.assert_allclose(weighted.sum((2, 3)), frames, rtol=1e-5)


def test_the_maps_are_those_of_the_network_spread_out(network, clips):
    small = network.attend(clips).positions.mean(2).detach().numpy()  # (B, T, h, w)
    h, w = small.shape[2:]
    cells = attention.spatial_maps(network, clips).reshape(2, 5, h, 32 // h, w, 32 // w).sum((3, 5))
    assert np.corrcoef(cells.ravel(), small.ravel())[0, 1] > 0.9


def test_a_view_with_its_figure_and_its_animation(network, clips):
    frames = clips[0].permute(1, 2, 3, 0).numpy()
    seen = Seen("class/one", 0, frames, None, clips[:1], np.zeros((5, 32, 32), np.float32))
    view = attention.attend(network, seen, ("a", "b", "c"))
    assert view.heads.shape == (2, 5, 32, 32)
    np.testing.assert_allclose(view.heads.max((2, 3)), 1)
    assert view.right == (view.answer == "a")
    assert len(drawn.attention_figure({"one": view}, "title").subfigs) == 1
    assert drawn.film(view).mimetype == "video/mp4"


def record_of(scores: np.ndarray) -> Record:
    """All videos are of class 0."""
    clips, classes = [str(i) for i in range(len(scores))], ["k", "l", "m"]
    return Record("x", {}, [], {}, scores, [0] * len(scores), clips, classes, "", [], "", {})


def test_the_most_confident_right_and_wrong_answers_are_chosen():
    scores = np.array([[5, 0, 0], [9, 0, 0], [0, 3, 0], [0, 8, 0]], np.float16)
    record = record_of(scores)
    assert attention.right_and_wrong(record) == [1, 3]
    all_right = record_of(scores[:2])
    assert attention.right_and_wrong(all_right) == [1]
