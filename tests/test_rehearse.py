"""A rehearsal of the published protocol: what it plans, what it has in place of a data set, and all of it in miniature."""

import time
from types import SimpleNamespace

import pytest
import torch

from repro import networks, records
from repro.data import catalog, video
from repro.data.annotations.small import Clip
from repro.data.embedded.options import Synthetic
from repro.errors import ReproError
from repro.models import build
from repro.papers import imrs, tstam
from repro.parameters import Parameters
from repro.single import commands, plan, rehearse, standins

SPORTS = [f"sport {i:03d}" for i in range(400)]
TEMPLATES = [f"Pushing something {i}" for i in range(174)]


@pytest.fixture
def kinetics(tmp_path):
    """Lists of 400 classes with three training clips and one test clip each, in the form of Kinetics-400."""
    folder = tmp_path / "kinetics"
    folder.mkdir()
    for part, numbers in {"train": (0, 1, 2), "val": (3,)}.items():
        rows = [f"{name},{i:07d}_{k:03d},{k},{k + 10}\n" for i, name in enumerate(SPORTS) for k in numbers]
        (folder / f"{part}.csv").write_text("label,youtube_id,time_start,time_end\n" + "".join(rows))
    return folder


@pytest.fixture
def something(tmp_path, monkeypatch):
    """Lists of 174 templates in the form of Something-Something V1."""
    monkeypatch.setitem(catalog.OFFICIAL, "something_v1", {1: {"train": 348, "test": 174, "classes": 174}})
    folder = tmp_path / "something"
    folder.mkdir()
    rows = [f"{i};{TEMPLATES[i % 174]}\n" for i in range(1, 523)]
    for name, text in {"train": rows[:348], "validation": rows[348:], "labels": [f"{t}\n" for t in TEMPLATES]}.items():
        (folder / f"something-something-v1-{name}.csv").write_text("".join(text))
    return folder


def planned(system, folder, dataset="hmdb51", **given):
    parameters = plan.rehearsal(system, dataset, folder, **given)
    return parameters, plan.published(system, parameters)


# -- plans


def test_a_rehearsal_is_the_published_protocol_that_can_pose_as_no_result(tmp_path):
    parameters, (run,) = planned("imrs", tmp_path)
    assert parameters.profile == "paper"
    assert parameters.tier != "paper"
    files = {"pretrained_rgb": str(tmp_path / "random_rgb.pth"), "pretrained_flow": str(tmp_path / "random_flow.pth")}
    whole = imrs.student(Parameters("paper", "hmdb51", **files), 1, 0)
    assert whole.optimisation == run.optimisation
    assert (whole.model, whole.objective, whole.teacher.optimisation) == (
        run.model,
        run.objective,
        run.teacher.optimisation,
    )
    few = plan.rehearsed(run, 2)
    assert len({whole.id, run.id, few.id}) == 3
    for before, after in ((run, few), (run.teacher, few.teacher)):
        assert (after.optimisation.epochs, after.optimisation.batch) == (2, 2)
        assert (after.data, after.model, after.objective) == (before.data, before.model, before.objective)
        assert after.optimisation.schedule == "plateau"


def test_drops_of_the_rate_and_the_published_batch_stay(tmp_path):
    _, (run,) = planned("tsm", tmp_path)
    opt = plan.rehearsed(run, 0).optimisation
    assert (opt.steps, opt.batch, opt.epochs) == ((1,), 64, 2)


def test_two_streams_are_two_runs_and_each_has_its_start(tmp_path):
    given = tmp_path / "mine.pth"
    _, runs = planned("tstam", tmp_path, pretrained_rgb=str(given))
    assert [run.data.modality for run in runs] == ["rgb", "flow"]
    assert [run.optimisation.init_file for run in runs] == [str(given), str(tmp_path / "random_flow.pth")]
    assert set(plan.FUSED) == {"tstam", "tsn"}


def test_kinetics_is_what_the_3d_networks_start_from_so_there_they_start_from_scratch(tmp_path):
    _, (run,) = planned("imrs", tmp_path, "kinetics400")
    assert run.optimisation.init == run.teacher.optimisation.init == ""


def test_slips_are_named(home, tmp_path):
    for dataset in ("folder", "synthetic", "hmbd51"):
        with pytest.raises(ReproError, match=f"unknown data set with official lists '{dataset}'"):
            commands.rehearse("tsm", dataset)
    with pytest.raises(ReproError, match="unknown system 'tstm'; did you mean 'tstam'"):
        commands.rehearse("tstm")
    with pytest.raises(ReproError, match="--batch is -1"):
        commands.rehearse("tsm", batch=-1)
    with pytest.raises(
        ReproError, match=r"hmdb51: no folder .*/lists/testTrainMulti_7030_splits with the official lists"
    ):
        commands.rehearse("tsm", lists=tmp_path / "lists", device="cpu")
    assert not list((home / "data" / "rehearsals").glob("*/"))


