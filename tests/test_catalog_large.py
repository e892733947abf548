"""Readers of the large data sets: official files where they are complete, invented ones for all that can be wrong."""

import json
import os
from pathlib import Path

import pytest

from repro.config import DIRECTED
from repro.data import catalog, store
from repro.data.annotations import large as annotations_large
from repro.data.prepare import prepare
from repro.data.store import Recipe
from repro.errors import ReproError

RECIPE = Recipe(side=64, flow="dis")
SMALL = {
    "something_v1": {"train": 6, "test": 2, "classes": 3},
    "something_v2": {"train": 6, "test": 2, "classes": 3},
    "diving48": {"train": 8, "test": 2, "classes": 3},
    "kinetics400": {"classes": 2},
}
TEMPLATES = ("Pushing something from right to left", "Holding something", "Pushing something from left to right")
DIVES = (
    ["Back", "15som", "05Twis", "FREE"],
    ["Back", "15som", "NoTwis", "PIKE"],
    ["Inward", "35som", "NoTwis", "TUCK"],
)
SPORTS = ("air drumming", "archery")


@pytest.fixture(autouse=True)
def small(monkeypatch, request):
    """The official counts are those of the invented files, unless a test takes the official files."""
    if "real_data" not in request.fixturenames:
        for name, counts in SMALL.items():
            monkeypatch.setitem(catalog.OFFICIAL, name, {1: counts})


