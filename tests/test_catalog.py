"""Annotation readers: official counts from the official files, invented trees for everything that can be wrong."""

import errno
import itertools
import os
import re
import shlex
from pathlib import Path

import pytest

from repro.commands import folds
from repro.config import Data
from repro.data import catalog
from repro.data.annotations import small as annotations
from repro.data.annotations.small import Clip
from repro.errors import ReproError
from repro.parameters import Parameters

UCF = {"train": 9, "test": 5, "classes": 3}
CLASSES = ("ApplyEyeMakeup", "HandstandPushups", "YoYo")


def touch(path, size=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def make_ucf101(root, train_groups=(3, 4, 5), test_groups=(1, 2), own=("ApplyEyeMakeup", "HandStandPushups", "YoYo")):
    """UCF101 in small, with its CRLF, its labels from 1 in training only, and its two spellings."""
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_bytes("".join(f"{i} {c}\r\n" for i, c in enumerate(CLASSES, 1)).encode())
    for part, groups in (("train", train_groups), ("test", test_groups)):
        lines = []
        for label, (cls, file) in enumerate(zip(CLASSES, own, strict=True), 1):
            for group in groups:
                if (cls, group) == ("YoYo", 2):
                    continue
                name = f"{cls}/v_{file}_g{group:02d}_c01.avi"
                touch(root / "UCF-101" / name, 10 + group)
                lines.append(f"{name} {label}\r\n" if part == "train" else f"{name}\r\n")
        for k in (1, 2, 3):
            (lists / f"{part}list0{k}.txt").write_bytes("".join(lines).encode())
    return root


@pytest.fixture
def ucf(tmp_path, monkeypatch):
    monkeypatch.setitem(catalog.OFFICIAL, "ucf101", dict.fromkeys((1, 2, 3), UCF))
    return make_ucf101(tmp_path / "ucf")


def make_hmdb51(root, classes=("brush_hair", "wave"), split=1):
    for cls in classes:
        lines = []
        for number, sources in {1: ("Ab", "B[!]c", "D d"), 2: ("T",), 0: ("U",)}.items():
            for source in sources:
                for i in range(2):
                    name = f"{source}_{cls}_f_cm_np1_fr_med_{i}.avi"
                    lines.append(f"{name} {number} \n")
                    if number:
                        touch(root / "hmdb51_org" / cls / name)
        path = root / "testTrainMulti_7030_splits" / f"{cls}_test_split{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines))
    return root


def make_folder(root, actors="abcdef", classes=("run", "walk")):
    for cls in classes:
        for actor in actors:
            touch(root / cls / f"{actor}_{cls}.MP4")
    return root


def parts(found):
    return found.table["part"].value_counts().to_dict()


def fails(message, *args, **options):
    with pytest.raises(ReproError, match=message):
        catalog.load(*args, **options)


# UCF101


def test_ucf101_table(ucf):
    found = catalog.load("ucf101", ucf, val_fraction=0)
    assert list(found.table.columns) == ["clip", "path", "label", "class", "group", "part"]
    assert found.classes == CLASSES
    assert (found.dataset, found.split, found.excluded) == ("ucf101", 1, ())
    assert found.table["clip"].is_monotonic_increasing
    assert found.table["clip"].is_unique
    row = found.table.iloc[0].to_dict()
    assert row == {
        "clip": "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01",
        "path": str(ucf / "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi"),
        "label": 0,
        "class": "ApplyEyeMakeup",
        "group": "ApplyEyeMakeup_g01",
        "part": "test",
    }
    assert parts(found) == {"train": 9, "test": 5}
    assert len(found.part("val")) == 0
    assert found.part("test").index.tolist() == list(range(5))
    with pytest.raises(ReproError, match="unknown part 'tset'; did you mean 'test'"):
        found.part("tset")


@pytest.mark.parametrize("folder", annotations.HANDSTAND)
@pytest.mark.parametrize("file", annotations.HANDSTAND)
def test_ucf101_handstand_under_either_spelling(ucf, folder, file):
    official = catalog.load("ucf101", ucf)
    old = ucf / "UCF-101" / "HandstandPushups"
    new = ucf / "UCF-101" / "moved"
    new.mkdir()
    for path in old.iterdir():
        path.rename(new / path.name.replace("HandStandPushups", file))
    old.rmdir()
    new.rename(ucf / "UCF-101" / folder)
    found = catalog.load("ucf101", ucf)
    assert found.id == official.id
    assert "HandstandPushups/v_HandStandPushups_g01_c01" in set(found.table["clip"])
    assert all(os.path.isfile(path) for path in found.table["path"])


def test_ucf101_lists_in_the_other_spelling_name_the_same_clips(ucf, tmp_path):
    other = make_ucf101(tmp_path / "other", own=CLASSES)
    assert catalog.load("ucf101", other).id == catalog.load("ucf101", ucf).id


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("YoYo/v_YoYo_g05_c01.avi 3", "clip YoYo/v_YoYo_g05_c01 is there already, at .*trainlist01.txt:9"),
        ("YoYo/v_YoYo_g01_c01.avi 3", "YoYo/v_YoYo_g01_c01 is there already, at .*trainlist01.txt:10"),
        ("Yoyo/v_Yoyo_g09_c01.avi 3", "trainlist01.txt:10: .*a class that classInd.txt lacks"),
        ("YoYo/v_Archery_g09_c01.avi 3", "trainlist01.txt:10: .*two classes"),
        ("YoYo/v_YoYo_g09_c01.avi 2", "trainlist01.txt:10: label 2, but classInd.txt gives YoYo 3"),
        ("YoYo/v_YoYo_g09_c01.avi 0", "trainlist01.txt:10: label 0"),
        ("../YoYo/v_YoYo_g09_c01.avi 3", "trainlist01.txt:10: .* is not 'Class/"),
        ("/etc/v_YoYo_g09_c01.avi 3", "trainlist01.txt:10: .* is not 'Class/"),
        ("v_YoYo_g09_c01 3", "trainlist01.txt:10: .* is not 'Class/"),
        ("YoYo/v_YoYo_g09_c01.avi", r"'train': 10, .* official ones give .*'train': 9"),
    ],
)
def test_ucf101_bad_lines(ucf, line, message):
    with open(ucf / "ucfTrainTestlist" / "trainlist01.txt", "a") as file:
        file.write(f"{line} \n")
    fails(message, "ucf101", ucf)


