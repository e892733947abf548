"""Records: where they are found, what they hold, and that the committed ones are those of the planned runs."""

import dataclasses
import gzip
import hashlib
import inspect
import json
import shutil

import numpy as np
import pytest

import repro
from repro import damaged, metrics, notebooks, paths, records
from repro.config import CrossEntropy, Data, Model, Optimisation, Run, content
from repro.errors import ReproError, Unavailable
from repro.papers import imrs
from repro.parameters import Parameters

RUN = Run("small", 0, Data("synthetic", "small"), Model("resnext3d"), CrossEntropy(), Optimisation())
OTHER = dataclasses.replace(RUN, seed=1)


@pytest.fixture
def record(recorded):
    """A function that records a run on this machine; `number` tells two records of one run apart."""

    def make(run: Run = RUN, number: float = 1.0):
        recorded(run, [[number, 0.0]], [0], ["a", "b"], history=[{"loss": 0.5}])
        return records.path_here(run.id)

    return make


@pytest.fixture
def commit(record, tmp_path, monkeypatch):
    """A function that records a run in a clone's results/ alone."""
    monkeypatch.setattr(paths, "ROOT", tmp_path / "clone")

    def make(run: Run = RUN, number: float = 2.0):
        path = paths.ROOT / "results" / run.profile / "records" / f"{run.id}.json.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        made = record(run, number)
        path.write_bytes(gzip.compress(made.read_bytes()))
        made.unlink()
        return path

    return make


def test_a_record_is_found_here_then_among_the_committed(record, commit):
    assert records.find(RUN) is records.here(RUN) is records.seconds(RUN) is None
    commit()
    assert (records.find(RUN).scores[0, 0], records.here(RUN), records.seconds(RUN)) == (2, None, 1.0)
    made = record(number=1.0)
    assert records.find(RUN).scores[0, 0] == records.here(RUN).scores[0, 0] == 1
    made.unlink()
    assert records.get(RUN).scores[0, 0] == 2


def test_a_profile_s_records_are_those_of_that_profile(record, commit):
    path = commit()
    smoke = dataclasses.replace(RUN, profile="smoke")
    assert records.find(smoke) is None
    assert path == records.path_committed("small", RUN.id)


def test_records_are_equal_whatever_their_provenance(record):
    one = records.read(record())
    assert records.equal(one, dataclasses.replace(one, provenance={"date": "later"}))
    assert not records.equal(one, dataclasses.replace(one, scores=one.scores + 1))
    assert not records.equal(one, dataclasses.replace(one, catalog="another"))


def test_without_a_clone_the_package_brings_the_records(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert paths.committed().name == "committed"
    assert paths.committed().parent.name == "repro"


def test_a_missing_record_is_named(home):
    with pytest.raises(ReproError, match=rf"run {OTHER.id} \(resnext3d on rgb, split 1, seed 1\) has no record here"):
        records.get(OTHER)


def test_a_record_under_another_id_counts_as_none_and_is_named(record, commit, capsys):
    shutil.copytree(record().parent, records.path_here(OTHER.id).parent)
    assert records.find(OTHER) is records.here(OTHER) is None
    said = f"the record of run {RUN.id} with the configuration of {RUN.id}, not that of {OTHER.id}"
    assert f"record.json: not a record ({said}); delete it" in capsys.readouterr().err
    shutil.copy(commit(), records.path_committed("small", OTHER.id))
    assert set(records.committed("small")) == {RUN.id}
    assert f"{OTHER.id}.json.gz: not a record (the record of run {RUN.id}" in capsys.readouterr().err
    assert {path.parent.name for path in damaged.named} == {OTHER.id, "records"}


def test_a_record_whose_configuration_is_another_run_s_is_none(record):
    path = record()
    records.write(dataclasses.replace(records.read(path), config=content(OTHER)), path)
    with pytest.raises(ReproError, match=f"run {RUN.id} with the configuration of {OTHER.id}, not that of {RUN.id}"):
        records.read(path)


def test_a_damaged_record_costs_itself_alone(record, commit, capsys):
    """Of two committed records and one of this machine one is cut: all others are read, and the cut one is named once."""
    whole, cut = commit(), commit(OTHER)
    cut.write_bytes(cut.read_bytes()[:-100])
    for _ in range(2):
        assert set(records.committed("small")) == {RUN.id}
        assert [each.id for each, _ in records.everything("small")] == [RUN.id]
        assert records.find(OTHER) is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"error: {cut}: not a record (")
    with pytest.raises(ReproError, match=r"^1 file could not be read, see above"):
        damaged.require_none()
    record(OTHER)  # made again
    assert records.find(OTHER).id == OTHER.id
    here = record()
    here.write_text("")
    assert records.here(RUN) is None
    assert records.find(RUN).scores[0, 0] == 2  # the committed one
    assert dict((each.id, origin) for each, origin in records.everything("small"))[RUN.id] == "committed"
    assert whole not in damaged.named


