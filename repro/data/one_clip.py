"""One clip from its source to its packed file: kept where it is whole, packed alone, and no other clip's end."""

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import cv2
import filelock

from repro import paths
from repro.data import packed, store, untouched, video
from repro.data.store import Recipe
from repro.errors import ReproError, Unwritable, one_line


class Item(NamedTuple):
    """A clip to pack."""

    clip: str
    source: Path
    target: Path


class Outcome(NamedTuple):
    """What became of a clip: "made", with its flows counted, "there", "busy" in another process, or "failed"."""

    kind: str
    pairs: int = 0
    error: str = ""


def is_packed(target: Path, source: Path, recipe: Recipe, closely: bool) -> bool:
    """Whether the packed clip is whole, of this recipe, and made from this source. Another recipe is an error.

    closely: reads all of a file that something has touched since it was checked, and hashes a source that looks newer;
    else False where one of these is needed.
    """
    with video.readable(target):
        if not target.exists():
            return False
        before = target.stat()
    try:
        found = store.open_packed(target, recipe)
        if not untouched.is_sealed(before):
            if not closely:
                return False
            found.verify()
            untouched.seal(target)
    except packed.Damaged as error:
        if closely:
            print(f"packed once more: {error}", file=sys.stderr)
        return False
    made_from = found.header["source"]
    with video.readable(source):
        now = [file.stat() for file in video.files(source)]  # one, or those of a frame folder
    if made_from["bytes"] != sum(file.st_size for file in now):
        return False
    newer = max(file.st_mtime for file in now) > before.st_mtime
    return not newer or (closely and made_from == store.source_identity(source))


def attend(item: Item, recipe: Recipe, device: str, wait: bool) -> Outcome:
    """Packs one clip unless another process has done so, or, without `wait`, has it in work."""
    cv2.setNumThreads(1)  # one process per core: more threads would only compete
    try:
        with _only_one(item.target, wait) as alone:
            if not alone:
                return Outcome("busy")
            if is_packed(item.target, item.source, recipe, closely=True):
                return Outcome("there")
            return Outcome("made", store.pack(item.source, item.target, recipe, device) - 1)
    except (Unwritable, store.OtherRecipe):
        raise
    except ReproError as error:
        return Outcome("failed", error=str(error))
    except (OSError, MemoryError, RuntimeError, cv2.error) as error:  # of torch, no memory is a RuntimeError
        said = f"{item.source}: cannot be packed ({one_line(error)})"
        return Outcome("failed", error=f"{said}; give the process more memory, convert the clip, or leave it out")


def sweep(base: Path) -> None:
    """Removes the locks that processes which were killed left in a store."""
    for file in base.rglob(".*.lock"):
        with suppress(OSError, filelock.Timeout), filelock.FileLock(file, timeout=0):  # held, or on a read-only disk
            file.unlink()


@contextmanager
def _only_one(target: Path, wait: bool) -> Iterator[bool]:
    """Whether this process alone packs a clip, False where another one has it in work and `wait` is false.

    The lock saves work and protects nothing: packed files are written atomically. The system releases it when its process
    dies; for the file that then stays, see `sweep`.
    """
    name = hashlib.sha256(target.name.encode()).hexdigest()[:16]
    lock = filelock.FileLock(target.with_name(f".{name}.lock"))
    with paths.writing(target), suppress(filelock.Timeout):
        lock.acquire(timeout=-1 if wait else 0)
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            with suppress(OSError):  # of a disk that is read-only by now: the error in the block says so
                os.unlink(lock.lock_file)  # while it is held: who waited for it sees that it is gone, and makes another
            lock.release()