@pytest.mark.parametrize("text", ["0 A\n1 B\n", "1 A\n3 B\n", "A\nB\n", "1 A B\n"])
def test_ucf101_bad_class_list(ucf, text):
    (ucf / "ucfTrainTestlist" / "classInd.txt").write_text(text)
    fails(r"classInd.txt:\d: .* is not '\d ClassName'", "ucf101", ucf)


def test_ucf101_missing_pieces(ucf, tmp_path):
    fails(r"ucf101: the data root .*nowhere has to hold UCF-101/ .*no such folder", "ucf101", tmp_path / "nowhere")
    fails("it lacks UCF-101 and ucfTrainTestlist", "ucf101", ucf / "UCF-101")
    fails("there is no split 4; there are 1, 2, 3", "ucf101", ucf, 4)
    (ucf / "ucfTrainTestlist" / "testlist02.txt").unlink()
    fails("testlist02.txt: no such annotation file", "ucf101", ucf, 2)
    (ucf / "ucfTrainTestlist" / "testlist01.txt").write_bytes(b"\xff\xfe\x00")
    fails("testlist01.txt: not a text file", "ucf101", ucf)


def test_missing_videos_are_one_error_or_exclusions(ucf):
    whole = catalog.load("ucf101", ucf)
    for group in (2, 3):
        (ucf / f"UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g0{group}_c01.avi").unlink()
    fails(r"2 of 14 clips have no readable video file .*: ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c01, ", "ucf101", ucf)
    found = catalog.load("ucf101", ucf, allow_missing=True)
    assert found.excluded == tuple(f"ApplyEyeMakeup/v_ApplyEyeMakeup_g0{g}_c01" for g in (2, 3))
    assert found.id != whole.id
    kept = whole.table[~whole.table["clip"].isin(found.excluded)].reset_index(drop=True)
    assert found.table.equals(kept)  # the parts of the others did not move
    for path in (ucf / "UCF-101").rglob("*.avi"):
        path.unlink()
    fails("14 of 14 clips", "ucf101", ucf, allow_missing=True)


