"""What the papers' modules share: from a study to the clips, the start and the rows of their runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.config import Data, Run, file_hash
from repro.data.catalog import DIRECTED
from repro.data.dataset import recipe_of
from repro.errors import Unavailable
from repro.execute import resolve_device
from repro.models import fast
from repro.study import Study
from repro.tables import Row

Presets = Mapping[str, Mapping[str, Mapping[str, Any]]]


def preset(study: Study, presets: Presets) -> Mapping[str, Mapping[str, Any]]:
    """What a paper's module sets for a profile; real videos, of which there are few, have a small profile of their own."""
    return presets["small real" if study.profile == "small" and study.dataset != "synthetic" else study.profile]


def clips(study: Study, split: int, modality: str, **given: Any) -> Data:
    """The clips of a run, all prepared; `given` are fields of `Data`."""
    given = {"val_fraction": 0.1, **given}
    defaults = Data(study.dataset, "", **given)
    found = study.prepare(split, defaults.val_fraction, recipe_of(defaults))
    return Data(
        study.dataset, found.id, split, modality, **given, flip=study.dataset not in DIRECTED,
        excluded=found.excluded, root=str(study.root), group=study.group,
    )  # fmt: skip


def pretrained(study: Study, modality: str, lr: float, wanted: str = "") -> Mapping[str, Any]:
    """Fields of `Optimisation` for a run that starts from the study's public checkpoint, where it names one.

    wanted: what the published protocol starts from; without it the profile 'paper' is Unavailable.
    """
    stream = "flow" if modality == "flow" else "rgb"  # rgb+flow: one file for both streams
    file = getattr(study, f"pretrained_{stream}")
    if not file and wanted and study.profile == "paper":
        raise Unavailable(
            f"the published protocol starts from {wanted}: give its file as pretrained_{stream}, or choose another profile"
        )
    if not file:
        return {}
    path = Path(file).expanduser().resolve()
    return {"lr": lr, "init": file_hash(path), "init_file": str(path)}


def precision(study: Study) -> str:
    """bf16 for full-size networks where the device computes in it; small networks gain little and stay in float32."""
    large = study.profile in ("gpu", "paper")
    return "bf16-mixed" if large and fast.bf16_supported(resolve_device(study.device)) else "32-true"


def rows(
    study: Study,
    systems: Mapping[str, Callable[[int, int], Sequence[Run]]],
    shares: Mapping[str, tuple[float, ...]] | None = None,
    weighted: bool = False,
) -> tuple[Row, ...]:
    """A row a label: `systems[label](split, seed)` gives the runs whose probabilities are averaged, by `shares[label]`."""
    return tuple(
        Row(
            label,
            tuple(tuple(of(split, seed)) for split in study.splits for seed in study.seeds),
            (shares or {}).get(label, ()),
            weighted,
        )
        for label, of in systems.items()
    )
