"""The packed store: what goes in comes out, identity is checked, and preparing can be killed at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from repro import paths
from repro.data import store, video
from repro.data.flow import methods as flow
from repro.data.prepare import prepare, require_all
from repro.data.store import Recipe
from repro.errors import ReproError

RECIPE = Recipe(side=48, flow="dis")


def write_video(path: Path, count: int = 6, size: tuple[int, int] = (64, 48), seed: int = 0) -> Path:
    """A video of smooth texture that slides by two pixels a frame."""
    texture = np.random.default_rng(seed).integers(0, 256, (size[1] + 40, size[0] + 40, 3), dtype=np.uint8)
    texture = cv2.normalize(cv2.GaussianBlur(texture, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, size)
    for i in range(count):
        writer.write(texture[: size[1], 2 * i : 2 * i + size[0]])
    writer.release()
    return path


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


def test_bad_recipes_are_errors():
    for bad in ({"side": 4}, {"quality": 70}, {"bound": 0}, {"flow": "tv-l1"}):
        with pytest.raises(ReproError):
            Recipe(**bad)


def clips(root: Path, count: int) -> pd.DataFrame:
    files = [write_video(root / "c" / f"{i}.avi", seed=i) for i in range(count)]
    return pd.DataFrame({"clip": [f"c/{i}" for i in range(count)], "path": [str(f) for f in files]})


def test_every_clip_is_accounted_for_and_finished_ones_stay(home):
    table = clips(home / "videos", 5)
    (home / "videos" / "c" / "3.avi").write_bytes(b"no video at all")
    first = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    assert sorted(first.made) == ["c/0", "c/1", "c/2", "c/4"]
    assert list(first.failed) == ["c/3"]
    assert "3.avi" in first.failed["c/3"]
    with pytest.raises(ReproError, match="1 clips could not be prepared, 4 are ready"):
        require_all(first)
    written = {path: path.stat().st_mtime_ns for path in first.store.rglob("*.clip")}
    write_video(home / "videos" / "c" / "3.avi", seed=3)
    second = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    assert second.made == ("c/3",)
    assert sorted(second.there) == ["c/0", "c/1", "c/2", "c/4"]
    assert all(path.stat().st_mtime_ns == when for path, when in written.items())


def test_flow_on_a_device_is_computed_here_while_workers_decode(home):
    """The same code as on a GPU, on CPU tensors: packed files are whole, and their identity is their own."""
    table = clips(home / "videos", 3)
    (home / "videos" / "c" / "1.avi").write_bytes(b"no video at all")
    on_torch, compiled = Recipe(side=16, flow="tvl1_torch"), Recipe(side=16, flow="tvl1")
    done = prepare(table, "folder", home / "videos", on_torch, jobs=2, device="cpu")
    assert done.made == ("c/0", "c/2")
    assert "1.avi" in done.failed["c/1"]
    assert done.pairs == 10
    other = prepare(table, "folder", home / "videos", compiled, jobs=1)
    assert other.store != done.store
    for name in done.made:
        path = store.packed_path(done.store, name)
        ours = np.stack(store.open_packed(path, on_torch).flow(range(5))).astype(int)
        theirs = store.open_packed(store.packed_path(other.store, name), compiled).flow(range(5))
        assert (ours == np.stack(theirs)).mean() > 0.999
        with pytest.raises(ReproError, match="methods are never mixed"):
            store.open_packed(path, compiled)
    with pytest.raises(ReproError, match="device is 'cuda', but must be 'cpu' for flow 'tvl1'"):
        prepare(table, "folder", home / "videos", compiled, device="cuda")


def test_a_source_that_changed_is_packed_again(home):
    table = clips(home / "videos", 2)
    prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    write_video(home / "videos" / "c" / "1.avi", seed=77)
    os.utime(home / "videos" / "c" / "1.avi", (time.time() + 5, time.time() + 5))
    assert prepare(table, "folder", home / "videos", RECIPE, jobs=1).made == ("c/1",)


@pytest.mark.slow
def test_prepare_killed_and_started_again_makes_only_what_is_missing(home):
    """kill -9 in the middle of preparing: no half-written clip counts, and no finished one is made again."""
    root = home / "videos"
    for i in range(24):
        write_video(root / "c" / f"{i:02}.avi", count=30, size=(320, 240), seed=i)
        write_video(root / "d" / f"{i:02}.avi", count=30, size=(320, 240), seed=i)
    command = [sys.executable, "-m", "repro", "prepare", "folder", "--root", str(root), "--flow", "dis", "--jobs", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
    target = paths.data() / "store"
    deadline = time.time() + 60
    while len(list(target.rglob("*.clip"))) < 3 and time.time() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in target.rglob("*.clip") if not path.name.startswith(".")}
    assert 3 <= len(done) < 48
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{48 - len(done)} clips prepared" in again.stdout
    assert f"{len(done)} there already, 0 failed" in again.stdout
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    assert len([p for p in target.rglob("*.clip") if not p.name.startswith(".")]) == 48


@pytest.mark.slow
def test_a_corrupt_file_makes_the_command_fail_at_the_end(home):
    root = home / "videos"
    for i in range(4):
        write_video(root / ("c" if i % 2 else "d") / f"{i}.avi", seed=i)
    (root / "c" / "1.avi").write_bytes(b"no video at all")
    command = [sys.executable, "-m", "repro", "prepare", "folder", "--root", str(root), "--flow", "dis", "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "3 clips prepared" in done.stdout
    assert "error: 1 clips could not be prepared, 3 are ready" in done.stderr
    assert "Traceback" not in done.stderr


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
