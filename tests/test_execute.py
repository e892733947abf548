"""Runs, for real, on a miniature: killed, resumed, shared, distributed, failing; and what their records hold."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from repro import execute, metrics, paths, records
from repro.config import Optimisation
from repro.errors import ReproError
from repro.papers import imrs
from repro.parameters import Parameters


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One data folder with the smoke set prepared, for all tests of this module."""
    return tmp_path_factory.mktemp("execute")


@pytest.fixture
def study(shared, monkeypatch):
    monkeypatch.setenv("REPRO_DATA", str(shared))
    monkeypatch.setenv("REPRO_OUT", str(shared / "out"))
    return Parameters(profile="smoke", jobs=1, seeds=(0,))


def with_epochs(run, epochs, seed):
    opt = dataclasses.replace(run.optimisation, epochs=epochs, select="best", schedule="plateau")
    return dataclasses.replace(run, optimisation=opt, seed=seed)


def comparable(record: records.Record) -> dict:
    """All that must be equal between two equal runs."""
    return {**dataclasses.asdict(record), "provenance": None, "scores": record.scores.tolist()}


def test_a_student_brings_its_teacher_and_both_leave_whole_records(parameters):
    run = imrs.student(parameters, 1, 0)
    (record,) = execute.execute([run], jobs=1)
    teacher = records.read(execute.record_path(run.teacher))
    assert record.config["teacher"]["data"]["modality"] == "flow"
    assert set(record.history[0]) >= {"epoch", "lr", "loss", "cross_entropy", "feature", "kl", "clip_top1", "val_loss"}
    line = record.history[0]
    assert line["loss"] == pytest.approx(line["cross_entropy"] + 50 * line["feature"] + 200 * line["kl"], rel=1e-4)
    assert set(record.metrics) == {"clip_top1", "video_top1", "video_top5", "mean_class", "per_class"}
    assert record.scores.shape == (len(record.clips), len(record.classes)) == (24, 12)
    assert metrics.top(record.scores, np.array(record.labels)) == record.metrics["video_top1"]
    assert {"versions", "machine", "git", "seconds", "date"} <= set(record.provenance)
    assert record.clips == teacher.clips
    before = execute.record_path(run).stat().st_mtime_ns
    execute.execute([run, run.teacher], jobs=1)
    assert execute.record_path(run).stat().st_mtime_ns == before  # recorded runs are skipped


def test_levels_put_teachers_first_and_every_run_once(parameters):
    a, b = imrs.student(parameters, 1, 0), imrs.student(parameters, 1, 0, 1, 1)
    first, second = execute.plan([a, b, a])
    assert [run.id for run in first] == [a.teacher.id]
    assert [run.id for run in second] == [a.id, b.id]


SCRIPT = """
import sys, dataclasses
from repro import execute
from repro.papers import imrs
from repro.parameters import Parameters
run = imrs.single(Parameters(profile="smoke", jobs=1, seeds=(0,)), 1, 0)
opt = dataclasses.replace(run.optimisation, epochs=int(sys.argv[1]), select="best", schedule="plateau")
run = dataclasses.replace(run, optimisation=opt, seed=int(sys.argv[2]))
print(run.id, flush=True)
execute.make(run)
"""


def start(shared, *arguments, launcher=()):
    script = shared / "script.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, *launcher, str(script), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=paths.ROOT,
    )  # fmt: skip


def test_a_run_killed_in_mid_training_resumes_and_ends_bit_for_bit_the_same(parameters, shared):
    run = with_epochs(imrs.single(parameters, 1, 0), 12, seed=1)
    whole = execute.make(run)
    kept = {k: v.clone() for k, v in execute.trained(run).state_dict().items()}
    for file in (paths.runs() / run.id).iterdir():
        file.unlink()
    process = start(shared, 12, 1)
    log = paths.runs() / run.id / "log.txt"
    deadline = time.time() + 120
    while time.time() < deadline and not (log.exists() and "epoch 4," in log.read_text()):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.communicate()[0].strip() == run.id
    assert not execute.record_path(run).exists()
    resumed = execute.make(run)
    assert "goes on after epoch" in log.read_text()
    assert comparable(resumed) == comparable(whole)
    for name, value in execute.trained(run).state_dict().items():
        assert torch.equal(value, kept[name]), name


