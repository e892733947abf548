"""One network on videos of one's own: planned, trained, asked about other videos, exported and read back."""

import csv
import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import films
import numpy as np
import pytest
import torch
from torch import nn

from repro import metrics, models, networks, records
from repro.config import Run
from repro.errors import ReproError
from repro.models.tools import checkpoints, own
from repro.parameters import Parameters
from repro.single import commands, export, fused, plan, predict, videos, weights

CLASSES = ("hug", "kick")
MINE = """
import torch
from repro.models.layers.output import Output


class Mean(torch.nn.Module):
    def __init__(self, num_classes, in_channels=3, scale=255.0):
        super().__init__()
        self.scale, self.fc = scale, torch.nn.Linear(in_channels, num_classes)

    def forward(self, clip):
        colour = clip.float().mean((2, 3, 4)) / self.scale
        return Output(self.fc(colour), colour)
"""


def planned(root: Path, system: str = "tsm", model: str = "", sets=(), **given) -> Run:
    parameters = Parameters(profile="smoke", dataset="folder", data_root=str(root), seeds=0, **given)
    return plan.plan(system, parameters, "", None, model, sets)


def finished(run: Run, recorded, scores=None) -> Run:
    """The run as if it had been made, with an untrained network and scores of two test videos."""
    recorded(run, np.log([[0.9, 0.1], [0.4, 0.6]]) if scores is None else scores, [0, 1], CLASSES)
    network = networks.build(run, CLASSES, initialise=False)
    checkpoints.save_weights(networks.weights_path(run), network, CLASSES, {"run": run.id})
    return run


@pytest.fixture
def run(home, recorded) -> Run:
    return finished(planned(home / "videos"), recorded)


# -- plans


def test_a_split_list_is_a_field_of_the_run(tmp_path):
    parameters = Parameters(profile="smoke", dataset="folder", data_root=str(tmp_path), seeds=0)
    found = plan.plan("imrs", parameters, "", tmp_path / "lists" / "a.csv", "", [])
    assert found.data.parts == found.teacher.data.parts == "a.csv"
    assert found.data.parts_file == str(tmp_path / "lists" / "a.csv")
    elsewhere = plan.plan("imrs", parameters, "", tmp_path / "a.csv", "", [])
    assert elsewhere.id == found.id != planned(tmp_path, "imrs").id
    for other in (Parameters(), dataclasses.replace(parameters, group="(?P<group>.)")):
        with pytest.raises(ReproError, match="--split lists the parts of a folder of videos"):
            plan.plan("tsm", other, "", tmp_path / "a.csv", "", [])


@pytest.fixture
def mine(tmp_path, monkeypatch) -> str:
    """A network of the user's own, in the current directory."""
    name = f"mine_{tmp_path.name}"  # a name for each test: a module is imported once
    (tmp_path / f"{name}.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return f"{name}:Mean"


def test_a_network_of_the_users_own(mine, tmp_path):
    run = planned(tmp_path, model=mine, sets=["model.arguments.scale=100.0"])
    assert run.model.arguments == {"scale": 100.0}
    assert models.build(mine, num_classes=2, **run.model.arguments).scale == 100
    with pytest.raises(ReproError, match=f"unknown argument of {mine} 'scal'; did you mean 'scale'"):
        models.check(mine, ["scal"])
    before = own.code(mine)
    Path(f"{mine.split(':')[0]}.py").write_text(MINE + "# changed\n")
    assert own.code(mine) != before == run.model.code
    with pytest.raises(ReproError, match="has changed since; take the old one back, or train again"):
        networks.build(run, CLASSES)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "nowhere:Net",
            "importing 'nowhere' fails .ModuleNotFoundError: .*run the command in the folder of nowhere.py",
        ),
        ("json:Net", "'json' has no function or class 'Net'"),
        ("tsm", "give module:function, such as mynet:MyNet"),
    ],
)
def test_a_network_that_is_not_there(name, words, tmp_path):
    with pytest.raises(ReproError, match=words):
        planned(tmp_path, model=name)


