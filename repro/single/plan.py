"""The run that the command line asks for: a system as its paper's module plans it, with what the user changes."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repro import overrides, paths
from repro.config import DATASETS, CrossEntropy, Model, Optimisation, Run
from repro.errors import ReproError, Unavailable, unknown
from repro.papers import systems, tstam
from repro.parameters import Parameters

LOGS = ("csv", "tensorboard")
LISTED = tuple(name for name in DATASETS if name not in ("synthetic", "folder"))  # data sets with official lists
FUSED = {
    "tstam": tstam.SHARES,
    "tsn": tstam.SHARES,
}  # systems of two networks, RGB first, and the shares of their scores
REHEARSED = 2  # epochs


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


def published(system: str, parameters: Parameters) -> list[Run]:
    """The runs of a system's published protocol: one, or one for each of two streams. Those they need are in them."""
    modalities = ("rgb", "flow") if system in FUSED else ("",)
    return [systems.run_of(system, parameters, parameters.splits[0], parameters.seeds[0], each) for each in modalities]


def rehearsal(system: str, dataset: str, folder: Path, **given: Any) -> Parameters:
    """The parameters of a rehearsal in `folder`: profile paper, on a data set of which most files are missing.

    Where the published protocol starts from public weights that are not given, they are files in `folder`, which
    `standins.random_weights` writes. given: other fields. ReproError for an unknown system, and a data set without lists.
    """
    if dataset not in LISTED:
        raise unknown("data set with official lists", dataset, LISTED)
    found = Parameters("paper", dataset, str(folder / dataset), seeds=0, allow_missing=True, **given)
    try:
        published(system, found)
        return found
    except Unavailable:  # without public weights
        rgb, flow = (
            found.pretrained_rgb or folder / "random_rgb.pth",
            found.pretrained_flow or folder / "random_flow.pth",
        )
        return dataclasses.replace(found, pretrained_rgb=str(rgb), pretrained_flow=str(flow))


def rehearsed(run: Run, batch: int) -> Run:
    """A run, and its teacher, of few epochs; the rate of the schedule "steps" drops once. batch: 0 leaves it as it is."""
    opt = run.optimisation
    few = dataclasses.replace(
        opt, epochs=REHEARSED, batch=batch or opt.batch, steps=(REHEARSED - 1,) if opt.steps else ()
    )
    return dataclasses.replace(run, optimisation=few, teacher=run.teacher and rehearsed(run.teacher, batch))


def check_log(log: str) -> None:
    """ReproError for an unknown logger, or one that is not installed."""
    if log and log not in LOGS:
        raise unknown("value of --log", log, LOGS)
    if log == "tensorboard" and importlib.util.find_spec("tensorboard") is None:
        raise ReproError("--log tensorboard needs a package: pip install -e '.[tensorboard]', or take --log csv")
