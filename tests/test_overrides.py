"""Any field of a run from the command line: what a text becomes, and what is refused."""

import pytest

from repro import overrides
from repro.errors import ReproError
from repro.papers import imrs, systems
from repro.parameters import Parameters

FOLDER = Parameters(profile="smoke", dataset="folder", data_root="/videos", seeds=0)
TSM = systems.run_of("tsm", FOLDER, 1, 0)
IMRS = systems.run_of("imrs", FOLDER, 1, 0)


def changed(run, *texts):
    return overrides.changed(run, overrides.parsed(texts))


def test_each_kind_of_field_takes_its_value():
    run = changed(
        TSM, "seed=3", "optimisation.epochs=30", "optimisation.lr=1e-3", "data.flip=false", "data.source=7",
        "data.test_groups=lyova, moshe", "optimisation.schedule=steps", "optimisation.steps=10,20", "optimisation.trained=fc",
        "model.arguments.divide=4", "precision=mixed",
    )  # fmt: skip
    assert (run.seed, run.optimisation.epochs, run.optimisation.lr, run.precision) == (3, 30, 1e-3, "mixed")
    assert (run.data.flip, run.data.source, run.data.test_groups) == (False, "7", ("lyova", "moshe"))
    assert (run.optimisation.schedule, run.optimisation.steps) == ("steps", (10, 20))  # neither alone is allowed
    assert run.optimisation.trained == ("fc",)
    assert run.model.arguments == {**TSM.model.arguments, "divide": 4}


def test_the_id_changes_and_no_change_leaves_it():
    assert changed(TSM).id == TSM.id
    assert changed(TSM, "optimisation.epochs=30").id != TSM.id
    epochs = TSM.optimisation.epochs
    assert changed(TSM, f"optimisation.epochs={epochs}").id == TSM.id


def test_data_of_a_student_are_those_of_its_teacher():
    run = changed(IMRS, "data.frames=4", "optimisation.epochs=2", "teacher.optimisation.epochs=5")
    assert run.data.frames == run.teacher.data.frames == 4
    assert (run.optimisation.epochs, run.teacher.optimisation.epochs) == (2, 5)
    assert run.teacher.data.modality == "flow"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimisation.epoch=3", "unknown field of the run 'optimisation.epoch'; did you mean 'optimisation.epochs'"),
        ("epochs=3", "unknown field of the run 'epochs'; did you mean 'optimisation.epochs'"),
        ("model.argument.width=3", "unknown field of the run 'model.argument.width'"),
        ("teacher.seed=3", "unknown field of the run 'teacher.seed'"),  # TSM has no teacher
        ("optimisation.epochs=many", "Optimisation.epochs is 'many', but must be a valid integer"),
        ("optimisation.epochs=3.5", "Optimisation.epochs is 3.5, but must be a valid integer"),
        ("optimisation.epochs=0", "Optimisation.epochs is 0, but must be at least 1 without a checkpoint"),
        ("data.modality=depth", "unknown value of Data.modality 'depth'"),
        ("data.flip=1", "Data.flip is 1, but must be a valid boolean"),
        ("objective.kind=distillation", "unknown value of CrossEntropy.kind 'distillation'"),
        ("optimisation.epochs", "give a field and its value"),
        ("=3", "give a field and its value"),
    ],
)
def test_what_does_not_fit_is_refused(text, words):
    with pytest.raises(ReproError, match=words):
        changed(TSM, text)


def test_a_field_given_twice_is_refused():
    with pytest.raises(ReproError, match="--set seed: given twice, with '1' and '2'"):
        overrides.parsed(["seed=1", "seed=2"])


@pytest.mark.parametrize("parameters", [Parameters(profile="smoke", seeds=0), Parameters(profile="small", seeds=0)])
def test_systems_by_name_are_the_runs_of_the_tables(parameters):
    """A system that is trained alone is recorded as the tables would."""
    tabled = {}
    for name, (plan, label) in systems.SYSTEMS.items():
        (row,) = (row for row in plan(parameters).rows if row.label == label)
        tabled[name] = [run.id for run in row.runs]
    alone = {
        "3D ResNeXt-101": ["resnext3d"], "MARS": ["mars"], "IMRS": ["imrs"], "TSN": ["tsn", "tsn flow"],
        "T-STAM": ["tstam", "tstam flow"], "TSM": ["tsm"], "SMNet": ["smnet"], "STME": ["stme"], "STMSA": ["stmsa"],
        "STDDCN": ["stddcn"],
    }  # fmt: skip
    for name, given in alone.items():
        runs = [systems.run_of(each.split()[0], parameters, 1, 0, "flow" * each.endswith("flow")) for each in given]
        assert [run.id for run in runs] == tabled[name], name
    assert systems.run_of("resnext3d-ce", parameters, 1, 0).id == imrs.single(parameters, 1, 0).id


def test_a_system_that_is_none_and_a_modality_that_it_does_not_have():
    with pytest.raises(ReproError, match="unknown system 'tstm'; did you mean 'tstam'"):
        systems.run_of("tstm", FOLDER, 1, 0)
    with pytest.raises(ReproError, match=r"imrs sees RGB and flow as its paper says, .* 'flow' was given"):
        systems.run_of("imrs", FOLDER, 1, 0, "flow")
    with pytest.raises(ReproError, match="unknown modality 'depth'"):
        systems.run_of("tsm", FOLDER, 1, 0, "depth")
