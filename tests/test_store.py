"""The packed store: what goes in comes out, its recipe is checked, and no damage is read."""

import hashlib
import itertools
import json
import math
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
import torch
from films import write_video

from repro.data import jpeg, packed, store, video
from repro.data.flow import methods as flow
from repro.data.flow import tvl1_torch
from repro.data.flow.parameters import METHODS
from repro.data.store import Recipe
from repro.data.transforms import centre_crop
from repro.errors import ReproError

RECIPE = Recipe(side=48, flow="dis")


def test_frames_and_flow_come_back(tmp_path):
    source = write_video(tmp_path / "a.avi", size=(96, 72))
    assert store.pack(source, tmp_path / "a.clip", RECIPE) == 6
    clip = store.open_packed(tmp_path / "a.clip", RECIPE)
    original = [store.resize_short_side(f, 48) for f in video.frames(source)]
    stored = clip.rgb(range(6))
    assert stored[0].shape == (48, 64, 3)
    grey = [
        np.stack([cv2.cvtColor(f, cv2.COLOR_RGB2GRAY) for f in frames]).astype(int) for frames in (stored, original)
    ]
    assert np.abs(grey[0] - grey[1]).mean() < 1.5  # JPEG quality 95 halves the colours' resolution, not the grey's
    wanted = flow.quantise(flow.extract(np.stack(original), "dis"))
    got = np.stack(clip.flow(range(5)))
    assert got.shape == (5, 48, 64, 2)
    assert np.abs(got.astype(int) - wanted).mean() < 1
    np.testing.assert_array_equal(clip.rgb([4])[0], stored[4])
    np.testing.assert_array_equal(clip.flow([3, 1])[1], got[1])


def test_another_recipe_is_an_error_not_a_mixture(tmp_path):
    store.pack(write_video(tmp_path / "a.avi"), tmp_path / "a.clip", RECIPE)
    for other in (
        Recipe(side=48, flow="farneback"),
        Recipe(side=48, flow="dis", bound=15),
        Recipe(side=40, flow="dis"),
    ):
        with pytest.raises(ReproError, match="methods are never mixed"):
            store.open_packed(tmp_path / "a.clip", other)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda data: data[:-1], "not whole"),
        (lambda data: data[:20], "damaged packed clip"),
        (lambda data: b"x" + data[1:], "not a packed clip"),
        (lambda data: data[:15] + b"\xff" * 40 + data[55:], "damaged packed clip"),
    ],
)
def test_a_damaged_file_is_one_error(tmp_path, harm, words):
    path = tmp_path / "a.clip"
    store.pack(write_video(tmp_path / "a.avi"), path, RECIPE)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ReproError, match=words):
        store.open_packed(path, RECIPE)


def test_a_missing_clip_says_to_prepare(tmp_path):
    with pytest.raises(ReproError, match="repro prepare"):
        store.open_packed(tmp_path / "a.clip", RECIPE)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"side": 15}, "side is 15, but must be from 16 to 4096"),
        ({"side": 10**9}, "side is 1000000000"),
        ({"quality": 70}, "quality is 70"),
        ({"bound": 0}, "bound is 0"),
        ({"bound": math.inf}, "bound is inf"),
        ({"bound": math.nan}, "bound is nan"),
        ({"bound": 1e300}, "bound is 1e[+]300, but must be from 0.01 to 1000"),
        ({"flow": "tv-l1"}, "unknown flow method 'tv-l1'"),
    ],
)
def test_bad_recipes_are_errors(bad, words):
    with pytest.raises(ReproError, match=words):
        Recipe(**bad)


