"""Maps against the figure's mask, and maps laid over clips, on a few embedded videos and random networks."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from repro import execute
from repro.config import Data, Model, Objective, Optimisation, Run
from repro.data import catalog, prepare, store
from repro.data.clips import ClipDataset, recipe_of
from repro.data.embedded import videos as synthetic
from repro.errors import ReproError
from repro.evidence import statistics as verdicts
from repro.maps import cam as explain
from repro.maps import overlap as pointing
from repro.maps import views as clips_view
from repro.maps.overlap import Measured
from repro.parameters import Parameters

TINY = synthetic.Synthetic(classes=("arms_open", "rise"), sources=3, train=3, test=6, side=36)
SMALL = {"depths": (1, 1, 1, 1), "width": 4, "cardinality": 2, "stem_kernel": (3, 3, 3), "std": 60.0}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What a run needs to know of a tiny embedded set that is written and stored."""
    home = tmp_path_factory.mktemp("pointing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_DATA", str(home / "data"))
        root = synthetic.write(home / "data" / "synthetic", TINY)
        found = catalog.load("synthetic", root, 1, val_fraction=0.0)
        given = Data("synthetic", found.id, frames=8, size=28, side=36, bound=4.0, flip=False, val_fraction=0.0)
        given = dataclasses.replace(given, root=str(root))
        prepare.require_all(prepare.prepare(found.table, "synthetic", root, recipe_of(given), 1))
        yield given


def dataset(data: Data) -> ClipDataset:
    return ClipDataset(execute.load_catalog(data), "test", data, (data.modality,))


def run_of(data: Data, seed: int = 0) -> Run:
    optimisation = Optimisation(schedule="onecycle", select="last")
    return Run("smoke", seed, data, Model("resnext3d", SMALL), Objective(), optimisation)


@pytest.mark.parametrize(
    "protocol",
    [
        {},
        {"modality": "flow"},
        {"sampling": "segments", "views": "centre", "test_frames": 5},
        {"crops": "ten", "flip": True, "size": 20},
    ],
)
def test_a_mask_takes_the_way_of_the_frames(data, monkeypatch, protocol):
    """Videos that show their own mask, white on black, must arrive at the network as the masks that we measure with."""
    views = dataset(dataclasses.replace(data, **protocol))
    clips = dict(zip(views.files, views.table["path"], strict=True))

    def decoded(file, recipe, stream):
        whole = synthetic.mask_of(data.root, Path(clips[file]).name)
        return tuple(np.repeat(255 * m[..., None].astype(np.uint8), 3 if stream == "rgb" else 2, 2) for m in whole)

    monkeypatch.setattr(store, "decoded", decoded)
    for i in range(0, len(views), 3):
        mask = pointing.mask(views, i)
        seen = views[i][views.data.modality][..., 1]  # of flow the second channel, which a mirror image keeps
        np.testing.assert_array_equal((255 * mask).round(), seen)
        assert 0.05 < mask.mean() < 0.6


def test_the_share_of_a_synthetic_map(data):
    views = dataset(data)
    mask = pointing.mask(views, 0)
    share, ratio = explain.share_on_figure(mask, mask)
    assert share > 0.9, "a map that is the mask lies on the figure, but for pixels that the figure half fills"
    assert ratio == pytest.approx(share / mask.mean())
    assert explain.share_on_figure(1 - mask, mask)[0] < 0.1
    assert explain.share_on_figure(np.ones_like(mask), mask)[1] == pytest.approx(1)
    moved = np.roll(mask, 14, axis=2)
    assert explain.share_on_figure(moved, mask)[0] < share - 0.3


def test_only_the_embedded_set_has_masks(data):
    other = dataset(data)
    other.data = dataclasses.replace(data, dataset="folder")
    with pytest.raises(ReproError, match="no masks for folder"):
        pointing.mask(other, 0)


