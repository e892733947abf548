"""Controls: planned as they are described, judged from records made by hand."""

import dataclasses

import numpy as np
import pytest

from repro.config import DOSES, Distillation, dose
from repro.data import catalog
from repro.data.embedded import videos
from repro.errors import Unavailable
from repro.evidence import tables
from repro.evidence.statistics import Outcome
from repro.papers import controls, convergence, doses, imrs
from repro.papers.systems import SYSTEMS
from repro.parameters import Parameters

SMALL = Parameters(seeds=(0, 1))
SMOKE = Parameters(profile="smoke", seeds=tuple(range(6)))


def rows(table) -> dict:
    return {row.label: row for row in table.rows}


def ids(row) -> list[str]:
    return [run.id for run in row.runs]


def test_the_null_control_is_the_same_network_of_seeds_that_no_other_row_has():
    found = rows(controls.table(SMALL))
    plain, again, planted = list(found.values())[:3]
    assert ids(again) == ids(planted)
    assert not set(ids(plain)) & set(ids(again))
    for one, other in zip(plain.runs, again.runs, strict=True):
        assert other == dataclasses.replace(one, seed=one.seed + controls.OTHER)
    assert {row.label: row.planted for row in found.values() if row.planted} == {planted.label: controls.PLANTED}


def test_the_student_of_an_rgb_network_differs_in_its_teacher_alone():
    found = rows(controls.table(SMALL))
    students = zip(found["taught by RGB"].runs, found["taught by flow (IMRS)"].runs, strict=True)
    for (by_rgb, by_flow), network in zip(students, found["RGB, other seeds"].runs, strict=True):
        assert by_flow == imrs.student(SMALL, 1, by_flow.seed)
        assert by_rgb == dataclasses.replace(by_flow, teacher=network)  # never the network of its own seed
        assert isinstance(by_rgb.objective, Distillation)


def test_the_printed_numbers_are_of_rows_that_the_table_has():
    table = controls.table(SMALL)
    found = tables.published(table.numbers, "synthetic").set_index("row")
    assert set(found.index) <= {row.label for row in table.rows}
    assert found.loc["RGB, other seeds, two points planted", "value"] == 100 * controls.PLANTED
    assert found.loc["RGB, other seeds", "value"] == 0


def test_planted_points_are_found_and_no_others(recorded):
    """Six seeds whose networks err on nearly the same of 1,200 videos."""
    table, rng = controls.table(SMOKE), np.random.default_rng(0)
    table = dataclasses.replace(table, rows=table.rows[:3])
    easy = rng.random(1200) < 0.7
    labels = rng.integers(0, 12, 1200)
    for run in {run.id: run for run in table.runs()}.values():
        right = easy ^ (rng.random(1200) < 0.01)
        recorded(run, 5 * np.eye(12)[np.where(right, labels, (labels + 1) % 12)], labels, range(12))
    result = tables.build(table, SMOKE)
    gains = {line.cells["row"]: line.verdict.gain for line in result.lines[1:]}
    outcomes = {line.cells["row"]: line.verdict.outcome for line in result.lines}
    assert outcomes["RGB, other seeds, two points planted"] == Outcome.SUPPORTED
    assert outcomes["RGB, other seeds"] == Outcome.EQUIVALENT
    null, planted = gains["RGB, other seeds"], gains["RGB, other seeds, two points planted"]
    assert planted.mean - null.mean == pytest.approx(controls.PLANTED)


def test_the_curve_changes_the_number_of_videos_and_keeps_the_steps():
    table = controls.curve(SMALL)
    plain = imrs.student(SMALL, 1, 0)
    usual = {"RGB": imrs.single(SMALL, 1, 0), "Flow": plain.teacher, "IMRS": plain}
    for row in table.rows:
        base = usual[row.label.partition(",")[0]]
        for run in row.runs:
            views = run.optimisation.epochs * run.data.train_per_class
            assert abs(views - base.optimisation.epochs * base.data.train_per_class) <= run.data.train_per_class / 2
    numbers = controls.VIDEOS["small"]
    assert [row.label for row in table.rows] == [f"{k}, {n} videos" for n in numbers for k in ("RGB", "Flow", "IMRS")]
    found = rows(table)
    for n in numbers:
        for rgb, flow, student in zip(*(found[f"{k}, {n} videos"].runs for k in ("RGB", "Flow", "IMRS")), strict=True):
            assert rgb.data.train_per_class == flow.data.train_per_class == student.data.train_per_class == n
            assert student.teacher == flow
            assert student.data == rgb.data
            assert rgb.start.data.train_per_class == plain.start.data.train_per_class  # the start stays
    assert controls.with_videos(plain, plain.data.train_per_class) == plain


