"""The table of clips of a data set: clip, path, label, class, group, part.

The official split decides train and test; a validation part is carved from train, whole groups at a time (UCF101: the
group in the file name; HMDB51: the source film; Diving48: the recording; `folder`: what the user names; no groups
in Something-Something), and the test part stays as it is. Where the official test part has no labels, the official
validation part is the test part.
"""

import hashlib
import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from repro import paths
from repro.config import DATASETS, Data
from repro.data.annotations import folder, listed
from repro.data.annotations import large as annotations_large
from repro.data.annotations import small as annotations
from repro.data.annotations.small import Clip, readable
from repro.data.embedded import videos as embedded
from repro.data.parts import carve, few
from repro.errors import ReproError, unknown

READERS = {**annotations.DATASETS, **annotations_large.DATASETS}  # of annotation files; a folder has none
LAYOUTS = {**annotations.LAYOUTS, **annotations_large.LAYOUTS}
PARTS = ("train", "val", "test")
UCF101 = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}  # train, test; 13,320 in each split
OFFICIAL = {  # clips per part, and classes, as published; Kinetics-400 shrinks, see its reader
    "ucf101": {k: {"train": a, "test": b, "classes": 101} for k, (a, b) in UCF101.items()},
    "hmdb51": {k: {"train": 3570, "test": 1530, "unused": 1666, "classes": 51} for k in (1, 2, 3)},
    "something_v1": {1: {"train": 86017, "test": 11522, "classes": 174}},
    "something_v2": {1: {"train": 168913, "test": 24777, "classes": 174}},
    "diving48": {1: {"train": 15027, "test": 1970, "classes": 48}},
    "kinetics400": {1: {"classes": 400}},
}


@dataclass(frozen=True, eq=False)
class Catalog:
    """The clips of one split of a data set.

    table: one row per clip, sorted by name, columns clip (unique name, 'class/stem'), path (absolute), label (0-based
    index into `classes`), class, group, part ('train', 'val' or 'test').
    excluded: names of clips left out because their files are missing (`allow_missing`).
    id: 16 hex digits over data set, split, classes and, of each clip, name, label, group, part and file size (of a frame
    folder the number of its files), but not the place: a moved copy keeps it, and two folders that differ in anything
    seen here do not share it.
    """

    dataset: str
    split: int
    classes: tuple[str, ...]
    table: pd.DataFrame
    excluded: tuple[str, ...]
    id: str

    def part(self, name: str) -> pd.DataFrame:
        """The rows of part 'train', 'val' or 'test', numbered from 0."""
        if name not in PARTS:
            raise unknown("part", name, PARTS)
        return self.table[self.table["part"] == name].reset_index(drop=True)


def data_root(data: Data) -> Path:
    """The folder of the files of a run's data set."""
    if data.root:
        return Path(data.root)
    edition = f"-{data.source}" if data.dataset == "synthetic" else ""
    return paths.data() / f"{data.dataset}{edition}"


def parts_file(data: Data) -> Path | None:
    """The file that lists the parts of a folder of videos, where a run has one."""
    return Path(data.parts_file or data_root(data) / data.parts) if data.parts else None


def of(data: Data, jobs: int = 1) -> Catalog:
    """The table of clips of a run. The embedded set is drawn first, by `jobs` processes."""
    if data.dataset == "synthetic":
        if data.source not in embedded.EDITIONS:
            raise unknown("edition of the embedded set", data.source, embedded.EDITIONS)
        embedded.write(data_root(data), embedded.EDITIONS[data.source], jobs)
    return load(
        data.dataset, data_root(data), data.split, group=data.group, val_fraction=data.val_fraction,
        train_per_class=data.train_per_class, folds=data.folds, test_groups=data.test_groups, parts=parts_file(data),
        allow_missing=data.allow_missing,
    )  # fmt: skip


def every_clip(data: Data, jobs: int = 1) -> pd.DataFrame:
    """All clips of a data set, columns clip and path; no group and no split is asked of a folder of videos."""
    if data.dataset == "folder":
        clips = folder.read(checked_root("folder", data_root(data)))[1]
        return pd.DataFrame([(clip.name, str(clip.path)) for clip in clips], columns=["clip", "path"])
    splits = (1, 2, 3) if data.dataset in ("ucf101", "hmdb51", "synthetic") else (1,)
    tables = [of(replace(data, split=split, val_fraction=0.0), jobs).table for split in splits]
    return pd.concat(tables)[["clip", "path"]].drop_duplicates("clip")


def folds(root: Path | str, group: str = "", count: int | str = "all") -> pd.DataFrame:
    """The folds of a folder of videos, one row each: split, the groups left out, test clips, classes left untrained."""
    root = checked_root("folder", root)
    _, clips = folder.read(root, group)
    return pd.DataFrame(
        {
            "split": split,
            "leaves out": _printable(", ".join(groups)),
            "test clips": sum(clip.group in groups for clip in clips),
            "no training clip of": _printable(", ".join(folder.untrained(clips, set(groups)))),
        }
        for split, groups in enumerate(folder.folds(root, clips, count), 1)
    )


