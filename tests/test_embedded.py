"""The embedded set: same seed same bytes, HMDB51's layout, and what can and cannot be learned from it."""

import dataclasses
import json
import re
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from scipy.stats import binom, ks_2samp
from torch import nn

from repro.data.embedded.videos import (
    CLASSES,
    POOLS,
    POSE_PAIRS,
    SPLITS,
    TIME_PAIRS,
    Synthetic,
    clip_name,
    mask_of,
    palette_of,
    render,
    write,
)
from repro.errors import ReproError

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
    assert len(default.classes) * default.test // 3 == 384
    assert default.classes == tuple(sorted(CLASSES))
    assert len(CLASSES) == 12
    assert sorted(c for pair in TIME_PAIRS + POSE_PAIRS for c in pair) == list(CLASSES)


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


def test_an_interrupted_write_goes_on_and_a_finished_one_is_left_alone(written, tmp_path):
    root = write(tmp_path / "set", SMALL)
    lost = root / "hmdb51_org" / "rise" / clip_name("rise", SMALL, 0, "test")
    lost.unlink()
    write(root, SMALL)
    assert not lost.exists(), "a finished set was written again"
    marker = root / "synthetic.json"
    marker.write_text(json.dumps({**json.loads(marker.read_text()), "sha256": None}))  # as left by a kill
    write(root, SMALL)
    assert _bytes(root) == _bytes(written)
    with pytest.raises(ReproError, match="holds another embedded set"):
        write(root, dataclasses.replace(SMALL, bias=0.5))


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
PAIRED = tuple(sorted(c for pair in TIME_PAIRS for c in pair))
PAIRED_SET = Synthetic(classes=PAIRED, sources=12, train=120, test=24, frames=12, side=24)
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
    assert len(right) == 240
    low, high = binom.interval(0.99, len(right), 0.5)  # what guessing gives in 99 of 100 trials: 100 to 140
    if mode == "ordered":
        assert right.sum() > binom.ppf(0.99, len(right), 0.65)  # surely better than 65 %
    else:
        assert low <= right.sum() <= high