@pytest.mark.parametrize("profile", controls.VIDEOS)
def test_the_embedded_videos_are_enough_for_the_curve(profile, tmp_path):
    """In layout alone: names and split files, without a frame."""
    runs = controls.curve(Parameters(profile=profile, seeds=(0,), splits=(1, 2, 3))).runs()
    edition = videos.EDITIONS[runs[0].data.source]
    for name, text in videos._split_files(edition).items():
        path = tmp_path / "testTrainMulti_7030_splits" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        folder = tmp_path / "hmdb51_org" / name.partition("_test_split")[0]
        folder.mkdir(parents=True, exist_ok=True)
        for line in text.splitlines():
            (folder / line.split()[0]).touch()
    for run in {run.data: run for run in runs if run.data.modality == "rgb"}.values():
        d = run.data
        found = catalog.load(
            "synthetic", tmp_path, d.split, val_fraction=d.val_fraction, train_per_class=d.train_per_class
        )
        counts = found.part("train")["class"].value_counts()
        assert set(counts) == {d.train_per_class}
        assert len(counts) == len(edition.classes)


@pytest.mark.parametrize("plan", [doses.bias, doses.distractors, doses.pan, doses.action])
def test_a_curve_of_doses_changes_the_edition_alone_and_keeps_the_start(plan):
    table, option = plan(SMALL), plan.__name__
    plain = imrs.student(SMALL, 1, 0)
    usual = {"RGB": imrs.single(SMALL, 1, 0), "Flow": plain.teacher, "IMRS": plain}
    values = sorted({float(row.label.partition(", ")[2]) for row in table.rows})
    assert values == sorted((*DOSES[option], doses.USUAL[option]))
    for label, row in rows(table).items():
        name, _, value = label.partition(", ")
        base, run = usual[name], row.runs[0]
        edition = "small-2" if float(value) == doses.USUAL[option] else dose("small-2", option, float(value))
        assert run.data == dataclasses.replace(base.data, source=edition)
        assert (run.model, run.optimisation, run.start) == (base.model, base.optimisation, base.start)
        assert run.teacher is None or run.teacher.data == dataclasses.replace(plain.teacher.data, source=edition)


@pytest.mark.parametrize("plan", [doses.bias, controls.curve, convergence.table])
def test_curves_have_three_seeds_at_most(plan):
    assert {run.seed for run in plan(Parameters(seeds=(0, 1, 2, 3, 4))).runs()} == {0, 1, 2}
    assert {run.seed for run in plan(Parameters(seeds=(5, 4))).runs()} == {4, 5}


@pytest.mark.parametrize("plan", [doses.bias, doses.distractors, doses.pan, doses.action])
@pytest.mark.parametrize("given", [{"dataset": "hmdb51"}, {"profile": "gpu"}])
def test_doses_are_of_small_networks_on_the_embedded_videos(plan, given):
    with pytest.raises(Unavailable, match="embedded videos alone"):
        plan(Parameters(**given))


def test_convergence_is_measured_on_development_videos_with_twice_the_epochs():
    found = rows(convergence.table(SMALL))
    assert list(found) == [label for name in SYSTEMS for label in (name, name + convergence.TWICE)]
    for name, (plan, label) in SYSTEMS.items():
        planned = rows(plan(SMALL))[label]
        for run, once, twice in zip(planned.runs, found[name].runs, found[name + convergence.TWICE].runs, strict=True):
            assert once.data == dataclasses.replace(run.data, source="development")
            assert once.optimisation == run.optimisation
            longer = dataclasses.replace(run.optimisation, epochs=2 * run.optimisation.epochs)
            assert twice.optimisation == longer
            assert run.start == once.start == twice.start
            if run.teacher is not None:
                assert twice.teacher.optimisation.epochs == 2 * run.teacher.optimisation.epochs
                assert twice.teacher.data.source == "development"


@pytest.mark.parametrize(
    "given", [{"profile": "gpu"}, {"profile": "paper"}, {"dataset": "folder", "data_root": "/x/y"}]
)
@pytest.mark.parametrize("plan", [controls.curve, convergence.table])
def test_small_networks_on_the_embedded_videos_alone(plan, given):
    with pytest.raises(Unavailable, match="small networks on the embedded videos alone"):
        plan(Parameters(**given))