def test_a_record_written_again_is_read_again(record):
    record(number=1.0)
    assert records.get(RUN).scores[0, 0] == 1
    record(number=3.0)
    assert records.get(RUN).scores[0, 0] == 3


def test_origin_counts_where_records_come_from(record, commit):
    commit()
    assert records.origin([RUN, RUN]) == "Records: 1 committed with the project."
    record(OTHER)
    assert records.origin([RUN, OTHER]) == "Records: 1 made on this machine, 1 committed with the project."
    assert records.origin([OTHER]) == "Records: 1 made on this machine."


def test_everything_has_each_run_once_and_prefers_this_machine(record, commit):
    commit()
    commit(OTHER)
    record(OTHER, 5.0)
    record(dataclasses.replace(RUN, profile="smoke"))
    found = {r.id: (r.scores[0, 0], origin) for r, origin in records.everything("small")}
    assert found == {RUN.id: (2, "committed"), OTHER.id: (5, "here")}
    assert [origin for _, origin in records.everything("smoke")] == ["here"]
    assert list(records.everything("gpu")) == []


@pytest.mark.parametrize("text", ['{"id": "x"}', "[]", "<html>", "", "[" * 100_000, '{"id": "x", "scores": 3}'])
def test_a_file_that_is_no_record_is_one_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ReproError, match=r"a\.json: not a record \(.*\); delete it"):
        records.read(path)


def test_a_file_that_is_not_there_is_one_error(tmp_path):
    with pytest.raises(ReproError, match="no such record"):
        records.read(tmp_path / "b.json")


def test_rounding_decides_no_top1():
    scores = np.random.default_rng(0).normal(size=(2000, 12)) * np.geomspace(1e-3, 50, 2000)[:, None]
    kept = metrics.rounded(scores).astype(float)
    first = scores.argmax(axis=1)
    assert (kept.argmax(axis=1) == first).all()
    assert ((kept == kept.max(axis=1, keepdims=True)).sum(axis=1) == 1).all()
    assert np.array_equal(np.rint(kept * 16), kept * 16)
    logs = np.log(metrics.softmax(scores).clip(np.exp(-60)))
    off = np.abs(kept - logs)
    off[np.arange(len(off)), first] -= 1 / 16  # where it was tied, first place moved one step up
    assert off.max() <= 1 / 32 + 1e-9


def committed_results(home):
    """`load_results` where this machine has made nothing."""
    frame, scores = repro.load_results("small")
    assert not (home / "data").exists(), "reading results wrote a file"
    return frame, scores


def test_load_results_has_one_row_per_committed_record(home):
    frame, scores = committed_results(home)
    files = list((paths.committed() / "small" / "records").glob("*.json.gz"))
    assert len(files) > 100
    assert sorted(frame.index) == sorted(scores) == sorted(path.name.removesuffix(".json.gz") for path in files)
    assert set(frame["origin"]) == {"committed"}
    assert set(frame["profile"]) == {"small"}
    assert frame.index.name == "run"


def test_the_columns_of_load_results_are_those_of_its_documentation(home):
    frame, _ = committed_results(home)
    fields = {
        f"{part}.{f.name}"
        for part, of in (("data", Data), ("optimisation", Optimisation))
        for f in dataclasses.fields(of)
        if f.metadata.get("identity", True) is True
    }
    assert {"profile", "seed", "precision", "model.name", "model.arguments.width", "objective.kind"} | fields <= set(
        frame
    )
    words = inspect.getdoc(repro.load_results)
    for column in (
        "data.frames",
        "metrics.video_top1",
        "history.loss",
        "provenance.date",
        "origin",
        "clips",
        "test_videos",
    ):
        assert f'"{column}"' in words
        assert frame[column].notna().all(), column
    assert {column.split(".")[0] for column in frame} == {
        "profile", "seed", "precision", "data", "model", "objective", "optimisation", "start", "teacher", "metrics",
        "history", "provenance", "clips", "test_videos", "origin",
    }  # fmt: skip
    taught = frame["objective.kind"] == "distillation"
    assert set(frame.loc[taught, "teacher.modality"]) == {"flow", "rgb"}  # rgb: of a control
    assert frame.loc[~taught, "teacher.modality"].isna().all()
    assert "metrics.per_class" not in frame


def test_metrics_of_load_results_are_those_of_its_scores(home):
    frame, scores = committed_results(home)
    for record, _ in records.everything("small"):
        found, row, labels = scores[record.id], frame.loc[record.id], np.array(record.labels)
        assert found.dtype == np.float16
        assert found.shape == (row["test_videos"], len(record.classes)) == (len(labels), len(record.classes))
        assert row["metrics.video_top1"] == metrics.top(found, labels)
        assert row["metrics.video_top5"] == metrics.top(found, labels, 5)
        assert row["metrics.mean_class"] == pytest.approx(metrics.mean_class(found, labels), abs=1e-12)