def test_measure_against_its_baselines(data):
    """Maps that are the masks, of two clips each time; then none at all."""
    views, run = dataset(data), run_of(data)
    figures = np.stack([pointing.mask(views, i) for i in range(len(views))])
    position = {views[i]["rgb"].tobytes(): i for i in range(len(views))}

    def perfect(model, clips):
        assert not model.training
        return np.stack([figures[position[c.permute(1, 2, 3, 0).numpy().tobytes()]] for c in clips])

    found = pointing.measure(run, perfect, untrained=True, step=2)
    half = figures[::2]
    np.testing.assert_allclose(found.chance, half.mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found.share, (half**2).sum((1, 2, 3)) / half.sum((1, 2, 3)), rtol=1e-5)
    usual = (half * half.mean(0)).sum((1, 2, 3)) / half.sum((1, 2, 3))
    np.testing.assert_allclose(
        found.usual, usual, rtol=1e-5
    )  # of the clips measured: in other crops figures stand elsewhere
    assert (found.chance < found.usual).all()
    assert (found.usual < found.share).all()
    model = execute.build(run, views.classes).eval()
    clips = torch.stack([torch.from_numpy(views[i]["rgb"]).permute(3, 0, 1, 2) for i in range(0, len(views), 2)])
    right = model(clips).logits.argmax(1).numpy() == views.labels[::2]
    assert np.array_equal(found.right, right)
    empty = pointing.measure(run, lambda model, clips: np.zeros_like(figures[: len(clips)]), untrained=True)
    assert np.isnan(empty.share).all()


def test_compare_puts_seeds_in_rows_and_trained_beside_untrained(data, monkeypatch):
    def trained(run):
        model = execute.build(run, TINY.classes).eval()
        model.fc.weight.data *= -1
        return model

    monkeypatch.setattr(execute, "trained", trained)
    runs = [run_of(data, seed) for seed in (0, 1)]

    def maps_of(model, clips):
        return explain.cam(model, clips, "excite2", "hirescam", target=0)

    found = pointing.compare({"one": runs, "two": runs[:1]}, maps_of, Parameters(profile="smoke", jobs=1, device="cpu"))
    assert found["one"][0].share.shape == found["one"][1].right.shape == (2, len(dataset(data)))
    for a, b in zip(found["one"], found["two"], strict=True):
        np.testing.assert_array_equal(a.share[0], b.share[0])
    alone = pointing.measure(runs[1], maps_of, untrained=True)
    np.testing.assert_array_equal(found["one"][1].share[1], alone.share)
    assert not np.array_equal(*(m.share for m in found["one"]), equal_nan=True)


def constructed(share: float, usual: float, chance: float, noise: float = 0.0, right: float = 0.5) -> Measured:
    rng = np.random.default_rng(0)
    shape = (3, 60)
    shares = share + noise * rng.standard_normal(shape)
    return Measured(shares, np.full(shape, usual), np.full(shape, chance), rng.random(shape) < right)


@pytest.mark.parametrize(
    ("trained", "untrained", "word"),
    [
        (constructed(0.5, 0.3, 0.2), constructed(0.3, 0.3, 0.2), verdicts.SUPPORTED),
        (constructed(0.5, 0.3, 0.2), constructed(0.6, 0.3, 0.2), verdicts.CONTRADICTED),
        (constructed(0.5, 0.6, 0.2), constructed(0.3, 0.3, 0.2), verdicts.CONTRADICTED),
        (constructed(0.5, 0.3, 0.2, noise=0.5), constructed(0.45, 0.3, 0.2), verdicts.NOT_RESOLVED),
    ],
)
def test_the_table_and_the_sentence_can_come_out_each_way(trained, untrained, word):
    frame = pointing.table({"net": (trained, untrained)}, Parameters(), "gradcam of x", "make it")
    assert frame["verdict"].iloc[0] == word
    assert frame["test clips"].str.startswith(("all, 60", "right, ")).all()
    assert (
        frame["over random weights [95 %]"].iloc[0].startswith(f"{100 * (trained.share - untrained.share).mean():+.1f}")
    )
    text = pointing.sentence({"net": (trained, untrained)}, "gradcam of x")
    assert ("all three baselines: net." in text) == (word == verdicts.SUPPORTED)
    assert ("all three baselines: none." in text) == (word != verdicts.SUPPORTED)
    assert f"{100 * (trained.share - trained.usual).mean():+.1f} [" in text
    assert "on a figure that fills 20 % of the clip (" in text