@pytest.mark.parametrize("method", [pytest.param(m, marks=pytest.mark.slow) if "torch" in m else m for m in METHODS])
def test_a_clip_packed_as_it_is_decoded_has_the_bytes_of_the_whole_clip(tmp_path, monkeypatch, method):
    """Frame by frame and pair by pair, in one loop, against all frames, then all flow, then all JPEGs."""
    monkeypatch.setattr(tvl1_torch, "BATCH", 2)
    recipe = Recipe(side=24, flow=method)
    source = write_video(tmp_path / "a.avi", count=6, size=(48, 36))
    store.pack(source, tmp_path / "a.clip", recipe)
    frames = np.stack([store.resize_short_side(frame, 24) for frame in video.frames(source)])
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    if method == "tvl1_torch":
        flows = tvl1_torch.tvl1_batch(*(torch.from_numpy(np.stack(part)) for part in (greys[:-1], greys[1:]))).numpy()
    else:
        flows = np.stack([next(flow.STREAMS[method](pair, METHODS[method]())) for pair in itertools.pairwise(greys)])
    planes = flow.quantise(flows, recipe.bound)
    images = [jpeg.encode(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), 95) for frame in frames]
    images += [jpeg.encode(np.ascontiguousarray(plane[..., c]), 95) for plane in planes for c in (0, 1)]
    clip = store.open_packed(tmp_path / "a.clip", recipe)
    assert [image.tobytes() for image in clip._images(range(len(images)))] == images
    assert clip.header == {
        "recipe": recipe.identity(), "source": store.source_identity(source), "frames": 6, "height": 24, "width": 32,
    }  # fmt: skip


def test_memory_does_not_grow_with_the_clip(tmp_path):
    peaks = []
    for count in (20, 120):
        source = write_video(tmp_path / f"{count}.avi", count=count)
        tracemalloc.start()
        store.pack(source, tmp_path / "a.clip", RECIPE)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 100_000  # bytes; 100 frames of 64x48 and their flow are 3.4 million


def damaged_image(path, i: int) -> None:
    """Changes one bit in image `i` of a packed clip."""
    at = int((store.open_packed(path, RECIPE).offsets[i] + store.open_packed(path, RECIPE).offsets[i + 1]) // 2)
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize("i", [0, 3, 5, 6, 15])
def test_no_changed_image_is_read(tmp_path, i):
    path = tmp_path / "a.clip"
    store.pack(write_video(tmp_path / "a.avi"), path, RECIPE)
    damaged_image(path, i)
    clip = store.open_packed(path, RECIPE)
    read = clip.rgb if i < 6 else clip.flow
    wanted = [i] if i < 6 else [(i - 6) // 2]
    for crop in (None, centre_crop(48, 64)):
        with pytest.raises(
            packed.Damaged, match=rf"{path}: damaged packed clip \(image {i} of 16 has changed\); run .*prepare"
        ):
            read(wanted, crop)
    assert len(clip.rgb([1])) == 1  # the others are whole
    with pytest.raises(packed.Damaged):
        store.decoded(path, RECIPE, "rgb" if i < 6 else "flow")
    with pytest.raises(packed.Damaged):
        clip.verify()


@pytest.mark.parametrize("seed", range(40))
def test_no_damage_is_read_as_pictures(tmp_path, seed):
    """Bytes changed, cut, inserted or replaced anywhere: an error of ours, or the pictures as they were."""
    path, rng = tmp_path / "a.clip", np.random.default_rng(seed)
    store.pack(write_video(tmp_path / "a.avi", count=3), path, RECIPE)
    whole = path.read_bytes()
    before = [store.open_packed(path, RECIPE).rgb(range(3)), store.open_packed(path, RECIPE).flow(range(2))]
    at, other = sorted(rng.integers(0, len(whole), 2))
    harmed = (
        whole[:at] + rng.bytes(int(rng.integers(1, 50))) + whole[at:], whole[:at] + whole[other:], whole[:at],
        whole[:at] + bytes([whole[at] ^ 1 << rng.integers(8)]) + whole[at + 1 :], whole + bytes(10_000),
        whole[:at] + bytes(len(whole) - at), whole[:at] + whole[other:] + whole[at:other],
    )  # fmt: skip
    path.write_bytes(harmed[seed % len(harmed)])
    try:
        clip = store.open_packed(path, RECIPE)
        after = [clip.rgb(range(3)), clip.flow(range(2))]
    except packed.Damaged:
        after = before  # an error is as good as what was there
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda start, end, length: (2**62, 2**62 + 100, length), "not whole"),
        (lambda start, end, length: (0, end, length), "not whole"),
        (lambda start, end, length: (start, end, 2**32 - 1), "its table cannot be read"),
        (lambda start, end, length: (start, end, 3), "its table cannot be read"),
    ],
)
def test_sizes_that_no_file_has_are_errors_before_anything_is_read(tmp_path, change, words):
    path = tmp_path / "a.clip"
    store.pack(write_video(tmp_path / "a.avi"), path, RECIPE)
    data = path.read_bytes()
    _, *sizes, checksum = packed.HEAD.unpack(data[: packed.HEAD.size])
    head = packed.HEAD.pack(packed.MAGIC, *change(*sizes), checksum)
    path.write_bytes(head + packed.CRC.pack(zlib.crc32(head)) + data[packed.IMAGES :])
    with pytest.raises(packed.Damaged, match=words):
        store.open_packed(path, RECIPE)


