"""Configurations: bad values fail at the door, and the id says what a run is."""

import contextlib
import dataclasses
import json
import shutil
import subprocess
import sys

import pytest

from repro import notebooks, paths, records
from repro.config import (
    CrossEntropy,
    Data,
    Distillation,
    Model,
    MutualDistillation,
    Optimisation,
    Run,
    content,
)
from repro.errors import ReproError, Unavailable
from repro.papers import imrs
from repro.parameters import Parameters

DATA = Data("synthetic", "smoke", frames=8, size=32, side=48)
FOLDER = dataclasses.replace(DATA, dataset="folder", source="mine", group="(?P<group>.)")
FLOW = dataclasses.replace(DATA, modality="flow")
SMALL = Model("resnext3d", {"depths": (1, 1, 1, 1), "width": 16, "cardinality": 8})


def a_run(**changes) -> Run:
    return dataclasses.replace(Run("smoke", 0, DATA, SMALL, CrossEntropy(), Optimisation()), **changes)


def a_student(data=DATA, **changes) -> Run:
    teacher = a_run(data=dataclasses.replace(data, modality="flow"))
    return a_run(data=data, objective=Distillation(), teacher=teacher, **changes)


def changed(config, field: dataclasses.Field):
    """The configuration with another allowed value in one field."""
    value, other = getattr(config, field.name), {
        "dataset": "ucf101", "modality": "flow", "crop": "random", "views": "centre", "crops": "ten",
        "average": "probabilities", "size": 16, "side": 64, "schedule": "onecycle", "select": "last",
        "profile": "small", "precision": "mixed", "smallest_scale": 0.75, "norm": "l2", "on": "logits",
        "direction": "teacher||student", "reduction": "mean", "val_fraction": 0.25, "momentum": 0.5, "dampening": 0.5,
        "code": "x", "name": "tsm", "arguments": {"width": 8}, "trained": ("fc",), "source": "x", "group": "x", "flow": "dis",
        "rates": "tsm",
    }.get(field.name)  # fmt: skip
    if other is None:
        other = not value if isinstance(value, bool) else value + 1
    return dataclasses.replace(config, **{field.name: other})


# fields that only go together with others
TOGETHER = {
    "sampling": lambda: dataclasses.replace(DATA, sampling="segments", views="centre"),
    "stack": lambda: dataclasses.replace(DATA, sampling="segments", views="centre", stack=2),
    "test_frames": lambda: dataclasses.replace(DATA, sampling="segments", views="centre", test_frames=2),
    "folds": lambda: dataclasses.replace(FOLDER, folds=4),
    "test_groups": lambda: dataclasses.replace(FOLDER, test_groups=("x",)),
    "parts": lambda: dataclasses.replace(FOLDER, group="", parts="x.csv"),
    "init": lambda: Optimisation(init="a.pth", init_file="/a.pth"),
    "steps": lambda: Optimisation(schedule="steps", steps=(3,)),
}


def variants():
    """Runs that differ from `a_run()` in one field of their data, optimisation, model or their own."""
    for name, config in (("data", DATA), ("optimisation", Optimisation()), ("model", SMALL)):
        for field in dataclasses.fields(config):
            if field.metadata.get("identity", True):
                made = TOGETHER[field.name]() if field.name in TOGETHER else changed(config, field)
                yield f"{name}.{field.name}", a_run(**{name: made})
    for field in dataclasses.fields(Run):
        if field.name in ("profile", "seed", "precision"):
            yield field.name, changed(a_run(), field)


def test_the_id_changes_with_every_field_that_can_change_the_result():
    ids = {name: run.id for name, run in variants()}
    assert len(ids) == len([f for c in (Data, Optimisation, Model) for f in dataclasses.fields(c)]) - 3 + 3
    assert len({*ids.values(), a_run().id}) == len(ids) + 1, "two fields, or a field and none, share an id"