def touch(path, size=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


def make_something_v1(root):
    """Training clips 1 to 6, two a class, test clips 7 and 8; two frames each."""
    rows = [f"{i};{TEMPLATES[i % 3]}\n" for i in range(1, 9)]
    for name, text in {"train": rows[:6], "validation": rows[6:], "labels": [f"{t}\n" for t in TEMPLATES]}.items():
        touch(root / f"something-something-v1-{name}.csv")
        (root / f"something-something-v1-{name}.csv").write_text("".join(text))
    for i in range(1, 9):
        for k in (1, 2):
            touch(root / "frames" / str(i) / f"{k:05d}.jpg")
    return root


def make_something_v2(root):
    """As V1; labels numbered in another order than they stand, and brackets around what varies."""
    rows = [
        {
            "id": str(i),
            "label": "x",
            "template": TEMPLATES[i % 3].replace("something", "[something]"),
            "placeholders": [],
        }
        for i in range(1, 9)
    ]
    labels = {template: str(i) for template, i in zip(TEMPLATES, (2, 0, 1), strict=True)}
    for name, content in {"train": rows[:6], "validation": rows[6:], "labels": labels}.items():
        touch(root / f"something-something-v2-{name}.json")
        (root / f"something-something-v2-{name}.json").write_text(json.dumps(content))
    for i in range(1, 9):
        touch(root / "videos" / f"{i}.webm", i)
    return root


def make_diving48(root):
    """Four recordings of two training dives each, one of two test dives; the third class has no dive."""
    names = [f"-rec_{r}_video_{k:05d}" for r in range(5) for k in (0, 1)]
    rows = [{"vid_name": name, "label": i % 2, "start_frame": 0, "end_frame": 40 + i} for i, name in enumerate(names)]
    for name, content in {"V2_train": rows[:8], "V2_test": rows[8:], "vocab": DIVES}.items():
        touch(root / f"Diving48_{name}.json")
        (root / f"Diving48_{name}.json").write_text(json.dumps(content))
    for name in names:
        touch(root / "videos" / f"{name}.mp4")
    return root


def youtube(i):
    return f"-abc_efgh{i:02d}"


def make_kinetics400(root, form="csv"):
    """Three training clips a class, one test clip; files flat, by part and by class, with and without times."""
    rows = {"train": [(youtube(i), i % 2) for i in range(6)], "val": [(youtube(i), i % 2) for i in (6, 7)]}
    (root / "videos" / "val").mkdir(parents=True)
    for part, clips in rows.items():
        if form == "csv":
            lines = [f'"{SPORTS[cls]}",{name},{9 + i},{19 + i},{part},0\n' for i, (name, cls) in enumerate(clips)]
            text = "".join(["label,youtube_id,time_start,time_end,split,is_cc\n", *lines])
            (root / f"{part}.csv").write_text(text)
        else:
            count = " 300" if form == "frames" else ""
            lines = [f"{part}/{SPORTS[cls]}/{name}{'' if count else '.mp4'}{count} {cls}\n" for name, cls in clips]
            (root / f"kinetics_{part}_list.txt").write_text("".join(lines))
            (root / "label_map_k400.txt").write_text("".join(f"{cls}\n" for cls in SPORTS))
    for i in range(8):
        times = f"_{9 + i % 6:06d}_{19 + i % 6:06d}" if form == "csv" and i % 2 else ""
        touch(root / "videos" / ("", "val", "air drumming")[i % 3] / f"{youtube(i)}{times}.{('mp4', 'mkv')[i % 2]}")
    return root


MAKE = {
    "something_v1": make_something_v1,
    "something_v2": make_something_v2,
    "diving48": make_diving48,
    "kinetics400": make_kinetics400,
}


def fails(message, *args, **options):
    with pytest.raises(ReproError, match=message):
        catalog.load(*args, **options)


def rewrite(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


# All of them


@pytest.mark.parametrize("name", MAKE)
def test_what_they_share(name, tmp_path):
    root = MAKE[name](tmp_path / "a")
    found = catalog.load(name, root, val_fraction=0.3)
    count = found.table["part"].value_counts().to_dict()
    assert list(found.table.columns) == ["clip", "path", "label", "class", "group", "part"]
    assert found.table["clip"].is_unique
    assert count["test"] == 2
    assert count["train"] + count["val"] == (8 if name == "diving48" else 6)
    assert not set(found.part("val")["group"]) & set(found.part("train")["group"])
    assert found.table["clip"].tolist() == [
        f"{cls}/{clip.split('/')[1]}" for clip, cls in zip(found.table["clip"], found.table["class"], strict=True)
    ]
    assert [found.classes[label] for label in found.table["label"]] == found.table["class"].tolist()
    assert all(os.path.exists(path) and path.startswith(f"{root}/") for path in found.table["path"])
    assert catalog.load(name, MAKE[name](tmp_path / "b"), val_fraction=0.3).id == found.id
    fails("there is no split 2; there are 1", name, root, 2)
    fails("only 'folder' takes them", name, root, folds=4)
    fails("only 'folder' takes them", name, root, test_groups=("a",))


@pytest.mark.parametrize("name", MAKE)
def test_missing_clips_are_one_error_or_exclusions(name, tmp_path):
    root = MAKE[name](tmp_path)
    whole = catalog.load(name, root)
    for path in whole.table["path"][:2]:
        if os.path.isdir(path):
            for file in os.listdir(path):
                os.remove(os.path.join(path, file))
        else:
            os.remove(path)
    fails(rf"{name} split 1: 2 of \d+ clips have no readable video file", name, root)
    found = catalog.load(name, root, allow_missing=True)
    assert found.excluded == tuple(whole.table["clip"][:2])
    assert found.table.equals(whole.table.iloc[2:].reset_index(drop=True))
    assert found.id != whole.id


@pytest.mark.parametrize("name", MAKE)
def test_folders_and_annotation_files_that_are_absent(name, tmp_path):
    fails(
        rf"{name}: the data root .* has to hold \w+/ \(.*\) and ./ \(.*\), but there is no such folder",
        name,
        tmp_path / "x",
    )
    root = MAKE[name](tmp_path / "set")
    for path in sorted(path for path in root.iterdir() if path.is_file()):
        text = path.read_bytes()
        path.unlink()
        fails("no such annotation file|but neither is there", name, root)
        path.write_bytes(b"\xff\xfe\x00")
        fails(f"{path.name}: not a text file", name, root)
        path.write_bytes(text)
    catalog.load(name, root)


@pytest.mark.parametrize("name", ["something_v1", "something_v2", "diving48"])
def test_counts_are_those_published(name, tmp_path, monkeypatch):
    root = MAKE[name](tmp_path)
    monkeypatch.undo()
    fails(r"'classes': 3\}, the official ones give \{'train': \d{5,6}, 'test': \d{4,5}, 'classes'", name, root)


def test_directed_data_sets_are_data_sets():
    assert set(DIRECTED) < set(catalog.DATASETS)


# Something-Something


@pytest.mark.parametrize("name", ["something_v1", "something_v2"])
def test_something_in_one_label_order(name, tmp_path):
    found = catalog.load(name, MAKE[name](tmp_path), val_fraction=0)
    assert found.classes == tuple(sorted(TEMPLATES))
    row = found.table.iloc[0].to_dict()
    where = "frames/1" if name == "something_v1" else "videos/1.webm"
    assert row == {
        "clip": "Holding something/1",
        "path": str(tmp_path / where),
        "label": 0,
        "class": "Holding something",
        "group": "1",
        "part": "train",
    }
    assert found.part("test")["clip"].tolist() == [f"{TEMPLATES[1]}/7", f"{TEMPLATES[2]}/8"]


def test_v1_labels_do_not_depend_on_the_order_of_the_file(tmp_path):
    first = catalog.load("something_v1", make_something_v1(tmp_path))
    (tmp_path / "something-something-v1-labels.csv").write_text("\r\n".join(TEMPLATES[::-1]))
    assert catalog.load("something_v1", tmp_path).id == first.id


def test_v1_id_sees_the_number_of_frames(tmp_path):
    first = catalog.load("something_v1", make_something_v1(tmp_path))
    touch(tmp_path / "frames/3/.DS_Store")
    assert catalog.load("something_v1", tmp_path).id == first.id
    touch(tmp_path / "frames/3/00003.jpg")
    assert catalog.load("something_v1", tmp_path).id != first.id


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("9;Holding something", r"'train': 7, .* official ones give .*'train': 6"),
        ("9;Holding [something]", "train.csv:7: '9;Holding .* is not 'id;template'"),
        ("9", "train.csv:7: '9' is not"),
        ("../9;Holding something", "train.csv:7: '../9;.* is not"),
        ("/9;Holding something", "train.csv:7: '/9;.* is not"),
        (";Holding something", "train.csv:7: ';Hold.* is not"),
        ("5;Holding something", "train.csv:7: clip 5 is there already, at .*train.csv:5"),
        ("8;Holding something", "validation.csv:2: clip 8 is there already, at .*train.csv:7"),
    ],
)
def test_v1_bad_lines(tmp_path, line, message):
    with open(make_something_v1(tmp_path) / "something-something-v1-train.csv", "a") as file:
        file.write(line)
    fails(message, "something_v1", tmp_path)


