"""Benchmarks of full-size networks: what they run, and the arithmetic on what they measured."""

import dataclasses
import importlib
import json

import pandas as pd
import pytest

from repro import make, paths, records, train
from repro.data import catalog
from repro.data.annotations import large
from repro.parameters import Parameters
from repro.single import plan

GROUP = "^(?P<group>[a-z]+)_"


@pytest.fixture
def data_sets(monkeypatch):
    monkeypatch.syspath_prepend(paths.ROOT / "benchmarks")
    return importlib.import_module("data_sets")


@pytest.fixture
def full_size(data_sets):
    return data_sets.full_size


# -- full_size.py


def test_every_network_is_the_published_one_with_less_of_the_training(full_size, tmp_path):
    published = Parameters(
        "paper", "folder", str(tmp_path), seeds=0, group=GROUP, folds="all", pretrained_rgb="a", pretrained_flow="b"
    )
    runs = {name: full_size.run_of(name, tmp_path, GROUP) for name in full_size.NETWORKS}
    for name, run in runs.items():
        system, modality = full_size.NETWORKS[name]
        whole = plan.plan(system, published, modality, None, "", ())
        for ours, theirs in ((run, whole), *zip((run.teacher,), (whole.teacher,), strict=True)):
            if theirs is None:
                continue
            less = dataclasses.replace(
                theirs.optimisation, epochs=full_size.EPOCHS, batch=full_size.BATCH, init="", init_file=""
            )
            assert ours.data == dataclasses.replace(theirs.data, train_per_class=full_size.TRAIN)
            assert (ours.optimisation, ours.model, ours.objective) == (less, theirs.model, theirs.objective)
    assert runs["IMRS, student"].teacher == runs["IMRS, flow teacher"]
    assert {(run.data.frames, run.data.size) for run in runs.values()} == {(16, 112), (6, 224), (8, 224)}


def test_a_clock_counts_every_call_and_leaves_the_result(full_size):
    class Owner:
        @staticmethod
        def work(number: int, more: int = 0) -> int:
            return sum(range(number)) + more

    seen = full_size.clocked(Owner, "work")
    assert Owner.work(1_000_000, more=1) == 499_999_500_001
    assert Owner.work(3) == 3
    (wall, processor), second = seen
    assert 0 < processor <= wall * 1.5
    assert second[0] < wall


def test_a_network_is_measured_again_on_another_machine_alone(full_size, tmp_path):
    file, about = tmp_path / "a.json", {"videos": "v", "group": GROUP, "machine": {"threads": 2}, "versions": {}}
    assert full_size.before(None, about) == full_size.before(file, about) == {}
    file.write_text(json.dumps({**about, "rows": [{"run": "0a", "s a step": 1.5}]}))
    assert full_size.before(file, about) == {"0a": {"run": "0a", "s a step": 1.5}}
    assert full_size.before(file, {**about, "machine": {"threads": 1}}) == {}
    assert full_size.before(file, {**about, "videos": "w"}) == {}


@pytest.mark.slow
def test_a_network_in_miniature_is_measured_from_its_own_training_and_test(full_size, home, monkeypatch):
    for owner, name in ((train.Training, "step"), (train.Training, "epoch"), (make, "test")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # the clocks go at the end of the test
    run = plan.plan(
        "tsm", Parameters("smoke", seeds=0), "", None, "", ("optimisation.batch=5", "optimisation.epochs=2")
    )
    found = full_size.measure(run)
    record = records.read(records.path_here(run.id))
    videos = len(catalog.of(run.data).part("train"))
    assert found["clips an epoch"] == videos // 5 * 5 < videos
    assert found["steps"] == 2 * (videos // 5)
    assert (found["run"], found["clip"], found["test videos"]) == (run.id, "3x6x28x28", len(record.labels))
    assert found["top-1"] == pytest.approx(record.metrics["video_top1"], abs=5e-4)
    assert 0 < found["s a step"] * found["steps"] < record.provenance["seconds"]
    assert 0.1 < found["peak GB"] < 20
    assert full_size.stored(run)["clips"] == len(catalog.of(run.data).table)


# -- data_sets.py


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "0.33 min"), (89 * 60, "89 min"), (91 * 60, "1.5 h"), (35 * 3600, "35 h"), (37 * 3600, "1.5 days"),
     (500 * 86_400, "500 days"), (36_525 * 86_400, "100 years"), (3e11, "9,500 years")],
)  # fmt: skip
def test_a_span_has_two_digits_and_a_unit(data_sets, seconds, words):
    assert data_sets.span(seconds) == words