def test_id_names_the_content_not_the_place(ucf, tmp_path):
    first = catalog.load("ucf101", ucf)
    assert catalog.load("ucf101", make_ucf101(tmp_path / "copy")).id == first.id
    assert re.fullmatch("[0-9a-f]{16}", first.id)
    others = {catalog.load("ucf101", ucf, k, val_fraction=v).id for k, v in ((2, 0.1), (1, 0.0), (1, 0.5))}
    touch(ucf / "UCF-101/YoYo/v_YoYo_g01_c01.avi", 99)
    assert len({first.id, catalog.load("ucf101", ucf).id, *others}) == 5


@pytest.mark.slow
def test_official_counts(real_data, tmp_path):
    """All 13,320 and 6,766 names as empty files, so that nothing is missing."""
    for dataset, used in (("ucf101", 13320), ("hmdb51", 5100)):
        videos, lists = annotations.LAYOUTS[dataset]
        root = tmp_path / dataset
        (root / videos).mkdir(parents=True)
        (root / lists).symlink_to(real_data / dataset / lists)
        named = annotations.DATASETS[dataset](root, 1)[1]
        assert len(named) == (13320 if dataset == "ucf101" else 6766)
        for clip in named:
            clip.path.parent.mkdir(exist_ok=True)
            clip.path.touch()
        for k in (1, 2, 3):
            found = catalog.load(dataset, root, k)
            official, count, val = catalog.OFFICIAL[dataset][k], parts(found), found.part("val")
            assert len(found.table) == used
            assert (count["train"] + count["val"], count["test"]) == (official["train"], official["test"])
            assert len(found.classes) == official["classes"]
            assert val["class"].value_counts().max() <= 20  # of 70 and more: no source of half a class moves
            assert count["val"] == pytest.approx(0.1 * official["train"], abs=8)
            assert set(val["class"]) == set(found.part("train")["class"]) == set(found.classes)
            assert not set(val["group"]) & set(found.part("train")["group"])


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "clips"), [("ucf101", 4), ("hmdb51", 2)])
@pytest.mark.parametrize("split", [1, 2, 3])
def test_real_clips_with_the_official_lists(real_data, dataset, clips, split):
    fails("clips have no readable video file", dataset, real_data / dataset, split)
    found = catalog.load(dataset, real_data / dataset, split, allow_missing=True)
    assert len(found.table) + len(found.excluded) == (13320 if dataset == "ucf101" else 5100)
    assert len(found.table) == clips
    assert found.classes[-1] == ("YoYo" if dataset == "ucf101" else "wave")
    if dataset == "ucf101":  # in the order of classInd.txt, which is not quite alphabetical
        assert found.classes[34:36] == ("Hammering", "HammerThrow")
    else:
        assert found.classes == tuple(sorted(found.classes))


# HMDB51 and the embedded set


def test_hmdb51_layout(tmp_path):
    found = catalog.load("synthetic", make_hmdb51(tmp_path), val_fraction=0.34)
    assert found.classes == ("brush_hair", "wave")
    assert parts(found) == {"train": 8, "val": 4, "test": 4}  # the unused ones are not in it, nor on the disk
    assert set(found.table["group"]) == {"Ab", "B[!]c", "D d", "T"}
    assert found.part("val")["group"].nunique() == 1  # one source, of both classes
    assert found.table.set_index("clip").loc["wave/D d_wave_f_cm_np1_fr_med_0", "label"] == 1


def test_hmdb51_counts_are_official(tmp_path):
    fails(
        r"'classes': 2.*official ones give \{'train': 3570, 'test': 1530, 'unused': 1666",
        "hmdb51",
        make_hmdb51(tmp_path),
    )


@pytest.mark.parametrize(
    "line", ["a_wave_b.avi 3", "a_wave_b.avi", "1", "../a_wave_b.avi 1", "a_wave_b.txt 1", "a\\b.avi 2"]
)
def test_hmdb51_bad_lines(tmp_path, line):
    path = make_hmdb51(tmp_path) / "testTrainMulti_7030_splits" / "wave_test_split1.txt"
    path.write_text(path.read_text() + line + "\n")
    fails(r"wave_test_split1.txt:11: .* is not 'name.avi ID'", "synthetic", tmp_path)


def test_hmdb51_list_with_a_nul_byte(tmp_path):
    path = make_hmdb51(tmp_path) / "testTrainMulti_7030_splits" / "wave_test_split1.txt"
    path.write_text(path.read_text() + "a\0b.avi 1\n")
    fails(r"wave_test_split1.txt:11: not a text file \(a NUL byte\); fetch", "synthetic", tmp_path)