def _printable(text: str) -> str:
    """Text for a terminal: bytes of a file name that are not UTF-8 become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def at_hand(data: Data) -> Catalog | None:
    """The table of clips of a run where its files are on this machine, else None; files that cannot be read are reported."""
    root = data_root(data)
    try:
        there = embedded.is_complete(root) if data.dataset == "synthetic" else os.path.isdir(root)
        return of(data) if there else None
    except ReproError as error:
        print(f"not compared with the clips in {root}: {error}", file=sys.stderr)
        return None


@readable()
def load(
    dataset: str,
    root: Path | str,
    split: int = 1,
    *,
    group: str = "",
    val_fraction: float = 0.1,
    train_per_class: int = 0,
    folds: int | str = 3,
    test_groups: Sequence[str] = (),
    parts: Path | None = None,
    allow_missing: bool = False,
) -> Catalog:
    """Reads the clips of `dataset` below `root` (required files: `LAYOUTS`; label order: its reader).

    split: 1 to 3 (UCF101, HMDB51), those present (synthetic), 1 to `folds` (folder: the fold left out as test part), or
    1, the only one (all others).
    group: for folder, what finds the group of a clip: see `annotations.folder.read`.
    folds: for folder, a number from 2, or 'all': as many as groups, each left out once.
    test_groups: for folder, the groups of the test part by name, in place of a fold.
    parts: for folder, a CSV file that lists the clips of all parts, in place of groups: see `annotations.listed.read`.
    val_fraction: share of the training clips that becomes the validation part, in whole groups; 0 for none. It is
    carved from the full lists, so a clip's part does not depend on which files are missing. Where `parts` lists a
    validation part, that one is taken.
    train_per_class: training clips of each class that are kept, by `few`; 0 for all.
    allow_missing: go on without the listed clips whose files are absent, and name them in `Catalog.excluded`.
    Raises ReproError on anything that contradicts the above, with file and line where there is one.
    """
    if dataset not in DATASETS:
        raise unknown("data set", dataset, DATASETS)
    if not 0 <= val_fraction < 1:
        raise ReproError(f"val_fraction is {val_fraction}; give a share of the training clips, from 0 to below 1")
    if train_per_class < 0:
        raise ReproError(f"train_per_class is {train_per_class}; give a number of clips, or 0 for all")
    if dataset != "folder" and (group or folds != 3 or test_groups):
        raise ReproError(
            f"group={group!r}, folds={folds!r}, test_groups={test_groups!r}: only 'folder' takes them, {dataset} brings "
            "groups and splits"
        )
    root = checked_root(dataset, root)
    if parts is not None:
        classes, clips = listed.read(root, parts, allow_missing)
    elif dataset == "folder":
        classes, clips = folder.read(root, group)
        clips = folder.leave_out(root, clips, split, folds, test_groups)
    else:
        classes, clips = listed_clips(dataset, root, split)
    clips = sorted(clip for clip in clips if clip.part != "unused")
    if not any(clip.part == "val" for clip in clips):
        clips = carve(clips, val_fraction)
    clips = few(clips, train_per_class)
    return _catalog(dataset, split, classes, clips, root, allow_missing)


@readable()
def listed_clips(dataset: str, root: Path, split: int) -> tuple[list[str], list[Clip]]:
    """The classes and clips of a data set's own lists below `root`, their numbers compared with the official ones.

    No video is looked at. ReproError with file and line where there is one.
    """
    classes, clips = READERS[dataset](root, split)
    if dataset in OFFICIAL:
        count, official = Counter(clip.part for clip in clips), OFFICIAL[dataset][split]
        found = {**{key: count[key] for key in official}, "classes": len(classes)}
        if found != official:
            raise ReproError(
                f"{dataset} split {split}: the lists below {root} give {found}, the official ones give {official}; fetch "
                "the official annotation files again"
            )
    return classes, clips


@readable()
def checked_root(dataset: str, root: Path | str) -> Path:
    """The absolute path of a data set's folder, which has to hold what its layout says."""
    root = Path(os.path.expanduser(root)).absolute()
    layout = LAYOUTS.get(dataset, {})
    absent = [name for name in layout if not (root / name).is_dir()]
    if not root.is_dir() or absent:
        holds = " and ".join(f"{name}/ ({what})" for name, what in layout.items()) or "class/video files"
        what = f"it lacks {' and '.join(absent)}" if root.is_dir() else "there is no such folder"
        raise ReproError(f"{dataset}: the data root {root} has to hold {holds}, but {what}")
    return root


def _catalog(
    dataset: str, split: int, classes: list[str], clips: list[Clip], root: Path, allow_missing: bool
) -> Catalog:
    sizes = [_size(clip.path) for clip in clips]
    excluded = tuple(clip.name for clip, size in zip(clips, sizes, strict=True) if size is None)
    if excluded and (not allow_missing or len(excluded) == len(clips)):
        remedy = "" if len(excluded) == len(clips) else ", or set allow_missing to go on without them"
        raise ReproError(
            f"{dataset} split {split}: {len(excluded)} of {len(clips)} clips have no readable video file below {root}: "
            f"{', '.join(excluded[:5])}{', ...' if len(excluded) > 5 else ''}; put them there{remedy}"
        )
    label = {name: i for i, name in enumerate(classes)}
    rows = [
        (clip.name, str(clip.path), label[clip.cls], clip.cls, clip.group, clip.part)
        for clip, size in zip(clips, sizes, strict=True)
        if size is not None
    ]
    kept = [(name, label, group, part) for name, _, label, _, group, part in rows]
    # the embedded set is drawn: its options identify it, and another JPEG encoder may give other sizes
    sizes = [] if dataset == "synthetic" else [size for size in sizes if size is not None]
    content = [dataset, split, classes, kept, sizes]
    identity = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]
    table = pd.DataFrame(rows, columns=["clip", "path", "label", "class", "group", "part"])
    return Catalog(dataset, split, tuple(classes), table, excluded, identity)


def _size(path: Path) -> int | None:
    """Size of a regular file in bytes, or number of files in a frame folder; None where there is nothing to be read."""
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            return sum(not name.startswith(".") for name in os.listdir(path)) or None
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