# -- what it has in place of a data set


def test_lists_that_are_not_there_or_not_official_are_named(something):
    file = something / "something-something-v1-train.csv"
    text = file.read_text()
    file.unlink()
    with pytest.raises(ReproError, match=f"{file}: no such annotation file"):
        standins.parted("something_v1", something, 0.1)
    file.write_text(text.replace("348;", "9348;").rsplit("\n", 2)[0])
    with pytest.raises(ReproError, match=f"the lists below {something} give .*'train': 347"):
        standins.parted("something_v1", something, 0.1)


def test_a_handful_has_clips_of_every_part_from_many_classes(tmp_path):
    clips = [
        Clip(f"{cls}/{part}{i}", tmp_path / f"{cls}{part}{i}", cls, str(i), part)
        for cls in "abc" for part in ("train", "val", "test") for i in range(3)
    ]  # fmt: skip
    found = standins.handful(clips, {"train": 5, "val": 2, "test": 1})
    assert [clip.name for clip in found] == [
        "a/train0", "b/train0", "c/train0", "a/train1", "b/train1", "a/val0", "b/val0", "a/test0",
    ]  # fmt: skip


@pytest.mark.parametrize("dataset", ["kinetics400", "something_v1"])
def test_drawn_videos_have_the_names_of_the_lists_and_the_parts_of_a_full_run(dataset, request, tmp_path, monkeypatch):
    monkeypatch.setattr(standins, "DRAWN", Synthetic(frames=8, side=24))
    lists, root = request.getfixturevalue(dataset.split("4")[0].split("_")[0]), tmp_path / "root"
    classes, clips = standins.parted(dataset, lists, 0.1)
    chosen = standins.handful(clips, {"train": 3, "val": 2, "test": 1})
    standins.write(dataset, lists, root, chosen, jobs=1)
    found = catalog.load(dataset, root, val_fraction=0.1, allow_missing=True)
    assert list(found.classes) == classes
    assert dict(found.table[["clip", "part"]].to_numpy()) == {clip.name: clip.part for clip in chosen}
    assert len(found.excluded) == len(clips) - len(chosen)
    for path in found.table["path"]:
        frames = list(video.frames(path))
        assert 8 <= len(frames) <= 10
        assert frames[0].shape == (24, 32, 3)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.*") if not path.is_symlink()}
    standins.write(dataset, lists, root, chosen, jobs=1)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list(lists.glob("*/"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "dataset"), [("imrs", "hmdb51"), ("tstam", "ucf101"), ("stmsa", "hmdb51"), ("stddcn", "hmdb51")]
)
def test_random_weights_have_the_form_of_the_public_file(system, dataset, tmp_path, capsys):
    _, runs = planned(system, tmp_path, dataset)
    for run in [each for whole in runs for each in (*whole.needs, whole)]:
        file = tmp_path / run.optimisation.init
        standins.random_weights(run, file)
        content = torch.load(file, weights_only=True)
        if run.model.name == "resnext3d":
            assert content["arch"] == "resnext-101"
            assert content["state_dict"]["module.fc.weight"].shape == (400, 2048)
        else:
            (head,) = [value for name, value in content.items() if name in ("fc.weight", "last_linear.weight")]
            assert len(head) == 1000
        networks.build(run, ["a", "b"])
        said = capsys.readouterr().err
        assert "head fresh: 2 classes" in said
        assert "tensors taken" in said


# -- all of it


def test_phases_have_seconds_and_memory(capsys):
    with rehearse.Phases("cpu") as phases:
        kept = torch.ones(100_000_000)  # 400 MB
        time.sleep(0.3)
        del kept
        phases.done("first", "all of it")
        time.sleep(0.3)
        phases.done("second", "", until=phases.begin + 0.2)
    header, first, second = (line.split() for line in phases.table().splitlines())
    assert header[:2] == ["phase", "seconds"]
    assert float(first[1]) >= 0.3
    assert first[3:] == ["GB", "all", "of", "it"]
    assert float(first[2]) - float(second[2]) == pytest.approx(0.4, abs=0.11)
    assert second[:2] == ["second", "0.2"]
    assert capsys.readouterr().out.endswith("second: 0.2 s\n")


