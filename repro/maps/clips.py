"""Clips of a run to look at: their frames, their flow, and how they are stored."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from repro import paths
from repro.config import Data, Run
from repro.data import catalog as all_clips
from repro.data import prepare, store
from repro.data.catalog import Catalog
from repro.data.clips import ClipDataset, recipe_of, store_folder
from repro.data.flow import methods as flow
from repro.errors import ReproError


@dataclass(frozen=True)
class Clip:
    """A stored video. frames: (T, H, W, 3) uint8 RGB; flows: (T-1, H, W, 2) float32, pixels; label: its class number."""

    name: str
    frames: np.ndarray
    flows: np.ndarray
    label: int


@functools.lru_cache(maxsize=16)
def _table(data: Data, folder: Path) -> Catalog:
    """Asked once per process and data folder: reading a large data set's lists takes seconds."""
    return all_clips.of(data, jobs=-1)


def catalog(run: Run) -> Catalog:
    """The table of clips of a run. The embedded set is drawn first."""
    return _table(run.data, paths.data())


def pack(run: Run, names: Iterable[str], jobs: int = -1) -> None:
    """Decodes some videos of a run, computes their flow and stores both. names: in the table of clips. Stored ones stay."""
    table, data = catalog(run).table, run.data
    wanted = table[table["clip"].isin(set(names))]
    prepare.require_all(prepare.prepare(wanted, data.dataset, all_clips.data_root(data), recipe_of(data), jobs))


def _packed(run: Run, name: str) -> store.Packed:
    return store.open_packed(store.packed_path(store_folder(run.data), name), recipe_of(run.data))


def read(run: Run, name: str) -> Clip:
    """A whole video, by its name in the table of clips. It is stored first where it is not."""
    table = catalog(run).table.set_index("clip")
    if name not in table.index:
        raise ReproError(
            f"no clip {name!r} in {run.data.dataset}; the table of clips, catalog(run).table, has all names"
        )
    pack(run, [name], jobs=1)
    packed = _packed(run, name)
    flows = np.stack(packed.flow(range(packed.frames - 1)))
    bound = packed.header["recipe"]["bound"]
    frames = np.stack(packed.rgb(range(packed.frames)))
    return Clip(name, frames, flow.dequantise(flows, bound), int(table.loc[name, "label"]))


def test_clip(run: Run, number: int) -> Clip:
    """A test video by its number; after the last comes the first again."""
    names = catalog(run).part("test")["clip"]
    return read(run, names.iloc[number % len(names)])


def training_clip(run: Run, number: int, epoch: int) -> np.ndarray:
    """(T, S, S, 3) uint8: the RGB clip that is drawn from a training video in an epoch."""
    pack(run, catalog(run).part("train")["clip"])
    data = ClipDataset(catalog(run), "train", run.data, ("rgb",), run.seed)
    data.epoch = epoch
    return data[number]["rgb"]


def storage(run: Run) -> pd.DataFrame:
    """How many clips, frames and bytes the store has for a run's training videos, and how they were made."""
    names = catalog(run).part("train")["clip"]
    pack(run, names)
    clips = [_packed(run, name) for name in names]
    frames, size = sum(c.frames for c in clips), sum(c.path.stat().st_size for c in clips)
    facts = {
        "training videos": len(clips),
        "frames": frames,
        "MB": round(size / 1e6, 1),
        "kB per frame with its flow": round(size / frames / 1e3, 1),
        "short side": run.data.side,
        "flow": run.data.flow,
    }
    return pd.DataFrame({"store": facts})
