"""A tiny embedded set, stored, and runs of tiny networks on it."""

from pathlib import Path

import pytest

from repro.config import CrossEntropy, Data, Model, Optimisation, Run
from repro.data import catalog
from repro.data.clips import ClipDataset, prepared
from repro.data.embedded import videos

EDITION = videos.Synthetic(classes=("clap", "rise"), sources=3, train=3, test=6, frames=10, side=36)
CLASSES = EDITION.classes
NETWORK = {"depths": (1, 1, 1, 1), "width": 4, "cardinality": 2, "stem_kernel": (3, 3, 3), "std": 60.0}


def stored(home: Path, patch: pytest.MonkeyPatch) -> Data:
    """What a run needs to know of the set, written and stored below `home`."""
    patch.setenv("REPRO_DATA", str(home / "data"))
    patch.setitem(videos.EDITIONS, "tiny", EDITION)
    data = Data("synthetic", "tiny", frames=8, size=28, side=36, bound=4.0, flip=False, val_fraction=0.0)
    prepared(data)
    return data


def run(data: Data, seed: int = 0) -> Run:
    optimisation = Optimisation(schedule="onecycle", select="last")
    return Run("smoke", seed, data, Model("resnext3d", NETWORK), CrossEntropy(), optimisation)


def dataset(data: Data) -> ClipDataset:
    """Its test part."""
    return ClipDataset(catalog.of(data), "test", data, (data.modality,))