def test_two_processes_that_want_the_same_run_make_it_once(parameters, shared):
    run = with_epochs(imrs.single(parameters, 1, 0), 2, seed=2)
    both = [start(shared, 2, 2) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    log = (paths.runs() / run.id / "log.txt").read_text().splitlines()
    assert len(log) == 2  # one line an epoch, from one of them


def test_two_gloo_processes_share_one_run(parameters, shared):
    run = with_epochs(imrs.single(parameters, 1, 0), 1, seed=3)
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
    process = start(shared, 1, 3, launcher=launcher)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    record = records.read(execute.record_path(run))
    assert record.provenance["machine"]["device"] == "cpu x2"
    assert record.scores.shape == (24, 12)
    assert np.isfinite(record.scores).all()
    # the scores of both processes' shares are those of the network they left
    model = execute.trained(run)
    data = execute.ClipDataset(execute.load_catalog(run.data), "test", run.data, ("rgb",))
    with torch.inference_mode():
        batch = execute.evaluate.batches(data, len(data))
        logits = model(next(batch)["rgb"]).logits.numpy()
    np.testing.assert_allclose(record.scores.astype(np.float32), logits, atol=2e-3)


def test_progress_names_what_starts_and_what_is_left(parameters, capsys):
    runs = [with_epochs(imrs.single(parameters, 1, 0), 1, seed=seed) for seed in (20, 21)]
    execute.execute(runs, jobs=1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "2 runs to make, 1 at a time on cpu"
    assert lines[1] == "  1 of 2 runs: resnext3d on rgb, split 1, seed 20"
    assert re.fullmatch(r"  2 of 2 runs: resnext3d on rgb, split 1, seed 21; \d+ s left", lines[2])
    assert imrs.student(parameters, 2, 3).title == "resnext3d on rgb, taught (50, 200), split 2, seed 3"


def test_reproduce_interrupted_says_how_to_go_on_and_loses_nothing(parameters, shared, tmp_path):
    environment = {**os.environ, "REPRO_DATA": str(tmp_path / "data"), "REPRO_OUT": str(tmp_path)}
    command = [sys.executable, "-m", "repro", "reproduce", "--profile", "smoke", "--jobs", "2", "--only", "streams"]
    told = []
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path, start_new_session=True
    ) as process:
        for line in process.stderr:
            told.append(line)
            if "  4 of " in line:  # two at a time: two are done
                os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to the workers too
    assert process.returncode == 1
    assert "the same command goes on from here" in told[-1]
    assert "Traceback" not in "".join(told)
    assert list((tmp_path / "data" / "runs").glob("*/record.json"))


def test_a_loss_that_is_not_finite_stops_its_run_alone(parameters):
    good = with_epochs(imrs.single(parameters, 1, 0), 1, seed=4)
    bad = dataclasses.replace(good, optimisation=Optimisation(epochs=1, lr=1e30, batch=16))
    with pytest.raises(
        ReproError, match=rf"1 runs failed.*run {bad.id} stopped in epoch 1, step \d: the loss is not finite"
    ):
        execute.execute([bad, good], jobs=1)
    assert execute.record_path(good).exists()
    assert not execute.record_path(bad).exists()


def test_a_student_of_a_failed_teacher_is_named(parameters):
    run = imrs.student(parameters, 1, 5)
    opt = Optimisation(epochs=1, lr=1e30, batch=16)
    run = dataclasses.replace(run, teacher=dataclasses.replace(run.teacher, optimisation=opt))
    with pytest.raises(ReproError, match=f"2 runs failed.*run {run.id} needs its teacher"):
        execute.execute([run], jobs=1)


def test_clips_that_changed_since_planning_are_an_error(parameters):
    run = imrs.single(parameters, 1, 6)
    stale = dataclasses.replace(run, data=dataclasses.replace(run.data, catalog="0" * 16))
    with pytest.raises(ReproError, match="have changed since the run was planned"):
        execute.make(stale)


def test_devices_that_are_not_there_are_errors():
    with pytest.raises(ReproError, match="unknown device 'gpu'"):
        execute.resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ReproError, match="not available here"):
            execute.resolve_device("cuda")


def test_records_are_checked_when_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"id": "x"}))
    with pytest.raises(ReproError, match=r"a\.json: not a record"):
        records.read(tmp_path / "a.json")
    with pytest.raises(ReproError, match="no such record"):
        records.read(tmp_path / "b.json")
    scores = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float16)
    np.testing.assert_array_equal(records.decode(records.encode(scores)), scores)
