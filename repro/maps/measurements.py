"""Overlaps on disk: one small JSON file per system, map and step, so that tables of maps need no trained network.

A measurement is looked for twice, as a run's record is: on this machine (data/maps/), then among those committed with the
project (results/<profile>/maps/).
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from repro import paths, records
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
    return next((read(path) for path in places if path.exists()), None)


def origin(found: Iterable[Overlap]) -> str:
    """Where some measurements come from, as a sentence."""
    return records.made_where("Measurements", [path_here(overlap.id).exists() for overlap in found])


def commit(found: Iterable[Overlap], profile: str) -> None:
    """Writes measurements to results/<profile>/maps/ of the output folder, beside the tables that use them."""
    for overlap in found:
        write(overlap, paths.out() / "results" / profile / "maps" / f"{overlap.id}.json")


def write(overlap: Overlap, path: Path) -> None:
    """Writes a measurement, atomically."""
    plain = {
        "id": overlap.id, "runs": list(overlap.runs), "map": overlap.map, "step": overlap.step,
        "trained": _packed(overlap.trained), "untrained": _packed(overlap.untrained), "provenance": overlap.provenance,
    }  # fmt: skip
    records.write_fields(plain, path)


def read(path: Path) -> Overlap:
    """Reads a measurement; ReproError for a file that is none, or that holds another measurement than its name says."""
    try:
        plain = json.loads(path.read_text())
        trained, untrained = (Measured(**_unpacked(plain[k])) for k in ("trained", "untrained"))
        found = Overlap(
            tuple(plain["runs"]), plain["map"], plain["step"], trained, untrained, plain["provenance"]
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise ReproError(f"{path}: not a measurement of maps ({error}); delete it and measure again") from None
    if found.id != path.stem:
        raise ReproError(f"{path}: holds measurement {found.id} of other runs or maps; delete it and measure again")
    return found


def _packed(measured: Measured) -> dict:
    """Each array as base64 of its zlib-compressed millionths, int32; NaN is -1."""
    out = {}
    for name in (field.name for field in fields(Measured)):
        values = getattr(measured, name).astype(float)
        millionths = np.where(np.isnan(values), -1, np.round(values * 10**DIGITS)).astype("<i4")
        data = base64.b64encode(zlib.compress(millionths.tobytes(), 9)).decode()
        out[name] = {"shape": list(values.shape), "millionths": data}
    return out


def _unpacked(stored: dict) -> dict[str, np.ndarray]:
    arrays = {}
    for name, each in stored.items():
        millionths = np.frombuffer(zlib.decompress(base64.b64decode(each["millionths"])), "<i4").reshape(each["shape"])
        arrays[name] = np.where(millionths < 0, np.nan, millionths / 10**DIGITS)
    return arrays | {"right": arrays["right"] == 1}
