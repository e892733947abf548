"""The embedded set: same seed same bytes, HMDB51's layout, and what can and cannot be learned from it."""

import dataclasses
import itertools
import json
import re
import resource
import shutil
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import binom, ks_2samp
from torch import nn

from repro import paths
from repro.config import DOSES, EMBEDDED, PROFILES, dose
from repro.config import PRETEXT as PRETEXT_EDITION
from repro.data.embedded import drawing, files
from repro.data.embedded.drawing import palette_of
from repro.data.embedded.options import (
    CLASSES,
    EDITIONS,
    POOLS,
    POSE_PAIRS,
    PRETEXT,
    PRETEXT_PAIRS,
    SPLITS,
    TIME_PAIRS,
    Synthetic,
)
from repro.data.embedded.person import PRETEXT_PROGRAMS, PROGRAMS, SUPERSAMPLING, poses, thing
from repro.data.embedded.videos import clip_name, is_complete, mask_of, render, write
from repro.errors import ReproError, Unwritable
from repro.papers.doses import USUAL

SMALL = Synthetic(classes=("crouch", "rise", "sit_clap"), sources=3, train=6, test=3, frames=8, side=24)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("synthetic"), SMALL)


def _bytes(root) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(written, tmp_path):
    assert _bytes(write(tmp_path / "again", SMALL, jobs=2)) == _bytes(written)
    other = _bytes(write(tmp_path / "other", dataclasses.replace(SMALL, seed=1)))
    videos = [name for name in other if name.endswith(".avi")]
    assert len(videos) == 3 * (6 + 3)
    assert all(other[name] != _bytes(written)[name] for name in videos)


def test_layout_and_split_files_are_hmdb51s(written):
    assert sorted(p.name for p in written.iterdir()) == ["hmdb51_org", "synthetic.json", "testTrainMulti_7030_splits"]
    for name in SMALL.classes:
        on_disk = {p.name for p in (written / "hmdb51_org" / name).iterdir()}
        for split in SPLITS:
            text = (written / "testTrainMulti_7030_splits" / f"{name}_test_split{split}.txt").read_text()
            rows = re.findall(rf"^(\w+_{name}_f_cm_np1_fr_goo_\d+\.avi) ([012]) $", text, re.MULTILINE)
            assert len(rows) == text.count("\n") == 9
            assert {clip for clip, _ in rows} == on_disk
            assert Counter(part for _, part in rows) == {"1": 4, "2": 1, "0": 4}


def test_sources_never_cross_and_every_test_clip_is_tested_once(written):
    tested = Counter()
    for split in SPLITS:
        sources = {"0": set(), "1": set(), "2": set()}
        for file in (written / "testTrainMulti_7030_splits").glob(f"*_split{split}.txt"):
            name = file.name.removesuffix(f"_test_split{split}.txt")
            for line in file.read_text().splitlines():
                clip, part = line.split()
                sources[part].add(clip.split(f"_{name}_")[0])
                tested[clip] += part == "2"
        assert sources["1"].isdisjoint(sources["2"])
        assert sources["1"].isdisjoint(sources["0"]), "an unused clip shares its source with a training clip"
    assert Counter(tested.values()) == {1: 3 * 3, 0: 3 * 6}


def test_default_split_sizes():
    default = Synthetic()
    assert len(default.classes) * default.train * 2 // 3 == 576
    assert len(default.classes) * default.test // 3 == 1152
    assert default.classes == tuple(sorted(CLASSES))
    assert len(CLASSES) == 12
    assert sorted(c for pair in TIME_PAIRS + POSE_PAIRS for c in pair) == list(CLASSES)
    assert (len(TIME_PAIRS), len(POSE_PAIRS)) == (4, 2)
    for name in ("small-2", "development", "large"):
        edition = EDITIONS[name]
        assert (edition.classes, edition.train, edition.test) == (CLASSES, default.train, default.test)
    assert EDITIONS["development"].seed != EDITIONS["small-2"].seed


