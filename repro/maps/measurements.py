"""Overlaps on disk: one small JSON file per system, map and step, so that tables of maps need no trained network.

A measurement is looked for twice, as a run's record is: on this machine (data/maps/), then among those committed with the
project (results/<profile>/maps/).
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from repro import damaged, packed, paths, records
from repro.checked import complaint
from repro.config import Run
from repro.errors import ReproError

DIGITS = 6  # of every stored share


@dataclass(frozen=True)
class Measured:
    """Shares of the maps of S runs on N test clips, all in [0, 1]; of a single run the arrays are (N,).

    share: the part of a map's mass that lies on the person; NaN where the map is empty.
    usual: the same part on the average person of the measured clips.
    chance: the part of the clip that the person fills.
    right: whether the clip's class is the network's first choice.
    """

    share: np.ndarray  # (S, N) float
    usual: np.ndarray  # (S, N) float
    chance: np.ndarray  # (S, N) float
    right: np.ndarray  # (S, N) bool


NAMES = tuple(field.name for field in fields(Measured))


@dataclass(frozen=True)
class Overlap:
    """How much of one kind of map lies on the person, for the runs of a system and for the same networks untrained.

    runs: their ids. map: such as "gradcam of excite2". step: every `step`-th test clip was measured.
    provenance: versions, device and git state of the measuring process.
    """

    runs: tuple[str, ...]
    map: str
    step: int
    trained: Measured
    untrained: Measured
    provenance: dict

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of what was measured."""
        return key(self.runs, self.map, self.step)


@dataclass(frozen=True)
class Stored:
    """The fields of a measurement's file; each array is in millionths, NaN as -1."""

    id: str
    runs: tuple[str, ...]
    map: str
    step: int
    trained: dict[str, packed.Numbers]
    untrained: dict[str, packed.Numbers]
    provenance: dict


FILE = TypeAdapter(Stored)


def key(runs: Sequence[str], name: str, step: int) -> str:
    """The id of the measurement of a map of some runs, given by their ids, over every `step`-th test clip."""
    text = json.dumps([list(runs), name, step], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def path_here(id: str) -> Path:
    """Where this machine keeps a measurement."""
    return paths.data() / "maps" / f"{id}.json"


def path_committed(profile: str, id: str) -> Path:
    """Where the project keeps a measurement."""
    return paths.committed() / profile / "maps" / f"{id}.json"


def find(runs: Sequence[Run], name: str, step: int, fresh: bool = False) -> Overlap | None:
    """The measurement of a map of some runs: made on this machine, else (unless `fresh`) committed, else None."""
    id = key([run.id for run in runs], name, step)
    places = [path_here(id)] if fresh else [path_here(id), path_committed(runs[0].profile, id)]
    return next(filter(None, (damaged.read(read, path) for path in places if path.exists())), None)


def origin(found: Iterable[Overlap]) -> str:
    """Where some measurements come from, as a sentence."""
    return records.made_where("Measurements", [path_here(overlap.id).exists() for overlap in found])


def commit(found: Iterable[Overlap], profile: str) -> None:
    """Writes measurements to results/<profile>/maps/ of the output folder, beside the tables that use them."""
    for overlap in found:
        write(overlap, paths.out() / "results" / profile / "maps" / f"{overlap.id}.json")


def write(overlap: Overlap, path: Path) -> None:
    """Writes a measurement, atomically."""
    fields = {
        "id": overlap.id, "runs": list(overlap.runs), "map": overlap.map, "step": overlap.step,
        "trained": _pack(overlap.trained), "untrained": _pack(overlap.untrained), "provenance": overlap.provenance,
    }  # fmt: skip
    packed.write(fields, path)


def read(path: Path) -> Overlap:
    """Reads a measurement; ReproError for a file that is none, or that holds another measurement than its name says."""
    try:
        stored = FILE.validate_python(packed.read(path))
        measured = _unpack(stored.trained), _unpack(stored.untrained)
        found = Overlap(stored.runs, stored.map, stored.step, *measured, stored.provenance)
    except (ValueError, OSError) as error:
        why = complaint(error) if isinstance(error, ValidationError) else error
        raise ReproError(f"{path}: not a measurement of maps ({why}); delete it and measure again") from None
    if found.id != path.stem:
        raise ReproError(f"{path}: holds measurement {found.id} of other runs or maps; delete it and measure again")
    return found


def _pack(measured: Measured) -> dict:
    out = {}
    for name in NAMES:
        values = getattr(measured, name).astype(float)
        out[name] = packed.pack_numbers(np.where(np.isnan(values), -1, np.round(values * 10**DIGITS)))
    return out


def _unpack(stored: dict[str, packed.Numbers]) -> Measured:
    arrays = {name: packed.unpack_numbers(each) / 10**DIGITS for name, each in stored.items()}
    if arrays.keys() != set(NAMES) or len({array.shape for array in arrays.values()}) != 1:
        raise ValueError("not the four shares of the same clips")
    if any(array.max(initial=0) > 1 for array in arrays.values()):
        raise ValueError("shares above 1")
    shares = {name: np.where(array < 0, np.nan, array) for name, array in arrays.items()}
    return Measured(**shares | {"right": shares["right"] == 1})
