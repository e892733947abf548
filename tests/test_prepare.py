"""Preparing: every clip is accounted for, killed and resumed, shared by two, and healed where files are damaged."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from films import clips, write_video

from repro import paths
from repro.data import store
from repro.data.prepare import prepare, require_all
from repro.data.store import Recipe
from repro.errors import ReproError

RECIPE = Recipe(side=48, flow="dis")


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