def test_every_profile_has_its_edition():
    assert set(EMBEDDED) == set(PROFILES)
    doses = {dose(base, option, value) for base in ("smoke", "small-2") for option in DOSES for value in DOSES[option]}
    assert {*EMBEDDED.values(), PRETEXT_EDITION, "development", *doses} == set(EDITIONS)


def test_a_dose_changes_one_option_of_the_shown_edition():
    for option, values in DOSES.items():
        assert USUAL[option] == getattr(EDITIONS["small-2"], option)
        for value in values:
            changed = EDITIONS[dose("small-2", option, value)]
            assert getattr(changed, option) == value != USUAL[option]
            assert dataclasses.replace(changed, **{option: USUAL[option]}) == EDITIONS["small-2"]


def test_who_cannot_see_the_direction_of_time_is_right_in_two_thirds():
    """The best answer of a network that sees frames in no order: right in each class without a reverse, else in half."""
    reverse = {a: b for pair in TIME_PAIRS for a, b in (pair, pair[::-1])}
    blind = {name: min(name, reverse.get(name, name)) for name in CLASSES}  # what it answers, per class of the video
    ceiling = Fraction(sum(blind[name] == name for name in CLASSES), len(CLASSES))
    assert ceiling == (Fraction(8, 2) + 4) / 12 == Fraction(2, 3)


def test_the_pretext_edition_shows_other_movements():
    edition = EDITIONS[PRETEXT_EDITION]
    assert edition.classes == PRETEXT
    assert not set(PRETEXT) & set(CLASSES)
    assert not set(PROGRAMS) & set(PRETEXT_PROGRAMS)
    assert edition.bias == 0  # nothing but the movement says the class
    drawn = {backward: forward for forward, backward in PRETEXT_PAIRS}
    assert {drawn.get(name, name) for name in PRETEXT} == set(PRETEXT_PROGRAMS)
    drawn = {backward: forward for forward, backward in TIME_PAIRS}
    assert {drawn.get(name, name) for name in CLASSES} == set(PROGRAMS)
    assert {option.seed for option in EDITIONS.values() if option is not edition}.isdisjoint({edition.seed})


def test_a_written_video_shows_the_rendered_frames(written):
    name = clip_name("rise", SMALL, 4, "train")
    assert name == "train02_rise_f_cm_np1_fr_goo_0.avi"
    frames, mask = render("rise", SMALL, 4, "train")
    video = cv2.VideoCapture(str(written / "hmdb51_org" / "rise" / name))
    decoded = []
    while (read := video.read())[0]:
        decoded.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY))
    assert len(decoded) == len(frames) == len(mask)
    grey = np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames])
    assert np.abs(np.stack(decoded).astype(int) - grey).mean() < 3  # JPEG in 4:2:0: luminance is nearly exact
    assert np.array_equal(mask_of(written, name), mask)
    assert np.array_equal(mask_of(SMALL, f"some/folder/{name}"), mask)


def _times(root) -> dict[str, int]:
    return {str(p.relative_to(root)): p.stat().st_mtime_ns for p in sorted(root.rglob("*")) if p.is_file()}


def test_an_interrupted_write_goes_on_and_a_finished_one_is_left_alone(written, tmp_path):
    root = write(tmp_path / "set", SMALL)
    before = _times(root)
    write(root, SMALL)
    assert _times(root) == before, "a finished set was written again"
    marker = root / "synthetic.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "sha256": None}))  # as left by a kill
    write(root, SMALL)
    assert _bytes(root) == _bytes(written)
    with pytest.raises(ReproError, match=r"holds another embedded set \(\{'options': .{,500}\): delete it"):
        write(root, dataclasses.replace(SMALL, bias=0.5))