def test_hmdb51_a_clip_twice_and_a_split_that_is_absent(tmp_path):
    path = make_hmdb51(tmp_path) / "testTrainMulti_7030_splits" / "wave_test_split1.txt"
    fails("there is no split 2; there are 1", "synthetic", tmp_path, 2)
    path.write_text(path.read_text() + "T_wave_f_cm_np1_fr_med_0.avi 1\n")
    fails(
        "split1.txt:11: clip wave/T_wave_f_cm_np1_fr_med_0 is there already, at .*split1.txt:7", "synthetic", tmp_path
    )


def test_a_file_name_without_its_class_is_its_own_source(tmp_path):
    path = make_hmdb51(tmp_path) / "testTrainMulti_7030_splits" / "wave_test_split1.txt"
    path.write_text(path.read_text() + "odd.avi\t1\n")
    touch(tmp_path / "hmdb51_org/wave/odd.avi")
    assert catalog.load("synthetic", tmp_path).table.set_index("clip").loc["wave/odd", "group"] == "odd"


# Folders


def test_folder_leaves_groups_out(tmp_path):
    root, left_out = make_folder(tmp_path), []
    touch(root / "README.md")
    touch(root / "run" / ".DS_Store")
    for k in (1, 2, 3):
        found = catalog.load("folder", root, k, group="^(?P<group>[a-z])_")
        assert parts(found) == {"train": 6, "val": 2, "test": 4}
        groups = [set(found.part(part)["group"]) for part in catalog.PARTS]
        assert len(set.union(*groups)) == sum(map(len, groups)) == 6
        left_out += sorted(groups[-1])
    assert sorted(left_out) == list("abcdef")
    assert found.classes == ("run", "walk")
    assert set(found.table["clip"]) == {f"{c}/{a}_{c}" for c in ("run", "walk") for a in "abcdef"}


def test_folder_without_an_expression_splits_clips(tmp_path):
    found = catalog.load("folder", make_folder(tmp_path), 2, folds=6, val_fraction=0.2)
    assert parts(found) == {"train": 8, "val": 2, "test": 2}
    assert list(found.table["group"]) == list(found.table["clip"])
    assert set(found.part("val")["class"]) == {"run", "walk"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "("}, r"group '\(' is not a regular expression"),
        ({"group": "^([a-z])_"}, r"has no '\(\?P<group>...\)' part"),
        ({"group": "^(?P<group>[b-f])_"}, r"finds no group in the file name of .*a_run.MP4"),
        ({"group": "^(?P<group>[a-z])_", "folds": 7}, r"6 groups \(a, b, c, d, e, f\) do not fill 7 folds"),
        ({"folds": 1}, "folds is 1; give a whole number, at least 2"),
        ({"split": 0}, "there is no split 0; there are 1, 2, 3"),
        ({"split": True}, "there is no split True"),
        ({"val_fraction": 1}, "val_fraction is 1"),
        ({"val_fraction": float("nan")}, "val_fraction is nan"),
        ({"group": "_(?P<group>[a-z]+)[.]", "folds": 2}, "split 1 of 2 leaves no training clip of run"),
        ({"group": "^(?P<group>[ab]|.)", "folds": 2, "actors": "ab"}, "no validation part can be carved from 2"),
    ],
)
def test_folder_options(tmp_path, options, message):
    root = make_folder(tmp_path, options.pop("actors", "abcdef"))
    fails(message, "folder", root, **options)


EXPRESSION = "^(?P<group>[a-z])_"


def groups_tested(root, **options):
    return sorted(set(catalog.load("folder", root, val_fraction=0, **options).part("test")["group"]))


def test_all_folds_leave_each_group_out_once(tmp_path):
    root = make_folder(tmp_path)
    found = [catalog.load("folder", root, k, group=EXPRESSION, folds="all", val_fraction=0) for k in range(1, 7)]
    assert [sorted(set(each.part("test")["group"])) for each in found] == [[g] for g in "abcdef"]
    assert all(parts(each) == {"train": 10, "test": 2} for each in found)
    assert len({each.id for each in found}) == 6
    options = {"group": EXPRESSION, "folds": "all"}
    fails(r"in 6 folds: there is no split 7; there are 1, 2, 3, 4, 5, 6$", "folder", root, 7, **options)
    fails("1 groups .* do not fill 2 folds", "folder", root, group=".(?P<group>_)", folds="all")


