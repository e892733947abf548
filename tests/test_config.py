"""Configurations: bad values fail at the door, and the id says what a run is."""

import dataclasses

import pytest

from repro.config import Data, Model, Objective, Optimisation, Run, content
from repro.errors import ReproError

DATA = Data("synthetic", "c0ffee", frames=8, size=32, side=48)
SMALL = Model("resnext3d", {"depths": (1, 1, 1, 1), "width": 16, "cardinality": 8})


def a_run(**changes) -> Run:
    return dataclasses.replace(Run("smoke", 0, DATA, SMALL, Objective(), Optimisation()), **changes)


def a_student(**changes) -> Run:
    teacher = a_run(data=dataclasses.replace(DATA, modality="flow"))
    return a_run(objective=Objective(lambda1=50, lambda2=200), teacher=teacher, **changes)


def test_the_id_changes_with_everything_that_can_change_the_result_and_nothing_else():
    run = a_student()
    for other in (
        a_student(seed=1),
        a_student(profile="small"),
        a_student(model=dataclasses.replace(SMALL, arguments={**SMALL.arguments, "width": 8})),
        a_student(optimisation=Optimisation(lr=0.2)),
        dataclasses.replace(run, teacher=dataclasses.replace(run.teacher, seed=3)),
    ):
        assert other.id != run.id
    moved = dataclasses.replace(DATA, root="/elsewhere", group="x")
    assert a_run(data=moved).id == a_run().id
    assert a_run(optimisation=Optimisation(lr=1)).id == a_run(optimisation=Optimisation(lr=1.0)).id


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Objective(lambda1=-1), "lambda1 is -1.0, but must be zero or positive"),
        (lambda: Objective(norm="l3"), "unknown value of Objective.norm 'l3'; did you mean"),
        (lambda: Optimisation(lr="fast"), "Optimisation.lr is 'fast', but must be a number"),
        (lambda: Optimisation(epochs=0), "Optimisation.epochs is 0"),
        (lambda: Optimisation(epochs=True), "Optimisation.epochs is True, but must be a whole number"),
        (lambda: Data("synthetic", "x", size=300), "at most the stored short side"),
        (lambda: Model("resnet3d"), "unknown model 'resnet3d'; did you mean 'resnext3d'"),
        (lambda: Model("resnext3d", {"widht": 3}), "did you mean 'width'"),
        (lambda: a_run(profile="tiny"), "unknown profile 'tiny'"),
        (lambda: a_run(objective=Objective(lambda1=1)), "distillation needs both or neither"),
        (lambda: a_run(data=dataclasses.replace(DATA, val_fraction=0.0)), "val_fraction is 0"),
        (lambda: dataclasses.replace(a_student(), teacher=a_run()), "the teacher's input is 'rgb'"),
        (lambda: a_student(data=dataclasses.replace(DATA, split=2)), "must see the same clips"),
    ],
)
def test_a_bad_value_is_one_error_that_names_it(make, words):
    with pytest.raises(ReproError, match=words):
        make()


def test_a_field_that_came_later_leaves_the_ids_of_older_runs_alone():
    run = a_run()
    later = {f.name for f in dataclasses.fields(Data) if f.metadata.get("later")}
    assert later >= {"sampling", "stack", "test_frames", "crops", "average"}
    assert not later & content(run)["data"].keys()
    sparse = dataclasses.replace(run, data=dataclasses.replace(run.data, sampling="segments", views="centre"))
    assert content(sparse)["data"]["sampling"] == "segments"
    assert sparse.id != run.id


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schedule": "steps"}, "Optimisation.steps"),
        ({"steps": (10, 20)}, "Optimisation.steps"),
        ({"schedule": "steps", "steps": (20, 10)}, "Optimisation.steps"),
    ],
)
def test_steps_go_with_their_schedule(changes, words):
    with pytest.raises(ReproError, match=words):
        Optimisation(**changes)
