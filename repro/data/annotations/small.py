"""Readers: the official annotation files of UCF101 and HMDB51 as lists of clips.

UCF101: Soomro, Zamir and Shah, arXiv 1212.0402. HMDB51: Kuehne et al., ICCV 2011. Required files: `LAYOUTS`.
A reader takes (root, split) and gives the class names in label order and the clips; it opens no video.
A name read from a file may contain no path separator beyond the one of its format, so that no line leads out of the
root. Links below the root are followed, because they are the user's own.
"""

import csv
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
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
UCF101_LINE = re.compile(
    r"(?P<cls>\w+)/(?P<stem>v_(?P<own>[^\W_]+)_(?P<group>g\d+)_c\d+)\.avi(\s+(?P<label>[0-9]{1,9}))?"
)
# UCF101's class list and folder are spelled HandstandPushups, its file names v_HandStandPushups_*, and some copies use
# one spelling for both. Files are found under either; class and clip keep the official name.
HANDSTAND = ("HandstandPushups", "HandStandPushups")


class Clip(NamedTuple):
    name: str  # 'class/stem', unique
    path: Path
    cls: str
    group: str
    part: str  # train, val, test, or unused (HMDB51)


def ucf101(root: Path, split: int) -> tuple[list[str], list[Clip]]:
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


def hmdb51(root: Path, split: int) -> tuple[list[str], list[Clip]]:
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


@contextmanager
def readable() -> Iterator[None]:
    """What the system refuses to read, such as a folder without permission, is one error that names it. Also a decorator."""
    try:
        yield
    except OSError as error:
        raise ReproError(
            f"{error.filename or 'the data set'}: cannot be read ({error.strerror}); make it readable"
        ) from None


def read_text(path: Path) -> str:
    """The text of an annotation file; a BOM is allowed."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ReproError(f"{path}: no such annotation file; fetch the official ones") from None
    except UnicodeDecodeError as error:
        raise ReproError(f"{path}: not a text file ({error}); fetch the official one") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ReproError(f"{path}:{line}: not a text file (a NUL byte); fetch the official one")
    return text


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """('file:line', stripped text) of the lines of an annotation file that are not blank; CRLF is allowed."""
    found = enumerate(read_text(path).split("\n"), 1)
    return ((f"{path}:{i}", line.strip()) for i, line in found if line.strip())


def table(path: Path, **options: bool) -> tuple[list[str], list[tuple[str, dict[str, str | None]]]]:
    """The columns of a CSV file, and ('file:line', row) of its rows. options: of `csv.DictReader`."""
    reader = csv.DictReader(read_text(path).splitlines(), **options)
    try:
        columns = list(reader.fieldnames or ())
        return columns, [(f"{path}:{reader.line_num}", row) for row in reader]
    except csv.Error as error:
        where = f"{path}:{reader.reader.line_num}"
        raise ReproError(f"{where}: not CSV ({error}); mend the line, or fetch the file again") from None


def once(seen: dict[str, str], name: str, where: str) -> str:
    """`name`, noted in `seen` with its place; a name that is there already is an error."""
    if name in seen:
        raise ReproError(f"{where}: clip {name} is there already, at {seen[name]}; a clip has one line, in one part")
    seen[name] = where
    return name


def without_ending(path: str) -> str:
    """The path of a video file as its clip is named; another path as it is."""
    ending = PurePosixPath(path).suffix
    return path.removesuffix(ending) if ending.lower() in SUFFIXES else path


def is_below(path: str) -> bool:
    """Whether a path in a list is relative, with / between its folders, and does not lead out of where it begins."""
    place = PurePosixPath(path)
    return not (place.is_absolute() or ".." in place.parts or "\\" in path)


def require_split(what: str, split: int, known: Collection[int]) -> None:
    """An error unless `split` is one of `known`."""
    if isinstance(split, bool) or not isinstance(split, int) or split not in known:
        raise ReproError(f"{what}: there is no split {split!r}; there are {', '.join(map(str, known)) or 'none'}")


DATASETS = {"ucf101": ucf101, "hmdb51": hmdb51, "synthetic": hmdb51}