def test_what_a_killed_write_left_is_swept(written, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = tmp_path / "set" / "hmdb51_org" / "rise"
    folder.mkdir(parents=True)
    for name in (f".x.avi.{dead.pid}.avi", f".0123456789abcdef.{paths.HOST}-{dead.pid}.part"):
        (folder / name).touch()
    assert _bytes(write(tmp_path / "set", SMALL)) == _bytes(written)


def test_lost_and_damaged_files_of_a_finished_set_are_drawn_again_and_no_others(written, tmp_path, capsys):
    root = tmp_path / "set"
    shutil.copytree(written, root)  # with its times
    before = _times(root)
    lost, empty, changed, split = sorted(name for name in before if name.endswith((".avi", "rise_test_split1.txt")))[
        -4:
    ]
    (root / lost).unlink()
    (root / empty).write_bytes(b"")
    data = (root / changed).read_bytes()
    (root / changed).write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    (root / split).write_text("")
    write(root, SMALL)
    assert _bytes(root) == _bytes(written)
    assert f"{root / empty}: damaged" in capsys.readouterr().err
    after, harmed = _times(root), {lost, empty, changed, split, "synthetic.json"}
    movies = [name for name in before if name.endswith(".avi") and name not in harmed]
    assert [after[name] for name in movies] == [before[name] for name in movies]


def test_a_copy_without_its_times_is_compared_once(written, tmp_path, monkeypatch):
    root = tmp_path / "set"
    shutil.copytree(written, root, copy_function=shutil.copyfile)
    read, described = [], files.described
    monkeypatch.setattr(files, "described", lambda path: read.append(path) or described(path))
    write(root, SMALL)
    assert len(read) == 27 + 9
    write(root, SMALL)
    assert len(read) == 27 + 9
    assert _bytes(root) == _bytes(written)


def test_a_full_disk_leaves_no_broken_video_behind(written, tmp_path):
    """A limit of the size of files stands for a full disk: OpenCV's writer says nothing of either."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        with pytest.raises(
            Unwritable, match=r"only a part of the video; [\d,]+ MB free in .*hmdb51_org.*: free space there"
        ):
            write(tmp_path / "set", SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in (tmp_path / "set").rglob("*") if p.is_file()] == ["synthetic.json"]
    assert _bytes(write(tmp_path / "set", SMALL)) == _bytes(written)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"version": 2}', "[" * 100_000, '{"a": ' * 5000, "1" * 5000, "\0", '{"version": 2, "options": '
     '{}, "sha256": "ab", "files": {}}', '{"version": 2, "options": {"classes": []}, "sha257": "ab", "files": {}}'],
    ids=lambda text: f"{len(text)}{text[:9]}",
)  # fmt: skip
def test_a_damaged_marker_is_named_and_the_set_is_drawn_again(written, tmp_path, text, capsys):
    root = tmp_path / "set"
    shutil.copytree(written, root)
    marker = root / "synthetic.json"
    marker.write_text(text)
    name = clip_name("rise", SMALL, 0, "test")
    (root / "hmdb51_org" / "rise" / name).write_bytes(b"of another set")
    assert not is_complete(root)
    with pytest.raises(ReproError, match=r"synthetic.json: damaged, or of an older version; the next run draws"):
        mask_of(root, name)
    write(root, SMALL)
    assert f"drawn once more: {marker}" in capsys.readouterr().err
    assert _bytes(root) == _bytes(written)


def test_a_marker_that_lists_files_elsewhere_harms_none(written, tmp_path):
    root, other = tmp_path / "set", tmp_path / "precious.txt"
    shutil.copytree(written, root)
    other.write_text("precious")
    marker = json.loads((root / "synthetic.json").read_text())
    marker["files"]["../precious.txt"] = "3 00"
    (root / "synthetic.json").write_text(json.dumps(marker))
    write(root, SMALL)
    assert other.read_text() == "precious"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"classes": ("crouch", "rize")}, "did you mean 'rise'"),
        ({"classes": ("rise", "crouch")}, "alphabetical"),
        ({"classes": ("rise",)}, "at least two"),
        ({"seed": -1}, "seed is -1"),
        ({"sources": 4}, "sources is 4"),
        ({"train": 7}, "train is 7"),
        ({"test": 0}, "test is 0"),
        ({"frames": 7}, "frames is 7"),
        ({"frames": 8.5}, "frames is 8.5"),
        ({"side": 25}, "side is 25"),
        ({"bias": 1.5}, "bias is 1.5"),
        ({"action": 0.2}, "action is 0.2"),
        ({"action": 1.1}, "action is 1.1"),
        ({"smallest": 0.2}, "smallest is 0.2"),
        ({"smallest": 0.95}, "smallest is 0.95"),
        ({"distractors": -0.1}, "distractors is -0.1"),
        ({"pan": 0.06}, "pan is 0.06"),
    ],
)
def test_options_that_make_no_sense_name_the_value(change, says):
    with pytest.raises(ReproError, match=re.escape(says)):
        dataclasses.replace(SMALL, **change)


@pytest.mark.parametrize("clip", ["train00_fall_f_cm_np1_fr_goo_0.avi", "train00_rise_f_cm_np1_fr_goo_9.avi",
                                  "train77_rise_f_cm_np1_fr_goo_0.avi", "holiday.avi"])  # fmt: skip
def test_masks_of_clips_that_are_not_there_are_errors(written, clip, tmp_path):
    with pytest.raises(ReproError):
        mask_of(written, clip)
    with pytest.raises(ReproError, match=r"synthetic\.json"):
        mask_of(tmp_path, "train00_rise_f_cm_np1_fr_goo_0.avi")


def test_appearance_follows_the_class_in_training_only():
    options = Synthetic()
    for pool, expected in (("train", options.bias + (1 - options.bias) / 12), ("test", 1 / 12)):
        own = [
            palette_of(c, options, i, pool) == k for k, c in enumerate(CLASSES) for i in range(getattr(options, pool))
        ]
        low, high = binom.interval(0.99, len(own), expected)
        assert low <= sum(own) <= high, pool


def test_the_object_s_kind_follows_the_palette(monkeypatch):
    kinds = []
    monkeypatch.setattr(drawing, "thing", lambda picture, kind, *_: kinds.append(kind))
    options = Synthetic(bias=1.0, sources=3, train=3, test=12, frames=8, side=24)
    for pool, count in (("train", 3), ("test", 12)):
        kinds.clear()
        for name in CLASSES:
            for i in range(count):
                render(name, options, i, pool)
        assert kinds == [palette_of(name, options, i, pool) for name in CLASSES for i in range(count)]
        own = [k for k in range(12) for _ in range(count)]
        assert (kinds == own) == (pool == "train")
    assert sum(kind == k for kind, k in zip(kinds, own, strict=True)) < 30  # of 144: one of twelve by chance
    assert set(kinds) == set(range(12))


def test_twelve_kinds_of_objects_look_different():
    drawn = []
    for kind in range(12):
        canvas = np.zeros((60, 60, 3), np.uint8)
        thing(canvas, kind, 0.3, np.array([30.0, 30.0]), 20)
        corners = (3, 4, 6, 40)[kind % 4]
        assert canvas.any(2).sum() == pytest.approx(corners / 2 * 20**2 * np.sin(2 * np.pi / corners), rel=0.08)
        drawn.append(canvas.tobytes())
    assert len(set(drawn)) == 12


@pytest.mark.parametrize("program", PROGRAMS + PRETEXT_PROGRAMS)
@pytest.mark.parametrize("action", [0.3, 0.6, 1.0])
def test_the_person_moves_in_a_share_of_the_frames(program, action):
    """Apart from a sway: it holds the first pose before the movement and the last one behind it."""
    count, begins = 40, []
    for seed in range(20):
        shown = poses(program, count, np.random.default_rng(seed), action)
        limbs = [{**pose, "lean": pose["lean"] if "lean" in program else 0} for pose in shown]
        changes = [i for i, (one, next_) in enumerate(itertools.pairwise(limbs)) if one != next_]
        assert changes == list(range(changes[0], changes[-1] + 1))  # one movement, without a break
        moving = len(changes) + 1  # frames
        assert round(action * count) <= moving <= round(min(1, 1.3 * action) * count)
        begins.append(changes[0])
    assert (len(set(begins)) > 5) == (action < 1)  # at any place in the clip


def still(count, *_):
    """A camera that does not move."""
    return np.tile(np.eye(2, 3), (count, 1, 1))


def test_distractors_are_drawn_as_often_as_asked_and_are_never_in_the_mask(monkeypatch):
    monkeypatch.setattr(drawing, "_camera", still)  # its random numbers come behind the distractor's
    options = {p: Synthetic(distractors=p, sources=3, train=3, test=3, frames=8) for p in (0.0, 1.0)}
    for name in ("clap", "rise", "step_left"):
        alone, both = (render(name, options[p], 0, "test") for p in (0.0, 1.0))
        assert np.array_equal(alone[1], both[1])  # the mask is that of the person who acts
        differs = (alone[0] != both[0]).any(3)
        assert 0.005 < differs.mean() < 0.2
        assert differs[alone[1]].mean() < 0.02  # the person who acts is in front
        moves = differs.any(0) & ~differs.all(0)
        assert moves.sum() > 5  # and the other one moves as well
    drawn, true = [], drawing._scene
    monkeypatch.setattr(drawing, "_scene", lambda *given: drawn.append(true(*given)) or drawn[-1])
    default = Synthetic(sources=3, train=3, test=150, frames=8, side=24)
    for i in range(150):
        render("clap", default, i, "test")
    two = sum(len(scene.people) == 2 for scene in drawn)
    low, high = binom.interval(0.999, 150, default.distractors)
    assert low <= two <= high
    for scene in drawn:
        if len(scene.people) == 2:
            (_, _, other, _), (_, _, actor, _) = scene.people
            assert other < 0.66 * actor  # in stature


@pytest.mark.parametrize("smallest", [0.4, 0.92])
def test_the_smallest_person_is_as_tall_as_asked(smallest, monkeypatch):
    statures, true = [], drawing._scene

    def scene(*given):
        found = true(*given)
        statures.append(found.people[-1][2] / (SUPERSAMPLING * 24))
        return found

    monkeypatch.setattr(drawing, "_scene", scene)
    options = Synthetic(smallest=smallest, sources=3, train=3, test=60, frames=8, side=24)
    for i in range(60):
        render("clap", options, i, "test")
    assert smallest <= min(statures) <= max(statures) <= 0.92
    assert min(statures) < smallest + 0.05
    assert max(statures) > 0.87


def test_the_camera_pans_steadily_and_no_faster_than_asked():
    fastest, count, found = 2.5, 21, []
    for seed in range(200):
        without, panned = (
            drawing._camera(count, 2.0, pan, np.random.default_rng(seed))[..., 2] for pan in (0.0, fastest)
        )
        steps = np.diff(panned - without, axis=0)  # (count - 1, 2) pixels per frame, beside the shake
        assert np.allclose(steps, steps[0])
        assert np.allclose((panned - without)[count // 2], 0)  # the middle of the clip stays in place
        found.append(steps[0])
    speeds = np.abs(found)
    assert (speeds <= [fastest, fastest / 2]).all()
    assert (speeds.max(0) > [0.9 * fastest, 0.45 * fastest]).all()
    assert (np.min(found, 0) < 0).all()
    assert (np.max(found, 0) > 0).all()


def test_a_pan_moves_scene_and_person():
    options = [Synthetic(pan=pan, sources=3, train=3, test=3, frames=8) for pan in (0.0, 0.05)]
    for name in ("clap", "wave"):
        (calm, mask), (panned, moved) = (render(name, each, 1, "test") for each in options)
        assert calm.shape == panned.shape
        first, last = (np.abs(calm[t].astype(int) - panned[t]).mean() for t in (0, -1))
        middle = np.abs(calm[len(calm) // 2].astype(int) - panned[len(calm) // 2]).mean()
        assert middle < min(first, last)
        assert not np.array_equal(mask, moved)


def test_rendering_is_deterministic_and_clips_differ():
    for name in ("crouch", "rise", "hop"):
        options = EDITIONS[PRETEXT_EDITION] if name == "hop" else Synthetic()
        one, again = render(name, options, 2, "train"), render(name, options, 2, "train")
        assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
        others = [render(name, options, 3, "train"), render(name, options, 2, "test")]
        others.append(render(name, dataclasses.replace(options, seed=9), 2, "train"))
        for frames, _ in others:
            assert frames.shape != one[0].shape or not np.array_equal(frames, one[0])


def test_the_length_of_a_clip():
    for options in (Synthetic(), Synthetic(frames=40, side=24)):
        counts = {len(render("clap", options, i, "train")[0]) for i in range(60)}
        assert counts == set(range(options.frames, options.frames * 5 // 4 + 1))


@pytest.mark.slow
def test_the_palette_is_what_colours_the_scene():
    corners = {}  # mean colour of the top corners, where the person hardly ever is, by palette
    options = Synthetic(bias=1.0, sources=3, train=12, test=3)
    for k, name in enumerate(CLASSES):
        frames = np.concatenate([render(name, options, i, "train")[0][::8, :10, :10].reshape(-1, 3) for i in range(12)])
        chroma = frames.mean(0) - frames.mean()
        corners[k] = np.degrees(np.arctan2(np.sqrt(3) * (chroma[1] - chroma[2]), 2 * chroma[0] - chroma[1] - chroma[2]))
    off = [(corners[k] - 360 * k / 12 + 180) % 360 - 180 for k in corners]
    assert np.abs(off).max() < 40, off  # hue in degrees; palettes are 30 apart, and the bright end is turned by 29


def _course(mask: np.ndarray) -> np.ndarray:
    """Of a mask (T, H, W): the person's centre x, y and its spread in x and y, in pixels; (T, 4)."""
    ys, xs = np.arange(mask.shape[1])[:, None], np.arange(mask.shape[2])
    n = mask.sum((1, 2))
    x, y = (mask * xs).sum((1, 2)) / n, (mask * ys).sum((1, 2)) / n
    wide = (mask * (xs - x[:, None, None]) ** 2).sum((1, 2)) / n
    high = (mask * (ys - y[:, None, None]) ** 2).sum((1, 2)) / n
    return np.stack([x, y, np.sqrt(wide), np.sqrt(high)], axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("pair", TIME_PAIRS)
def test_time_pairs_move_oppositely_and_look_alike_frame_by_frame(pair):
    options, rng = Synthetic(sources=3, train=60, test=3), np.random.default_rng(0)
    courses = [[_course(render(name, options, i, "train")[1]) for i in range(60)] for name in pair]
    change = [np.array([c[-1] - c[0] for c in course]) for course in courses]  # (clips, 4)
    most = np.abs(change[0].mean(0) / change[0].std(0)).argmax()
    sign = np.sign(change[0][:, most].mean())
    assert (sign * change[0][:, most] > 0).all()
    assert (sign * change[1][:, most] < 0).all()
    frames = [np.array([c[rng.integers(len(c))] for c in course]) for course in courses]  # one random frame per clip
    for one, other in zip(*(f.T for f in frames), strict=True):
        assert ks_2samp(one, other).pvalue > 0.01 / 16  # 16 comparisons over the four pairs: 1 % together


@pytest.mark.parametrize("name", CLASSES)
def test_the_mask_covers_what_moves(name):
    options = Synthetic(sources=3, train=3, test=3)
    for i in range(3):
        frames, mask = render(name, options, i, "test")
        assert frames.shape == (*mask.shape, 3)
        assert (frames.dtype, mask.dtype) == (np.uint8, bool)
        assert 0.08 < mask.mean() < 0.35
        away = cv2.dilate(mask.any(0).astype(np.uint8), np.ones((3, 3))) == 0
        assert away.mean() > 0.2
        assert (mask.any(0) & ~mask.all(0)).sum() > 30, "the person does not move"


# What can be learned of the time pairs: a small 3-D network on ordered frames, shuffled frames, and one frame repeated.
# Without the bias: palette and object would tell the class of a training clip, and in so few steps the network learns
# nothing else.
PAIRED = tuple(sorted(c for pair in TIME_PAIRS for c in pair))
PAIRED_SET = Synthetic(classes=PAIRED, sources=12, train=120, test=24, frames=12, side=24, bias=0.0)
PARTNER = {PAIRED.index(a): PAIRED.index(b) for pair in TIME_PAIRS for a, b in (pair, pair[::-1])}


@pytest.fixture(scope="module")
def paired_clips():
    return {
        pool: [
            (torch.from_numpy(render(name, PAIRED_SET, i, pool)[0].copy()).permute(3, 0, 1, 2), label)  # (C, T, H, W)
            for label, name in enumerate(PAIRED)
            for i in range(getattr(PAIRED_SET, pool))
        ]
        for pool in POOLS
    }


def _eight_frames(clip: torch.Tensor, mode: str, random: torch.Generator) -> torch.Tensor:
    start = int(torch.randint(clip.shape[1] - 7, (), generator=random))
    when = {
        "ordered": torch.arange(start, start + 8),
        "shuffled": start + torch.randperm(8, generator=random),
        "single": torch.randint(clip.shape[1], (1,), generator=random).expand(8),
    }[mode]
    return clip[:, when]


def _right_within_pairs(clips: dict, mode: str) -> np.ndarray:
    """Trains, and returns for each test clip whether its class scores above the other of its pair; bool (clips,)."""
    torch.manual_seed(0)
    random = torch.Generator().manual_seed(0)
    layers, inputs = [], 3
    for outputs, kernel, stride in ((16, (3, 5, 5), (1, 2, 2)), (32, 3, 2), (64, 3, 2)):
        padding = 1 if kernel == 3 else (1, 2, 2)
        layers += [nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False), nn.BatchNorm3d(outputs), nn.ReLU()]
        inputs = outputs
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(inputs, len(PAIRED)))
    net = net.to(memory_format=torch.channels_last_3d)

    def batch(members: list) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.stack([_eight_frames(clip, mode, random) for clip, _ in members]).float() / 60 - 2
        return x.contiguous(memory_format=torch.channels_last_3d), torch.tensor([label for _, label in members])

    train, epochs, size = clips["train"], 8, 32
    optimiser = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, total_steps=epochs * (len(train) // size))
    for _ in range(epochs):
        order = torch.randperm(len(train), generator=random).tolist()
        for i in range(len(train) // size):
            x, y = batch([train[j] for j in order[i * size : (i + 1) * size]])
            loss = nn.functional.cross_entropy(net(x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        x, y = batch(clips["test"])
        scores = net(x)
    other = torch.tensor([PARTNER[int(label)] for label in y])
    rows = torch.arange(len(y))
    return (scores[rows, y] > scores[rows, other]).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["ordered", "shuffled", "single"])
def test_only_ordered_frames_tell_the_direction_of_time(paired_clips, mode):
    right = _right_within_pairs(paired_clips, mode)
    assert len(right) == 192
    low, high = binom.interval(0.99, len(right), 0.5)  # what guessing gives in 99 of 100 trials: 78 to 114
    if mode == "ordered":
        assert right.sum() > binom.ppf(0.99, len(right), 0.65)  # surely better than 65 %
    else:
        assert low <= right.sum() <= high
