"""Where things live. REPRO_DATA moves the data, REPRO_OUT moves results/ and figures/; nothing depends on the cwd.

REPRO_RUNS moves the runs alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LFS_POINTER = b"version https://git-lfs"


def data() -> Path:
    """Folder of everything large and local: the embedded set, stores, runs. `$REPRO_DATA`, or data/ in the project."""
    return Path(os.environ.get("REPRO_DATA") or ROOT / "data").expanduser().resolve()


def out() -> Path:
    """Folder that holds results/ and figures/. `$REPRO_OUT`, or the project itself."""
    return Path(os.environ.get("REPRO_OUT") or ROOT).expanduser().resolve()


def committed() -> Path:
    """Folder of the results that come with the project: results/ in a clone, a part of the package once installed."""
    return ROOT / "results" if (ROOT / "results").is_dir() else Path(__file__).resolve().parent / "committed"


def runs() -> Path:
    """One folder per run: its record, its last checkpoint, its weights, its lock. `$REPRO_RUNS`, or runs/ in the data."""
    return Path(os.environ.get("REPRO_RUNS") or data() / "runs").expanduser().resolve()


def is_lfs_pointer(path: Path) -> bool:
    """Whether a file is the short text that stands for a large file until `git lfs pull` fetches it."""
    with open(path, "rb") as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER


@contextmanager
def moved(**folders: Path) -> Iterator[None]:
    """Moves folders for this process and those that it starts inside the block: `moved(REPRO_OUT=folder)`."""
    before = {name: os.environ.get(name) for name in folders}
    os.environ.update({name: str(folder) for name, folder in folders.items()})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Gives a path beside `path` to write to, and renames it to `path` once the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
