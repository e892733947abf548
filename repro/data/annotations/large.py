"""Readers: the official annotation files of Something-Something V1 and V2, Diving48 (V2) and Kinetics-400.

Something-Something: Goyal et al., ICCV 2017. Diving48: Li, Li and Vasconcelos, ECCV 2018; only the labels as corrected
in 2020 (V2) are read, for results on the two versions are not comparable. Kinetics: Kay et al., arXiv 1705.06950. What
has to lie where: `LAYOUTS`. Each has one split, 1. The official validation part is the test part here, as in the papers:
the official test parts of Something-Something have no labels, that of Kinetics is left alone, Diving48 has only two parts.
Readers as in `annotations`: names from a file that become paths are plain names, so that none leads out of the root.
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from repro.data.annotations.small import SUFFIXES, Clip, lines, once, read_text, require_split, table
from repro.errors import ReproError

LAYOUTS = {  # folders below the data root, and their content; '.' is the root itself
    "something_v1": {
        "frames": "6106/00001.jpg",
        ".": "something-something-v1-labels.csv, -train.csv, -validation.csv",
    },
    "something_v2": {"videos": "74225.webm", ".": "something-something-v2-labels.json, -train.json, -validation.json"},
    "diving48": {
        "videos": "8qRmKunCjtY_00016.mp4",
        ".": "Diving48_vocab.json, Diving48_V2_train.json, Diving48_V2_test.json",
    },
    "kinetics400": {
        "videos": "name.mp4 at any depth",
        ".": "train.csv and val.csv, or label_map_k400.txt, kinetics_train_list.txt and kinetics_val_list.txt",
    },
}
# The path may contain blanks; only its last name counts.
KINETICS_LINE = re.compile(
    r"(?:.*/)?(?P<name>[\w-]+)(?:\.(?:avi|mp4|mkv|webm|mov))?(?:\s+[0-9]+)?\s+(?P<label>[0-9]{1,9})"
)
KINETICS_TIMES = re.compile("_[0-9]{6}_[0-9]{6}$")  # begin and end in the YouTube video, in seconds


def something_v1(root: Path, split: int) -> tuple[list[str], list[Clip]]:
    """Lines 'id;template' and a frame folder an id: frames/6106/00001.jpg. Each clip is a group of its own.

    Labels are the templates in sorted order, whatever the order of labels.csv. Two orders are in circulation, that of
    the file (mmaction2) and the sorted one (TSM and what descends from it); the sorted one is also that of V2, whose
    templates are the same 174.
    """
    require_split("something_v1", split, (1,))
    names = "something-something-v1-{}.csv".format
    classes = sorted(_plain(lines(root / names("labels"))))
    frames, known, seen, clips = root / "frames", set(classes), {}, []
    for file, part in (("train", "train"), ("validation", "test")):
        for where, line in lines(root / names(file)):
            number, _, template = line.partition(";")
            if not _is_number(number) or template not in known:
                raise ReproError(f"{where}: {line!r} is not 'id;template' with a template of {names('labels')}")
            once(seen, number, where)
            clips.append(Clip(f"{template}/{number}", frames / number, template, number, part))
    return classes, clips


def something_v2(root: Path, split: int) -> tuple[list[str], list[Clip]]:
    """Entries {"id": "74225", "template": "Spinning [something] that ..."} and videos/74225.webm. No groups.

    Labels as numbered in labels.json ({"Spinning something that ...": "147"}), where templates have no brackets.
    """
    require_split("something_v2", split, (1,))
    names = "something-something-v2-{}.json".format
    labels = root / names("labels")
    numbers = _json(labels, dict)
    by_number = {str(number): template for template, number in numbers.items()}
    order = [str(i) for i in range(len(numbers))]
    if set(by_number) != set(order):
        raise ReproError(f"{labels}: the labels are not numbered 0, 1, ... each once; fetch the official file")
    classes = _plain((str(labels), by_number[number]) for number in order)
    videos, known, seen, clips = root / "videos", set(classes), {}, []
    for file, part in (("train", "train"), ("validation", "test")):
        for where, entry in _entries(root / names(file), {"id": str, "template": str}):
            number, template = entry["id"], entry["template"].replace("[", "").replace("]", "")
            if not _is_number(number) or template not in known:
                raise ReproError(f"{where}: id {number!r} or template {template!r} is none of {names('labels')}")
            once(seen, number, where)
            clips.append(Clip(f"{template}/{number}", videos / f"{number}.webm", template, number, part))
    return classes, clips


def diving48(root: Path, split: int) -> tuple[list[str], list[Clip]]:
    """Entries {"vid_name": "8qRmKunCjtY_00016", "label": 0, "start_frame": 0, "end_frame": 78}; videos/vid_name.mp4.

    The class of a label is its entry in the vocabulary, four words as one name; one of the 48 has no clip. The group is
    the recording that a dive was cut from, the name before its last '_'; the official parts share none. A file is
    one dive: it is read whole, start_frame must be 0, and end_frame, the number of frames, is not needed.
    """
    require_split("diving48", split, (1,))
    vocabulary = root / "Diving48_vocab.json"
    words = _json(vocabulary, list)
    if not all(isinstance(entry, list) and all(isinstance(word, str) for word in entry) for entry in words):
        raise ReproError(f"{vocabulary}: the entries are not lists of words; fetch the official file")
    classes, seen, clips = _plain((str(vocabulary), " ".join(entry)) for entry in words), {}, []
    for part in ("train", "test"):
        wanted = {"vid_name": str, "label": int, "start_frame": int}
        for where, entry in _entries(root / f"Diving48_V2_{part}.json", wanted):
            name, label = entry["vid_name"], entry["label"]
            if not re.fullmatch(r"[\w-]+_\d+", name) or not 0 <= label < len(classes) or entry["start_frame"] != 0:
                raise ReproError(
                    f"{where}: {entry!r:.200} is not a dive: a name as 8qRmKunCjtY_00016, a label, start_frame 0"
                )
            once(seen, name, where)
            path, cls = root / "videos" / f"{name}.mp4", classes[label]
            clips.append(Clip(f"{cls}/{name}", path, cls, name.rpartition("_")[0], part))
    return classes, clips


def kinetics400(root: Path, split: int) -> tuple[list[str], list[Clip]]:
    """The official csv files, or lists as the field passes them on. Labels: the classes in alphabetical order.

    csv: train.csv, and validate.csv or val.csv, with a header and columns label, youtube_id, time_start, time_end. Files
    are youtube_id_000010_000020.mp4 or youtube_id.mp4.
    Lists: kinetics_train_list.txt and kinetics_val_list.txt, lines 'path frames label' (TSN) or 'path label', labels
    from 0 into label_map_k400.txt, which is alphabetical; the last name of the path, without suffix, is the file's.
    Files may be at any depth below videos/. The group is the YouTube video. Clips have vanished from YouTube, so the
    lists in circulation differ (246,535 and 19,907; 240,436 and 19,796; ...): their lengths are not checked, but every
    class must have clips in both parts, which columns in another order would not give.
    """
    require_split("kinetics400", split, (1,))
    table, listed = root / "train.csv", root / "kinetics_train_list.txt"
    if table.exists() == listed.exists():
        which = "both are" if table.exists() else "neither is"
        raise ReproError(f"{root}: the lists are read from {table.name} or from {listed.name}, but {which} there")
    if table.exists():
        validate = root / "validate.csv"
        paths = table, validate if validate.exists() else root / "val.csv"
        rows = [list(_kinetics_table(path)) for path in paths]
        classes = sorted(_plain((str(table), cls) for cls in {cls for _, cls, _ in rows[0]}))
    else:
        paths = listed, root / "kinetics_val_list.txt"
        classes = _plain(lines(root / "label_map_k400.txt"))
        if classes != sorted(classes):
            raise ReproError(f"{root / 'label_map_k400.txt'}: not in alphabetical order, so its labels are others")
        rows = [list(_kinetics_list(path, classes)) for path in paths]
    videos = root / "videos"
    files, seen, clips = _videos(videos), {}, []
    for path, part, found in zip(paths, ("train", "test"), rows, strict=True):
        if odd := sorted(set(classes) ^ {cls for _, cls, _ in found}):
            raise ReproError(
                f"{path}: {len(odd)} classes are only here, or have no clip here: {', '.join(odd[:5])}; fetch the "
                "official file, or write lists as 'path frames label' or 'path label'"
            )
        for where, cls, name in found:
            once(seen, name, where)
            bare = KINETICS_TIMES.sub("", name)
            place = files.get(name) or files.get(bare) or videos / f"{name}.mp4"
            clips.append(Clip(f"{cls}/{name}", place, cls, bare, part))
    return classes, clips


def _kinetics_table(path: Path) -> Iterator[tuple[str, str, str]]:
    """(where, class, youtube_id_000010_000020) of each row of a csv file."""
    for where, row in table(path)[1]:
        name, start, end = (row.get(key) or "" for key in ("youtube_id", "time_start", "time_end"))
        if not row.get("label") or not re.fullmatch(r"[\w-]{11}", name) or not _is_number(start) or not _is_number(end):
            raise ReproError(f"{where}: no label, youtube_id, time_start and time_end, but {row}")
        yield where, row["label"], f"{name}_{int(start):06d}_{int(end):06d}"


def _kinetics_list(path: Path, classes: list[str]) -> Iterator[tuple[str, str, str]]:
    """(where, class, name) of each line of a list."""
    for where, line in lines(path):
        match = KINETICS_LINE.fullmatch(line)
        if not match or int(match["label"]) >= len(classes):
            raise ReproError(
                f"{where}: {line!r} is not 'path frames label' or 'path label' with a label below {len(classes)}"
            )
        yield where, classes[int(match["label"])], match["name"]


def _videos(folder: Path) -> dict[str, Path]:
    """The video files below a folder, by name without suffix."""
    found = {}
    for place, _, names in os.walk(folder, followlinks=True):
        for stem, suffix in map(os.path.splitext, names):
            if suffix.lower() in SUFFIXES and found.setdefault(stem, path := Path(place, stem + suffix)) != path:
                raise ReproError(f"{path} and {found[stem]} have one name; remove one of them")
    return found


def _json(path: Path, kind: type) -> dict | list:
    """The content of a JSON file, which must be of this type."""
    try:
        found = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ReproError(f"{path}:{error.lineno}: not JSON ({error.msg}); fetch the official file again") from None
    except (RecursionError, ValueError) as error:  # lists in lists without end, a number of thousands of digits
        raise ReproError(f"{path}: not JSON of this kind ({error}); fetch the official file again") from None
    if not isinstance(found, kind):
        raise ReproError(f"{path}: holds a {type(found).__name__}, not a {kind.__name__}; fetch the official file")
    return found


def _entries(path: Path, wanted: Mapping[str, type]) -> Iterator[tuple[str, dict]]:
    """('file: entry 1', entry) of a JSON list of objects that have the wanted keys with values of these types."""
    for i, entry in enumerate(_json(path, list), 1):
        if not isinstance(entry, dict) or any(type(entry.get(key)) is not kind for key, kind in wanted.items()):
            keys = ", ".join(f"{key} ({kind.__name__})" for key, kind in wanted.items())
            raise ReproError(f"{path}: entry {i} is not an object with {keys}: {entry!r:.200}")
        yield f"{path}: entry {i}", entry


def _plain(named: Iterable[tuple[str, str]]) -> list[str]:
    """Class names, given with their places; each must be there once and fit to name a folder of the store."""
    seen = {}
    for where, name in named:
        if name in seen or not name.strip(". ") or not name.isprintable() or "/" in name or "\\" in name:
            raise ReproError(f"{where}: class {name!r} is there twice, or is no plain name; fetch the official file")
        seen[name] = where
    return list(seen)


def _is_number(text: str) -> bool:
    return re.fullmatch("[0-9]{1,9}", text) is not None


DATASETS = {
    "something_v1": something_v1, "something_v2": something_v2, "diving48": diving48, "kinetics400": kinetics400,
}  # fmt: skip
