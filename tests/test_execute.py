"""Runs, for real, on a miniature: killed, resumed, shared, distributed, failing; and what their records hold."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from repro import execute, make, metrics, networks, paths, records
from repro.config import Model, Optimisation, Run
from repro.data import catalog
from repro.data.clips import ClipDataset, batches
from repro.errors import ReproError
from repro.papers import imrs
from repro.parameters import Parameters


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One data folder with the smoke set prepared, for all tests of this module."""
    return tmp_path_factory.mktemp("execute")


@pytest.fixture
def parameters(shared, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(shared))
    monkeypatch.setenv("REPRO_OUT", str(shared / "out"))
    return Parameters(profile="smoke", jobs=1, seeds=(0,))


def with_epochs(run, epochs, seed, micro_batch=0):
    given = {"epochs": epochs, "select": "best", "schedule": "plateau", "micro_batch": micro_batch}
    opt = dataclasses.replace(run.optimisation, **given)
    return dataclasses.replace(run, optimisation=opt, seed=seed)


def comparable(record: records.Record) -> dict:
    """All that must be equal between two equal runs."""
    return {**dataclasses.asdict(record), "provenance": None, "scores": record.scores.tolist()}


@pytest.mark.slow
def test_a_student_brings_its_teacher_and_both_leave_whole_records(parameters):
    run = imrs.student(parameters, 1, 0)
    (record,) = execute.execute([run], jobs=1)
    teacher = records.read(records.path_here(run.teacher.id))
    assert record.config["teacher"]["data"]["modality"] == "flow"
    assert set(record.history[0]) >= {"epoch", "lr", "loss", "cross_entropy", "feature", "kl", "clip_top1", "val_loss"}
    line = record.history[0]
    assert line["loss"] == pytest.approx(line["cross_entropy"] + 50 * line["feature"] + 200 * line["kl"], rel=1e-4)
    assert set(record.metrics) == {"clip_top1", "video_top1", "video_top5", "mean_class", "per_class"}
    assert record.scores.shape == (len(record.clips), len(record.classes)) == (24, 12)
    assert metrics.top(record.scores, np.array(record.labels)) == record.metrics["video_top1"]
    assert {"versions", "machine", "git", "seconds", "date"} <= set(record.provenance)
    assert record.clips == teacher.clips
    before = records.path_here(run.id).stat().st_mtime_ns
    execute.execute([run, run.teacher], jobs=1)
    assert records.path_here(run.id).stat().st_mtime_ns == before  # recorded runs are skipped


def test_levels_put_teachers_first_and_every_run_once(parameters):
    a, b = imrs.student(parameters, 1, 0), imrs.student(parameters, 1, 0, 1, 1)
    first, second = execute.levels([a, b, a])
    assert [run.id for run in first] == [a.teacher.id]
    assert [run.id for run in second] == [a.id, b.id]


SCRIPT = """
import sys, dataclasses
from repro import make
from repro.papers import imrs
from repro.parameters import Parameters
run = imrs.single(Parameters(profile="smoke", jobs=1, seeds=(0,)), 1, 0)
epochs, seed, micro_batch = map(int, sys.argv[1:])
given = {"epochs": epochs, "select": "best", "schedule": "plateau", "micro_batch": micro_batch}
run = dataclasses.replace(run, optimisation=dataclasses.replace(run.optimisation, **given), seed=seed)
print(run.id, flush=True)
make.make(run)
"""


def start(shared, *arguments, launcher=()):
    script = shared / "script.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, *launcher, str(script), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=paths.ROOT,
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_killed_in_mid_training_resumes_and_ends_bit_for_bit_the_same(parameters, shared):
    run = with_epochs(imrs.single(parameters, 1, 0), 12, seed=1)
    whole = make.make(run)
    kept = {k: v.clone() for k, v in networks.trained(run).state_dict().items()}
    for file in (paths.runs() / run.id).iterdir():
        file.unlink()
    process = start(shared, 12, 1, 0)
    log = paths.runs() / run.id / "log.txt"
    deadline = time.time() + 120
    while time.time() < deadline and not (log.exists() and "epoch 4," in log.read_text()):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.communicate()[0].strip() == run.id
    assert not records.path_here(run.id).exists()
    resumed = make.make(run)
    assert "goes on after epoch" in log.read_text()
    assert comparable(resumed) == comparable(whole)
    for name, value in networks.trained(run).state_dict().items():
        assert torch.equal(value, kept[name]), name


