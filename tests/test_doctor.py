"""What `doctor` says of a machine: each thing that can be missing has a remedy, and decides the exit code."""

import inspect
import shutil

import pytest
import torch

from repro import commands, doctor, paths
from repro.errors import ReproError
from repro.single import commands as single


def state(what: str) -> doctor.Check:
    return next(each for each in doctor.checks() if each.what == what)


def test_a_machine_that_has_everything_it_needs_is_ready(home, capsys):
    commands.doctor()
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("ready")
    assert "works     video" in said
    assert state("data folder").state == state("committed records").state == "works"


def test_what_is_slow_or_optional_does_not_fail(home, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert state("full-size networks").state == "slow"
    assert state("export").words.endswith("not installed: pip install -e '.[export]'")
    commands.doctor()
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == "ready; slow: full-size networks; optional: cluster, export, tensorboard"
    )


@pytest.mark.parametrize("what", ["video", "data folder", "committed records"])
def test_what_is_missing_fails_and_has_a_remedy(home, monkeypatch, capsys, what):
    if what == "video":
        monkeypatch.setattr(doctor, "_backends", lambda: ["CV_IMAGES"])
    elif what == "data folder":
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 9, 1))
    else:
        monkeypatch.setattr(paths, "committed", lambda: home / "none")
    with pytest.raises(ReproError, match="this machine is not ready"):
        commands.doctor()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"not ready: {what}; see above"
    (line,) = [line for line in lines if line.startswith(f"missing   {what}")]
    assert ": " in line  # the remedy


def test_the_help_of_every_command_has_examples():
    given = [commands.list_, commands.run, commands.reproduce, commands.rerun, commands.rebuild, commands.folds]
    given += [commands.prepare, commands.models, commands.report, commands.doctor]
    given += [single.train, single.evaluate, single.rehearse, single.predict, single.export]
    for command in given:
        name = command.__name__.rstrip("_")
        assert f"For example:\n\n    python -m repro {name}" in inspect.getdoc(command), name