PINNED = {  # one run of each system, as it was before `Data.folds`; a value changes with the recipe of its network alone
    "synthetic": {
        "resnext3d, cross_entropy": "4681724240e3",
        "resnext3d, distillation": "214c96d95193",
        "tstam, cross_entropy": "66cfb7408d1d",
        "tsn, cross_entropy": "828c293a83ec",
        "tsn_resnet, cross_entropy": "182ff6f0e3d3",
        "smnet, cross_entropy": "f0e927cc20f1",
        "tsm, cross_entropy": "8e64603540bc",
        "stme, cross_entropy": "ee378b38da87",
        "stmsa, cross_entropy": "67636b0cf0e6",
        "stddcn, mutual_distillation": "943404760865",
    },
    "folder": {
        "resnext3d, cross_entropy": "8d64d501d8cf",
        "resnext3d, distillation": "2c8fe70e6897",
        "tstam, cross_entropy": "f755fc5d60ef",
        "tsn, cross_entropy": "df06e58d6135",
        "tsn_resnet, cross_entropy": "18728c875de3",
        "smnet, cross_entropy": "b78ecab03fe5",
        "tsm, cross_entropy": "293916ccb298",
        "stme, cross_entropy": "a63f3445fa2d",
        "stmsa, cross_entropy": "a2faf9606b06",
        "stddcn, mutual_distillation": "47340d122088",
    },
}


def planned(**given) -> dict[str, str]:
    """{id: system} of all runs that the notebooks' tables plan."""
    found = {}
    for notebook in notebooks.NOTEBOOKS.values():
        for plan in notebook.tables:
            with contextlib.suppress(Unavailable):
                runs = plan(Parameters(**{"seeds": (0, 1, 2), **given})).runs()
                found |= {run.id: f"{run.model.name}, {run.objective.kind}" for run in runs}
    return found


def test_ids_from_before_folds_could_be_asked_for_stay():
    folder = {"profile": "smoke", "dataset": "folder", "data_root": "/x/mine", "group": "(?P<group>.)"}
    for name, given in (("synthetic", {}), ("folder", folder)):
        ids = planned(**given)
        assert [ids.get(id) for id in PINNED[name].values()] == list(PINNED[name])
    assert not set(planned(**folder, folds="all")) & set(planned(**folder))
    assert not set(planned(**folder, test_groups="x")) & set(planned(**folder))


def test_a_field_added_later_counts_where_it_is_not_its_default():
    assert not {"folds", "test_groups", "parts"} & content(FOLDER).keys()
    assert "code" not in content(SMALL)
    assert "rates" not in content(Optimisation())
    assert content(Optimisation(rates="tsm"))["rates"] == "tsm"
    changes = {"folds": ("all", 2, 4), "test_groups": (("a",), ("a", "b"))}
    others = [dataclasses.replace(FOLDER, **{name: value}) for name, values in changes.items() for value in values]
    assert len({a_run(data=data).id for data in (FOLDER, *others)}) == 6
    for data in (FOLDER, *others):
        run = a_run(data=data)
        assert records.run_of(content(run)) == run
    assert content(others[0])["folds"] == "all"
    assert content(others[-1])["test_groups"] == ["a", "b"]


def test_the_id_changes_with_objective_and_teacher():
    run = a_student()
    fields = [f for f in dataclasses.fields(Distillation) if f.name != "kind"]
    others = [dataclasses.replace(run, objective=changed(Distillation(), field)) for field in fields]
    teacher = run.teacher
    others += [
        dataclasses.replace(run, teacher=dataclasses.replace(teacher, seed=3)),
        dataclasses.replace(run, teacher=dataclasses.replace(teacher, optimisation=Optimisation(lr=0.2))),
    ]
    assert len({each.id for each in (run, teacher, *others)}) == len(others) + 2


def test_the_id_changes_with_the_start():
    run, start = a_run(), a_run(data=dataclasses.replace(DATA, source="pretext"))
    others = [start, dataclasses.replace(start, seed=1), dataclasses.replace(start, optimisation=Optimisation(lr=0.2))]
    others.append(dataclasses.replace(start, start=start))
    assert len({run.id, *(dataclasses.replace(run, start=each).id for each in others)}) == 5
    there = dataclasses.replace(start, data=dataclasses.replace(start.data, root="/there"))
    assert dataclasses.replace(run, start=there).id == dataclasses.replace(run, start=start).id
    student = a_student()
    late, taught = (
        dataclasses.replace(student, start=start),
        dataclasses.replace(student.teacher, start=a_run(data=FLOW)),
    )
    assert len({student.id, late.id, dataclasses.replace(late, teacher=taught).id}) == 3


def test_a_network_of_two_streams_starts_from_either():
    both = sparse(modality="rgb+flow")
    for data in (DATA, FLOW):
        assert a_run(data=both, start=a_run(data=data)).needs == (a_run(data=data),)


