"""Writing files: whole or not at all, one error for all that a disk refuses, and nothing left behind by the dead."""

import errno
import os
import re
import subprocess
import sys
import time

import pytest

from repro import paths
from repro.errors import ReproError, Unwritable


def write(path, text="new", failure=None) -> None:
    with paths.atomic(path) as part:
        part.write_text(text)
        if failure:
            raise failure


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_old_content_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with paths.atomic(path) as part:
        part.write_text("one")
        assert part.parent == path.parent
    with pytest.raises(KeyboardInterrupt):
        write(path, "two", KeyboardInterrupt())
    assert path.read_text() == "one"
    assert names(path.parent) == ["a.txt"]


def test_content_is_on_the_disk_before_its_name_and_the_name_after_it(tmp_path, monkeypatch):
    done, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda d: done.append(os.readlink(f"/proc/self/fd/{d}")) or sync(d))
    monkeypatch.setattr(os, "replace", lambda a, b: done.append(str(b)) or replace(a, b))
    with paths.atomic(tmp_path / "a") as part:
        part.write_text("one")
    assert done == [str(part), str(tmp_path / "a"), str(tmp_path)]
    done.clear()
    with paths.atomic(tmp_path / "a", sync=False) as part:
        part.write_text("two")
    assert done == [str(tmp_path / "a")]


@pytest.mark.parametrize(
    ("number", "ends_all"),
    [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EROFS, True), (errno.EACCES, True), (errno.EFBIG, False)],
)
def test_what_a_disk_refuses_is_one_error_with_folder_space_and_remedy(tmp_path, number, ends_all):
    path = tmp_path / "a" / "b.json"
    words = rf"{path}: cannot be written \({os.strerror(number)}; [\d,]+ MB free in {path.parent}\): .*REPRO_DATA"
    with pytest.raises(ReproError, match=words) as error:
        write(path, "half", OSError(number, os.strerror(number)))
    assert isinstance(error.value, Unwritable) == ends_all
    assert names(path.parent) == []


def test_nothing_is_written_into_the_project_unless_asked(monkeypatch):
    for name in ("REPRO_DATA", "REPRO_OUT"):
        monkeypatch.delenv(name, raising=False)
    assert paths.out() == paths.ROOT / "data" / "out"
    assert "/data/" in (paths.ROOT / ".gitignore").read_text().splitlines()
    monkeypatch.setenv("REPRO_OUT", str(paths.ROOT))
    assert paths.out() == paths.ROOT


def test_a_library_that_does_not_say_why_on_a_full_disk(tmp_path, monkeypatch):
    failure = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")  # torch.save's
    with pytest.raises(RuntimeError, match="unexpected pos"):
        write(tmp_path / "a.pt", "half", failure)
    full = paths.shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(paths.shutil, "disk_usage", lambda place: full)
    with pytest.raises(Unwritable, match="No space left on device; 0 MB free"):
        write(tmp_path / "a.pt", "half", failure)


def test_a_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "data").write_text("a file")
    for path in (tmp_path / "data" / "a", tmp_path / "data" / "runs" / "a"):
        with pytest.raises(Unwritable, match=rf"{tmp_path / 'data'} is a file where a folder is needed"):
            write(path)


def test_names_as_long_as_the_disk_takes_and_longer(tmp_path):
    long = tmp_path / ("é" * 127)  # 254 bytes
    write(long)
    assert long.read_text() == "new"
    with pytest.raises(ReproError, match=r"File name too long.*shorten the name"):
        write(tmp_path / ("a" * 256))
    assert names(tmp_path) == [long.name]


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_the_dead_left_is_swept_once_and_what_the_living_write_stays(tmp_path, dead):
    left = f".a.clip.{dead}.part", f".x.avi.{dead}.avi", f".0123.{paths.HOST}-{dead}.part"
    far = ".0123.00000000-5.part"  # of another machine
    kept = f".a.clip.{os.getpid()}.part", ".a.part", f"a.{dead}.part", ".1.avi", far
    for name in (*left, *kept):
        (tmp_path / name).touch()
    write(tmp_path / "b")
    assert names(tmp_path) == sorted([*kept, "b"])
    (tmp_path / left[0]).touch()
    os.utime(tmp_path / far, (0, time.time() - 2 * paths.DAY))
    paths._sweep(tmp_path)
    assert (tmp_path / left[0]).exists(), "read the folder a second time"
    paths._sweep.cache_clear()
    paths._sweep(tmp_path)
    assert names(tmp_path) == sorted([*kept[:-1], "b"])


def test_an_unknown_home_is_no_traceback(monkeypatch):
    monkeypatch.setenv("REPRO_DATA", "~nobody-by-this-name/data")
    assert re.search("nobody-by-this-name", str(paths.data()))