def test_the_folder_is_removed_at_the_end_and_named_where_a_phase_fails(home, monkeypatch, capsys):
    folder = home / "data" / "rehearsals" / "tsm-hmdb51"

    def fail(*given):
        (folder / "runs").mkdir(parents=True, exist_ok=True)
        raise error

    monkeypatch.setattr(rehearse, "_through_all", fail)
    for error in (ReproError("no memory"), OSError("its own words")):
        with pytest.raises(type(error), match=f"^{error}$"):
            commands.rehearse("tsm", device="cpu")
        assert f"not finished; what the rehearsal has written is in {folder}" in capsys.readouterr().out
    monkeypatch.setattr(rehearse, "_through_all", lambda *given: None)
    commands.rehearse("tsm", device="cpu")
    said = capsys.readouterr().out
    assert f"goes on with the rehearsal in {folder}" in said
    assert f"done, and {folder} is removed" in said
    assert not folder.exists()


@pytest.fixture
def miniature(monkeypatch, tmp_path):
    """The recipes of profile paper with small networks and clips, and a file that TSN's small network starts from."""
    monkeypatch.setattr(standins, "DRAWN", Synthetic(frames=20, side=48))
    monkeypatch.setitem(imrs.PRESETS, "paper", {"data": imrs.SMALL_CLIPS, "model": imrs.SMALL, "optimisation": {}})
    changed = tstam.PRESETS["paper"] | {"model": tstam.SMALL}
    changed["data"] = {**changed["data"], **tstam.SMALL_CLIPS, "test_frames": 4}
    monkeypatch.setitem(tstam.PRESETS, "paper", changed)
    streams = {
        name: (dict(tstam.SMALL_CLIPS), {"dropout": 0.5}, more) for name, (_, _, more) in tstam.PAPER_STREAMS.items()
    }
    for data, _, _ in streams.values():
        data.clear()
    monkeypatch.setattr(tstam, "PAPER_STREAMS", streams)
    torch.save(build("tsn", num_classes=5, **tstam.SMALL).state_dict(), tmp_path / "start.pth")
    return str(tmp_path / "start.pth")


@pytest.mark.slow
@pytest.mark.parametrize("system", ["imrs", "tsn"])
def test_every_phase_in_miniature(system, home, kinetics, miniature, capsys, monkeypatch):
    made = []
    kept = SimpleNamespace(rmtree=lambda folder: made.extend(folder.glob("runs/*/record.json")))
    monkeypatch.setattr(rehearse, "shutil", kept)
    given = {"pretrained_rgb": miniature, "pretrained_flow": miniature} if system == "tsn" else {}
    commands.rehearse(system, "kinetics400", kinetics, **given, jobs=1, device="cpu")
    out, err = capsys.readouterr()
    assert "clips: 4 train, 2 val, 2 test, in place of 1,080 train, 120 val, 400 test" in out
    assert "Traceback" not in err
    assert f"starts from {'scratch, as published' if system == 'imrs' else miniature}" in out
    table = out.split("a full run asks (arithmetic, not measured)\n")[1].splitlines()
    model, first = ("resnext3d", "flow") if system == "imrs" else ("tsn", "rgb")
    names = [
        "read the lists",
        "build networks, load their start",
        "draw videos",
        "catalog",
        "prepare: decode, flow, pack",
    ]
    for stream in (first, {"flow": "rgb", "rgb": "flow"}[first]):
        names += [f"train {model} on {stream}, killed after an epoch", f"go on with {model} on {stream}"]
        names += [f"test {model} on {stream}, record"]
    names.append("read records and weights, " + ("fuse 1 : 3" if system == "tsn" else "one network"))
    for name, line in zip(names, table, strict=False):
        assert line.startswith(name)
    asked = {
        "imrs": "80 epochs x 33 steps of 32 clips = 2,640 steps",
        "tsn": "340 epochs x 33 steps of 32 clips = 11,220",
    }
    assert asked[system] in out
    assert len(made) == 2
    for file in made:
        record = records.read(file)
        assert len(record.classes) == 400
        assert len(record.clips) == 2
        assert record.config["data"]["allow_missing"] is True
        assert len(record.history) == 2


@pytest.mark.slow
def test_a_full_size_network_on_the_official_lists(home, real_data, capsys):
    commands.rehearse("resnext3d", "hmdb51", real_data / "hmdb51", jobs=1, device="cpu")
    out, err = capsys.readouterr()
    assert "in place of 3,212 train, 358 val, 1,530 test" in out
    assert "head fresh: 51 classes, the file's 400 ignored" in err
    assert "80 epochs x 100 steps of 32 clips = 8,000 steps" in out
    assert [path.name for path in (home / "data").iterdir()] == ["rehearsals"]
    assert not list((home / "data" / "rehearsals").glob("*/"))
    assert not (home / "out").exists()