def test_empty_maps_and_no_right_answer_are_told():
    trained = constructed(0.5, 0.3, 0.2, right=0.0)
    trained.share[0, :7] = np.nan
    frame = pointing.table({"net": (trained, trained)}, Parameters(), "x", "y")
    assert frame["empty maps"].tolist() == [7, 0]
    assert frame["on the figure, %"].tolist() == ["50.0", "not available"]
    assert frame["over chance [95 %]"].iloc[1] == "not available"
    assert frame["verdict"].iloc[1] == verdicts.NOT_RESOLVED
    trained.share[:] = np.nan
    assert (
        pointing.table({"net": (trained, trained)}, Parameters(), "x", "y")["times chance"].iloc[0] == "not available"
    )
    assert "net: every map is empty" in pointing.sentence({"net": (trained, trained)}, "x")


def test_your_own_video_is_seen_as_the_test_videos_are(data):
    for modality in ("rgb", "flow"):
        run = run_of(dataclasses.replace(data, modality=modality))
        views = dataset(run.data)
        own = clips_view.own_video(run, TINY.classes, Path(views.table["path"].iloc[3]))
        mine = [i for i, view in enumerate(views.views) if view.video == 3]
        assert len(own) == len(mine)
        for i, j in enumerate(mine):
            assert np.array_equal(own[i][modality], views[j][modality])
        model = execute.build(run, TINY.classes).eval()
        scores = clips_view.scores(model, own)
        assert scores.videos().shape == (1, 2)
        clip = torch.from_numpy(views[mine[0]][modality]).permute(3, 0, 1, 2)[None]
        np.testing.assert_allclose(scores.clips[0], model(clip).logits[0].detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("content", "words"), [(None, "no such video file"), (b"not a video", "not a video")])
def test_a_missing_or_broken_video_is_one_clear_error(data, tmp_path, content, words):
    path = tmp_path / "mine.mp4"
    if content:
        path.write_bytes(content)
    with pytest.raises(ReproError, match=words) as error:
        clips_view.own_video(run_of(data), TINY.classes, path)
    assert str(path) in str(error.value)


def test_stills_and_a_playing_clip(data):
    run, flow = run_of(data), run_of(dataclasses.replace(data, modality="flow"))
    found = execute.load_catalog(data)
    systems = {}
    for label, each in {"flow": flow, "rgb": run}.items():
        seen = clips_view.test_view(each, found, 2 + len(dataset(data).files))  # counted round
        model = execute.build(each, found.classes).eval()
        systems[label] = clips_view.explained(model, seen, found.classes, "excite2", "gradcam")
        assert seen.name == found.part("test")["clip"].iloc[2]
        assert systems[label].answer in TINY.classes
        assert (seen.flows is not None) == (label == "flow")
        assert np.array_equal(seen.mask, pointing.mask(dataset(each.data), 2))
    frames = dataset(data)[2]["rgb"]
    assert np.array_equal(systems["rgb"].seen.frames, frames)
    image = Image.open(io.BytesIO(clips_view.playing(systems)))
    assert image.n_frames == 8
    assert image.size == (3 * clips_view.PANEL, clips_view.PANEL + 20)
    figure = clips_view.stills_figure(systems, "title")
    assert len(figure.axes) == 4 * 8 + 1
    curves = [line.get_ydata() for line in figure.axes[-1].lines]
    assert all(curve.sum() == pytest.approx(100) or not curve.any() for curve in curves)
    assert clips_view.png(figure).startswith(b"\x89PNG")


def test_an_overlay_colours_what_is_high():
    frames, maps = np.full((1, 4, 4, 3), 128, np.uint8), np.zeros((1, 4, 4), np.float32)
    maps[0, :2] = 1
    shown = clips_view.overlay(frames, maps, 4)[0].astype(int)
    assert (np.ptp(shown[3], axis=-1) == 0).all(), "grey where the map is low"
    assert (shown[0, :, 0] > shown[0, :, 2] + 100).all(), "orange where it is high"
