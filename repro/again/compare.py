"""A run made again beside its committed record: is its top-1 within the spread of the other seeds? And the file of these.

The spread is a prediction interval of one more run: mean +- t * sd * sqrt(1 + 1/S), from the S other committed runs that
differ in the seed alone (their teachers' too), with Student's t of S - 1 degrees of freedom. Of several runs that one
command makes again, one in 20 would be outside its 95 % interval by chance. So the interval of each of M runs has the
level 1 - 0.05 / M, and all of them hold together at 95 % (Bonferroni).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from scipy.special import stdtrit

from repro import damaged, machine, paths, records
from repro.checked import complaint
from repro.errors import ReproError
from repro.records import Record

LEVEL = 0.95
FEWEST = 3  # seeds that give a spread


@dataclass(frozen=True)
class Again:
    """One run made again.

    row: the first "table:label" that has the run, or empty. committed, again: its test top-1 in [0, 1].
    interval: of the other seeds, at `level`, or None with fewer than `FEWEST` of them; seeds: how many they are.
    equal: whether the records agree in all but their provenance. The processors are `machine.in_words`'s words.
    date, commit: of the run made again.
    """

    run: str
    title: str
    row: str
    committed: float
    again: float
    interval: tuple[float, float] | None
    level: float
    seeds: int
    equal: bool
    processor_committed: str
    processor_again: str
    date: str
    commit: str

    @property
    def within(self) -> bool | None:
        """Whether the top-1 lies in the interval; None without one."""
        return None if self.interval is None else self.interval[0] <= self.again <= self.interval[1]

    @property
    def outside(self) -> bool:
        """Whether the run contradicts its record: neither equal to it nor within the spread of the seeds."""
        return not self.equal and self.within is False


STORED = TypeAdapter(list[Again])


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float] | None:
    """The prediction interval of one more value beside S independent ones of a normal distribution; None for S < 3."""
    size = len(values)
    if size < FEWEST:
        return None
    half = stdtrit(size - 1, (1 + level) / 2) * np.std(values, ddof=1) * np.sqrt(1 + 1 / size)
    half += 1e-9  # equal values: the rounding of their mean is no spread
    return float(np.mean(values) - half), float(np.mean(values) + half)


def others(record: Record, recorded: Mapping[str, Record]) -> list[float]:
    """The top-1 of the committed runs that differ from this one in the seed alone, their teachers' seeds aside."""
    alike = (each for each in recorded.values() if each.id != record.id)
    wanted = without_seeds(record.config)
    return [each.metrics["video_top1"] for each in alike if without_seeds(each.config) == wanted]


def without_seeds(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without its seed and those of the runs inside it."""
    return {k: without_seeds(v) if isinstance(v, Mapping) else v for k, v in config.items() if k != "seed"}


def compare(made: Sequence[Record], recorded: Mapping[str, Record], rows: Mapping[str, str]) -> list[Again]:
    """The runs made again by one command beside their committed records. rows: the row of a table by the id of a run.

    ReproError for a run that was made on other clips than its record: the two are not the same measurement.
    """
    spread = {record.id: others(recorded[record.id], recorded) for record in made}
    judged = sum(len(values) >= FEWEST for values in spread.values())
    level = 1 - (1 - LEVEL) / max(judged, 1)
    return [_one(record, recorded[record.id], spread[record.id], level, rows.get(record.id, "")) for record in made]


def _one(made: Record, before: Record, spread: Sequence[float], level: float, row: str) -> Again:
    if made.catalog != before.catalog:
        raise ReproError(
            f"run {made.id} was made again on other clips ({made.catalog}) than its committed record ({before.catalog}); "
            "use the data of the record"
        )
    return Again(
        run=made.id,
        title=records.run_of(made.config).title,
        row=row,
        committed=before.metrics["video_top1"],
        again=made.metrics["video_top1"],
        interval=interval(spread, level),
        level=level,
        seeds=len(spread),
        equal=records.equal(made, before),
        processor_committed=machine.in_words(before.provenance),
        processor_again=machine.in_words(made.provenance),
        date=made.provenance["date"][:10],
        commit=made.provenance["git"]["commit"],
    )


def cells(each: Again) -> dict[str, str | float]:
    """A run made again as a row of a table; accuracies in percent."""
    spread = "no spread to compare with"
    if each.interval is not None:
        low, high = (100 * end for end in each.interval)
        spread = f"[{low:.1f}, {high:.1f}] of {each.seeds} seeds"
    within = {True: "within", False: "outside", None: ""}[each.within]
    return {
        "run": each.run,
        "system": each.row or each.title,
        "committed top-1": round(100 * each.committed, 1),
        "again": round(100 * each.again, 1),
        "interval": spread,
        "within": within,
        "to the bit": "equal" if each.equal else "differs",
        "committed on": each.processor_committed,
        "again on": each.processor_again,
        "date": each.date,
    }


def summary(found: Sequence[Again]) -> str:
    """How many runs were made again, and how many agree, in words."""
    judged = [each for each in found if each.within is not None]
    return (
        f"{len(found)} run{'s' * (len(found) != 1)} made again: {sum(each.equal for each in found)} equal to the committed "
        f"record to the bit; {sum(bool(each.within) for each in judged)} of {len(judged)} within the spread of their seeds; "
        f"{len(found) - len(judged)} without a spread to compare with (fewer than {FEWEST} other seeds)."
    )


def outside(found: Sequence[Again]) -> str:
    """The runs that contradict their records, as a sentence; empty without any."""
    names = [each.run for each in found if each.outside]
    return f"{len(names)} of {len(found)} outside the spread of their seeds: {', '.join(names)}." if names else ""


def add(found: Sequence[Again], folder: Path) -> list[Path]:
    """Adds runs to the files of `folder`, one per processor and date, one line per run; a run that is there is replaced."""
    written: dict[Path, list[Again]] = {}
    for each in found:
        words = re.sub(r"[^a-z0-9]+", "-", each.processor_again.lower()).strip("-")
        written.setdefault(folder / f"{words}-{each.date}.json", []).append(each)
    for path, new in written.items():
        kept = {each.run: each for each in [*(read(path) if path.exists() else ()), *new]}
        lines = [json.dumps(asdict(each), sort_keys=True) for each in kept.values()]
        with paths.atomic(path) as part:
            part.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    return list(written)


def read(path: Path) -> list[Again]:
    """The runs of a file that `add` wrote; another file is one error."""
    try:
        return STORED.validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        why = complaint(error) if isinstance(error, ValidationError) else error
        raise ReproError(f"{path}: not a list of runs made again ({why}); delete it and make them again") from None


def everything(profile: str) -> list[Again]:
    """All runs of a profile that were made again and kept with the results, file by file."""
    folder = paths.out() / "results" / profile / "again"
    return [each for path in sorted(folder.glob("*.json")) for each in damaged.read(read, path) or ()]