@pytest.mark.slow
def test_two_processes_that_want_the_same_run_make_it_once(parameters, shared):
    run = with_epochs(imrs.single(parameters, 1, 0), 2, seed=2)
    both = [start(shared, 2, 2, 0) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    log = (paths.runs() / run.id / "log.txt").read_text().splitlines()
    assert len(log) == 2  # one line an epoch, from one of them


@pytest.mark.slow
def test_two_gloo_processes_share_one_run(parameters, shared):
    run = with_epochs(imrs.single(parameters, 1, 0), 1, seed=3, micro_batch=4)
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    damaged = paths.runs() / run.id / "checkpoint.pt"  # the first process alone sets it aside, and both start again
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    process = start(shared, 1, 3, 4, launcher=launcher)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    assert errors.count(f"{run.id}: starts again, and its checkpoint is set aside") == 1
    record = records.read(records.path_here(run.id))
    assert record.provenance["machine"]["device"] == "cpu x2"
    assert record.scores.shape == (24, 12)
    assert np.isfinite(record.scores).all()
    # the scores of both processes' shares are those of the network they left
    model = networks.trained(run)
    data = ClipDataset(catalog.of(run.data), "test", run.data, ("rgb",))
    with torch.inference_mode():
        batch = batches(data, len(data))
        logits = model(next(batch)["rgb"]).logits.numpy()
    step = 1 / metrics.STEPS  # two processes sum in another order, so a score may round to the next step
    np.testing.assert_allclose(record.scores.astype(float), metrics.rounded(logits).astype(float), atol=step)


@pytest.mark.slow
def test_progress_names_what_is_done(parameters, capsys):
    runs = [with_epochs(imrs.single(parameters, 1, 0), 1, seed=seed) for seed in (20, 21)]
    execute.execute(runs, jobs=1)
    lines = capsys.readouterr().err.splitlines()
    told = [line for line in lines if "runs" in line]
    assert told == [
        "2 runs to make, 1 at a time on cpu",
        "  1 of 2 runs: resnext3d on rgb, split 1, seed 20",
        "  2 of 2 runs: resnext3d on rgb, split 1, seed 21",
    ]


@pytest.mark.slow
def test_reproduce_interrupted_says_how_to_go_on_and_loses_nothing(parameters, shared, tmp_path):
    environment = {**os.environ, "REPRO_DATA": str(tmp_path / "data"), "REPRO_OUT": str(tmp_path)}
    command = [sys.executable, "-m", "repro", "reproduce", "--profile", "smoke", "--jobs", "2", "--only", "streams"]
    told = []
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell hands down SIG_IGN
    ) as process:  # fmt: skip
        for line in process.stderr:
            told.append(line)
            if "  4 of " in line:  # two at a time: two are done
                os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to the workers too
    assert process.returncode == 130
    assert "the same command goes on from here" in told[-1]
    assert "Traceback" not in "".join(told)
    assert list((tmp_path / "data" / "runs").glob("*/record.json"))


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_its_run_alone(parameters):
    good = with_epochs(imrs.single(parameters, 1, 0), 1, seed=4)
    bad = dataclasses.replace(good, optimisation=Optimisation(epochs=1, lr=1e30, batch=16))
    with pytest.raises(
        ReproError, match=rf"1 runs failed.*run {bad.id} stopped in epoch 1, step \d: the loss is not finite"
    ):
        execute.execute([bad, good], jobs=1)
    assert records.path_here(good.id).exists()
    assert not records.path_here(bad.id).exists()


@pytest.mark.slow
def test_a_student_of_a_failed_teacher_is_named(parameters):
    run = imrs.student(parameters, 1, 5)
    opt = Optimisation(epochs=1, lr=1e30, batch=16)
    run = dataclasses.replace(run, teacher=dataclasses.replace(run.teacher, optimisation=opt))
    with pytest.raises(
        ReproError, match=rf"2 runs failed.*run {run.id} needs run {run.teacher.id} \(resnext3d on flow,"
    ):
        execute.execute([run], jobs=1)


def test_what_is_wrong_with_a_model_is_an_error_before_anything_is_prepared(home):
    run = imrs.single(Parameters(profile="smoke"), 1, 0)
    for model, words in (
        (Model("resnet3d"), "unknown model 'resnet3d'; did you mean 'resnext3d'"),
        (Model("resnext3d", {"widht": 3}), "'widht'; did you mean 'width'"),
    ):
        with pytest.raises(ReproError, match=words):
            execute.execute([dataclasses.replace(run, model=model)], jobs=1)
    assert not (home / "data").exists()


