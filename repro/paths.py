"""Where things live. REPRO_DATA moves the data, REPRO_OUT moves results/ and figures/; nothing depends on the cwd.

REPRO_RUNS moves the runs alone.
"""

import errno
import functools
import hashlib
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from repro.errors import ReproError, Unwritable

ROOT = Path(__file__).resolve().parent.parent
LFS_POINTER = b"version https://git-lfs"
# What is wrong with a folder or its disk, not with one file: no space, over quota, read-only, forbidden, no folder, disk error.
OF_THE_FOLDER = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.EIO,
)  # fmt: skip
HOST = f"{zlib.crc32(os.fsencode(os.uname().nodename)):08x}"
# A file that was not finished: ".<hash of the name>.<host>-<process>.part", or .avi; names of older versions have no host.
PART = re.compile(r"\..+\.(?:(?P<host>[0-9a-f]{8})-)?(?P<process>[0-9]{1,9})\.(?:part|avi)")
DAY = 86_400  # seconds


def data() -> Path:
    """Folder of everything large and local: the embedded set, stores, runs. `$REPRO_DATA`, or data/ in the project."""
    return absolute(os.environ.get("REPRO_DATA") or ROOT / "data")


def out() -> Path:
    """Folder that results/ and figures/ are written to. `$REPRO_OUT`, or out/ in the data, so that committed ones stay."""
    return absolute(os.environ.get("REPRO_OUT") or data() / "out")


def committed() -> Path:
    """Folder of the results that come with the project: results/ in a clone, a part of the package once installed."""
    return ROOT / "results" if (ROOT / "results").is_dir() else Path(__file__).resolve().parent / "committed"


def runs() -> Path:
    """One folder per run: its record, its last checkpoint, its weights, its lock. `$REPRO_RUNS`, or runs/ in the data."""
    return absolute(os.environ.get("REPRO_RUNS") or data() / "runs")


def absolute(path: str | Path) -> Path:
    """A path without ~, .., and links."""
    return Path(os.path.expanduser(path)).resolve()  # of Path.expanduser, an unknown ~name is a RuntimeError


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is the short text that stands for a large file until `git lfs pull` fetches it."""
    with open(path, "rb") as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER


@contextmanager
def moved(**folders: Path | str) -> Iterator[None]:
    """Moves folders for this process and those that it starts inside the block: `moved(REPRO_OUT=folder)`.

    Sets any other variable of the environment as well.
    """
    before = {name: os.environ.get(name) for name in folders}
    os.environ.update({name: str(folder) for name, folder in folders.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def atomic(path: Path, sync: bool = True) -> Iterator[Path]:
    """Gives a path beside `path` to write to, and renames it to `path` once the block ends without an error.

    The content is on the disk before it has its name, so a power cut leaves the old file or the new one, whole.
    sync: False for thousands of small files, whose caller calls `os.sync` once.
    Raises Unwritable where the folder takes no file, ReproError where it does not take this one; see `writing`. What a
    process that died left unfinished in the folder is removed when the next process first writes there.
    """
    name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]  # as long as the name, it could be too long
    part = path.with_name(f".{name}.{HOST}-{os.getpid()}.part")
    try:
        with writing(path):
            _sweep(path.parent)
            yield part
            if sync:
                _to_disk(part)
            os.replace(part, path)
            if sync:
                _to_disk(path.parent)
    finally:
        with suppress(OSError):  # on a disk that is read-only by now, or in a folder that never was one
            part.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Makes the folder of `path`; what the disk refuses in the block is one error with folder, free space and remedy."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise _refused(path, error) from error
    except RuntimeError as error:  # torch.save reports a full disk as one, and does not say so
        if shutil.disk_usage(path.parent).free > 1_000_000:
            raise
        raise _refused(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) from error


def _refused(path: Path, error: OSError) -> ReproError:
    place = next(folder for folder in path.absolute().parents if os.path.exists(folder))
    free = shutil.disk_usage(place).free / 1e6
    said = f"{path}: cannot be written ({error.strerror or error}; {free:,.0f} MB free in {place}): "
    if error.errno == errno.ENAMETOOLONG:
        return ReproError(said + "shorten the name, or move the data up to a shorter path with REPRO_DATA")
    if not place.is_dir():
        return Unwritable(f"{said}{place} is a file where a folder is needed; move it away, or name another folder")
    remedy = (
        "free space there and make sure that it is writable, or name another folder (REPRO_DATA for the data, REPRO_OUT "
        "for results and figures); the same command then goes on from here"
    )
    return (Unwritable if error.errno in OF_THE_FOLDER else ReproError)(said + remedy)


def _to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.ENOTSUP)):  # some network disks sync no folders
            raise
    finally:
        os.close(descriptor)


@functools.cache
def _sweep(folder: Path) -> None:
    """Removes what processes that died left unfinished in a folder; once per process and folder.

    A process of another machine that shares the folder cannot be asked: its files go when they are a day old.
    """
    with os.scandir(folder) as entries:
        found = [(entry, match) for entry in entries if (match := PART.fullmatch(entry.name))]
    for entry, match in found:
        with suppress(OSError):  # removed by another process in this moment, or another user's
            here = match["host"] in (None, HOST)
            if not (_lives(int(match["process"])) if here else time.time() - entry.stat().st_mtime < DAY):
                os.unlink(entry)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True
