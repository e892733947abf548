"""What the papers' modules share: from a parameters to the clips, the start and the rows of their runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.config import Data, Run, file_hash
from repro.data.catalog import DIRECTED
from repro.data.clips import recipe_of
from repro.errors import Unavailable
from repro.evidence.tables import Row
from repro.execute import resolve_device
from repro.models.tools import inference as fast
from repro.parameters import Parameters

Presets = Mapping[str, Mapping[str, Mapping[str, Any]]]


def preset(parameters: Parameters, presets: Presets) -> Mapping[str, Mapping[str, Any]]:
    """What a paper's module sets for a profile; real videos, of which there are few, have a small profile of their own."""
    return presets[
        "small real" if parameters.profile == "small" and parameters.dataset != "synthetic" else parameters.profile
    ]


def clips(parameters: Parameters, split: int, modality: str, **given: Any) -> Data:
    """The clips of a run, all prepared; `given` are fields of `Data`."""
    given = {"val_fraction": 0.1, **given}
    defaults = Data(parameters.dataset, "", **given)
    found = parameters.prepare(split, defaults.val_fraction, recipe_of(defaults))
    return Data(
        parameters.dataset, found.id, split, modality, **given, flip=parameters.dataset not in DIRECTED,
        excluded=found.excluded, root=str(parameters.root), group=parameters.group,
    )  # fmt: skip


def pretrained(parameters: Parameters, modality: str, lr: float, wanted: str = "") -> Mapping[str, Any]:
    """Fields of `Optimisation` for a run that starts from the study's public checkpoint, where it names one.

    wanted: what the published protocol starts from; without it the profile 'paper' is Unavailable.
    """
    stream = "flow" if modality == "flow" else "rgb"  # rgb+flow: one file for both streams
    file = getattr(parameters, f"pretrained_{stream}")
    if not file and wanted and parameters.profile == "paper":
        raise Unavailable(
            f"the published protocol starts from {wanted}: give its file as pretrained_{stream}, or choose another profile"
        )
    if not file:
        return {}
    path = Path(file).expanduser().resolve()
    return {"lr": lr, "init": file_hash(path), "init_file": str(path)}


def precision(parameters: Parameters) -> str:
    """bf16 for full-size networks where the device computes in it; small networks gain little and stay in float32."""
    large = parameters.profile in ("gpu", "paper")
    return "bf16-mixed" if large and fast.bf16_supported(resolve_device(parameters.device)) else "32-true"


def rows(
    parameters: Parameters,
    systems: Mapping[str, Callable[[int, int], Sequence[Run]]],
    shares: Mapping[str, tuple[float, ...]] | None = None,
    weighted: bool = False,
) -> tuple[Row, ...]:
    """A row a label: `systems[label](split, seed)` gives the runs whose probabilities are averaged, by `shares[label]`."""
    return tuple(
        Row(
            label,
            tuple(tuple(of(split, seed)) for split in parameters.splits for seed in parameters.seeds),
            (shares or {}).get(label, ()),
            weighted,
        )
        for label, of in systems.items()
    )