def test_an_rgb_teacher_is_another_network_on_the_same_clips():
    run = dataclasses.replace(a_student(), teacher=a_run(seed=1))
    assert run.teacher.data == run.data
    with pytest.raises(ReproError, match="must see the same clips"):
        dataclasses.replace(run, teacher=a_run(data=dataclasses.replace(DATA, train_per_class=2)))


def test_what_a_run_needs():
    start, student = a_run(seed=1), a_student()
    assert a_run().needs == ()
    assert a_run(start=start).needs == (start,)
    assert student.needs == (student.teacher,)
    assert dataclasses.replace(student, start=start).needs == (start, student.teacher)


def test_the_id_does_not_change_with_the_place_of_a_file():
    assert a_run(data=dataclasses.replace(DATA, root="/elsewhere")).id == a_run().id
    here, there = (a_run(optimisation=Optimisation(init="a.pth", init_file=f)) for f in ("/here/a.pth", "/there/a.pth"))
    assert here.id == there.id
    assert a_run(optimisation=Optimisation(lr=1)).id == a_run(optimisation=Optimisation(lr=1.0)).id


def test_two_checkouts_and_two_roots_give_one_id(tmp_path):
    script = "from repro.papers import imrs; from repro.parameters import Parameters; " \
             "print(imrs.student(Parameters(dataset='folder', data_root='{}/mine'), 1, 0).id)"  # fmt: skip
    shutil.copytree(paths.ROOT / "repro", tmp_path / "other" / "repro", ignore=shutil.ignore_patterns("__pycache__"))
    ids = set()
    for checkout, root in ((paths.ROOT, "/one"), (tmp_path / "other", "/two"), (tmp_path / "other", "relative")):
        command = [sys.executable, "-c", script.format(root)]
        ids.add(subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout.strip())
    assert ids == {imrs.student(Parameters(dataset="folder", data_root="/three/mine"), 1, 0).id}
    assert imrs.student(Parameters(dataset="folder", data_root="/three/other"), 1, 0).id not in ids  # another set


def test_content_is_plain_json_and_names_no_place():
    run = a_student(data=dataclasses.replace(DATA, root="/secret"))
    plain = content(run)
    assert json.loads(json.dumps(plain)) == plain
    assert "/secret" not in json.dumps(plain)
    assert plain["model"]["arguments"]["depths"] == [1, 1, 1, 1]
    assert plain["teacher"]["data"]["modality"] == "flow"
    assert plain["start"] is plain["teacher"]["start"] is None
    begun = content(a_run(start=a_run(seed=4, data=dataclasses.replace(DATA, root="/secret"))))
    assert begun["start"] == content(a_run(seed=4))
    assert plain["objective"] == {
        "lambda1": 50.0, "lambda2": 200.0, "on": "features", "norm": "mse", "direction": "student||teacher",
        "reduction": "batchmean", "kind": "distillation",
    }  # fmt: skip