@pytest.mark.parametrize("frames", [10**12, 10**30, 1.5, None, "6", -(10**12), 0, 1])
def test_a_count_of_frames_that_no_file_has_is_an_error(tmp_path, frames):
    path = tmp_path / "a.clip"
    text = json.dumps({"frames": frames}).encode()
    head = packed.HEAD.pack(packed.MAGIC, packed.IMAGES, packed.IMAGES + len(text), len(text), zlib.crc32(text))
    path.write_bytes(head + packed.CRC.pack(zlib.crc32(head)) + text)
    with pytest.raises(packed.Damaged, match="its table cannot be read"):
        store.open_packed(path, RECIPE)


def test_a_source_that_changes_while_it_is_read_is_not_packed(tmp_path, monkeypatch):
    source = write_video(tmp_path / "a.avi")

    def frames(path, read=video.frames):
        yield from read(path)
        write_video(source, count=7)

    monkeypatch.setattr(video, "frames", frames)
    with pytest.raises(ReproError, match=r"a.avi: changed while it was read"):
        store.pack(source, tmp_path / "a.clip", RECIPE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.avi"]


@pytest.mark.parametrize(
    ("clip", "name"),
    [
        ("run/a b", "run/a b.clip"),
        ("läuft/走る🏃‍♀️ \u200f%d[x]", "läuft/走る🏃‍♀️ \u200f%d[x].clip"),
        ("run/" + "a" * 135, "run/" + "a" * 135 + ".clip"),
        ("run/" + "é" * 125, f"run/{hashlib.sha256(('é' * 125).encode()).hexdigest()}.clip"),
        ("c" * 300 + "/a", f"{hashlib.sha256(b'c' * 300).hexdigest()}/a.clip"),
    ],
)
def test_names_of_packed_clips_fit_every_disk(tmp_path, clip, name):
    assert store.packed_path(tmp_path, clip) == tmp_path / name


@pytest.mark.parametrize("clip", ["run/a\nb", "run/a\x1b[2J", "run/caf\udce9", "run/a\u2028b", "../a", "run/.."])
def test_names_that_break_lists_and_terminals_are_refused(tmp_path, clip):
    with pytest.raises(ReproError, match=r"cannot name a clip: a name is text in UTF-8 .*; rename") as error:
        store.packed_path(tmp_path, clip)
    str(error.value).encode()


@pytest.mark.slow
def test_real_clips_go_through_the_store(real_data, tmp_path):
    sources = sorted((real_data / "ucf101" / "UCF-101").rglob("*.avi")) + sorted((real_data / "hmdb51").rglob("*.avi"))
    assert len(sources) == 6
    for source in sources:
        count = store.pack(source, tmp_path / "a.clip", Recipe(side=64, flow="dis"))
        clip = store.open_packed(tmp_path / "a.clip", Recipe(side=64, flow="dis"))
        assert clip.frames == count == len(list(video.frames(source)))
        assert min(clip.rgb([0])[0].shape[:2]) == 64
        assert json.loads(json.dumps(clip.header))["source"]["bytes"] == source.stat().st_size
