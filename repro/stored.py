"""A record, and its form in a file: what the file may hold, and that its parts fit each other."""

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from repro import metrics, packed
from repro.checked import NotNegative, complaint

FINEST = 2**24  # of the float16 numbers: all of them are whole multiples of 1 / 2**24


@dataclass(frozen=True)
class Record:
    """One finished run.

    config: the run's content (`config.content`), the teacher's included.
    history: one dict per epoch. metrics: fractions in [0, 1].
    scores: (N, K) float16 log-probabilities of each test video, by `metrics.rounded`; of records older than that, logits.
    labels: (N,) ints. clips: N names. classes: K names.
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


@dataclass(frozen=True)
class Machine:
    """What a provenance says of its machine. The oldest records lack the last three."""

    system: str
    processor: str
    device: str
    instruction_set: str = ""
    extensions: str = ""
    threads: int = 0


@dataclass(frozen=True)
class Git:
    """dirty: "not available" outside a git checkout."""

    commit: str
    dirty: bool | str


@dataclass(frozen=True)
class Provenance:
    """seconds: that the run took. precision: the oldest records lack it."""

    versions: dict[str, str]
    machine: Machine
    git: Git
    seconds: NotNegative
    date: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT")]
    precision: str = ""


@dataclass(frozen=True)
class Scores(packed.Numbers):
    """Scores as whole multiples of 1 / steps."""

    steps: Annotated[int, Field(ge=1, le=FINEST)]


@dataclass(frozen=True)
class Stored:
    """The fields of a record's file. history: by column."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: str
    config: dict[str, Any]
    history: dict[str, list[int | float]]
    metrics: dict[str, Any]
    scores: Scores
    labels: packed.Numbers
    clips: packed.Texts
    classes: list[str]
    catalog: str
    excluded: list[str]
    start: str
    provenance: Provenance


FILE = TypeAdapter(Stored)


def pack(record: Record) -> dict[str, Any]:
    """A record as the plain values of its file: the history by column, with six digits."""
    history = {
        name: [float(f"{e[name]:.6g}") if isinstance(e[name], float) else e[name] for e in record.history]
        for name in (record.history[0] if record.history else ())
    }
    return asdict(record) | {
        "history": history,
        "scores": pack_scores(record.scores),
        "labels": packed.pack_numbers(np.array(record.labels)),
        "clips": packed.pack_texts(record.clips),
    }


def checked(fields: dict[str, Any]) -> Stored:
    """A file's plain values, each of its type; nothing is unpacked. ValueError for values of other types."""
    try:
        return FILE.validate_python(fields)
    except ValidationError as error:
        raise ValueError(complaint(error)) from None


def unpack(fields: dict[str, Any]) -> Record:
    """The record of a file's plain values. ValueError for values of other types, or that do not fit each other."""
    stored = checked(fields)
    history = stored.history
    record = Record(**fields | {
        "scores": unpack_scores(stored.scores),
        "labels": packed.unpack_numbers(stored.labels).ravel().tolist(),
        "clips": packed.unpack_texts(stored.clips),
        "history": [dict(zip(history, values, strict=True)) for values in zip(*history.values(), strict=True)],
    })  # fmt: skip
    _require_fit(record)
    return record


def _require_fit(record: Record) -> None:
    """ValueError for labels and clips of other videos than the scores, for labels of no class, and for wrong metrics."""
    shape, labels = record.scores.shape, record.labels
    if shape != (len(labels), len(record.classes)) or len(labels) != len(record.clips) or not labels:
        named = f"{len(record.classes)} classes, {len(labels)} labels, {len(record.clips)} clips"
        raise ValueError(f"scores {shape}, but {named}")
    if min(labels) < 0 or max(labels) >= len(record.classes):
        raise ValueError(f"labels {min(labels)} to {max(labels)}, but {len(record.classes)} classes")
    if not np.isfinite(record.scores).all():
        raise ValueError("scores that are not finite")
    clip_top1 = record.metrics.get("clip_top1")  # of single clips, whose scores are not kept
    fraction = isinstance(clip_top1, int | float) and 0 <= clip_top1 <= 1
    if not fraction or not _close(metrics.of_scores(record.scores, labels) | {"clip_top1": clip_top1}, record.metrics):
        raise ValueError("its metrics are not those of its scores")


def _close(one: Any, other: Any) -> bool:
    """Whether two numbers are equal but for rounding, or two dicts of them are."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(_close(one[k], other[k]) for k in one)
    return isinstance(other, int | float) and math.isclose(one, other, abs_tol=1e-9)


def pack_scores(scores: np.ndarray) -> dict[str, Any]:
    """Float16 scores (N, K) as plain values: those of `metrics.rounded` in its steps, any others in the finest."""
    exact = scores.astype(float)
    steps = metrics.STEPS if np.array_equal(np.rint(exact * metrics.STEPS), exact * metrics.STEPS) else FINEST
    return {"steps": steps, **packed.pack_numbers(exact * steps)}


def unpack_scores(stored: Scores) -> np.ndarray:
    """The float16 scores (N, K) that `pack_scores` stored."""
    with np.errstate(over="ignore"):  # to infinity, which `_require_fit` refuses
        return (packed.unpack_numbers(stored) / stored.steps).astype(np.float16)
