"""What a run leaves behind: one small JSON file, from which every table and figure is drawn.

A record is looked for twice: on this machine (data/runs/), then among those committed with the project
(results/<profile>/records/). So a fresh clone shows every table without training anything.

Everything but `provenance` is the same each time the same run is made on the same machine.
"""

import base64
import functools
import json
import platform
import subprocess
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from repro import paths
from repro.config import Run
from repro.errors import ReproError

PACKAGES = ("repro", "torch", "torchvision", "numpy", "opencv-python-headless", "numba", "lightning-fabric")


@dataclass(frozen=True)
class Record:
    """One finished run.

    config: the run's content (`config.content`), the teacher's included.
    history: one dict per epoch. metrics: fractions in [0, 1].
    scores: (N, K) float16 mean logits of each test video; labels: (N,) ints; clips: N names; classes: K names.
    catalog: id of the table of clips that the run saw. excluded: clips left out because their files were missing.
    start: sha256 of the public checkpoint it started from, or empty.
    provenance: versions, device, git state, seconds, date: what may differ between two equal runs.
    """

    id: str
    config: dict
    history: list[dict]
    metrics: dict
    scores: np.ndarray
    labels: list[int]
    clips: list[str]
    classes: list[str]
    catalog: str
    excluded: list[str]
    start: str
    provenance: dict


def path_here(run_id: str) -> Path:
    """Where this machine keeps the record of a run."""
    return paths.runs() / run_id / "record.json"


def path_committed(profile: str, run_id: str) -> Path:
    """Where the project keeps the record of a run."""
    return paths.committed() / profile / "records" / f"{run_id}.json"


def path_of(run: Run) -> Path | None:
    """The file of a run's record: made on this machine, else committed with the project, else None."""
    return next(filter(Path.exists, (path_here(run.id), path_committed(run.profile, run.id))), None)


def find(run: Run) -> Record | None:
    """The record of a run, from the file that `path_of` names, or None."""
    path = path_of(run)
    if path is None:
        return None
    record = read(path)
    if record.id != run.id:
        raise ReproError(f"{path}: is the record of run {record.id}, not of {run.id}; delete it")
    return record


def get(run: Run) -> Record:
    """The record of a run that has one; else an error that says so."""
    record = find(run)
    if record is None:
        raise ReproError(f"run {run.id} ({run.title}) has no record here; execute it first")
    return record


def origin(runs: Iterable[Run]) -> str:
    """Where the records of some runs come from, as a sentence."""
    return made_where("Records", [path_here(id).exists() for id in {run.id for run in runs}])


def made_where(what: str, here: Collection[bool]) -> str:
    """How many of some records were made on this machine, and how many come with the project, as a sentence."""
    counts = {"made on this machine": sum(here), "committed with the project": len(here) - sum(here)}
    return f"{what}: {', '.join(f'{n} {where}' for where, n in counts.items() if n) or 'none'}."


def everything(profile: str) -> Iterator[tuple[Record, str]]:
    """All records of a profile, each with "here" or "committed"; of two with one id, this machine's."""
    found = {path.stem: path for path in (paths.committed() / profile / "records").glob("*.json")}
    here = {path.parent.name: path for path in paths.runs().glob("*/record.json")}
    for run_id, path in sorted((found | here).items()):
        record = read(path)
        if record.config["profile"] == profile:
            yield record, "here" if run_id in here else "committed"


def equal(one: Record, other: Record) -> bool:
    """Whether two records agree in everything but their provenance."""
    plain = ({**asdict(each), "provenance": None, "scores": each.scores.tolist()} for each in (one, other))
    return next(plain) == next(plain)


def write(record: Record, path: Path) -> None:
    """Writes a record, atomically; the history with six digits."""
    plain = asdict(record) | {"scores": encode(record.scores), "clips": pack_names(record.clips)}
    plain["history"] = [
        {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in e.items()} for e in plain["history"]
    ]
    write_fields(plain, path)


def write_fields(plain: Mapping[str, Any], path: Path) -> None:
    """Writes plain values as JSON, atomically, with one line per field: small, and still readable."""
    texts = {name: json.dumps(value, sort_keys=True, separators=(",", ":")) for name, value in sorted(plain.items())}
    with paths.atomic(path) as part:
        part.write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {text}" for name, text in texts.items()) + "\n}\n")


def read(path: Path) -> Record:
    """Reads a record; a file that is none is one error. Records do not change, so each is read once per process."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise ReproError(f"{path}: no such record; execute its run first") from None
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise ReproError(f"{path}: not a record ({error}); delete it and execute the run again") from None


@functools.lru_cache(maxsize=2048)
def _read(path: Path, modified: int) -> Record:
    plain = json.loads(path.read_text())
    return Record(**{**plain, "scores": decode(plain["scores"]), "clips": unpack_names(plain["clips"])})


def pack_names(names: list[str]) -> dict:
    """Clip names as base64 of their zlib-compressed lines: they are alike, and would be half of a record."""
    data = zlib.compress("\n".join(names).encode(), 9)
    return {"count": len(names), "lines": base64.b64encode(data).decode()}


def unpack_names(stored: dict) -> list[str]:
    """The names that `pack_names` stored."""
    return zlib.decompress(base64.b64decode(stored["lines"])).decode().split("\n") if stored["count"] else []


def encode(scores: np.ndarray) -> dict:
    """A float16 array as base64 of its zlib-compressed bytes."""
    data = zlib.compress(np.ascontiguousarray(scores, "<f2").tobytes(), 9)
    return {"dtype": "float16", "shape": list(scores.shape), "data": base64.b64encode(data).decode()}


def decode(stored: dict) -> np.ndarray:
    """The array that `encode` stored."""
    data = zlib.decompress(base64.b64decode(stored["data"]))
    return np.frombuffer(data, "<f2").reshape(stored["shape"])


def environment(device: str) -> dict:
    """Versions, machine and git state of this process."""
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": {"system": platform.platform(), "processor": processor(), "device": device},
        "git": git_state(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # repro itself, where it is imported without being installed
        return "not installed"


def processor() -> str:
    """The processor's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def git_state() -> dict:
    """Commit and whether the checkout differs from it; 'not available' outside a git checkout."""
    try:
        commit, dirty = (
            subprocess.run(["git", *args], cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for args in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "repro", "pyproject.toml"])
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "not available", "dirty": "not available"}
    return {"commit": commit, "dirty": bool(dirty)}
