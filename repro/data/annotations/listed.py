"""A folder of videos whose parts a CSV file of the user's lists, one line per clip."""

from pathlib import Path, PurePosixPath

from repro.data.annotations.small import Clip, is_below, once, readable, table, without_ending
from repro.errors import ReproError, unknown

COLUMNS = ("path", "label", "part")
PARTS = ("train", "val", "test")


@readable()
def read(root: Path, file: Path, allow_missing: bool = False) -> tuple[list[str], list[Clip]]:
    """The sorted class names and the clips of a CSV file with the columns path, label and part; other columns are ignored.

    path: of a video file or a frame folder, relative to `root` and below it, with / between its folders. label: the class
    by name. part: train, val or test. A video that no line names is not used. Each clip is a group of its own.
    allow_missing: does not complain of files that are absent.

    Raises ReproError, naming the line, for a column or value that is missing, a path that leads out of `root`, a file that
    is absent, a clip that is there twice, and a class without a training clip; and where there is no training or no test
    clip at all.
    """
    if not file.is_file():
        raise ReproError(f"{file}: no such list of clips; its first line is {','.join(COLUMNS)}")
    columns, rows = table(file, skipinitialspace=True)
    if absent := [name for name in COLUMNS if name not in columns]:
        raise ReproError(f"{file}:1: no column {absent[0]!r}; the first line has to name {', '.join(COLUMNS)}")
    seen: dict[str, str] = {}
    first: dict[str, str] = {}  # line of each class
    clips = []
    for where, row in rows:
        path, label, part = ((row[name] or "").strip() for name in COLUMNS)
        if not path or not label:
            raise ReproError(f"{where}: path {path!r}, label {label!r}; a line names both")
        if part not in PARTS:
            raise ReproError(f"{where}: {unknown('part', part, PARTS)}")
        if not is_below(path):
            raise ReproError(
                f"{where}: {path!r} leads out of {root}; give a path relative to it, with / and without .."
            )
        if not allow_missing and not (root / path).exists():
            raise ReproError(f"{where}: no such file: {root / path}; put it there, or remove the line")
        name = without_ending(str(PurePosixPath(path)))
        name = once(seen, name if name.startswith(f"{label}/") else f"{label}/{name}", where)
        first.setdefault(label, where)
        clips.append(Clip(name, root / path, label, name, part))
    for part in ("train", "test"):
        if not any(clip.part == part for clip in clips):
            raise ReproError(
                f"{file}: no line has the part {part!r}; a run trains on one part and is tested on another"
            )
    trained = {clip.cls for clip in clips if clip.part == "train"}
    for label, where in first.items():
        if label not in trained:
            raise ReproError(f"{where}: class {label!r} has no line with the part 'train', so nothing can learn it")
    return sorted(first), clips
