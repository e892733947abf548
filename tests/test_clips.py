"""Clips as networks get them: consecutive frames, sparse segments, stacks of flow, ten crops."""

import dataclasses

import cv2
import numpy as np
import pytest

from repro import paths
from repro.config import Data
from repro.data import catalog, prepare
from repro.data.clips import ClipDataset, batches, collate, recipe_of
from repro.errors import ReproError

FRAMES = 12


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three videos of 12 frames whose grey level is 10 times the frame number, stored at 32 pixels."""
    root = tmp_path_factory.mktemp("videos")
    for name in ("a/one", "a/two", "b/three"):
        (root / name).parent.mkdir(exist_ok=True)
        writer = cv2.VideoWriter(str(root / f"{name}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (48, 32))
        for i in range(FRAMES):
            writer.write(np.full((32, 48, 3), 10 * i, np.uint8))
        writer.release()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_DATA", str(tmp_path_factory.mktemp("data")))
        found = catalog.load("folder", root, 1, val_fraction=0)
        data = Data(
            "folder", frames=3, size=16, side=32, flow="dis", views="centre", val_fraction=0, root=str(root),
            sampling="segments", smallest_scale=0.66, crop="tsn",
        )  # fmt: skip
        prepare.require_all(prepare.prepare(found.table, "folder", root, recipe_of(data), jobs=1))
        assert paths.data().is_dir()
        yield found, data


def levels(clip: np.ndarray) -> list[int]:
    """Which frame stands at each place of a (T, S, S, 3) clip."""
    return np.rint(clip.mean(axis=(1, 2, 3)) / 10).astype(int).tolist()


def test_segments_span_the_video(clips):
    found, data = clips
    assert levels(ClipDataset(found, "test", data, ("rgb",))[0]["rgb"]) == [2, 6, 10]
    more = dataclasses.replace(data, test_frames=6)
    assert levels(ClipDataset(found, "test", more, ("rgb",))[0]["rgb"]) == [1, 3, 5, 7, 9, 11]
    training = ClipDataset(found, "train", data, ("rgb",), seed=1)
    drawn = []
    for training.epoch in range(30):
        drawn.append(levels(training[0]["rgb"]))
    assert [sorted(set(place)) for place in zip(*drawn, strict=True)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    training.epoch = 0
    assert levels(training[0]["rgb"]) == drawn[0]  # drawn from seed, epoch and video alone


def test_the_same_clip_from_memory_and_from_the_packed_file(clips, monkeypatch):
    found, data = clips
    data = dataclasses.replace(data, modality="rgb+flow", stack=3)
    in_memory = ClipDataset(found, "train", data, ("rgb+flow",))
    monkeypatch.setattr("repro.data.clips.IN_MEMORY", 0)
    from_file = ClipDataset(found, "train", data, ("rgb+flow",))
    assert in_memory.in_memory
    assert not from_file.in_memory
    for i in range(len(in_memory)):
        np.testing.assert_array_equal(in_memory[i]["rgb+flow"], from_file[i]["rgb+flow"])


def test_stacks_are_channels_and_both_streams_make_one_clip(clips):
    found, data = clips
    flow = dataclasses.replace(data, modality="flow", stack=5)
    assert flow.channels == 10
    both = dataclasses.replace(data, modality="rgb+flow", stack=5)
    assert both.channels == 13
    dataset = ClipDataset(found, "test", both, ("rgb+flow", "flow", "rgb"))
    batch = next(batches(dataset, 2))
    assert batch["rgb+flow"].shape[1:] == (13, 3, 16, 16)  # (C, T, H, W)
    np.testing.assert_array_equal(batch["rgb+flow"][:, :3], batch["rgb"])
    np.testing.assert_array_equal(batch["rgb+flow"][:, 3:], batch["flow"])
    stored = dataset[0]["flow"]  # still pictures that grow brighter: hardly any motion, 127.5
    assert abs(float(stored.mean()) - 127.5) < 8


def test_ten_crops_are_views_of_the_test_part_only(clips):
    found, data = clips
    ten = dataclasses.replace(data, crops="ten")
    assert len(ClipDataset(found, "test", ten, ("rgb",)).views) == 10 * len(found.part("test"))
    assert len(ClipDataset(found, "test", dataclasses.replace(ten, flip=False), ("rgb",)).views) == 5 * len(
        found.part("test")
    )


def test_clips_are_channels_last(clips):
    found, data = clips
    dataset = ClipDataset(found, "test", data, ("rgb",))
    clip = collate([dataset[0]])["rgb"]
    assert clip.shape == (1, 3, 3, 16, 16)
    assert clip.permute(0, 2, 3, 4, 1).is_contiguous()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"views": "windows"}, "Data.views is 'windows'"),
        ({"sampling": "consecutive", "stack": 5}, "Data.stack is 5"),
        ({"sampling": "consecutive", "test_frames": 25}, "Data.test_frames is 25"),
        ({"test_frames": -1}, "Data.test_frames is -1"),
    ],
)
def test_protocols_that_make_no_sense_are_errors(clips, changes, words):
    with pytest.raises(ReproError, match=words):
        dataclasses.replace(clips[1], **changes)