def test_test_groups_are_left_out_by_name(tmp_path):
    root = make_folder(tmp_path)
    assert groups_tested(root, group=EXPRESSION, test_groups=("b", "e")) == ["b", "e"]
    fails(
        "unknown group in test_groups.* 'x'.*known: a, b, c", "folder", root, group=EXPRESSION, test_groups=("a", "x")
    )
    every = tuple("abcdef")
    fails(
        "the test part a, b.*leaves no training clip of run, walk", "folder", root, group=EXPRESSION, test_groups=every
    )
    (root / "run" / "a_run.MP4").rename(root / "run" / "b_run2.MP4")
    (root / "run" / "b_run.MP4").unlink()
    assert groups_tested(root, group=EXPRESSION, test_groups=("b",)) == ["b"]


def test_groups_from_a_list_are_those_of_an_expression(tmp_path):
    root = make_folder(tmp_path)
    (root / "actors.csv").write_text(
        "\ufeffgroup, clip\r\n" + "".join(f"{a}, run/{a}_run.MP4\r\n{a}, walk/{a}_walk\r\n" for a in "abcdefx")
    )
    listed, found = (catalog.load("folder", root, group=group) for group in ("actors.csv", EXPRESSION))
    assert listed.id == found.id
    assert listed.table.equals(found.table)
    text = (root / "actors.csv").read_text()
    (root / "actors.csv").write_text(text.replace("c, run", "d, run"))
    assert catalog.load("folder", root, group="actors.csv").id != found.id  # its content counts, its name does not


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"actors\.csv: no such list of groups; a CSV that `group` names lies beside the class folders"),
        ("", r"the first line is '', but must name clip and group"),
        ("run/a_run,a\n", r"the first line is 'run/a_run,a', but must name clip and group"),
        ("clip,group\nrun/a_run,a\n", r"no line names the group of the clip run/b_run; add it"),
        ("clip,group\nrun/a_run,a\nrun/a_run.mp4,b\n", r"actors\.csv:3: clip run/a_run is there already, at .*csv:2"),
        ("clip,group\nrun/a_run,\n", r"actors\.csv:2: clip 'run/a_run', group ''; a line names both"),
        ("clip,group\nrun/a_run,a\nrun/b_run," + "b" * 200_000, r"actors\.csv:3: not CSV \(field larger than"),
        ("clip,group\nrun/a_run\n", r"actors\.csv:2: clip 'run/a_run', group ''; a line names both"),
    ],
)
def test_lists_of_groups_that_cannot_be_read(tmp_path, text, message):
    root = make_folder(tmp_path)
    if text is not None:
        (root / "actors.csv").write_text(text)
    fails(message, "folder", root, group="actors.csv")


def test_every_clip_of_a_folder_needs_no_split(tmp_path):
    root = make_folder(tmp_path, actors="ab")
    touch(root / "jump" / "a_jump.avi")  # one clip: some fold has none to train on
    data = Data("folder", "x", root=str(root), group="(?P<group>nowhere)")
    fails("do not fill 7 folds", "folder", root, folds=7)
    fails("leaves no training clip of jump", "folder", root, 1)
    found = catalog.every_clip(data)
    assert found["clip"].tolist() == ["jump/a_jump", "run/a_run", "run/b_run", "walk/a_walk", "walk/b_walk"]
    assert found["path"][0] == str(root / "jump" / "a_jump.avi")


def test_every_clip_of_official_lists_is_that_of_all_splits(ucf):
    whole = catalog.load("ucf101", ucf, val_fraction=0).table
    assert catalog.every_clip(Data("ucf101", root=str(ucf)))["clip"].tolist() == whole["clip"].tolist()


def test_a_name_that_is_not_utf8_is_listed_among_the_folds(tmp_path, capsys):
    root = make_folder(tmp_path, actors="ab")
    for cls in ("run", "walk"):
        with open(os.fsencode(root / cls) + b"/caf\xe9.avi", "wb"):
            pass
    folds(root)
    assert r"run/caf\udce9" in capsys.readouterr().out.encode().decode()  # a terminal can show it


def test_a_folder_that_cannot_be_read_is_one_error(tmp_path, monkeypatch):
    root = make_folder(tmp_path)

    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    fails(f"{root}: cannot be read .Permission denied.; make it readable", "folder", root)
    with pytest.raises(ReproError, match=f"{root}: cannot be read"):
        catalog.every_clip(Data("folder", "x", root=str(root)))