def sparse(**changes) -> Data:
    return dataclasses.replace(DATA, sampling="segments", views="centre", **changes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Distillation(lambda1=-1), "Distillation.lambda1 is -1, but must be greater than or equal to 0"),
        (lambda: Distillation(norm="l3"), "unknown value of Distillation.norm 'l3'; did you mean 'l2'"),
        (lambda: MutualDistillation(temperature=0), "MutualDistillation.temperature is 0"),
        (lambda: Optimisation(lr="fast"), "Optimisation.lr is 'fast', but must be a valid number"),
        (lambda: Optimisation(epochs=0), "Optimisation.epochs is 0"),
        (lambda: Optimisation(epochs=True), "Optimisation.epochs is True, but must be a valid integer"),
        (lambda: Optimisation(init_file="/a.pth"), "Optimisation.init_file is '/a.pth', but must be empty without init"),
        (lambda: Data("ucf101", parts="a.csv"), "parts is 'a.csv', which lists every clip of a folder with its part"),
        (lambda: dataclasses.replace(FOLDER, parts="a.csv"), "group, folds, test_groups and split say the same"),
        (lambda: Data("folder", parts="lists"), "Data.parts is 'lists', but must be the name of a CSV file"),
        (lambda: Data("folder", parts="lists/a.csv"), "Data.parts is 'lists/a.csv', but must be the name of a CSV file in"),
        (lambda: Data("folder", parts_file="/a.csv"), "Data.parts_file is '/a.csv', but must be empty without parts"),
        (lambda: Data("synthetic", size=300), "at most the stored short side, 256"),
        (lambda: Data("synthetic", smallest_scale=1.5), "Data.smallest_scale is 1.5, but must be in"),
        (lambda: Data("hmdb"), "unknown dataset 'hmdb'; did you mean 'hmdb51'"),
        (lambda: dataclasses.replace(DATA, stack=2), "Data.stack is 2, but must be 1 for consecutive frames"),
        (lambda: dataclasses.replace(DATA, test_frames=4), "Data.test_frames is 4, but must be 0 for consecutive frames"),
        (lambda: sparse(test_frames=-1), "Data.test_frames is -1"),
        (lambda: dataclasses.replace(sparse(), views="windows"), "Data.views is 'windows', but must be 'centre'"),
        (lambda: dataclasses.replace(FOLDER, folds=1), "Data.folds is 1, but must be a number from 2, or 'all'"),
        (lambda: dataclasses.replace(FOLDER, folds="each"), "Data.folds is 'each', but must be a number from 2"),
        (lambda: dataclasses.replace(DATA, folds=5), "only dataset 'folder' takes them: synthetic brings its own splits"),
        (lambda: Data("hmdb51", test_groups=("a",)), "only dataset 'folder' takes them: hmdb51 brings its own splits"),
        (lambda: dataclasses.replace(FOLDER, test_groups=("b", "a")), "must be names in order, each once"),
        (lambda: dataclasses.replace(FOLDER, test_groups=("a",), split=2), "split is 1 and folds 3, not 2 and 3"),
        (lambda: dataclasses.replace(FOLDER, test_groups=("a",), folds="all"), "split is 1 and folds 3, not 1 and 'all'"),
        (lambda: dataclasses.replace(FOLDER, group="lists/actors.csv"), "the name of a CSV file in the folder"),
        (lambda: a_run(profile="tiny"), "unknown value of Run.profile 'tiny'"),
        (lambda: a_run(seed=-1), "Run.seed is -1, but must be greater than or equal to 0"),
        (lambda: a_run(objective=Distillation()), "objective 'distillation' with no teacher"),
        (lambda: a_run(teacher=a_run()), "objective 'cross_entropy' with a teacher"),
        (lambda: a_run(data=dataclasses.replace(DATA, val_fraction=0.0)), "val_fraction is 0"),
        (lambda: a_run(objective=MutualDistillation()), "the input of two streams is 'rgb', but must be 'rgb.flow'"),
        (lambda: dataclasses.replace(a_student(), teacher=a_run(data=sparse(modality="rgb+flow"))),
         r"the teacher's input is 'rgb\+flow', but must be 'flow', or 'rgb' for a control"),
        (lambda: Data("synthetic", train_per_class=-1), "Data.train_per_class is -1, but must be greater than or equal to 0"),
        (lambda: a_run(start=a_run(), optimisation=Optimisation(init="a.pth", init_file="/a.pth")),
         "Optimisation.init is 'a.pth', but must be empty where a run is the start"),
        (lambda: a_run(start=a_run(data=FLOW)), r"the start's input is 'flow', but must be one of \['rgb'\]"),
        (lambda: a_run(data=FLOW, start=a_run()), r"the start's input is 'rgb', but must be one of \['flow'\]"),
        (lambda: a_run(start=a_run(data=sparse(modality="rgb+flow"))), r"the start's input is 'rgb\+flow'"),
        (lambda: dataclasses.replace(a_student(), data=a_student().teacher.data), "the student's input is 'flow'"),
        (lambda: dataclasses.replace(a_student(), data=dataclasses.replace(DATA, split=2)), "must see the same clips"),
        (lambda: Optimisation(schedule="steps"), "Optimisation.steps"),
        (lambda: Optimisation(steps=(10, 20)), "Optimisation.steps"),
        (lambda: Optimisation(schedule="steps", steps=(20, 10)), "Optimisation.steps"),
        (lambda: Optimisation(schedule="steps", steps=(10, 10)), "Optimisation.steps"),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_error_that_names_it(make, words):
    with pytest.raises(ReproError, match=words):
        make()


def test_channels_of_a_clip():
    channels = {modality: sparse(stack=5, modality=modality).channels for modality in ("rgb", "flow", "rgb+flow")}
    assert channels == {"rgb": 3, "flow": 10, "rgb+flow": 13}


def test_titles_are_for_people():
    assert a_run().title == "resnext3d on rgb, split 1, seed 0"
    assert a_student(seed=3).title == "resnext3d on rgb, taught (50, 200), split 1, seed 3"
    assert a_run(start=a_run(seed=7)).title == a_run().title