@pytest.mark.parametrize("name", ["Holding something", "../x", "a\\b", "..", "a\x01b"])
def test_class_names_are_plain_and_there_once(tmp_path, name):
    with open(make_something_v1(tmp_path) / "something-something-v1-labels.csv", "a") as file:
        file.write(name)
    fails("labels.csv:4: class .* is there twice, or is no plain name", "something_v1", tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("train", "[{", "{", r"train.json:1: not JSON \(.*\); fetch"),
        (
            "train",
            '"id": "3", ',
            "",
            r"train.json: entry 3 is not an object with id \(str\), template \(str\): {'label",
        ),
        ("train", '"3"', "3", "train.json: entry 3 is not an object"),
        ("train", '"3"', '"../3"', r"train.json: entry 3: id '../3' or template"),
        ("train", '"3"', '"5"', "train.json: entry 5: clip 5 is there already, at .*train.json: entry 3"),
        ("validation", '"7"', '"1"', "validation.json: entry 1: clip 1 is there already, at .*train.json: entry 1"),
        (
            "validation",
            "Holding",
            "Folding",
            "validation.json: entry 1: id '7' or template 'Folding something' is none of",
        ),
        ("labels", '"2"', '"3"', "labels.json: the labels are not numbered 0, 1, ... each once"),
        ("labels", '"2"', '"1"', "labels.json: the labels are not numbered 0, 1, ... each once"),
        ("labels", "Holding", "../Holding", "labels.json: class '../Holding something' is .* no plain name"),
    ],
)
def test_v2_bad_json(tmp_path, file, old, new, message):
    rewrite(make_something_v2(tmp_path) / f"something-something-v2-{file}.json", old, new)
    fails(message, "something_v2", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", " holds a dict, not a list"),
        ("[3]", " entry 1 is not an object"),
        ("[" * 100_000, " not JSON of this kind .*recursion"),
        ("[" + "1" * 5000 + "]", " not JSON of this kind .*digits"),
        ("[\0]", "1: not a text file .a NUL byte."),
    ],
    ids=lambda text: text[:20],
)
def test_json_of_another_kind(tmp_path, text, message):
    (make_something_v2(tmp_path) / "something-something-v2-train.json").write_text(text)
    fails(f"train.json:{message}", "something_v2", tmp_path)


