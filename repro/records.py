"""What a run leaves behind: one small JSON file, from which every table and figure is drawn.

Everything but `provenance` is the same each time the same run is made on the same machine.
"""

import base64
import json
import platform
import subprocess
import zlib
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from repro import paths
from repro.errors import ReproError

PACKAGES = ("repro", "torch", "torchvision", "numpy", "opencv-python-headless", "numba", "lightning-fabric")


@dataclass(frozen=True)
class Record:
    """One finished run.

    config: the run's content (`config.content`), the teacher's included. history: one dict an epoch. metrics: fractions
    in [0, 1]. scores: (N, K) float16 mean logits of each test video; labels: (N,) ints; clips: N names; classes: K names.
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
    excluded: list[str]
    provenance: dict


def write(record: Record, path: Path) -> None:
    """Writes a record, atomically; of the history six digits."""
    plain = asdict(record) | {"scores": encode(record.scores), "clips": pack_names(record.clips)}
    plain["history"] = [
        {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in e.items()} for e in plain["history"]
    ]
    with paths.atomic(path) as part:  # a line a field: small, and still readable
        part.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {_compact(plain[k])}" for k in sorted(plain)) + "\n}\n")


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def read(path: Path) -> Record:
    """Reads a record; a file that is none is one error."""
    try:
        plain = json.loads(path.read_text())
        clips = plain["clips"]  # older records hold a list of names
        names = clips if isinstance(clips, list) else unpack_names(clips)
        return Record(**{**plain, "scores": decode(plain["scores"]), "clips": names})
    except FileNotFoundError:
        raise ReproError(f"{path}: no such record; execute its run first") from None
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise ReproError(f"{path}: not a record ({error}); delete it and execute the run again") from None


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
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "machine": {"system": platform.platform(), "processor": processor(), "device": device},
        "git": git_state(),
    }


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
