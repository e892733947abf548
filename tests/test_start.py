"""Runs that start from the network of another run: planned, made first and once, and what they take from it."""

import dataclasses
import json

import pytest
import tiny
import torch

from repro import execute, make, networks, progress, records
from repro.config import Distillation, Model, Run, content
from repro.data.clips import prepared
from repro.data.embedded import videos
from repro.errors import ReproError
from repro.models.tools import checkpoints
from repro.papers.table import with_needs

PRETEXT = dataclasses.replace(tiny.EDITION, seed=3, classes=("hop", "squat"))  # as many classes as the tiny edition
GATES = tuple(f"excite{stage}.conv.weight" for stage in (2, 3, 4, 5))
HEAD = ("fc.weight", "fc.bias")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """What a run needs to know of the tiny edition; it and its pretext edition are stored."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(videos.EDITIONS, "tiny pretext", PRETEXT)
        data = tiny.stored(tmp_path_factory.mktemp("start"), patch)
        prepared(dataclasses.replace(data, source="tiny pretext"), jobs=1)
        yield data


@pytest.fixture
def data(stored, tmp_path, monkeypatch):
    """The same, with a private folder of runs."""
    monkeypatch.setenv("REPRO_RUNS", str(tmp_path / "runs"))
    return stored


def pretext(data, **changes) -> Run:
    """A short run on the pretext edition, of a network without channel excitation."""
    plain = tiny.run(dataclasses.replace(data, source="tiny pretext"))
    short = dataclasses.replace(plain.optimisation, epochs=1, batch=2, lr=0.01)
    return dataclasses.replace(plain, **{"optimisation": short, **changes})


def single(data, seed=0, **changes) -> Run:
    """A short run, of a network with channel excitation, that starts from the pretext run."""
    gated = Model("resnext3d", {**tiny.NETWORK, "excitation": "ce"})
    fresh = dataclasses.replace(pretext(data), seed=seed, data=data, model=gated)
    return dataclasses.replace(fresh, **{"start": pretext(data), **changes})


def student(data, seed=0) -> Run:
    """A student with a start, of a teacher with a start."""
    return single(data, seed, objective=Distillation(), teacher=single(flow(data), seed))


def flow(data):
    return dataclasses.replace(data, modality="flow")


@pytest.mark.parametrize("notebook", [False, True])
def test_what_a_network_took_is_said_of_files_from_elsewhere(data, tmp_path, monkeypatch, capsys, notebook):
    """On stdout in a notebook, which shows stderr in red; of a start of our own nothing is said."""
    monkeypatch.setattr(progress, "in_notebook", lambda: notebook)
    make.make(pretext(data), "cpu")
    networks.build(single(data), tiny.CLASSES)
    assert capsys.readouterr() == ("", "")
    public = networks.weights_path(pretext(data)).rename(tmp_path / "public.pt")
    opt = dataclasses.replace(pretext(data).optimisation, init="public.pt", init_file=str(public))
    networks.build(single(data, start=None, optimisation=opt), tiny.CLASSES)
    said, quiet = capsys.readouterr()[:: 1 if notebook else -1]
    assert said.startswith("public.pt: ")
    assert quiet == ""


# -- plans


def test_what_is_needed_comes_first_and_once(data):
    one, other = student(data), student(data, 1)
    begins, flow_begins = one.start, one.teacher.start
    assert begins == other.start
    assert len({begins.id, flow_begins.id}) == 2
    assert [run.id for run in with_needs([one])] == [one.id, begins.id, one.teacher.id, flow_begins.id]
    first, second, third = execute.levels([one, other, one])
    assert {run.id for run in first} == {begins.id, flow_begins.id}
    assert [run.id for run in second] == [one.teacher.id, other.teacher.id]
    assert [run.id for run in third] == [one.id, other.id]
    todo = [run.id for run in execute.missing([other, one])]
    assert len(todo) == len(set(todo)) == 6
    for run in (one, other):
        assert todo.index(begins.id) < todo.index(run.id) > todo.index(run.teacher.id) > todo.index(flow_begins.id)


def test_a_configuration_with_starts_is_read_back(data):
    run = student(data)
    config = json.loads(json.dumps(content(run)))
    assert config["start"] == json.loads(json.dumps(content(run.start)))
    assert config["teacher"]["start"]["data"]["source"] == "tiny pretext"
    found = records.run_of(config, root="/videos")
    assert found.id == run.id
    assert found.start.id == run.start.id
    assert {each.data.root for each in with_needs([found])} == {"/videos"}
    del config["start"], config["teacher"]["start"]  # of a record from before runs had starts
    assert records.run_of(config) == dataclasses.replace(run, start=None, teacher=single(flow(data), start=None))


# -- what is taken


def weights(model) -> dict[str, torch.Tensor]:
    """Without BatchNorm's step counters, which play no role."""
    return {name: value for name, value in model.state_dict().items() if not name.endswith("num_batches_tracked")}


def keep(run: Run, model, classes) -> None:
    """As if the run had been made, and had left this network."""
    checkpoints.save_weights(networks.weights_path(run), model, list(classes), {})


def moved(run: Run, classes):
    """The network of a run with every tensor changed."""
    model = networks.build(run, classes, initialise=False)
    for value in weights(model).values():
        value.add_(torch.rand(value.shape) + 1)
    return model


