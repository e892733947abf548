"""The videos that a user names: one file, a folder of them, or a CSV file with a column path."""

from collections import Counter
from pathlib import Path, PurePosixPath

import pandas as pd

from repro.data.annotations.small import SUFFIXES, is_below, once, readable, table, without_ending
from repro.data.video import IMAGE
from repro.errors import ReproError


def found(given: Path, below: Path | None = None) -> tuple[Path, pd.DataFrame]:
    """The root of the videos, and a table of them with the columns clip (unique), path, and name: the path as it was given.

    given: a video file or a frame folder; a folder, searched for video files at any depth; or a CSV file with the column
    path: files below `below`, or below its own folder, with / between folders. ReproError where there is no video, or a
    line names none.
    """
    given = given.expanduser()
    if below is not None and given.suffix.lower() != ".csv":
        raise ReproError(f"{given}: only the paths of a CSV file are relative to another folder, so --root is for one")
    with readable():
        if given.suffix.lower() == ".csv":
            root, names = (below or given.parent).expanduser(), _listed(given)
        elif given.is_dir() and not any(IMAGE.fullmatch(path.name) for path in given.iterdir()):
            root, names = given, _below(given)
        elif given.exists():
            root, names = given.parent, [given.name]
        else:
            raise ReproError(f"{given}: no such file or folder; give a video, a folder of videos, or a CSV file")
    root = root.resolve()
    plain = {name: without_ending(name) for name in names}  # as a folder's clips: what `prepare` stored is found again
    count = Counter(plain.values())
    rows = [(plain[name] if count[plain[name]] == 1 else name, str(root / name), name) for name in names]
    return root, pd.DataFrame(rows, columns=["clip", "path", "name"])


def _below(folder: Path) -> list[str]:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    names = [path.relative_to(folder) for path in files]
    shown = [name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)]
    if not shown:
        raise ReproError(f"{folder}: no video in it; videos end in {', '.join(SUFFIXES)}")
    return shown


def _listed(file: Path) -> list[str]:
    if not file.is_file():
        raise ReproError(f"{file}: no such list of videos; its first line names the column path")
    columns, rows = table(file, skipinitialspace=True)
    if "path" not in columns:
        raise ReproError(f"{file}:1: no column 'path'; the first line has to name it")
    seen: dict[str, str] = {}
    for where, row in rows:
        name = (row["path"] or "").strip()
        if not name or not is_below(name):
            raise ReproError(
                f"{where}: path {name!r}; give one relative to the folder of the videos, with / and without .."
            )
        once(seen, str(PurePosixPath(name)), where)
    if not seen:
        raise ReproError(f"{file}: names no video")
    return list(seen)