# Diving48


def test_diving48_groups_are_recordings_and_classes_the_vocabulary(tmp_path):
    found = catalog.load("diving48", make_diving48(tmp_path), val_fraction=0.25)
    assert found.classes == tuple(" ".join(words) for words in DIVES)  # the third, without dives, keeps its label
    assert found.table["group"].unique().tolist() == [f"-rec_{r}_video" for r in range(5)]
    assert len(found.part("val")) == 2
    assert found.part("val")["group"].nunique() == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"label": 1', '"label": 3', "entry 2: .* is not a dive"),
        ('"label": 1', '"label": -1', "entry 2: .* is not a dive"),
        ('"label": 1', '"label": true', "entry 2 is not an object with vid_name"),
        ('"start_frame": 0', '"start_frame": 7', "entry 1: .* is not a dive: .*start_frame 0"),
        ('"-rec_0_video_00001"', '"../c_00001"', "entry 2: .*'../c_00001'.* is not a dive"),
        ('"-rec_0_video_00001"', '"-rec_0_video_00000"', "entry 2: clip -rec_0_video_00000 is there already"),
        (
            '"-rec_0_video_00001"',
            '"-rec_4_video_00000"',
            "V2_test.json: entry 1: clip -rec_4_video_00000 is there already",
        ),
    ],
)
def test_diving48_bad_entries(tmp_path, old, new, message):
    rewrite(make_diving48(tmp_path) / "Diving48_V2_train.json", old, new)
    fails(message, "diving48", tmp_path)


def test_diving48_bad_vocabulary(tmp_path):
    vocabulary = make_diving48(tmp_path) / "Diving48_vocab.json"
    rewrite(vocabulary, '"TUCK"', "3")
    fails("vocab.json: the entries are not lists of words", "diving48", tmp_path)


# Kinetics-400


@pytest.mark.parametrize("form", ["csv", "frames", "plain"])
def test_kinetics_forms_and_places(tmp_path, form):
    found = catalog.load("kinetics400", make_kinetics400(tmp_path, form), val_fraction=0)
    assert found.classes == SPORTS
    times = "_000010_000020" if form == "csv" else ""
    row = found.table.set_index("group").loc[youtube(1)].to_dict()
    assert row == {
        "clip": f"archery/{youtube(1)}{times}",
        "path": str(tmp_path / f"videos/val/{youtube(1)}{times}.mkv"),
        "label": 1,
        "class": "archery",
        "part": "train",
    }
    assert found.part("test")["group"].tolist() == [youtube(6), youtube(7)]