def test_load_results_of_an_unknown_profile_is_an_error():
    with pytest.raises(ReproError, match="unknown profile 'smal'; did you mean 'small'"):
        repro.load_results("smal")


def test_load_results_of_a_profile_without_records_is_empty(home):
    frame, scores = repro.load_results("smoke")
    assert len(frame) == len(scores) == 0


def test_a_record_made_here_is_in_load_results(recorded, home):
    run = imrs.student(Parameters(profile="smoke"), 1, 0)
    history = [{"loss": 1.0}, {"loss": 0.5}]
    recorded(run, [[2.0, 1.0], [0.0, 1.0]], [0, 0], ["a", "b"], history=history, catalog="id")
    frame, scores = repro.load_results("smoke")
    row = frame.loc[run.id]
    assert (row["origin"], row["test_videos"], row["clips"], row["history.loss"]) == ("here", 2, "id", 0.5)
    assert (row["metrics.video_top1"], row["provenance.git.commit"], row["teacher.seed"]) == (0.5, "c", 0)
    assert row["objective.lambda2"] == 200
    np.testing.assert_array_equal(scores[run.id], np.float16([[2, 1], [0, 1]]))


def test_every_committed_configuration_is_that_of_a_run(home):
    committed = records.committed("small")
    assert len(committed) > 100
    for id, record in committed.items():
        assert records.run_of(record.config).id == record.id == id


def test_the_run_of_a_configuration_is_the_planned_run(home):
    planned = [plan(Parameters(splits=n.splits)) for n in notebooks.NOTEBOOKS.values() for plan in n.tables]
    for run in (run for table in planned for run in table.runs()):
        found = records.run_of(json.loads(json.dumps(content(run))))
        assert found == run, run.title
        assert found.model.arguments == run.model.arguments  # tuples again


def test_the_run_of_a_configuration_gets_the_folder_of_its_clips(tmp_path):
    given = Parameters(dataset="folder", data_root=str(tmp_path), group="(?P<group>x)")
    run = imrs.student(given, 1, 0)
    config = content(run)
    assert "root" not in config["data"]
    assert records.run_of(config).data.root == ""
    assert records.run_of(config, str(tmp_path)) == run  # the teacher's too


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": "1"}, r"\(seed: Input should be a valid integer, not '1'\)"),
        ({"sed": 1}, r"\(sed: Unexpected keyword argument, not 1\)"),
        ({"data": {"dataset": "synthetic", "frames": 0}}, r"data\.frames: .* not 0\)"),
        ({"teacher": content(OTHER)}, "no other objective has one"),
    ],
)
def test_what_is_no_configuration_of_a_run_is_one_error(changes, words):
    with pytest.raises(ReproError, match=words):
        records.run_of({**content(RUN), **changes})


def test_the_id_of_a_committed_record_is_the_hash_of_its_configuration(home):
    for record, _ in records.everything("small"):
        text = json.dumps(record.config, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest()[:12] == record.id


def test_every_table_of_the_small_profile_has_its_committed_records(home):
    for name, notebook in notebooks.NOTEBOOKS.items():
        for plan in notebook.tables:
            for run in plan(Parameters(splits=notebook.splits)).runs():
                record = records.find(run)
                assert record is not None, f"{name}: {run.title}"
                assert record.config == json.loads(json.dumps(content(run)))
                assert record.scores.shape == (len(record.clips), len(record.classes))
                if run.teacher is not None:
                    assert records.find(run.teacher).clips == record.clips


def test_records_of_the_embedded_set_saw_the_same_test_clips(home):
    seen = {}
    for record, _ in records.everything("small"):
        data = record.config["data"]
        if data["dataset"] == "synthetic":
            key = data["source"], data["split"], data["val_fraction"], data["train_per_class"]
            assert seen.setdefault(key, (record.catalog, record.clips, record.classes)) == (
                record.catalog, record.clips, record.classes,
            )  # fmt: skip
    assert len(seen) >= 3


def test_folders_tables_have_their_committed_records(home):
    frame, _ = committed_results(home)
    folders = frame[frame["data.dataset"] == "folder"]
    for source, group in set(zip(folders["data.source"], folders["data.group"], strict=True)):
        seeds = sorted(set(folders.loc[folders["data.source"] == source, "seed"]))
        parameters = Parameters(dataset="folder", data_root=f"/elsewhere/{source}", group=group, seeds=seeds)
        tables = [plan for notebook in notebooks.NOTEBOOKS.values() for plan in notebook.tables]
        whole = [
            t for t in map(lambda plan: planned(plan, parameters), tables) if t and all(map(records.find, t.runs()))
        ]
        assert whole, source
    assert set(folders["data.source"]) >= {"weizmann", "ut_interaction"}


def planned(plan, parameters: Parameters):
    try:
        return plan(parameters)
    except Unavailable:
        return None