def test_the_command_lists_the_folds_and_how_to_ask_for_them(tmp_path, capsys):
    root = make_folder(tmp_path / "my videos", actors="abc")
    touch(root / "jump" / "b_jump.avi")
    folds(root, EXPRESSION)
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["split", "leaves", "out", "test", "clips", "no", "training", "clip", "of"]
    assert [row.split() for row in rows] == [["1", "a", "2"], ["2", "b", "3", "jump"], ["3", "c", "2"]]
    words = shlex.split(last)
    given = dict(zip(words[1::3], words[2::3], strict=True))
    assert words[::3] == ["-p"] * 5
    found = Parameters(**given)
    assert (found.folds, found.splits, found.group, found.root) == ("all", (1, 3), EXPRESSION, str(root))
    for split in found.splits:
        catalog.load("folder", root, split, group=found.group, folds=found.folds, val_fraction=0)
    folds(root, EXPRESSION, "2")
    assert [row.split()[:3] for row in capsys.readouterr().out.splitlines()[1:3]] == [["1", "a,", "c"], ["2", "b", "3"]]


def test_folder_trees_that_are_something_else(tmp_path):
    root = make_folder(tmp_path / "set")
    fails("beside the class folders", "folder", root / "run")
    fails("2 entries that are no video files: run, walk", "folder", tmp_path)
    touch(root / "run" / "notes.txt")
    fails("run: the class folder holds 1 entries that are no video files: notes.txt", "folder", root)
    (root / "run" / "notes.txt").unlink()
    touch(root / "run" / "a_run.avi")
    fails("clip run/a_run is there already", "folder", root)
    (root / "run" / "a_run.avi").unlink()
    (root / "sit").mkdir()
    fails("sit: the class folder holds no video", "folder", root)
    fails("there is no class folder", "folder", root / "sit")
    fails("has to hold class/video files, but there is no such folder", "folder", root / "nowhere")


@pytest.mark.parametrize(
    ("name", "group", "groups"),
    [("weizmann", "^(?P<group>[a-z]+)_", 6), ("ut_interaction", "^(?P<group>seq[0-9]+)_", 10)],
)
def test_real_folders(real_data, name, group, groups):
    tested = 0
    for k in (1, 2, 3):
        found = catalog.load("folder", real_data / name, k, group=group)
        used = [set(found.part(part)["group"]) for part in catalog.PARTS]
        assert len(found.table) == 60
        assert len(set.union(*used)) == sum(map(len, used)) == groups
        assert set(found.part("train")["class"]) == set(found.classes)
        tested += len(found.part("test"))
    assert tested == 60


# All


def test_unknown_data_set_and_options_of_another(tmp_path):
    fails("unknown data set 'ucf-101'; did you mean 'ucf101'", "ucf101".replace("1", "-1", 1), tmp_path)
    fails("only 'folder' takes them", "synthetic", tmp_path, group="(?P<group>.)")
    fails("only 'folder' takes them", "ucf101", tmp_path, folds=5)


def clips(sizes):
    """sizes: (group, class) -> clips, all in training."""
    return [Clip(f"{c}/{g}{i}", None, c, g, "train") for (g, c), n in sizes.items() for i in range(n)]


def test_carving_keeps_groups_and_classes():
    sizes = {(f"{c}{g}", c): 5 for c in "xyz" for g in range(10)}
    sizes |= {("film", "x"): 2, ("film", "y"): 2, ("huge", "z"): 40}
    given = [*clips(sizes), Clip("x/t", None, "x", "x1", "test")]
    moved = catalog.carve(given, 0.1)
    assert [c._replace(part="") for c in moved] == [c._replace(part="") for c in given]
    assert moved[-1].part == "test"  # the group x1 may be in val, its test clip stays
    val = {c.group for c in moved if c.part == "val"}
    assert not val & {c.group for c in moved if c.part == "train"}
    assert "huge" not in val
    assert abs(sum(c.part == "val" for c in moved) - 19.4) < 5
    assert {c.cls for c in moved if c.part == "val"} == set("xyz")
    assert catalog.carve(given[::-1], 0.1) == moved[::-1]  # order has no say


def kept_of(sizes, each):
    """The names of the training clips that `few` leaves."""
    return {c.name for c in catalog.few(clips(sizes), each) if c.part == "train"}


