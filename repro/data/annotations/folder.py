"""A folder of videos by class: its clips, the groups that they belong to, and the folds that leave groups out."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from repro.data.annotations.small import SUFFIXES, Clip, once, readable, require_split, table, without_ending
from repro.errors import ReproError, unknown


@readable()
def read(root: Path, group: str = "") -> tuple[list[str], list[Clip]]:
    """The class names and the clips, all of part 'train', of any root/class/video tree.

    group: a regular expression searched in the file name, with the group in `(?P<group>...)`; or the name of a CSV file
    below `root` with the columns clip ('class/stem', with or without the ending) and group; empty: each clip is a group.

    Hidden files are ignored, and so are files beside the class folders (a README) unless they are videos. Anything
    in a class folder that is no video by its suffix is an error: a clip in another format must not go missing silently.
    """
    find = _group_finder(root, group)
    entries = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    classes = [path.name for path in entries if path.is_dir()]
    loose = [path.name for path in entries if not path.is_dir() and path.suffix.lower() in SUFFIXES]
    if loose or not classes:
        found = f"the video {loose[0]} is beside the class folders" if loose else "there is no class folder"
        raise ReproError(f"{root}: expected root/class/video files, but {found}")
    seen, clips = {}, []
    for cls in classes:
        videos = sorted(path for path in (root / cls).iterdir() if not path.name.startswith("."))
        strange = [path.name for path in videos if path.suffix.lower() not in SUFFIXES or not path.is_file()]
        if strange or not videos:
            holds = (
                f"{len(strange)} entries that are no video files: {', '.join(strange[:5])}" if strange else "no video"
            )
            raise ReproError(f"{root / cls}: the class folder holds {holds}; expected {', '.join(SUFFIXES)} files only")
        for path in videos:
            name = once(seen, f"{cls}/{path.stem}", str(path))
            clips.append(Clip(name, path, cls, find(name, path), "train"))
    return classes, clips


def folds(root: Path, clips: Sequence[Clip], count: int | str) -> list[list[str]]:
    """The groups that each of `count` folds leaves out: the sorted groups are dealt out in turn. 'all': one each."""
    if count != "all" and (isinstance(count, bool) or not isinstance(count, int) or count < 2):
        raise ReproError(f"folds is {count!r}; give a whole number, at least 2, or 'all'")
    groups = sorted({clip.group for clip in clips})
    number = max(len(groups), 2) if count == "all" else count
    if len(groups) < number:
        raise ReproError(f"{root}: {len(groups)} groups ({', '.join(groups)}) do not fill {number} folds; lower folds")
    return [groups[i::number] for i in range(number)]


def leave_out(
    root: Path, clips: Sequence[Clip], split: int, count: int | str = 3, test_groups: Sequence[str] = ()
) -> list[Clip]:
    """The clips with fold `split` of `count` as the test part, or with the groups `test_groups` where some are named.

    Raises ReproError where there is no such fold or group, or where a class has no training clip left.
    """
    if test_groups:
        known = sorted({clip.group for clip in clips})
        if absent := [name for name in test_groups if name not in known]:
            raise unknown(f"group in test_groups, below {root},", absent[0], known)
        test, what = set(test_groups), f"the test part {', '.join(test_groups)}"
    else:
        each = folds(root, clips, count)
        require_split(f"{root} in {len(each)} folds", split, range(1, len(each) + 1))
        test, what = set(each[split - 1]), f"split {split} of {len(each)}"
    if lacking := untrained(clips, test):
        raise ReproError(f"{root}: {what} leaves no training clip of {', '.join(lacking)}; take other groups")
    return [clip._replace(part="test") if clip.group in test else clip for clip in clips]


def untrained(clips: Sequence[Clip], test: set[str]) -> list[str]:
    """The classes that have no clip outside the groups `test`."""
    return sorted({clip.cls for clip in clips} - {clip.cls for clip in clips if clip.group not in test})


def _group_finder(root: Path, group: str) -> Callable[[str, Path], str]:
    """A function from a clip's name and file to its group."""
    if not group:
        return lambda name, path: name
    if group.endswith(".csv"):
        return _listed(root / group)
    try:
        expression = re.compile(group)
    except re.error as error:
        raise ReproError(f"group {group!r} is not a regular expression: {error}") from None
    if "group" not in expression.groupindex:
        raise ReproError(
            f"group {group!r} has no '(?P<group>...)' part; mark with it what names the group, or name a CSV file"
        )

    def find(name: str, path: Path) -> str:
        match = expression.search(path.name)
        if not match or not match["group"]:
            raise ReproError(f"group {group!r} finds no group in the file name of {path}; mend the expression")
        return match["group"]

    return find


def _listed(path: Path) -> Callable[[str, Path], str]:
    """The groups of a CSV file with the columns clip and group. Lines of clips that are not there do no harm."""
    if not path.is_file():
        raise ReproError(f"{path}: no such list of groups; a CSV that `group` names lies beside the class folders")
    columns, rows = table(path, skipinitialspace=True)
    if not {"clip", "group"} <= set(columns):
        raise ReproError(f"{path}: the first line is {','.join(columns)!r}, but must name clip and group")
    groups, seen = {}, {}
    for where, row in rows:
        clip, group = (row["clip"] or "").strip(), (row["group"] or "").strip()
        if not clip or not group:
            raise ReproError(f"{where}: clip {clip!r}, group {group!r}; a line names both")
        name = once(seen, without_ending(clip), where)
        groups[name] = group

    def find(name: str, file: Path) -> str:
        if name not in groups:
            raise ReproError(f"{path}: no line names the group of the clip {name}; add it, or take the video away")
        return groups[name]

    return find