def folder_run(root, **changes) -> Run:
    """A run on a folder of two classes, six clips each, in three folds."""
    parameters = Parameters(profile="smoke", dataset="folder", data_root=str(root), **changes)
    return imrs.single(parameters, 1, 0)


def draw_folder(root, classes=("one", "two"), clips=6) -> None:
    for name in classes:
        (root / name).mkdir(parents=True)
        for i in range(clips):
            (root / name / f"{i}.avi").write_bytes(bytes(1000 + i))  # sizes alone are read


def as_recorded(recorded, run: Run) -> records.Record:
    """The record of a run that was tested on the clips that are there now."""
    found = catalog.of(run.data)
    test = found.part("test")
    recorded(run, np.eye(len(found.classes))[test["label"]], test["label"].tolist(), found.classes,
             clips=test["clip"].tolist(), catalog=found.id, excluded=list(found.excluded))  # fmt: skip
    return records.get(run)


def change_classes(root):
    draw_folder(root, classes=("three",))


def change_test_clips(root):
    for name in ("one", "two"):
        for i in range(6, 12):
            (root / name / f"{i}.avi").write_bytes(bytes(1000 + i))


def change_sizes(root):
    (root / "one" / "0.avi").write_bytes(bytes(1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (change_classes, "1 classes differ, first 'three'"),
        (change_test_clips, r"\d test clips differ, first 'one/"),
        (change_sizes, "training clips, their groups or the sizes of the files differ"),
    ],
)
def test_a_recorded_run_on_other_clips_says_what_changed(recorded, tmp_path, change, words):
    root = tmp_path / "mine"
    draw_folder(root)
    run = folder_run(root)
    before = as_recorded(recorded, run)
    assert execute.execute([run], jobs=1)[0].catalog == before.catalog  # unchanged: read, not made
    change(root)
    assert folder_run(root).id == run.id
    message = rf"run {run.id} \(.*\) was recorded on other clips than those in {re.escape(str(root))}: .*{words}"
    with pytest.raises(ReproError, match=message):
        execute.execute([run], jobs=1)


def with_few(run: Run, videos: int) -> Run:
    return dataclasses.replace(run, data=dataclasses.replace(run.data, train_per_class=videos))


def test_runs_on_more_and_fewer_training_videos_are_each_compared_with_their_own(recorded, tmp_path):
    root = tmp_path / "mine"
    draw_folder(root)
    runs = [with_few(folder_run(root), videos) for videos in (0, 2, 1)]
    before = [as_recorded(recorded, run).catalog for run in runs]
    assert len(set(before)) == 3
    assert [record.catalog for record in execute.execute(runs, jobs=1)] == before
    (root / "one" / "6.avi").write_bytes(bytes(1006))
    with pytest.raises(ReproError, match=rf"run {runs[2].id} .* was recorded on other clips"):
        execute.execute(runs[2:], jobs=1)


def test_the_clips_of_more_and_fewer_training_videos_are_all_prepared(tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(execute, "prepared", lambda data, *_: found.append(data.train_per_class))
    run = folder_run(tmp_path)
    seeds = [dataclasses.replace(run, seed=seed) for seed in (1, 2)]
    execute.prepare_clips([run, with_few(run, 2), *seeds, with_few(seeds[0], 2), with_few(run, 1)], jobs=1)
    assert sorted(found) == [0, 1, 2]


def test_runs_on_other_folds_are_each_prepared_and_compared_with_their_own(recorded, tmp_path, monkeypatch):
    root = tmp_path / "mine"
    draw_folder(root)
    asked = ({}, {"folds": 4}, {"folds": "all"}, {"test_groups": "one/0,two/0"}, {"test_groups": "one/1"})
    runs = [folder_run(root, **each) for each in asked]
    before = [as_recorded(recorded, run).catalog for run in runs]
    assert len(set(before)) == 5
    assert [record.catalog for record in execute.execute(runs, jobs=1)] == before
    found = []
    monkeypatch.setattr(execute, "prepared", lambda data, *_: found.append((data.folds, data.test_groups)))
    execute.prepare_clips([*runs, *[dataclasses.replace(run, seed=1) for run in runs]], jobs=1)
    assert found == [(3, ()), (4, ()), ("all", ()), (3, ("one/0", "two/0")), (3, ("one/1",))]


def write_ucf101(root) -> None:
    """UCF101's layout with three classes of five groups: the first two are tested."""
    names, lists = ("ApplyEyeMakeup", "Archery", "YoYo"), root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(names, 1)))
    clips = [
        (group, f"{name}/v_{name}_g0{group}_c01.avi", i) for i, name in enumerate(names, 1) for group in range(1, 6)
    ]
    for group, name, _ in clips:
        (root / "UCF-101" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "UCF-101" / name).write_bytes(bytes(10 + group))
    (lists / "trainlist01.txt").write_text("".join(f"{name} {i}\n" for group, name, i in clips if group > 2))
    (lists / "testlist01.txt").write_text("".join(f"{name}\n" for group, name, _ in clips if group <= 2))