def test_kinetics_validate_csv_and_two_forms_at_once(tmp_path):
    first = catalog.load("kinetics400", make_kinetics400(tmp_path))
    (tmp_path / "val.csv").rename(tmp_path / "validate.csv")
    assert catalog.load("kinetics400", tmp_path).id == first.id
    touch(tmp_path / "kinetics_train_list.txt")
    fails("read from train.csv or from kinetics_train_list.txt, but both are there", "kinetics400", tmp_path)


def test_kinetics_lists_whose_last_column_is_the_length(tmp_path):
    """MARS writes 'path label frames'; with short videos every length looks like a label."""
    make_kinetics400(tmp_path, "frames")
    rows = [f"train/{youtube(i)} {i % 2} 1\n" for i in range(6)]
    (tmp_path / "kinetics_train_list.txt").write_text("".join(rows))
    fails("train_list.txt: 1 classes .* no clip here: air drumming; .* 'path frames label'", "kinetics400", tmp_path)


@pytest.mark.parametrize(
    ("form", "file", "old", "new", "message"),
    [
        ("csv", "train.csv", youtube(3), "../../etc_x", "train.csv:5: no label, youtube_id"),
        ("csv", "train.csv", ",10,", ",ten,", "train.csv:3: no label, youtube_id"),
        ("csv", "train.csv", "time_start", "start", "train.csv:2: no label, youtube_id"),
        ("csv", "train.csv", "archery", "a/b", "train.csv: class 'a/b' is there twice, or is no plain name"),
        (
            "csv",
            "val.csv",
            "archery",
            "curling",
            "val.csv: 2 classes are only here, or have no clip here: archery, curl",
        ),
        (
            "csv",
            "val.csv",
            f"{youtube(6)},9,19",
            f"{youtube(0)},9,19",
            f"val.csv:2: clip {youtube(0)}_.* is there already",
        ),
        ("frames", "kinetics_val_list.txt", " 300 1", " 300 2", "val_list.txt:2: .* with a label below 2"),
        ("frames", "kinetics_val_list.txt", " 300 1", " 300 -1", "val_list.txt:2: .* is not 'path frames label'"),
        ("frames", "kinetics_val_list.txt", youtube(7), "..", "val_list.txt:2: .* is not 'path frames label'"),
        ("frames", "kinetics_val_list.txt", youtube(7), youtube(0), "val_list.txt:2: clip .* is there already"),
        ("frames", "label_map_k400.txt", "air", "zither", "label_map_k400.txt: not in alphabetical order"),
    ],
)
def test_kinetics_bad_rows(tmp_path, form, file, old, new, message):
    rewrite(make_kinetics400(tmp_path, form) / file, old, new)
    fails(message, "kinetics400", tmp_path)


def test_kinetics_paths_in_lists_do_not_lead_out(tmp_path):
    rewrite(make_kinetics400(tmp_path, "frames") / "kinetics_val_list.txt", "val/archery/", "../../")
    assert catalog.load("kinetics400", tmp_path).part("test")["path"][1].startswith(f"{tmp_path}/videos/")


def test_kinetics_two_files_of_one_name(tmp_path):
    touch(make_kinetics400(tmp_path) / f"videos/val/{youtube(0)}.webm")
    fails(rf"{youtube(0)}\.\w+ and .*{youtube(0)}\.\w+ have one name", "kinetics400", tmp_path)


# Official files and real clips


def link(real, root, *names):
    root.mkdir(exist_ok=True)
    for name in names:
        (root / name).symlink_to(real / name)


@pytest.mark.slow
def test_official_something_v1(real_data):
    found = catalog.load("something_v1", real_data / "something_v1", allow_missing=True)
    assert len(found.table) + len(found.excluded) == 86017 + 11522
    assert found.table[["clip", "label", "part"]].to_numpy().tolist() == [
        ["Approaching something with your camera/79255", 0, "test"],
        ["Turning the camera right while filming something/6106", 167, "test"],
    ]
    labels = json.loads((real_data / "something_v2" / "something-something-v2-labels.json").read_text())
    assert labels == {template: str(i) for i, template in enumerate(found.classes)}  # one order for both versions


