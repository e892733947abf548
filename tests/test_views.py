"""Test views as networks see them, maps laid over them, and videos of one's own."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tiny

from repro import evaluate, metrics, networks
from repro.data import video
from repro.errors import ReproError
from repro.figures import maps, style
from repro.maps import clips, overlap, views
from repro.maps.cam import grids
from repro.single import answer, weights


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield tiny.stored(tmp_path_factory.mktemp("views"), patch)


@pytest.mark.slow
def test_your_own_video_is_seen_as_the_test_videos_are(data):
    for modality in ("rgb", "flow"):
        run = tiny.run(dataclasses.replace(data, modality=modality))
        test = tiny.dataset(run.data)
        network = weights.Network(run, networks.build(run, tiny.CLASSES).eval(), tiny.CLASSES, 0.5, 9)
        found = answer.answer(network, Path(test.table["path"].iloc[3]))
        own = found.views
        mine = [i for i, view in enumerate(test.views) if view.video == 3]
        assert len(own) == len(mine)
        for i, j in enumerate(mine):
            assert np.array_equal(own[i][modality], test[j][modality])
        assert views.see(own, 0).mask is None
        (scores,) = evaluate.predict(network.model, test).videos()[3:4]
        np.testing.assert_allclose(found.probabilities, metrics.softmax(scores[None])[0], rtol=1e-4)
        assert found.none == (found.probabilities.max() < 0.5)
        assert 0 <= found.view < len(own)
        assert tiny.CLASSES[found.best] in answer.sentence(network, found)


def test_whole_frames_are_the_videos_own_and_the_square_is_what_the_network_sees(data, monkeypatch):
    test = tiny.dataset(data)
    whole, view = views.whole(test, 0), test.views[0]
    frames = list(video.frames(Path(test.table["path"].iloc[view.video])))
    assert np.array_equal(whole.frames, np.stack([frames[t] for t in view.starts]))
    crop = view.crop  # the tiny videos are stored at their own size
    assert (whole.top, whole.left, whole.side) == (crop.top, crop.left, crop.height)
    monkeypatch.setattr(views, "LARGEST", frames[0].shape[1] // 2)
    half = views.whole(test, 0)
    assert half.frames.shape[2] == frames[0].shape[1] // 2
    assert half.side == pytest.approx(whole.side / 2, abs=1)
    heat = np.zeros((len(view.starts), 28, 28), np.float32)
    film = maps.film_whole(whole, {"map": heat})
    assert film.width == 2 * frames[0].shape[1]
    heat[:, :, :14] = 1  # the left half
    turned = (dataclasses.replace(whole, flip=flip) for flip in (False, True))
    plain, mirrored = (maps.under_map(each, heat).astype(float) for each in turned)
    orange = [each[..., 0] - each[..., 2] for each in (plain, mirrored)]
    middle = whole.left + whole.side // 2
    assert orange[0][..., : middle - 2].mean() > orange[0][..., middle + 2 :].mean() + 50
    assert orange[1][..., : middle - 2].mean() < orange[1][..., middle + 2 :].mean() - 50


@pytest.mark.slow
@pytest.mark.parametrize(("content", "words"), [(None, "no such video file"), (b"not a video", "not a video")])
def test_a_missing_or_broken_video_is_one_clear_error(data, tmp_path, content, words):
    path = tmp_path / "mine.mp4"
    if content:
        path.write_bytes(content)
    with pytest.raises(ReproError, match=words) as error:
        answer.answer(weights.Network(tiny.run(data), None, tiny.CLASSES, 0.5, 9), path)
    assert str(path) in str(error.value)


def test_an_outline_has_the_grids_of_a_real_clip(data):
    run = tiny.run(dataclasses.replace(data, modality="flow"))
    network, zeros = views.outline(run)
    assert zeros.shape == views.test_view(run, 0).clip.shape
    assert grids(network, zeros) == grids(network, views.test_view(run, 0).clip)


@pytest.mark.slow
def test_stills_and_a_playing_clip(data, monkeypatch):
    monkeypatch.setattr(networks, "trained", lambda run: networks.build(run, tiny.CLASSES).eval())
    runs = {"flow": tiny.run(dataclasses.replace(data, modality="flow")), "rgb": tiny.run(data)}
    test = tiny.dataset(data)
    systems = views.explain_runs(runs, 2 + len(test.files), "excite2", "gradcam")  # after the last comes the first
    for label, each in systems.items():
        assert each.seen.name == test.table["clip"].iloc[2]
        assert each.answer in tiny.CLASSES
        assert (each.seen.flows is not None) == (label == "flow")
        assert np.array_equal(each.seen.mask, overlap.mask(tiny.dataset(runs[label].data), 2))
    assert np.array_equal(systems["rgb"].seen.frames, test[2]["rgb"])
    film = maps.film(systems)
    assert film.width == 3 * maps.PANEL
    figure = maps.stills_figure(systems, "title")
    assert len(figure.axes) == 4 * 8 + 1
    curves = [line.get_ydata() for line in figure.axes[-1].lines]
    assert len(curves) == 2
    assert all(curve.sum() == pytest.approx(100) or not curve.any() for curve in curves)
    assert style.png(figure).startswith(b"\x89PNG")


def test_an_overlay_colours_what_is_high():
    frames, heat = np.full((1, 4, 4, 3), 128, np.uint8), np.zeros((1, 4, 4), np.float32)
    heat[0, :2] = 1
    shown = maps.overlay(frames, heat, 4)[0].astype(int)
    assert (np.ptp(shown[3], axis=-1) == 0).all(), "grey where the map is low"
    assert (shown[0, :, 0] > shown[0, :, 2] + 100).all(), "orange where it is high"


def test_clips_of_a_run(data):
    run = tiny.run(data)
    clip = clips.test_clip(run, 1)
    assert clip.frames.shape[1] == clip.flows.shape[1] == 36
    assert len(clip.flows) == len(clip.frames) - 1
    assert clip.label == tiny.dataset(data).labels[1]
    assert clips.training_clip(run, 0, 0).shape == (8, 28, 28, 3)
    assert not np.array_equal(clips.training_clip(run, 0, 0), clips.training_clip(run, 0, 1))
    assert clips.storage(run).loc["training videos", "store"] == len(clips.catalog(run).part("train"))
    with pytest.raises(ReproError, match="no clip 'rise/none'"):
        clips.read(run, "rise/none")


def test_looking_at_one_clip_stores_that_clip_alone(data, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    clips.test_clip(tiny.run(data), 1)
    assert len(list((tmp_path / "store").rglob("*.clip"))) == 1
