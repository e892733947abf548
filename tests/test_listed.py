"""A user's own list of clips and parts: what it means, and each thing that can be wrong with it, by its line."""

from pathlib import Path

import films
import pytest

from repro import paths
from repro.config import Data
from repro.data import catalog
from repro.data.annotations import listed
from repro.errors import ReproError

GOOD = """path,label,part
hug/a.avi,hug,train
hug/b.avi,hug,train
kick/a.avi,kick,train
all/kick 3.mp4,kick,train
hug/c.avi,hug,test
kick/c.avi,kick,val
"""


@pytest.fixture
def root(tmp_path) -> Path:
    for line in GOOD.splitlines()[1:]:
        file = tmp_path / "videos" / line.split(",")[0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path / "videos"


def write(root: Path, text: str) -> Path:
    file = root.parent / "split.csv"
    file.write_text(text)
    return file


def test_names_classes_and_parts(root):
    classes, clips = listed.read(root, write(root, GOOD))
    assert classes == ["hug", "kick"]
    assert [clip.name for clip in clips] == ["hug/a", "hug/b", "kick/a", "kick/all/kick 3", "hug/c", "kick/c"]
    assert [clip.part for clip in clips] == ["train"] * 4 + ["test", "val"]
    assert clips[3].path == root / "all" / "kick 3.mp4"


def test_a_validation_part_of_the_list_is_taken_else_one_is_carved(root):
    data = Data("folder", "videos", root=str(root), parts="split.csv", parts_file=str(write(root, GOOD)))
    assert catalog.of(data).part("val")["clip"].tolist() == ["kick/c"]
    write(root, GOOD.replace("val", "test"))
    carved = catalog.of(data)
    assert len(carved.part("val")) == 1
    assert carved.part("test")["clip"].tolist() == ["hug/c", "kick/c"]


def test_the_lists_of_mmaction2_become_one_as_the_page_says(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    Path("train.txt").write_text("hug/a.avi 0\nkick/a.avi 1\n")
    Path("val.txt").write_text("hug/c.avi 0\n")
    page = (paths.ROOT / "docs" / "real-data.md").read_text()
    exec(page.partition("```python\n")[2].partition("```")[0], {})
    classes, clips = listed.read(root, Path("parts.csv"))
    assert classes == ["0", "1"]
    assert [(clip.name, clip.part) for clip in clips] == [
        ("0/hug/a", "train"),
        ("1/kick/a", "train"),
        ("0/hug/c", "test"),
    ]


def test_the_list_may_be_beside_the_class_folders(root):
    write(root, GOOD).rename(root / "mine.csv")
    found = catalog.of(Data("folder", "videos", root=str(root), parts="mine.csv"))
    assert len(found.table) == 6


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("path,label,part", "path,class,part", r"split.csv:1: no column 'label'"),
        (
            "hug/b.avi,hug,train",
            "hug/b.avi,hug,training",
            r"split.csv:3: unknown part 'training'; did you mean 'train'",
        ),
        ("hug/b.avi,hug,train", "hug/b.avi,,train", r"split.csv:3: path 'hug/b.avi', label ''"),
        ("hug/b.avi,hug,train", "hug/b.avi,hug", r"split.csv:3: unknown part ''"),
        ("hug/b.avi", "../b.avi", r"split.csv:3: '../b.avi' leads out of"),
        ("hug/b.avi", "/b.avi", r"split.csv:3: '/b.avi' leads out of"),
        ("hug/b.avi", "hug/z.avi", r"split.csv:3: no such file: .*/hug/z.avi"),
        ("hug/b.avi", "hug/a.avi", r"split.csv:3: clip hug/a is there already, at .*split.csv:2"),
        (
            "kick/c.avi,kick,val",
            "kick/c.avi,punch,val",
            r"split.csv:7: class 'punch' has no line with the part 'train'",
        ),
        ("hug/c.avi,hug,test", "hug/c.avi,hug,train", r"no line has the part 'test'"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(root, old, new, words):
    assert GOOD.count(old) == 1
    with pytest.raises(ReproError, match=words):
        listed.read(root, write(root, GOOD.replace(old, new)))


def test_a_missing_file_can_be_allowed_and_is_then_excluded(root):
    films.write_video(root / "hug" / "a.avi")
    text = GOOD + "hug/z.avi,hug,train\n"
    given = {"parts": "split.csv", "parts_file": str(write(root, text)), "allow_missing": True}
    assert catalog.of(Data("folder", "videos", root=str(root), **given)).excluded == ("hug/z",)


def test_a_list_that_is_not_there(root):
    with pytest.raises(ReproError, match="no such list of clips; its first line is path,label,part"):
        listed.read(root, root / "none.csv")