def test_the_trunk_is_taken_and_head_and_gates_stay_fresh(data):
    run = single(data, seed=5)
    theirs = moved(run.start, PRETEXT.classes)
    keep(run.start, theirs, PRETEXT.classes)
    theirs, fresh = weights(theirs), weights(networks.build(run, tiny.CLASSES, initialise=False))
    ours = weights(networks.build(run, tiny.CLASSES))
    assert theirs["fc.weight"].shape == ours["fc.weight"].shape  # it would fit
    for name, value in ours.items():
        expected = fresh if name in GATES + HEAD else theirs
        assert torch.equal(value, expected[name]), name
    assert set(GATES) == ours.keys() - theirs.keys()
    again = weights(networks.build(dataclasses.replace(run, seed=6), tiny.CLASSES))  # all seeds: the same trunk
    assert {name for name in ours if not torch.equal(ours[name], again[name])} == {*GATES, "fc.weight", "fc.bias"}


def test_gates_that_the_start_has_are_taken(data):
    run = single(data)
    run = dataclasses.replace(run, start=dataclasses.replace(run.start, model=run.model))
    theirs = moved(run.start, PRETEXT.classes)
    keep(run.start, theirs, PRETEXT.classes)
    ours, theirs = weights(networks.build(run, tiny.CLASSES)), weights(theirs)
    assert {name for name in ours if not torch.equal(ours[name], theirs[name])} == set(HEAD)


def test_a_start_of_another_network_or_that_is_not_here_is_an_error(data):
    run = single(data)
    with pytest.raises(ReproError, match=rf"no checkpoint at .*{run.start.id}"):
        networks.build(run, tiny.CLASSES)
    wider = dataclasses.replace(run.start, model=Model("resnext3d", {**tiny.NETWORK, "width": 8}))
    keep(run.start, networks.build(wider, PRETEXT.classes), PRETEXT.classes)
    with pytest.raises(ReproError, match=r"conv1.weight is"):
        networks.build(run, tiny.CLASSES)
    assert networks.build(run, tiny.CLASSES, initialise=False)


@pytest.mark.parametrize("head", [True, False])
def test_a_head_of_as_many_classes_is_taken_only_where_it_is_wanted(data, tmp_path, head):
    theirs, ours = moved(pretext(data), PRETEXT.classes), networks.build(pretext(data, seed=1), tiny.CLASSES, False)
    keep(pretext(data), theirs, PRETEXT.classes)
    before = ours.fc.weight.clone()
    report = checkpoints.load_public(ours, networks.weights_path(pretext(data)), head=head)
    assert torch.equal(ours.fc.weight, theirs.fc.weight if head else before)
    assert report.fresh == report.ignored == (() if head else HEAD)
    assert ("head taken: 2 classes" if head else "head fresh: 2 classes, the file's 2 ignored") in str(report)


# -- execution


@pytest.fixture
def made(monkeypatch):
    """The runs that were made, in order."""
    found, true = [], make._made
    monkeypatch.setattr(make, "_made", lambda run, *given: (found.append(run.id), true(run, *given))[1])
    return found


def test_a_start_is_made_first_and_once(data, made):
    runs = [single(data, seed) for seed in (0, 1)]
    both = execute.execute(runs, jobs=1)
    assert made == [runs[0].start.id, runs[0].id, runs[1].id]
    assert [record.config["start"]["data"]["source"] for record in both] == ["tiny pretext"] * 2
    assert [record.classes for record in both] == [list(tiny.CLASSES)] * 2
    assert records.get(runs[0].start).classes == list(PRETEXT.classes)
    assert {record.start for record in both} == {""}  # no public checkpoint
    execute.execute(runs, jobs=1)
    assert len(made) == 3
    # from scratch the same run ends elsewhere
    (scratch,) = execute.execute([dataclasses.replace(runs[0], start=None)], jobs=1)
    assert scratch.history != both[0].history


def test_a_recorded_run_needs_its_start_no_more(data, made):
    run = single(data)
    make.make(run)  # alone, it makes its start too
    assert made == [run.start.id, run.id]
    networks.weights_path(run.start).unlink()
    assert execute.missing([run]) == []
    assert execute.missing([run], weights=True) == []
    assert networks.trained(run)
    assert [each.id for each in execute.missing([single(data, 1), run])] == [run.start.id, single(data, 1).id]


def test_a_failed_start_fails_what_needs_it_and_nothing_else(data):
    diverging = dataclasses.replace(pretext(data).optimisation, lr=1e30, epochs=3)
    bad = pretext(data, optimisation=diverging)
    runs = [single(data, seed, start=bad) for seed in (0, 1)]
    good = dataclasses.replace(single(data), start=None)
    with pytest.raises(ReproError, match=r"^3 runs failed, the others are recorded: ") as caught:
        execute.execute([*runs, good], jobs=1)
    said = str(caught.value)
    assert f"run {bad.id} stopped in epoch" in said
    for run in runs:
        assert f"run {run.id} needs run {bad.id} ({bad.title})" in said
        assert not records.path_here(run.id).exists()
    assert records.path_here(good.id).exists()


def test_a_failed_run_fails_nothing_that_is_made(data, monkeypatch):
    """What starts from a made network does not need what that network once started from."""
    middle = single(data)
    last = single(data, 1, start=middle)
    make.make(middle)
    networks.weights_path(middle.start).unlink()
    true = make.make

    def failing(run, *given):
        if run.id == middle.start.id:
            raise ReproError("no")
        return true(run, *given)

    monkeypatch.setattr(execute, "make", failing)
    with pytest.raises(ReproError, match=r"^1 runs failed, .*: failed: no$"):
        execute.execute([middle.start, last], jobs=1, weights=True)
    assert records.path_here(last.id).exists()