def test_a_student_keeps_its_network(mine, tmp_path):
    with pytest.raises(ReproError, match="imrs has a teacher of its own kind"):
        planned(tmp_path, "imrs", model=mine)


def test_a_logger_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(plan.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ReproError, match=r"--log tensorboard needs a package: pip install -e '\.\[tensorboard\]'"):
        plan.check_log("tensorboard")
    plan.check_log("csv")


# -- a trained network


def test_a_network_is_found_by_its_id_its_first_characters_and_its_file(run):
    for given in (run.id, run.id[:4], str(networks.weights_path(run))):
        found = weights.load(given)
        assert found.run.id == run.id
        assert found.classes == CLASSES
        assert not found.model.training
    assert weights.load(run.id).least == pytest.approx(0.6, rel=0.1)


def test_what_is_no_trained_network_is_refused(run, home, recorded):
    other = finished(planned(home / "videos", sets=["seed=1"]), recorded)
    same = next(i for i in range(13) if run.id[:i] != other.id[:i]) - 1
    with pytest.raises(ReproError, match=r"starts 2 runs|is no file, and none"):
        weights.load(run.id[:same])
    with pytest.raises(ReproError, match=r"'zzz' is no file, and none of the 2 runs in .* starts so: train one with"):
        weights.load("zzz")
    networks.weights_path(other).unlink()
    with pytest.raises(ReproError, match=r"has a record in .* but no weights; train it again"):
        weights.load(other.id)
    with pytest.raises(ReproError, match="no such file of weights"):
        weights.load(str(home / "x.pt"))
    with pytest.raises(ReproError, match=r"net.onnx: give a run's id, its weights.pt or a .safetensors file"):
        weights.load("net.onnx")
    moved = shutil.copy(networks.weights_path(run), home / "weights.pt")
    with pytest.raises(ReproError, match=r"no record.json beside it"):
        weights.load(str(moved))
    with pytest.raises(ReproError, match="has the network tsm, and --model is a:b; leave out --model"):
        weights.load(run.id, "a:b")


def test_a_network_of_the_users_own_is_imported_only_when_it_is_named(mine, home, recorded):
    run = finished(planned(home / "videos", model=mine), recorded)
    with pytest.raises(ReproError, match=f"say that you trust it: --model {mine}"):
        weights.load(run.id)
    assert isinstance(weights.load(run.id, mine).model, nn.Module)


def test_the_rule_for_none_of_these():
    best = np.linspace(0.5, 0.99, 40)
    scores = np.log(np.stack([best, 1 - best], axis=1))
    step = np.exp(-1 / metrics.STEPS)
    assert metrics.accepted(scores, 0.95) == pytest.approx(best[2] * step)  # two of forty may stay below
    assert metrics.accepted(scores[:19], 0.95) == pytest.approx(best[0] * step)  # of nineteen, none
    rounded = metrics.rounded(scores)
    assert (best >= metrics.accepted(rounded, 0.95)).mean() >= 0.95


