"""Where things live. REPRO_DATA moves the data, REPRO_OUT moves results/ and figures/; nothing depends on the cwd."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from repro.errors import ReproError

ROOT = Path(__file__).resolve().parent.parent


def data() -> Path:
    """Folder of everything large and local: the embedded set, stores, runs. `$REPRO_DATA`, or data/ in the project."""
    return Path(os.environ.get("REPRO_DATA") or ROOT / "data").expanduser().resolve()


def out() -> Path:
    """Folder that holds results/ and figures/. `$REPRO_OUT`, or the project itself."""
    return Path(os.environ.get("REPRO_OUT") or ROOT).expanduser().resolve()


def runs() -> Path:
    """One folder a run: its record, its last checkpoint, its lock."""
    return data() / "runs"


def inside(root: Path, relative: str, source: Path | str) -> Path:
    """`root / relative`, refusing a path that leaves `root`; `source` names the file the path was read from."""
    path = (root / relative).resolve()
    if not path.is_relative_to(root.resolve()):
        raise ReproError(f"{source}: the path {relative!r} leads outside {root}; fix that line")
    return path


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