def test_missing_files_are_named_and_a_changed_set_of_them_is_an_error(recorded, tmp_path, monkeypatch):
    monkeypatch.setitem(catalog.OFFICIAL, "ucf101", {1: {"train": 9, "test": 6, "classes": 3}})
    root = tmp_path / "ucf"
    write_ucf101(root)
    (root / "UCF-101" / "YoYo" / "v_YoYo_g04_c01.avi").unlink()
    run = imrs.single(Parameters(profile="smoke", dataset="ucf101", data_root=str(root), allow_missing=True), 1, 0)
    before = as_recorded(recorded, run)
    assert before.excluded == ["YoYo/v_YoYo_g04_c01"]
    execute.execute([run], jobs=1)
    (root / "UCF-101" / "YoYo" / "v_YoYo_g05_c01.avi").unlink()
    with pytest.raises(ReproError, match="1 missing files differ, first 'YoYo/v_YoYo_g05_c01'"):
        execute.execute([run], jobs=1)
    strict = dataclasses.replace(run, data=dataclasses.replace(run.data, allow_missing=False))
    recorded(strict, np.eye(3), [0, 1, 2], before.classes)  # its catalog cannot be read, the other one's can
    with pytest.raises(ReproError, match="1 missing files differ"):
        execute.execute([strict, run], jobs=1)


def test_without_the_data_at_hand_nothing_is_compared(recorded, tmp_path, capsys):
    root = tmp_path / "mine"
    draw_folder(root)
    run = folder_run(root)
    before = as_recorded(recorded, run)
    change_sizes(root)
    elsewhere = folder_run(tmp_path / "elsewhere" / "mine")
    assert elsewhere.id == run.id
    assert execute.execute([elsewhere], jobs=1)[0].catalog == before.catalog
    (tmp_path / "elsewhere" / "mine").mkdir(parents=True)  # a folder that holds no clips cannot be compared either
    execute.execute([elsewhere], jobs=1)
    assert "not compared with the clips in" in capsys.readouterr().err


@pytest.mark.slow
def test_a_fresh_run_ignores_the_committed_record_and_uses_this_machine_s(parameters, tmp_path, monkeypatch):
    run = with_epochs(imrs.single(parameters, 1, 0), 1, seed=30)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    (tmp_path / "results").mkdir()
    committed = records.path_committed("smoke", run.id)
    (made,) = execute.execute([run], jobs=1)
    shutil.rmtree(records.path_here(run.id).parent)
    committed.parent.mkdir(parents=True)
    records.write(dataclasses.replace(made, start="committed"), committed)

    assert execute.missing([run]) == []
    assert execute.missing([run], fresh=True) == [run]
    assert execute.missing([run], weights=True) == [run]
    assert execute.execute([run], jobs=1)[0].start == "committed"
    assert not records.path_here(run.id).exists()
    (fresh,) = execute.execute([run], jobs=1, fresh=True)
    assert comparable(fresh) == comparable(made)  # trained again: the record's start is not "committed"
    before = records.path_here(run.id).stat().st_mtime_ns
    execute.execute([run], jobs=1, fresh=True)
    assert records.path_here(run.id).stat().st_mtime_ns == before  # fresh, but made on this machine already
    assert execute.missing([run], fresh=True, weights=True) == []


def test_a_student_without_its_teacher_s_network_makes_the_teacher_first(parameters):
    run = imrs.student(parameters, 1, 31)
    assert execute.missing([run]) == [run.teacher, run]
    assert execute.missing([run, run.teacher]) == [run.teacher, run]


def test_devices_that_are_not_there_are_errors():
    with pytest.raises(ReproError, match="unknown device 'gpu'"):
        networks.resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ReproError, match="not available here"):
            networks.resolve_device("cuda")
