"""What the modules of the papers share: from parameters to the clips, the start and the rows of their runs.

Everything here is arithmetic on values: no file is read, no device is asked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from repro.config import DIRECTED, PRETEXT, Data, Run
from repro.errors import Unavailable
from repro.papers.table import Row
from repro.parameters import Parameters

Presets = Mapping[str, Mapping[str, Mapping[str, Any]]]


def preset(parameters: Parameters, presets: Presets) -> Mapping[str, Mapping[str, Any]]:
    """What a paper's module sets for a profile. Real videos, which are few, have a small profile of their own."""
    real = parameters.profile == "small" and parameters.dataset != "synthetic"
    return presets["small real" if real else parameters.profile]


def clips(parameters: Parameters, split: int, modality: str, **given: Any) -> Data:
    """The clips of a run; `given` are fields of `Data`."""
    return Data(
        parameters.dataset, parameters.source, split, modality, **given, flip=parameters.dataset not in DIRECTED,
        group=parameters.group, allow_missing=parameters.allow_missing, root=parameters.root, folds=parameters.folds,
        test_groups=parameters.test_groups,
    )  # fmt: skip


def pretrained(parameters: Parameters, modality: str, lr: float, wanted: str = "") -> Mapping[str, Any]:
    """Fields of `Optimisation` for a run that starts from a public checkpoint, where the parameters name one.

    wanted: what the published protocol starts from; without it the profile 'paper' is Unavailable.
    """
    stream = "flow" if modality == "flow" else "rgb"  # rgb+flow: one file for both streams
    file = getattr(parameters, f"pretrained_{stream}")
    if not file and wanted and parameters.profile == "paper":
        raise Unavailable(
            f"the published protocol starts from {wanted}: give its file as pretrained_{stream}, or choose another profile"
        )
    return {"lr": lr, "init": Path(file).name, "init_file": file} if file else {}


def start(parameters: Parameters, presets: Presets, plain: Run) -> Run | None:
    """The run that a small network on the embedded set starts from, as the papers' networks start from public weights.

    plain: the run of the network without the paper's modules. It trains on the pretext edition: the same generator, other
    movements. All seeds start from the same network. None for profiles and data sets that start from scratch or a file.
    """
    settings = preset(parameters, presets).get("pretext")
    if settings is None or plain.optimisation.init:
        return None
    data = replace(plain.data, source=PRETEXT, split=1, train_per_class=0, **settings["data"])
    optimisation = replace(plain.optimisation, **settings["optimisation"])
    return replace(plain, seed=0, data=data, optimisation=optimisation)


def precision(parameters: Parameters) -> str:
    """Full-size networks train in mixed precision; small networks gain little from it and stay in float32."""
    return "mixed" if parameters.profile in ("gpu", "paper") else "float32"


def rows(
    parameters: Parameters,
    systems: Mapping[str, Callable[[int, int], Sequence[Run]]],
    shares: Mapping[str, tuple[float, ...]] | None = None,
    weighted: bool = False,
) -> tuple[Row, ...]:
    """One row per label: `systems[label](split, seed)` gives the runs whose probabilities are averaged by `shares[label]`."""
    places = [(split, seed) for split in parameters.splits for seed in parameters.seeds]
    return tuple(
        Row(label, tuple(tuple(of(*place)) for place in places), (shares or {}).get(label, ()), weighted)
        for label, of in systems.items()
    )