def test_few_spreads_over_groups_and_shares_them():
    sizes = {(f"film{g}", c): 4 for c in "xyz" for g in range(6)}
    for each in (1, 6, 8, 12, 24):
        given = [*clips(sizes), Clip("x/t", None, "x", "film0", "test"), Clip("x/v", None, "x", "film1", "val")]
        left = catalog.few(given, each)
        assert [c for c in left if c.part != "train"] == given[-2:]  # the other parts stay
        assert left == [c for c in given if c in left]  # in order, unchanged
        train = [c for c in left if c.part == "train"]
        groups = {c: sorted(clip.group for clip in train if clip.cls == c) for c in "xyz"}
        assert {len(found) for found in groups.values()} == {each}
        assert groups["x"] == groups["y"] == groups["z"]  # classes that share groups keep the same ones
        counts = [groups["x"].count(f"film{g}") for g in range(6)]
        assert max(counts) - min(counts) <= 1
    assert catalog.few(given, 0) == given


def test_fewer_clips_are_some_of_more():
    sizes = {(f"{c}{g}", c): 1 + g % 5 for c in "xyz" for g in range(12)}
    nested = [kept_of(sizes, each) for each in range(1, 27)]
    assert all(one < other for one, other in itertools.pairwise(nested))
    assert kept_of(sizes, 8) < kept_of(sizes, 12)


def test_few_takes_large_groups_last():
    sizes = {("huge", "x"): 50, **{(f"g{i}", "x"): 2 for i in range(5)}}
    groups = [sum(name.startswith("x/huge") for name in kept_of(sizes, each)) for each in (6, 12, 16)]
    assert groups == [1, 2, 6]


def test_few_of_a_class_that_has_not_as_many_is_an_error():
    sizes = {("a", "x"): 4, ("b", "y"): 3, ("c", "z"): 9}
    with pytest.raises(ReproError, match=r"^train_per_class is 5, but x has 4; y has 3: lower it$"):
        catalog.few(clips(sizes), 5)
    assert len(kept_of(sizes, 3)) == 9


def test_a_catalog_of_few_clips(tmp_path):
    root = make_folder(tmp_path, actors="abcdefghijkl")
    options = {"group": "^(?P<group>[a-z])_", "val_fraction": 0}
    whole, eight, four = (catalog.load("folder", root, train_per_class=n, **options) for n in (0, 8, 4))
    assert parts(whole) == parts(eight) == {"train": 16, "test": 8}  # all there are
    assert eight.id == whole.id
    assert parts(four) == {"train": 8, "test": 8}
    assert four.id not in (whole.id, catalog.load("folder", root, train_per_class=3, **options).id)
    assert four.part("test").equals(whole.part("test"))
    assert set(four.part("train")["clip"]) < set(whole.part("train")["clip"])
    assert four.part("train")["class"].value_counts().to_dict() == {"run": 4, "walk": 4}
    fails("train_per_class is 9, but run has 8; walk has 8: lower it", "folder", root, train_per_class=9, **options)
    fails("train_per_class is -1", "folder", root, train_per_class=-1, **options)
    held_out = catalog.load("folder", root, val_fraction=0.25, train_per_class=2, group=options["group"])
    assert parts(held_out) == {"train": 4, "val": 4, "test": 8}  # carved first, as without a limit
    assert held_out.part("val").equals(
        catalog.load("folder", root, val_fraction=0.25, group=options["group"]).part("val")
    )


def test_few_clips_do_not_depend_on_which_files_are_missing(ucf):
    group = catalog.load("ucf101", ucf, val_fraction=0, train_per_class=1).part("train")["clip"]
    (ucf / "UCF-101" / f"{group[0]}.avi").unlink()
    found = catalog.load("ucf101", ucf, val_fraction=0, train_per_class=1, allow_missing=True)
    assert found.excluded == (group[0],)
    assert found.part("train")["clip"].tolist() == group[1:].tolist()


def test_carving_takes_one_group_at_least_and_no_class_whole():
    moved = catalog.carve(clips({("a", "x"): 4, ("b", "x"): 4, ("c", "y"): 3}), 0.01)
    assert {c.group for c in moved if c.part == "val"} in ({"a"}, {"b"})
    with pytest.raises(ReproError, match="in 1 groups: some class would lose all"):
        catalog.carve(clips({("a", "x"): 4}), 0.1)
