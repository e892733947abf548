"""What a run leaves behind: one small JSON file, from which every table and figure is drawn.

A record is looked for twice: on this machine (data/runs/), then among those committed with the project
(results/<profile>/records/). So a fresh clone shows every table without training anything.

Everything but `provenance` is the same each time the same run is made on the same machine.
"""

import base64
import dataclasses
import functools
import json
import lzma
import platform
import subprocess
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from repro import paths
from repro.config import Run
from repro.errors import ReproError
from repro.metrics import STEPS

CPUINFO = Path("/proc/cpuinfo")  # Linux alone has it
RUN = TypeAdapter(Run)
XZ = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 2**18}  # the preset's own takes 64 MiB
PACKAGES = ("repro", "torch", "torchvision", "numpy", "opencv-python-headless", "numba", "lightning-fabric")


@dataclass(frozen=True)
class Record:
    """One finished run.

    config: the run's content (`config.content`), the teacher's included.
    history: one dict per epoch. metrics: fractions in [0, 1].
    scores: (N, K) float16 log-probabilities of each test video, by `metrics.rounded`. labels: (N,) ints. clips: N names.
    classes: K names.
    catalog: id of the table of clips that the run saw. excluded: clips left out because their files were missing.
    start: sha256 of the public checkpoint it started from, or empty.
    provenance: versions, machine (processor, instruction set, threads, device), git state, seconds, date: what may differ
    between two equal runs. Older records lack the instruction set and the threads.
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


def committed(profile: str) -> dict[str, Record]:
    """The records that come with the project, by the id of their run."""
    return {path.stem: read(path) for path in sorted((paths.committed() / profile / "records").glob("*.json"))}


def run_of(config: Mapping[str, Any], root: str = "") -> Run:
    """The run whose content a record's `config` is. Text in place of a number, or an unknown field, is a ReproError.

    root: the folder of the clips' files, which a record does not keep; empty: the embedded set, or data/<dataset>.
    """
    try:  # JSON, since pydantic's strict mode takes a list for a tuple and a dict for a dataclass from JSON alone
        return _with_tuples(RUN.validate_json(json.dumps(_placed(config, root))))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ReproError(f"not the configuration of a run ({where}: {first['msg']}, not {first['input']!r})") from None


def _placed(config: Mapping[str, Any], root: str) -> dict[str, Any]:
    """A configuration with `root` in its data and in those of the runs inside it."""
    placed = {k: _placed(v, root) if isinstance(v, Mapping) else v for k, v in config.items()}
    return placed | {"data": {**placed["data"], "root": root}} if "data" in placed else placed


def _with_tuples(value: Any) -> Any:
    """A value of a run as plans give it: JSON has no tuples."""
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value)]
        return dataclasses.replace(value, **{name: _with_tuples(getattr(value, name)) for name in fields})
    if isinstance(value, Mapping):
        return {k: _with_tuples(v) for k, v in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list | tuple) else value


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
    """Writes a record, atomically; the history by column, with six digits."""
    plain = asdict(record) | {"scores": encode(record.scores), "clips": pack(record.clips)}
    plain["labels"] = pack([str(label) for label in record.labels])
    plain["history"] = {
        name: [float(f"{e[name]:.6g}") if isinstance(e[name], float) else e[name] for e in record.history]
        for name in (record.history[0] if record.history else ())
    }
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
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error, lzma.LZMAError) as error:
        raise ReproError(f"{path}: not a record ({error}); delete it and execute the run again") from None


@functools.lru_cache(maxsize=2048)
def _read(path: Path, modified: int) -> Record:
    plain = json.loads(path.read_text())
    if isinstance(plain["labels"], list):  # before labels, clips and history were packed
        clips = zlib.decompress(base64.b64decode(plain["clips"]["lines"])).decode().split("\n")
        return Record(**{**plain, "scores": decode(plain["scores"]), "clips": clips})
    history = plain["history"]
    packed = {
        "scores": decode(plain["scores"]), "clips": unpack(plain["clips"]),
        "labels": [int(label) for label in unpack(plain["labels"])],
        "history": [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)],
    }  # fmt: skip
    return Record(**{**plain, **packed})


def pack(texts: list[str]) -> dict:
    """Texts without line breaks as base85 of their compressed lines: names of clips are alike, and would be half of a record."""
    return {"count": len(texts), "lines": _packed("\n".join(texts).encode())}


def unpack(stored: dict) -> list[str]:
    """The texts that `pack` stored."""
    return _unpacked(stored["lines"]).decode().split("\n") if stored["count"] else []


def encode(scores: np.ndarray) -> dict:
    """Scores (N, K) that are whole multiples of 1 / `STEPS`, as base85 of their compressed steps: low bytes, then high bytes."""
    steps = np.rint(np.asarray(scores, float) * STEPS).astype("<i2")
    if not np.array_equal(steps / STEPS, scores):
        raise ValueError(f"the scores are no multiples of 1/{STEPS}")
    planes = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 2).T
    return {"steps": STEPS, "shape": list(scores.shape), "data": _packed(planes.tobytes())}


def decode(stored: dict) -> np.ndarray:
    """The array that `encode` stored, float16; or, of records made before it, float16 logits."""
    if "steps" not in stored:
        return np.frombuffer(zlib.decompress(base64.b64decode(stored["data"])), "<f2").reshape(stored["shape"])
    planes = np.frombuffer(_unpacked(stored["data"]), np.uint8).reshape(2, -1)
    steps = np.ascontiguousarray(planes.T).view("<i2").reshape(stored["shape"])
    return (steps / stored["steps"]).astype(np.float16)


def _packed(data: bytes) -> str:
    return base64.b85encode(lzma.compress(data, filters=[XZ])).decode()


def _unpacked(text: str) -> bytes:
    return lzma.decompress(base64.b85decode(text))


def environment(device: str) -> dict:
    """Versions, machine and git state of this process. Threads are those that torch uses now."""
    import torch  # takes a second, and reading records does without

    machine = {
        "system": platform.platform(), "processor": processor(), "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "extensions": _extensions(), "threads": torch.get_num_threads(), "device": device,
    }  # fmt: skip
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": machine,
        "git": git_state(),
    }


def machine_of(provenance: Mapping[str, Any]) -> str:
    """The machine of a record in words: processor, the instruction set that torch uses, extensions, threads."""
    machine = provenance["machine"]
    if "instruction_set" not in machine:
        return f"{machine['processor']} (instruction set and threads not recorded)"
    sets = " ".join(each for each in (machine["instruction_set"], machine["extensions"]) if each)
    return f"{machine['processor']} ({sets}, {machine['threads']} thread{'s' * (machine['threads'] != 1)})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # repro itself, where it is imported without being installed
        return "not installed"


def processor() -> str:
    """The processor's name, as the system tells it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _extensions() -> str:
    """Which of AMX and AVX512's bfloat16 the processor has, by the system's names; empty where it has, or names, none."""
    return " ".join(sorted(flag for flag in _cpuinfo("flags").split() if flag.startswith(("amx", "avx512_bf16"))))


def _cpuinfo(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo; empty without that file or field."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else ()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")


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
