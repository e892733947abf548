"""The run that the command line asks for: a system as its paper's module plans it, with what the user changes."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from repro import overrides, paths
from repro.config import CrossEntropy, Model, Optimisation, Run
from repro.errors import ReproError, unknown
from repro.papers import systems
from repro.parameters import Parameters

LOGS = ("csv", "tensorboard")


def plan(
    system: str, parameters: Parameters, modality: str, split: Path | None, model: str, sets: Sequence[str]
) -> Run:
    """The run of a system as its paper's module plans it, then with what the user changes. No video is opened.

    split: a CSV file of all parts (`annotations.listed`), in place of groups. model: "module:function", a network in place
    of the system's. sets: texts such as "optimisation.epochs=30".
    """
    changes = overrides.parsed(sets)
    if split is not None:
        if parameters.dataset != "folder" or parameters.group or parameters.test_groups:
            raise ReproError(
                "--split lists the parts of a folder of videos: give it with --dataset folder and without --group"
            )
        place = Path(paths.absolute(split))
        changes = {"data.parts": place.name, "data.parts_file": str(place)} | changes
    run = systems.run_of(system, parameters, parameters.splits[0], parameters.seeds[0], modality)
    if model:
        from repro.models.tools import own  # takes the seconds of torch

        if run.teacher is not None:
            raise ReproError(
                f"{system} has a teacher of its own kind, so --model cannot replace its network; name another"
            )
        if ":" not in model:
            raise ReproError(
                f"--model {model!r}: give module:function, such as mynet:MyNet for the class MyNet in mynet.py"
            )
        run = dataclasses.replace(run, model=Model(model, code=own.code(model)))
    return overrides.changed(run, changes)


def tested(run: Run, checkpoint: Path) -> Run:
    """A run that tests a public checkpoint of the system as it is. Of a student the network alone is tested."""
    return dataclasses.replace(
        run,
        data=dataclasses.replace(run.data, val_fraction=0.0),
        objective=run.objective if run.teacher is None else CrossEntropy(),
        optimisation=Optimisation(
            epochs=0, batch=run.optimisation.batch, schedule="onecycle", select="last",
            init=checkpoint.name, init_file=str(paths.absolute(checkpoint)),
        ),
        teacher=None, start=None,
    )  # fmt: skip


def check_log(log: str) -> None:
    """ReproError for an unknown logger, or one that is not installed."""
    if log and log not in LOGS:
        raise unknown("value of --log", log, LOGS)
    if log == "tensorboard" and importlib.util.find_spec("tensorboard") is None:
        raise ReproError("--log tensorboard needs a package: pip install -e '.[tensorboard]', or take --log csv")
