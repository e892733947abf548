"""Maps against the person's mask: on a few embedded videos with random networks, measured, stored and found again."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from repro import networks, paths
from repro.data import catalog, store
from repro.data.embedded import videos
from repro.errors import ReproError
from repro.maps import cam, measurements, overlap
from repro.parameters import Parameters

PARAMETERS = Parameters(profile="smoke", jobs=1, device="cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        yield tiny.stored(tmp_path_factory.mktemp("overlap"), patch)


@pytest.fixture
def committed(tmp_path, monkeypatch) -> Path:
    """A private folder of committed results, which is also where results are written."""
    monkeypatch.setattr(paths, "committed", lambda: tmp_path / "results")
    monkeypatch.setenv("REPRO_OUT", str(tmp_path))
    return tmp_path / "results"


@pytest.fixture
def trained(monkeypatch):
    """Networks that count as trained: their class scores are those of the untrained ones, negated."""

    def negated(run):
        model = networks.build(run, tiny.CLASSES).eval()
        model.fc.weight.data *= -1
        return model

    monkeypatch.setattr(networks, "trained", negated)
    monkeypatch.setattr(networks, "are_here", lambda runs: True)


def evidence(model, clips):
    return cam.cam(model, clips, "excite2", "hirescam", target=0)


@pytest.mark.slow
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
    views = tiny.dataset(dataclasses.replace(data, **protocol))
    clips = dict(zip(views.files, views.table["path"], strict=True))

    def decoded(file, recipe, stream):
        whole = videos.mask_of(catalog.data_root(data), Path(clips[file]).name)
        return tuple(np.repeat(255 * m[..., None].astype(np.uint8), 3 if stream == "rgb" else 2, 2) for m in whole)

    monkeypatch.setattr(store, "decoded", decoded)
    for i in range(0, len(views), 3):
        mask = overlap.mask(views, i)
        seen = views[i][views.data.modality][..., 1]  # of flow the second channel, which a mirror image keeps
        np.testing.assert_array_equal((255 * mask).round(), seen)
        assert 0.05 < mask.mean() < 0.6


def test_share_on_person_by_hand():
    maps, masks = np.zeros((2, 2, 2, 2)), np.zeros((2, 2, 2, 2), bool)
    masks[:, :, 0] = True  # half of the clip
    maps[0, 0, 0, 0], maps[0, 1, 1, 1] = 3, 1
    share, ratio = overlap.share_on_person(maps, masks)
    assert share[0] == 0.75
    assert ratio[0] == 1.5
    assert np.isnan(share[1]), "an empty map has no share"
    assert np.isnan(ratio[1])
    uniform, one = overlap.share_on_person(np.ones((2, 2, 2)), masks[0] * 0.5)
    assert uniform == 0.25
    assert one == 1
    with pytest.raises(ReproError, match="must be of the same clips"):
        overlap.share_on_person(maps, masks[:1])


@pytest.mark.slow
def test_the_share_of_a_map_that_is_the_mask(data):
    mask = overlap.mask(tiny.dataset(data), 0)
    share, ratio = overlap.share_on_person(mask, mask)
    assert share > 0.9, "all but pixels that the person half fills"
    assert ratio == pytest.approx(share / mask.mean())
    assert overlap.share_on_person(1 - mask, mask)[0] < 0.1
    assert overlap.share_on_person(np.ones_like(mask), mask)[1] == pytest.approx(1)
    moved = np.roll(mask, 14, axis=2)
    assert overlap.share_on_person(moved, mask)[0] < share - 0.3


def test_only_the_embedded_set_has_masks(data):
    other = tiny.dataset(data)
    other.data = dataclasses.replace(data, dataset="folder", root="x")
    with pytest.raises(ReproError, match="no masks for folder"):
        overlap.mask(other, 0)


@pytest.mark.slow
def test_measure_against_its_baselines(data):
    """Maps that are the masks, of two clips each time; then none at all."""
    views, run = tiny.dataset(data), tiny.run(data)
    masks = np.stack([overlap.mask(views, i) for i in range(len(views))])
    position = {views[i]["rgb"].tobytes(): i for i in range(len(views))}

    def perfect(model, clips):
        assert not model.training
        return np.stack([masks[position[c.permute(1, 2, 3, 0).numpy().tobytes()]] for c in clips])

    found = overlap.measure(run, perfect, untrained=True, step=2)
    half = masks[::2]
    np.testing.assert_allclose(found.chance, half.mean((1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(found.share, (half**2).sum((1, 2, 3)) / half.sum((1, 2, 3)), rtol=1e-5)
    usual = (half * half.mean(0)).sum((1, 2, 3)) / half.sum((1, 2, 3))  # the average of the measured clips alone
    np.testing.assert_allclose(found.usual, usual, rtol=1e-5)
    assert (found.chance < found.usual).all()
    assert (found.usual < found.share).all()
    model = networks.build(run, views.classes).eval()
    clips = torch.stack([torch.from_numpy(views[i]["rgb"]).permute(3, 0, 1, 2) for i in range(0, len(views), 2)])
    right = model(clips).logits.argmax(1).numpy() == views.labels[::2]
    assert np.array_equal(found.right, right)
    empty = overlap.measure(run, lambda model, clips: np.zeros_like(masks[: len(clips)]), untrained=True)
    assert np.isnan(empty.share).all()


def test_compare_puts_seeds_in_rows_and_trained_beside_untrained(data, committed, trained):
    runs = [tiny.run(data, seed) for seed in (0, 1)]
    found = overlap.compare({"one": runs, "two": runs[:1]}, "hirescam of excite2", evidence, PARAMETERS)
    one, two = found["one"], found["two"]
    assert one.runs == tuple(run.id for run in runs)
    assert one.trained.share.shape == one.untrained.right.shape == (2, len(tiny.dataset(data)))
    for a, b in ((one.trained, two.trained), (one.untrained, two.untrained)):
        np.testing.assert_array_equal(a.share[0], b.share[0])
    alone = overlap.measure(runs[1], evidence, untrained=True)
    np.testing.assert_allclose(one.untrained.share[1], alone.share, atol=0.6 * 10**-measurements.DIGITS)
    assert np.array_equal(one.untrained.right[1], alone.right)
    assert not np.array_equal(one.trained.share, one.untrained.share, equal_nan=True)


def test_a_measurement_is_found_here_then_among_the_committed(data, committed, trained, monkeypatch):
    runs, name = [tiny.run(data, seed) for seed in (2, 3)], "hirescam of excite2"
    found = overlap.compare({"net": runs}, name, evidence, PARAMETERS, 3)["net"]
    here = measurements.path_here(found.id)
    assert measurements.origin([found]) == "Measurements: 1 made on this machine."
    measurements.commit([found], "smoke")
    kept = measurements.path_committed("smoke", found.id)
    assert kept.parent == committed / "smoke" / "maps"
    assert kept.read_bytes() == here.read_bytes()
    here.unlink()

    def must_not_measure(*_):
        pytest.fail("measured what was measured before")

    monkeypatch.setattr(overlap, "measure", must_not_measure)
    monkeypatch.setattr(networks, "are_here", lambda runs: False)
    again = overlap.compare({"net": runs}, name, must_not_measure, PARAMETERS, 3)["net"]
    for part in ("trained", "untrained"):
        for field in ("share", "usual", "chance", "right"):
            np.testing.assert_array_equal(getattr(getattr(again, part), field), getattr(getattr(found, part), field))
    assert measurements.origin([again]) == "Measurements: 1 committed with the project."
    for other in ({"name": "gradcam of excite2"}, {"step": 2}, {"runs": runs[:1]}):
        assert measurements.find(**{"runs": runs, "name": name, "step": 3, **other}) is None
    assert measurements.find(runs, name, 3, fresh=True) is None
    with pytest.raises(ReproError, match=rf"not measured for net, and the networks of runs {runs[0].id}.*fresh=True"):
        overlap.compare({"net": runs}, name, evidence, dataclasses.replace(PARAMETERS, fresh=True), 3)


def test_a_stored_measurement_keeps_six_digits_and_empty_maps(tmp_path):
    share = np.array([[0.1234567, np.nan, 0.0], [1.0, 0.5, 1 / 3]])
    measured = measurements.Measured(share, share * 0.5, share * 0.1, share > 0.4)
    stored = measurements.Overlap(("a", "b"), "gradcam of x", 2, measured, measured, {"device": "cpu"})
    path = tmp_path / f"{stored.id}.json"
    measurements.write(stored, path)
    read = measurements.read(path)
    np.testing.assert_array_equal(read.trained.share, [[0.123457, np.nan, 0.0], [1.0, 0.5, 0.333333]])
    assert read.trained.right.dtype == bool
    assert read.trained.right.tolist() == measured.right.tolist()
    assert (read.runs, read.map, read.step, read.provenance) == (("a", "b"), "gradcam of x", 2, {"device": "cpu"})
    assert json.loads(path.read_text())["id"] == stored.id


def test_a_file_that_is_no_measurement_is_one_clear_error(tmp_path):
    share = np.full((1, 3), 0.5)
    measured = measurements.Measured(share, share, share, share > 0)
    stored = measurements.Overlap(("a",), "gradcam of x", 1, measured, measured, {})
    renamed, broken = tmp_path / "0123456789ab.json", tmp_path / "broken.json"
    measurements.write(stored, renamed)
    with pytest.raises(ReproError, match=f"holds measurement {stored.id} of other runs or maps"):
        measurements.read(renamed)
    broken.write_text('{"runs": []}')
    with pytest.raises(ReproError, match="not a measurement of maps"):
        measurements.read(broken)
