"""Preparing: every clip is accounted for, killed and resumed, shared by two, and healed where files are damaged."""

import errno
import os
import re
import signal
import subprocess
import sys
import time

import cv2
import filelock
import numpy as np
import pytest
from films import clips, write_video
from joblib.externals.loky import get_reusable_executor

from repro import paths
from repro.config import Data
from repro.data import catalog, one_clip, packed, store
from repro.data.prepare import prepare, require_all
from repro.data.store import Recipe
from repro.errors import ReproError, Unwritable

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


def test_flow_on_a_device_is_computed_by_one_process_while_its_threads_decode(home):
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
    assert not list(target.rglob(".*"))  # what the kill left is swept


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


# Damage


def packs(done) -> dict[str, bytes]:
    return {str(path.relative_to(done.store)): path.read_bytes() for path in sorted(done.store.rglob("*.clip"))}


def harm_quietly(path, harm) -> None:
    """Damages a file as a failing disk does: its times stay."""
    before = path.stat()
    harm(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut_and_stretch(path) -> None:
    """The end becomes zeros; the size stays."""
    size = path.stat().st_size
    os.truncate(path, size // 2)
    os.truncate(path, size)


def flip(path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "harm", [cut_and_stretch, flip, lambda path: path.write_bytes(b""), lambda path: os.truncate(path, 99)]
)
def test_what_damages_a_packed_clip_is_healed(home, harm, capsys):
    table = clips(home / "videos", 3)
    first = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    whole = packs(first)
    harm(store.packed_path(first.store, "c/1"))
    second = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    assert (second.made, second.there) == (("c/1",), ("c/0", "c/2"))
    assert f"packed once more: {store.packed_path(first.store, 'c/1')}: " in capsys.readouterr().err
    assert packs(second) == whole
    assert prepare(table, "folder", home / "videos", RECIPE, jobs=1).there == ("c/0", "c/1", "c/2")


def test_damage_that_only_a_reader_sees_is_healed_after_it(home):
    table = clips(home / "videos", 2)
    first = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    whole, path = packs(first), store.packed_path(first.store, "c/1")
    harm_quietly(path, flip)
    assert (
        prepare(table, "folder", home / "videos", RECIPE, jobs=1).made == ()
    )  # which does not read all clips each time
    with pytest.raises(packed.Damaged, match=r"c/1.clip: damaged packed clip .*prepare"):
        store.open_packed(path, RECIPE).verify()
    assert prepare(table, "folder", home / "videos", RECIPE, jobs=1).made == ("c/1",)
    assert packs(first) == whole


def test_packed_clips_that_were_touched_but_are_whole_stay_and_are_read_once(home, monkeypatch):
    table = clips(home / "videos", 2)
    first = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    for path in first.store.rglob("*.clip"):
        os.utime(path)
    verified, verify = [], packed.Packed.verify
    monkeypatch.setattr(packed.Packed, "verify", lambda clip: verified.append(clip.path.stem) or verify(clip))
    for _ in range(2):
        assert prepare(table, "folder", home / "videos", RECIPE, jobs=1).there == ("c/0", "c/1")
    assert verified == ["0", "1"]


def test_packed_clips_of_an_older_version_are_packed_once_more(home):
    table = clips(home / "videos", 1)
    path = store.packed_path(prepare(table, "folder", home / "videos", RECIPE, jobs=1).store, "c/0")
    path.write_bytes(b"reproclip2\n" + path.read_bytes()[11:])
    assert prepare(table, "folder", home / "videos", RECIPE, jobs=1).made == ("c/0",)


# What goes wrong with one clip, and with the disk


@pytest.mark.parametrize(
    "failure",
    [
        OSError(5, "Input/output error"),
        MemoryError("20 GiB"),
        cv2.error("Insufficient\nmemory\n"),
        RuntimeError("out of memory"),
    ],
)
def test_what_goes_wrong_with_one_clip_costs_that_clip(home, monkeypatch, failure):
    table = clips(home / "videos", 3)

    def pack(source, *given, pack=store.pack):
        if source.stem == "0":
            raise failure
        return pack(source, *given)

    monkeypatch.setattr(store, "pack", pack)
    done = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    assert done.made == ("c/1", "c/2")
    words = rf".*c/0\.avi: cannot be packed \({type(failure).__name__}: .*\); give .* or leave it out"
    assert re.fullmatch(words, done.failed["c/0"])
    assert not list(done.store.rglob(".*"))


def test_a_full_disk_ends_it_with_one_line(home, monkeypatch):
    table = clips(home / "videos", 3)
    packed_here = []

    def refuse(part):
        if len(packed_here) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        packed_here.append(part)

    monkeypatch.setattr(store.untouched, "seal", refuse)
    words = r"1.clip: cannot be written \(No space left on device; .*c\): free space.*1 of 3 clips are packed"
    with pytest.raises(Unwritable, match=words):
        prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    monkeypatch.undo()
    monkeypatch.setenv("REPRO_DATA", str(home / "data"))
    done = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    assert sorted(done.made + done.there) == ["c/0", "c/1", "c/2"]
    assert len(done.made) == 2
    assert not list(done.store.rglob(".*"))


def test_a_data_folder_that_is_a_file_is_one_line(home, capsys):
    table = clips(home / "videos", 2)
    (home / "data").write_text("a file")
    with pytest.raises(Unwritable, match=rf"{home / 'data'} is a file where a folder is needed"):
        prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_crash_of_a_process_costs_the_clip_that_it_had(home, monkeypatch):
    """A video that ends the process which decodes it, as a damaged one may: here a reader that does."""
    table = clips(home / "videos", 5)
    (home / "sitecustomize.py").write_text(CRASH)
    monkeypatch.setenv("PYTHONPATH", f"{home}:{paths.ROOT}")
    get_reusable_executor().shutdown()  # workers of another test would not have read the file above
    done = prepare(table, "folder", home / "videos", RECIPE, jobs=2)
    # those that were packed while the crash ended their processes are found there
    assert sorted(done.made + done.there) == ["c/0", "c/1", "c/3", "c/4"]
    assert "c/2.avi: the process that packed it died" in done.failed["c/2"]


CRASH = """
import os, sys
if "loky" in " ".join(sys.orig_argv):
    from repro.data import video
    read = video.frames
    def frames(path):
        if str(path).endswith("c/2.avi"):
            os.abort()
        yield from read(path)
    video.frames = frames
"""


# Two at once


def test_a_clip_in_work_elsewhere_comes_last_and_is_not_packed_twice(home, monkeypatch):
    table = clips(home / "videos", 3)
    order, attend = [], one_clip.attend

    def other(item, recipe, device, wait):
        order.append((item.clip, wait))
        if item.clip == "c/0" and not wait:
            with one_clip._only_one(item.target, wait=True):  # as another process would hold it
                outcome = attend(item, recipe, device, wait)
            store.pack(item.source, item.target, recipe)
            return outcome
        return attend(item, recipe, device, wait)

    monkeypatch.setattr(one_clip, "attend", other)
    done = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    assert order == [("c/0", False), ("c/1", False), ("c/2", False), ("c/0", True)]
    assert (done.made, done.there) == (("c/1", "c/2"), ("c/0",))
    assert not list(done.store.rglob(".*"))


def test_the_lock_of_a_dead_process_is_swept_and_a_held_one_is_not(home):
    table = clips(home / "videos", 2)
    done = prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    dead, held = done.store / "c" / ".dead.lock", done.store / "c" / ".held.lock"
    dead.touch()
    with filelock.FileLock(held):
        prepare(table, "folder", home / "videos", RECIPE, jobs=1)
        assert list(done.store.rglob(".*")) == [held]
    prepare(table, "folder", home / "videos", RECIPE, jobs=1)
    assert not list(done.store.rglob(".*"))


@pytest.mark.slow
def test_two_at_once_share_the_work(home):
    root = home / "videos"
    for i in range(12):
        write_video(root / ("c" if i % 2 else "d") / f"{i:02}.avi", count=30, size=(320, 240), seed=i)
    command = [sys.executable, "-m", "repro", "prepare", "folder", "--root", str(root), "--flow", "dis", "--jobs", "1"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate()[0] for process in both]
    made = [int(re.match(r"(\d+) clips prepared", text)[1]) for text in told]
    assert sum(made) == 12
    assert min(made) > 0
    store_of = paths.data() / "store"
    assert len(list(store_of.rglob("*.clip"))) == 12
    assert not list(store_of.rglob(".*"))


# Names


def test_every_name_works_or_is_refused_and_the_others_go_on(home):
    root = home / "videos" / "c"
    film = write_video(root / "plain.avi").read_bytes()
    good = ["plain", "läuft 走る🏃‍♀️", "%d[!x]*? '\"$(x)`&;|", "a" * 251, "é" * 120, "concat:a|b", " .x", "<script>"]
    bad = [b"caf\xe9", b"a\nb", b"a\x1b[2Jb"]
    for name in [*map(os.fsencode, good), *bad]:
        with open(os.fsencode(root) + b"/" + name + b".avi", "wb") as file:
            file.write(film)
    data = Data("folder", "x", root=str(home / "videos"))
    done = prepare(catalog.every_clip(data), "folder", home / "videos", RECIPE, jobs=1)
    assert sorted(done.made) == sorted(f"c/{name}" for name in good)
    assert sorted(done.failed) == sorted(f"c/{os.fsdecode(name)}" for name in bad)
    assert all("cannot name a clip" in error for error in done.failed.values())
    again = prepare(catalog.every_clip(data), "folder", home / "videos", RECIPE, jobs=1)
    assert sorted(again.there) == sorted(done.made)
