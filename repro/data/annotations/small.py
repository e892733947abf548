"""Readers: the official annotation files of UCF101 and HMDB51, and any tree of folders, as lists of clips.

UCF101: Soomro, Zamir and Shah, arXiv 1212.0402. HMDB51: Kuehne et al., ICCV 2011. Required files: `LAYOUTS`.
A reader takes (root, split, group, folds) and gives the class names in label order and the clips; it opens no video.
A name read from a file may contain no path separator beyond the one of its format, so that no line leads out of the
root. Links below the root are followed, because they are the user's own.
"""

import re
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from repro.errors import ReproError

LAYOUTS = {  # folders below the data root, and their content
    "ucf101": {
        "UCF-101": "Class/v_Class_g01_c01.avi",
        "ucfTrainTestlist": "classInd.txt, trainlist01.txt, testlist01.txt",
    },
    "hmdb51": {"hmdb51_org": "class/name.avi", "testTrainMulti_7030_splits": "class_test_split1.txt"},
}
LAYOUTS["synthetic"] = LAYOUTS["hmdb51"]
SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov")  # of video files, in any case
UCF101_LINE = re.compile(r"(?P<cls>\w+)/(?P<stem>v_(?P<own>[^\W_]+)_(?P<group>g\d+)_c\d+)\.avi(\s+(?P<label>\d+))?")
# UCF101's class list and folder are spelled HandstandPushups, its file names v_HandStandPushups_*, and some copies use
# one spelling for both. Files are found under either; class and clip keep the official name.
HANDSTAND = ("HandstandPushups", "HandStandPushups")


class Clip(NamedTuple):
    name: str  # 'class/stem', unique
    path: Path
    cls: str
    group: str
    part: str  # train, val, test, or unused (HMDB51)


def ucf101(root: Path, split: int, group: str | None, folds: int) -> tuple[list[str], list[Clip]]:
    """classInd.txt ('1 ApplyEyeMakeup'), trainlist01.txt ('Class/v_Class_g08_c01.avi 1'), testlist01.txt (no label)."""
    require_split("ucf101", split, (1, 2, 3))
    videos, lists = (root / name for name in LAYOUTS["ucf101"])
    classes = []
    for where, line in lines(lists / "classInd.txt"):
        number, name = match.groups() if (match := re.fullmatch(r"(\d+)\s+(\w+)", line)) else ("", "")
        if number != str(len(classes) + 1):
            raise ReproError(f"{where}: {line!r} is not '{len(classes) + 1} ClassName'; fetch the official file")
        classes.append(HANDSTAND[0] if name in HANDSTAND else name)
    labels, seen, clips = {name: i for i, name in enumerate(classes, 1)}, {}, []
    for part in ("train", "test"):
        for where, line in lines(lists / f"{part}list0{split}.txt"):
            match = UCF101_LINE.fullmatch(line)
            if not match:
                raise ReproError(
                    f"{where}: {line!r} is not 'Class/v_Class_g01_c01.avi', with or without a label after it"
                )
            cls, stem, own = (HANDSTAND[0] if match[n] in HANDSTAND else match[n] for n in ("cls", "stem", "own"))
            if cls not in labels or own != cls:
                raise ReproError(f"{where}: {line!r} names a class that classInd.txt lacks, or two classes")
            if match["label"] and int(match["label"]) != labels[cls]:
                raise ReproError(f"{where}: label {match['label']}, but classInd.txt gives {cls} {labels[cls]}")
            if cls == HANDSTAND[0]:
                stem = stem.replace(*HANDSTAND)
            name = once(seen, f"{cls}/{stem}", where)
            clips.append(Clip(name, _ucf101_file(videos, cls, stem), cls, f"{cls}_{match['group']}", part))
    return classes, clips


def _ucf101_file(videos: Path, cls: str, stem: str) -> Path:
    if cls == HANDSTAND[0]:
        for folder in HANDSTAND:
            for file in (stem, stem.replace(*reversed(HANDSTAND))):
                if (found := videos / folder / f"{file}.avi").exists():
                    return found
    return videos / cls / f"{stem}.avi"


