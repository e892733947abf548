"""Files without a checksum: results that are made again from the records, and what users bring. Targets of `mutations`."""

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from repro import notebooks, paths
from repro.again import compare
from repro.data import catalog, video
from repro.evidence import results
from repro.maps import measurements
from repro.records import Record
from repro.report import pictures

NOTEBOOK = "streams"
LABELS = {"Holding something": "0", "Pushing something": "1"}
CLIPS = {"train": 4, "validation": 2}  # of Something-Something V2


@dataclass(frozen=True)
class Target:
    """A file, what is done with it, and whether that must give the same as before, or may follow what a user gives."""

    path: Path
    act: Callable[[], Any]
    fixed: bool = True


def make(home: Path, record: Record, movie: Path) -> None:
    """Files of every kind below `home`. record, movie: any run of ours, any video."""
    home.mkdir()
    small = paths.committed() / "small"
    figure = min((paths.ROOT / "figures" / "small" / "synthetic").glob("*.png"), key=lambda path: path.stat().st_size)
    for source, name in (
        (small / "synthetic" / "imrs_table3.json", "imrs_table3.json"),
        (min((small / "maps").glob("*.json")), "measured/"),
        (figure, "figure.png"),
        (notebooks.path_of(NOTEBOOK), f"notebooks/{NOTEBOOK}.ipynb"),
        (movie, "user.avi"),
        *((movie, f"people/{name}/{person}_{name}.avi") for name, person in itertools.product(("wave", "walk"), "abc")),
    ):
        target = home / name / (source.name if name.endswith("/") else "")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    compare.add(compare.compare([record], {record.id: record}, {}), home / "again")
    clips = sorted(path.relative_to(home / "people").with_suffix("") for path in home.rglob("people/*/*.avi"))
    lines = "".join(f"{clip},{clip.name[0]}\n" for clip in clips)
    (home / "people" / "groups.csv").write_text(f"clip,group\n{lines}")
    _make_lists(home / "something")
    (home / "images").mkdir()
    for i, frame in enumerate(itertools.islice(video.frames(movie), 3), 1):
        cv2.imwrite(str(home / "images" / f"{i:05d}.jpg"), frame)


def _make_lists(root: Path) -> None:
    """Something-Something V2 with a few clips."""
    (root / "videos").mkdir(parents=True)
    numbers = itertools.count(1)
    for part, count in CLIPS.items():
        ids = list(itertools.islice(numbers, count))
        entries = [{"id": str(i), "template": list(LABELS)[i % 2].replace("something", "[something]")} for i in ids]
        (root / f"something-something-v2-{part}.json").write_text(json.dumps(entries))
        for i in ids:
            (root / "videos" / f"{i}.webm").write_bytes(b"x")
    (root / "something-something-v2-labels.json").write_text(json.dumps(LABELS))


def of_results(home: Path) -> dict[str, Target]:
    """What is made again from the records. A measurement names its runs, and is checked against them."""
    table, figure = home / "imrs_table3.json", home / "figure.png"
    measured, again = min((home / "measured").glob("*.json")), min((home / "again").glob("*.json"))
    return {
        "table, read": Target(table, lambda: results.read(table), fixed=False),
        "measurement of maps, read": Target(measured, lambda: repr(measurements.read(measured))),
        "runs made again, read": Target(again, lambda: repr(compare.read(again)), fixed=False),
        "figure, read": Target(figure, lambda: pictures.read(figure).tobytes(), fixed=False),
    }


def of_the_user(home: Path, root: Path) -> dict[str, Target]:
    """Lists, videos, images and notebooks in the forms that users bring or change."""
    movie, people, split = home / "user.avi", home / "people", min(root.rglob("*_test_split1.txt"))
    something, image, notebook = home / "something", home / "images" / "00002.jpg", home / "notebooks"

    def frames(path: Path) -> int:
        return sum(1 for _ in video.frames(path))

    def listed() -> int:
        return len(catalog.load("folder", people, group="groups.csv").table)

    def divided() -> int:
        return len(catalog.load("synthetic", root).table)

    def official() -> int:
        catalog.OFFICIAL["something_v2"] = {1: {"train": 4, "test": 2, "classes": 2}}
        return len(catalog.load("something_v2", something, val_fraction=0.0).table)

    def parameters() -> str:
        notebooks.FOLDER = notebook
        return repr(notebooks.parameters(NOTEBOOK))

    return {
        "video of a user, decode": Target(movie, lambda: frames(movie), fixed=False),
        "image of a frame folder, decode": Target(image, lambda: frames(image.parent), fixed=False),
        "groups.csv, catalog": Target(people / "groups.csv", listed, fixed=False),
        "split list, catalog": Target(split, divided, fixed=False),
        "something-something list, catalog": Target(
            something / "something-something-v2-train.json", official, fixed=False
        ),
        "something-something labels, catalog": Target(
            something / "something-something-v2-labels.json", official, fixed=False
        ),
        "notebook, parameters": Target(notebook / f"{NOTEBOOK}.ipynb", parameters, fixed=False),
    }