@pytest.mark.slow
def test_official_something_v2(real_data, tmp_path):
    """The official training list is not among the real files; clips of the official format stand in for it."""
    real = real_data / "something_v2"
    fails("v2-train.json: no such annotation file", "something_v2", real)
    name = "something-something-v2-{}.json".format
    link(real, tmp_path, "videos", name("labels"), name("validation"))
    templates = list(json.loads((real / name("labels")).read_text()))
    rows = [{"id": str(i), "template": templates[i].replace("something", "[something]")} for i in range(3)]
    (tmp_path / name("train")).write_text(json.dumps(rows))
    classes, clips = annotations_large.something_v2(tmp_path, 1)
    official = catalog.OFFICIAL["something_v2"][1]
    assert sum(clip.part == "test" for clip in clips) == official["test"]
    assert len(classes) == len({clip.cls for clip in clips}) == official["classes"]
    for clip, frames in zip(clips[:3], (52, 53, 58), strict=True):
        assert store.pack(clip.path, tmp_path / f"{clip.name}.clip", RECIPE) == frames
        assert store.open_packed(tmp_path / f"{clip.name}.clip", RECIPE).rgb([0])[0].shape == (64, 114, 3)


@pytest.mark.slow
def test_official_diving48(real_data, tmp_path):
    link(real_data / "diving48", tmp_path, *(path.name for path in (real_data / "diving48").iterdir()))
    for name in ("-mmq0PT-u8k_00155", "8qRmKunCjtY_00016"):
        touch(tmp_path / "videos" / f"{name}.mp4")
    found = catalog.load("diving48", tmp_path, allow_missing=True)
    assert len(found.table) + len(found.excluded) == 15027 + 1970
    assert found.table["part"].tolist() == ["train", "test"]
    assert found.classes[:2] == ("Back 15som 05Twis FREE", "Back 15som 15Twis FREE")
    clips = catalog.carve(annotations_large.diving48(tmp_path, 1)[1], 0.1)
    groups = {part: {clip.group for clip in clips if clip.part == part} for part in catalog.PARTS}
    assert (
        len(set.union(*groups.values())) == sum(map(len, groups.values())) == 58 + 26
    )  # the official parts share none
    assert sum(clip.part == "val" for clip in clips) == pytest.approx(1503, abs=100)


@pytest.mark.slow
def test_official_kinetics400_lists(real_data, tmp_path):
    real = real_data / "kinetics400"
    fails("neither is there", "kinetics400", real)
    link(real, tmp_path, "videos", "label_map_k400.txt", "kinetics_val_list.txt")
    (tmp_path / "kinetics_train_list.txt").write_text("".join(f"train/other{i:06d} 300 {i}\n" for i in range(400)))
    found = catalog.load("kinetics400", tmp_path, val_fraction=0, allow_missing=True)
    assert len(found.excluded) == 400 + 19754 - 2
    assert found.table[["group", "label", "class"]].to_numpy().tolist() == [
        ["R6llTwEh07w", 375, "using segway"],
        ["SOX5yA1l24A", 375, "using segway"],
    ]
    for path, frames in zip(found.table["path"], (303, 332), strict=True):
        assert store.pack(Path(path), tmp_path / "a.clip", RECIPE) == frames


@pytest.mark.slow
def test_real_frame_folders_are_prepared_once(real_data, home):
    root = real_data / "something_v1"
    found = catalog.load("something_v1", root, allow_missing=True)
    first = prepare(found.table, "something_v1", root, RECIPE, jobs=1)
    assert sorted(first.made) == found.table["clip"].tolist()
    assert first.pairs == 54 + 40
    again = prepare(found.table, "something_v1", root, RECIPE, jobs=1)
    assert sorted(again.there) == found.table["clip"].tolist()
    packed = store.open_packed(store.packed_path(first.store, found.table["clip"][0]), RECIPE)
    assert packed.rgb([54])[0].shape == (64, 115, 3)