def hmdb51(root: Path, split: int, group: str | None, folds: int) -> tuple[list[str], list[Clip]]:
    """One file per class and split, '<class>_test_split1.txt', of lines 'name.avi ID': 1 train, 2 test, 0 unused.

    The group is the source, the file name before '_<class>_', or the whole stem where that is absent. Classes in
    alphabetical order. Also reads the embedded set, which is written in this layout.
    """
    videos, lists = (root / name for name in LAYOUTS["hmdb51"])
    found = sorted(
        (m[1], int(m[2])) for f in lists.iterdir() if (m := re.fullmatch(r"(.+)_test_split(\d+)\.txt", f.name))
    )
    require_split(str(lists), split, sorted({number for _, number in found}))
    classes = [cls for cls, number in found if number == split]
    clips = []
    for cls in classes:
        seen = {}
        for where, line in lines(lists / f"{cls}_test_split{split}.txt"):
            file, number = line.rsplit(None, 1) if " " in line or "\t" in line else ("", line)
            if (
                number not in ("0", "1", "2")
                or "/" in file
                or "\\" in file
                or Path(file).suffix.lower() not in SUFFIXES
            ):
                raise ReproError(f"{where}: {line!r} is not 'name.avi ID' with ID 0, 1 or 2")
            stem = Path(file).stem
            name = once(seen, f"{cls}/{stem}", where)
            part = {"1": "train", "2": "test", "0": "unused"}[number]
            clips.append(Clip(name, videos / cls / file, cls, stem.split(f"_{cls}_")[0], part))
    return classes, clips


def folder(root: Path, split: int, group: str | None, folds: int) -> tuple[list[str], list[Clip]]:
    """Any root/class/video tree. The groups, sorted, are assigned to `folds` folds in turn; fold `split` is the test part.

    Hidden files are ignored, and so are files beside the class folders (a README) unless they are videos. Anything
    in a class folder that is no video by its suffix is an error: a clip in another format must not go missing silently.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ReproError(f"folds is {folds!r}; give a whole number, at least 2")
    require_split("folder", split, range(1, folds + 1))
    find = _group_finder(group)
    entries = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    classes = [path.name for path in entries if path.is_dir()]
    loose = [path.name for path in entries if not path.is_dir() and path.suffix.lower() in SUFFIXES]
    if loose or not classes:
        found = f"the video {loose[0]} is beside the class folders" if loose else "there is no class folder"
        raise ReproError(f"{root}: expected root/class/video files, but {found}")
    seen, files = {}, []
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
            files.append((name, path, cls, find(path) if find else name))
    groups = sorted({group for *_, group in files})
    if len(groups) < folds:
        raise ReproError(f"{root}: {len(groups)} groups ({', '.join(groups)}) do not fill {folds} folds; lower folds")
    test = set(groups[split - 1 :: folds])
    clips = [Clip(*file, "test" if file[-1] in test else "train") for file in files]
    if lacking := sorted(set(classes) - {clip.cls for clip in clips if clip.part == "train"}):
        raise ReproError(
            f"{root}: split {split} of {folds} leaves no training clip of {', '.join(lacking)}; take other groups"
        )
    return classes, clips


def _group_finder(group: str | None) -> Callable[[Path], str] | None:
    """A function from a file to its group, None where there is no expression."""
    if not group:
        return None
    try:
        expression = re.compile(group)
    except re.error as error:
        raise ReproError(f"group {group!r} is not a regular expression: {error}") from None
    if "group" not in expression.groupindex:
        raise ReproError(f"group {group!r} has no '(?P<group>...)' part; mark with it what names the group")

    def find(path: Path) -> str:
        match = expression.search(path.name)
        if not match or not match["group"]:
            raise ReproError(f"group {group!r} finds no group in the file name of {path}; mend the expression")
        return match["group"]

    return find


def read_text(path: Path) -> str:
    """The text of an annotation file; a BOM is allowed."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ReproError(f"{path}: no such annotation file; fetch the official ones") from None
    except UnicodeDecodeError as error:
        raise ReproError(f"{path}: not a text file ({error}); fetch the official one") from None


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """('file:line', stripped text) of the lines of an annotation file that are not blank; CRLF is allowed."""
    found = enumerate(read_text(path).split("\n"), 1)
    return ((f"{path}:{i}", line.strip()) for i, line in found if line.strip())


def once(seen: dict[str, str], name: str, where: str) -> str:
    """`name`, noted in `seen` with its place; a name that is there already is an error."""
    if name in seen:
        raise ReproError(f"{where}: clip {name} is there already, at {seen[name]}; a clip has one line, in one part")
    seen[name] = where
    return name


def require_split(what: str, split: int, known: Collection[int]) -> None:
    """An error unless `split` is one of `known`."""
    if isinstance(split, bool) or not isinstance(split, int) or split not in known:
        raise ReproError(f"{what}: there is no split {split!r}; there are {', '.join(map(str, known)) or 'none'}")


DATASETS = {"ucf101": ucf101, "hmdb51": hmdb51, "folder": folder, "synthetic": hmdb51}