# -- videos


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two videos, one that is none, and files beside them."""
    root = tmp_path / "new"
    films.write_video(root / "a.avi", 8, seed=1)
    films.write_video(root / "sub" / "b.AVI".lower(), 8, seed=2)
    (root / "sub" / "broken.mp4").write_bytes(b"no video")
    (root / "notes.txt").write_text("x")
    (root / "list.csv").write_text("path,remark\nsub/b.avi,x\na.avi,\n")
    return root


def test_videos_of_a_file_a_folder_and_a_list(folder):
    assert videos.found(folder / "a.avi")[1]["clip"].tolist() == ["a"]
    root, table = videos.found(folder)
    assert root == folder
    assert table["name"].tolist() == ["a.avi", "sub/b.avi", "sub/broken.mp4"]
    assert table["clip"].tolist() == ["a", "sub/b", "sub/broken"]
    assert videos.found(folder / "list.csv")[1]["name"].tolist() == ["sub/b.avi", "a.avi"]
    (folder / "a.mp4").write_bytes(b"x")
    assert videos.found(folder)[1]["clip"].tolist()[:2] == ["a.avi", "a.mp4"]  # not two of one name
    frames = folder / "frames"
    frames.mkdir()
    (frames / "00001.jpg").write_bytes(b"x")
    assert videos.found(frames)[1]["path"].tolist() == [str(frames)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file\na.avi\n", ":1: no column 'path'"),
        ("path\n../a.avi\n", ":2: path '../a.avi'; give one relative to the folder of the videos"),
        ("path\na.avi\na.avi\n", ":3: clip a.avi is there already, at .*:2"),
        ("path\n", "names no video"),
    ],
)
def test_a_list_of_videos_that_is_wrong(tmp_path, text, words):
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(ReproError, match=words):
        videos.found(tmp_path / "list.csv")
    with pytest.raises(ReproError, match="no such file or folder"):
        videos.found(tmp_path / "nothing")
    with pytest.raises(ReproError, match="so --root is for one"):
        videos.found(tmp_path / "nothing", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReproError, match="no video in it; videos end in"):
        videos.found(tmp_path / "empty")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_predictions_and_a_file_that_is_no_video(run, folder, capsys, tmp_path):
    with pytest.raises(ReproError, match=r"^1 of 3 videos could not be read, see above; the others are predicted"):
        commands.predict(run.id, folder, jobs=1, device="cpu")
    out, err = capsys.readouterr()
    assert "sub/broken.mp4: not a video" in err
    assert "2 of 3 videos predicted; none of these is the answer where the highest probability is below 0.5" in err
    found = rows(out)
    assert [row["path"] for row in found] == ["a.avi", "sub/b.avi"]
    for row in found:
        p = [float(row[name]) for name in CLASSES]
        assert sum(p) == pytest.approx(1, abs=2e-6)
        assert row["prediction"] == CLASSES[int(np.argmax(p))]
        assert row["none_of_these"] == ("yes" if max(p) < weights.load(run.id).least else "no")
    assert len({row["hug"] for row in found}) == 2  # of two videos
    target = tmp_path / "scores.csv"
    listed = shutil.move(folder / "list.csv", tmp_path / "list.csv")
    commands.predict(run.id, listed, folder, target, jobs=1, device="cpu")
    assert {row["path"]: row for row in rows(target.read_text())} == {row["path"]: row for row in found}


# -- two networks


@pytest.fixture
def other(run, recorded) -> Run:
    """Another seed of the run, which is right on both test videos, too."""
    return finished(dataclasses.replace(run, seed=1), recorded, np.log([[0.6, 0.4], [0.2, 0.8]]))


def test_two_networks_are_averaged(run, other, folder, capsys):
    probabilities = []
    for more in ({}, {"weights": other.id}, {"fuse": (other.id,), "shares": (1.0, 3.0)}):
        commands.predict(more.pop("weights", run.id), folder / "list.csv", jobs=1, device="cpu", **more)
        out, err = capsys.readouterr()
        probabilities.append([[float(row[name]) for name in CLASSES] for row in rows(out)])
    one, two, both = np.array(probabilities)
    assert not np.allclose(one, two)
    assert both == pytest.approx((one + 3 * two) / 4, abs=2e-6)
    assert "fused: 100.0% of the 2 test videos of the runs" in err
    assert "below 0.6" in err  # (0.9 + 3 * 0.6) / 4 = 0.675 and (0.6 + 3 * 0.8) / 4 = 0.75, less the rounding


def test_networks_that_do_not_fit_each_other(run, other, recorded, tmp_path):
    both = [weights.load(run.id), weights.load(other.id)]
    for shares in ((1.0,), (1.0, 2.0, 3.0), (1.0, 0.0), (1.0, -1.0), (1.0, np.nan)):
        with pytest.raises(ReproError, match=r"--shares 1.*: give 2 positive numbers, one for each network"):
            fused.fuse(both, shares)
    with pytest.raises(ReproError, match=r"has the classes kick, hug, but run .* has hug, kick"):
        fused.fuse([both[0], dataclasses.replace(both[1], classes=CLASSES[::-1])])
    with pytest.raises(ReproError, match="an exported file has no test scores"):
        fused.fuse([both[0], dataclasses.replace(both[1], record=None)])
    elsewhere = dataclasses.replace(both[1].record, clips=["x", "y"])
    with pytest.raises(ReproError, match=f"runs {run.id}, {other.id} were not tested on the same videos"):
        fused.fuse([both[0], dataclasses.replace(both[1], record=elsewhere)])


# -- exported


def test_an_exported_network_gives_the_same_scores(run, folder, capsys, tmp_path):
    pytest.importorskip("safetensors")
    target = tmp_path / "net.safetensors"
    commands.export(run.id, output=target)
    said = capsys.readouterr().out
    assert f"{target}: logits of random clips differ by 0 from the network's" in said
    for given in (run.id, str(target)):
        commands.predict(given, folder / "list.csv", jobs=1, device="cpu")
    out = capsys.readouterr().out.split("path,prediction,none_of_these,hug,kick\n")
    assert out[1] == out[2] != ""
    loaded = weights.load(str(target))
    assert (loaded.run.id, loaded.classes, loaded.tested) == (run.id, CLASSES, 2)


def test_a_damaged_or_foreign_exported_file(run, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    pytest.importorskip("safetensors.torch")
    target = tmp_path / "net.safetensors"
    export.export(weights.load(run.id), "safetensors", target)
    whole = target.read_bytes()
    target.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReproError, match=r"net.safetensors: not a safetensors file .*; export it again"):
        weights.load(str(target))
    safetensors.torch.save_file({"x": torch.zeros(1)}, target)
    with pytest.raises(ReproError, match="not a file of `python -m repro export`"):
        weights.load(str(target))
    given = weights.metadata(weights.load(run.id))
    state = weights.load(run.id).model.state_dict()
    for name, value, words in (
        ("run", "000000000000", f"the configuration of run {run.id}, but it says run 000000000000"),
        ("labels", '"hug"', "its labels are no list of names"),
        ("labels", '["hug"]', r"fc.bias is .*, but .* in this network"),
        ("config", "{}", "not the configuration of a run"),
    ):
        safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, target, {**given, name: value})
        with pytest.raises(ReproError, match=words):
            weights.load(str(target))


def test_an_export_that_computes_something_else_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setitem(export.WRITERS, "onnx", lambda network, clips, part: lambda given: torch.ones(2, 2))
    with pytest.raises(ReproError, match=r"tsm as onnx: logits differ by .* is tolerated; nothing was written"):
        export.export(weights.load(run.id), "onnx", tmp_path / "net.onnx")
    assert not list(tmp_path.glob("*.onnx"))
    with pytest.raises(ReproError, match=r"a file of onnx ends in .onnx"):
        export.export(weights.load(run.id), "onnx", tmp_path / "net.pt2")


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ReproError, match=r"this needs onnx, which is not installed: pip install -e '\.\[export\]'"):
        weights.required("onnx")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torch-export"])
@pytest.mark.parametrize(
    "system", ["imrs", "resnext3d", "tstam", "tsn", "tsn-resnet", "tsm", "smnet", "stme", "stmsa", "stddcn"]
)
def test_every_system_is_exported(home, recorded, system, form):
    pytest.importorskip("onnxscript")
    run = finished(planned(home / "videos", system), recorded)
    done = export.export(weights.load(run.id), form, home / f"net{export.ENDINGS[form]}")
    assert 0 <= done.difference <= export.TOLERANCE * done.largest
    assert done.path.stat().st_size > 1000


@pytest.mark.slow
def test_an_exported_program_takes_any_number_of_clips_and_says_what_it_is(run, tmp_path):
    onnx, onnxruntime = (pytest.importorskip(name) for name in ("onnx", "onnxruntime"))
    network = weights.load(run.id)
    clips = weights.random_clips(run, 3)
    with torch.no_grad():
        ours = network.model(clips).logits.numpy()
    export.export(network, "onnx", tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    np.testing.assert_allclose(session.run(None, {"clips": clips.numpy()})[0], ours, atol=1e-4)
    said = {each.key: each.value for each in onnx.load(tmp_path / "net.onnx").metadata_props}
    assert json.loads(said["labels"]) == list(CLASSES)
    assert "uint8 0..255, rgb" in said["input"]
    export.export(network, "torch-export", tmp_path / "net.pt2")
    extra = {"metadata.json": ""}
    with torch.no_grad():
        again = torch.export.load(tmp_path / "net.pt2", extra_files=extra).module()(clips)
    np.testing.assert_allclose(again.numpy(), ours, atol=1e-4)
    assert json.loads(extra["metadata.json"])["run"] == run.id


# -- from videos to predictions


@pytest.mark.slow
def test_a_folder_is_trained_on_and_its_test_videos_get_the_scores_of_the_record(home, capsys, mine, monkeypatch):
    root = home / "mine"
    for number in range(4):
        for i, cls in enumerate(CLASSES):
            films.write_video(root / cls / f"p{number}_{cls}.avi", 8, seed=10 * i + number)
    given = {"root": str(root), "profile": "smoke", "jobs": 1, "device": "cpu"}
    commands.train("tsm", **given, log="csv")
    out, err = capsys.readouterr()
    assert "each of 8 clips is a group of its own" in err
    assert "(4 groups: p0, p1, p2, ...)" in err
    (id,) = [line.split()[1].rstrip(":") for line in out.splitlines() if line.startswith("run ")]
    assert f"next: python -m repro predict {id} VIDEO" in out
    assert "95 % interval" in out
    record = records.read(records.path_here(id))
    (log,) = (home / "data" / "runs" / id / "csv").glob("version_*/metrics.csv")
    logged = rows(log.read_text())
    assert [float(row["loss"]) for row in logged] == pytest.approx([line["loss"] for line in record.history])
    table = videos.found(root)[1]
    table = table[table["clip"].isin(record.clips)].reset_index(drop=True)
    network = weights.load(id)
    assert predict.prepared(network, root, table, jobs=1) == {}
    found = dict(predict.scores(network, root, table, "cpu"))
    ours = metrics.rounded(np.log([found[clip] for clip in record.clips]))
    np.testing.assert_array_equal(ours, record.scores)
    # a network of the user's own, on parts that a list names
    listed = ["path,label,part"] + [
        f"{c}/p{n}_{c}.avi,{c},{'test' if n == 3 else 'train'}" for n in range(4) for c in CLASSES
    ]
    (home / "parts.csv").write_text("\n".join(listed))
    commands.train("tsm", **given, split=home / "parts.csv", model=mine, sets=("optimisation.epochs=2",))
    out, err = capsys.readouterr()
    assert "warning" not in err
    assert f"--model {mine} VIDEO" in out
    (made,) = [records.read(path) for path in (home / "data" / "runs").glob("*/record.json") if path.parent.name != id]
    assert sorted(made.clips) == ["hug/p3_hug", "kick/p3_kick"]
    assert len(made.history) == 2


def as_tsm_publishes(model: torch.nn.Module) -> dict:
    """A network's tensors by the names in TSM's public files: a convolution after a shift is conv1.net."""
    plain = {name: value for name, value in model.state_dict().items() if not name.startswith("fc.")}
    names = {name: re.sub(r"(layer\d\.\d+\.conv1)\.", r"\1.net.", name) for name in plain}
    head = {f"module.new_fc.{name}": value for name, value in model.fc.state_dict().items()}
    return {"state_dict": {f"module.base_model.{names[name]}": value for name, value in plain.items()} | head}


def test_tsm_s_public_file_is_taken_whole(tmp_path):
    torch.manual_seed(0)
    theirs, ours = (models.build("tsm", num_classes=174).eval() for _ in range(2))
    torch.save(as_tsm_publishes(theirs), tmp_path / "tsm.pth")
    assert "module.base_model.layer1.0.conv1.net.weight" in as_tsm_publishes(theirs)["state_dict"]
    report = checkpoints.load_public(ours, tmp_path / "tsm.pth")
    assert report.fresh == report.ignored == ()
    clip = torch.randint(256, (1, 3, 8, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(ours(clip).logits, theirs(clip).logits)


def test_a_public_checkpoint_is_tested_without_training(home, capsys):
    root = home / "videos"
    for number in range(2):
        for i, cls in enumerate(CLASSES):
            films.write_video(root / cls / f"p{number}.avi", 8, seed=10 * i + number)
    (root / "kick" / "p0.avi").write_bytes(b"not decoded: a training video")
    listed = [f"{c}/p{n}.avi,{c},{part}" for c in CLASSES for n, part in enumerate(("train", "test"))]
    (home / "parts.csv").write_text("\n".join(["path,label,part", *listed]))
    torch.manual_seed(3)
    network = models.build("tsm", num_classes=2, **planned(root).model.arguments).eval()
    torch.save(as_tsm_publishes(network), home / "tsm.pth")
    given = {"root": str(root), "split": home / "parts.csv", "profile": "smoke", "jobs": 1, "device": "cpu"}
    commands.evaluate("tsm", home / "tsm.pth", **given)
    out, err = capsys.readouterr()
    assert "head taken: 2 classes in both" in err
    assert "2 videos" in out
    assert "tier: " in out
    (file,) = (home / "data" / "runs").glob("*/record.json")
    record = records.read(file)
    assert record.history == []
    assert record.start == hashlib.sha256((home / "tsm.pth").read_bytes()).hexdigest()
    table = videos.found(root)[1].set_index("clip").loc[record.clips].reset_index()
    found = dict(predict.scores(weights.load(record.id), root, table, "cpu"))
    np.testing.assert_array_equal(metrics.rounded(np.log([found[clip] for clip in record.clips])), record.scores)
    trained = weights.load(record.id).model.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in network.state_dict().items())
    # another file of the same name is another result
    torch.save(as_tsm_publishes(models.build("tsm", num_classes=2, **planned(root).model.arguments)), home / "tsm.pth")
    with pytest.raises(
        ReproError, match=rf"run {record.id} .* was recorded from another file named tsm.pth than {home}"
    ):
        commands.evaluate("tsm", home / "tsm.pth", **given)
    # a file with another number of classes leaves the head untrained
    torch.save(as_tsm_publishes(models.build("tsm", num_classes=5, **planned(root).model.arguments)), home / "five.pth")
    with pytest.raises(
        ReproError, match=r"five.pth: 2 tensors of the network are not in it, first fc.weight, and nothing"
    ):
        commands.evaluate("tsm", home / "five.pth", **given)
    with pytest.raises(ReproError, match=r"Optimisation.epochs is 0, but must be at least 1 without a checkpoint"):
        planned(root, sets=["optimisation.epochs=0"])


def test_of_a_student_the_network_alone_is_tested(tmp_path):
    run = planned(tmp_path, "imrs")
    found = plan.tested(run, tmp_path / "k.pth")
    assert (found.teacher, found.start, found.objective.kind) == (None, None, "cross_entropy")
    assert (found.optimisation.epochs, found.optimisation.init) == (0, "k.pth")
    assert found.model == run.model


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("train tstm --root .", 1), ("train tsm --root . --set data.fram=3", 1), ("train tsm --root . --log cvs", 2),
        ("train tsm", 1), ("train --help", 0), ("rehearse tstm", 1), ("rehearse tsm --dataset folder", 1),
        ("rehearse --help", 0), ("predict --help", 0), ("list", 0),
    ],
)  # fmt: skip
def test_help_and_slips_do_not_wait_for_torch(command, code):
    called = [sys.executable, "-X", "importtime", "-m", "repro", *command.split()]
    done = subprocess.run(called, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "tyro" in imported
    assert not imported & {"torch", "pandas", "cv2", "matplotlib"}


def test_a_folder_that_is_not_there_is_named_with_what_it_should_hold(home):
    with pytest.raises(ReproError, match=r"/videos has to hold class/video files, but there is no such folder"):
        commands.train("tsm", root=str(home / "videos"), profile="smoke", jobs=1, device="cpu")