def test_training_clips_are_nine_tenths_of_the_videos_in_each_published_epoch(data_sets):
    for network, dataset, clips in (
        ("TSM", "ucf101", 50 * 0.9 * 9537), ("T-STAM, flow", "hmdb51", 340 * 0.9 * 3570),
        ("T-STAM, RGB", "hmdb51", 80 * 0.9 * 3570), ("IMRS, student", "kinetics400", 80 * 0.9 * 246_535),
    ):  # fmt: skip
        assert data_sets.training_clips(network, dataset) == pytest.approx(clips)


ROWS = [
    {"network": "IMRS, flow teacher", "G multiply-adds": 8.0, "processor s a step": 0.8},
    {"network": "IMRS, student", "G multiply-adds": 9.0, "processor s a step": 1.2},
    {"network": "TSM", "G multiply-adds": 33.0, "processor s a step": 4.0},
]


def test_a_clip_passes_forward_and_twice_backward_and_a_students_also_its_teacher(data_sets):
    assert [data_sets.multiply_adds(row, ROWS) for row in ROWS] == [24e9, 35e9, 99e9]


def test_cores_share_the_measured_time_and_gpus_the_multiply_adds(data_sets):
    table = data_sets.cores(ROWS, batch=4).set_index("network")
    assert table.loc["TSM", "HMDB51"] == "1.9 days / 2.8 h"  # 50 x 3,213 clips of 1 s
    assert list(table.columns) == list(data_sets.TITLES.values())
    clips, rate = 50 * 0.9 * 246_535, 2470 * 4.09e9 * 3
    assert data_sets.gpus(ROWS).set_index("network").loc["TSM", "Kinetics-400"] == " / ".join(
        data_sets.span(clips * 99e9 / rate / n) for n in (1, 8)
    )


def test_disk_is_the_mean_over_frames_times_the_frames(data_sets):
    stored = [
        {"frames": 100, "packed MB": 3.0, "pairs per CPU second": 10.0},
        {"frames": 300, "packed MB": 13.0, "pairs per CPU second": 20.0},
    ]  # 40 kB and 62.5 ms a frame
    table = data_sets.disk(stored).set_index("data set")
    assert list(table.loc["UCF101"]) == ["2.4 M", "96 GB", "1.7 days / 2.6 h"]
    assert table.loc["Kinetics-400", "frames"] == "71 M"


def test_frames_are_those_of_the_lists(data_sets, real_data):
    dives = [
        dive
        for part in ("train", "test")
        for dive in json.loads((real_data / "diving48" / f"Diving48_V2_{part}.json").read_text())
    ]
    assert sum(dive["end_frame"] - dive["start_frame"] for dive in dives) == data_sets.FRAMES["diving48"]
    lines = (real_data / "kinetics400" / "kinetics_val_list.txt").read_text().splitlines()
    lengths = [int(line.split()[-2]) for line in lines]
    assert round(sum(lengths) / len(lengths)) * sum(data_sets.KINETICS.values()) == data_sets.FRAMES["kinetics400"]
    assert all(f"{number:,}" in large.kinetics400.__doc__ for number in data_sets.KINETICS.values())


def test_the_committed_tables_are_those_of_the_records(data_sets):
    found = data_sets.tables(data_sets.RESULTS)
    assert len(found) == 5
    for name, frame in found.items():
        kept = pd.read_csv(data_sets.RESULTS / f"{name}.csv", dtype=str, keep_default_na=False)
        assert kept.to_dict("list") == frame.astype(str).to_dict("list"), "python benchmarks/data_sets.py writes it"


def test_the_words_around_the_tables_are_those_of_the_records(data_sets):
    def load(name):
        return json.loads((data_sets.RESULTS / f"{name}.json").read_text())

    full, real = load("full_size"), load("prepare_real")["rows"]
    (row,) = (row for row in full["rows"] if row["network"] == "TSN on ResNet-50")
    (alone,) = (row["ms"] for row in load("temporal")["rows"] if row["network"] == "ResNet-50")
    frame = 1e3 * sum(row["packed MB"] for row in real) / sum(row["frames"] for row in real)
    text = " ".join((paths.ROOT / "docs" / "scale.md").read_text(encoding="utf-8").split())
    for words in (
        f"one thread took {alone / 1e3:.2f} s for a clip's step of TSN on ResNet-50",
        f"took {row['processor s a step'] / full['batch']:.1f} s of processor time",
        f"The videos are {full['stored']['clips']} clips of Weizmann",
        f"two epochs of {row['clips an epoch']} clips, in batches of {full['batch']}",
        f"After {row['steps']} steps from random weights",
        f"take {frame:.0f} kB a frame",
        f"that is {data_sets.GPU / 1e12:.0f} T multiply-adds a second",
    ):
        assert words in text, words
