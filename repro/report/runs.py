"""The runs behind a table, as their records in results/PROFILE/records/ tell them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import paths, records
from repro.errors import ReproError
from repro.report.evidence import Table


@dataclass(frozen=True)
class RunLine:
    """What the page says of a run. config: {dotted name: value as text}; excluded: names of clips left out."""

    id: str
    config: dict[str, str]
    video_top1: float
    seconds: float
    machine: str
    commit: str
    software: str
    excluded: tuple[str, ...]


def file_of(profile: str, id: str) -> Path:
    """Where the record of a run lies."""
    return paths.out() / "results" / profile / "records" / f"{id}.json"


def run(profile: str, id: str) -> RunLine:
    """A run of a table, from its record in results/PROFILE/records/."""
    file = file_of(profile, id)
    record = records.read(file)
    try:
        if record.id != id:
            raise ValueError(f"it is the record of {record.id}")
        machine, git = record.provenance["machine"], record.provenance["git"]
        return RunLine(
            id,
            dict(_flat(record.config)),
            float(record.metrics["video_top1"]),
            float(record.provenance["seconds"]),
            f"{machine['processor']}, {machine['device']}",
            git["commit"][:9] + (" with changes" if git["dirty"] is True else ""),
            ", ".join(f"{name} {version}" for name, version in record.provenance["versions"].items()),
            tuple(map(str, record.excluded)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReproError(f"{file}: not a record of this run ({error}); delete it and execute the run again") from None


def _flat(config: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        if name == "teacher" and value:  # its own record says the rest
            yield f"{prefix}{name}", f"{value['data']['modality']}, seed {value['seed']}"
        elif isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield f"{prefix}{name}", "none" if value in (None, [], "") else text


def of_table(table: Table) -> dict[str, Any]:
    """What the details under a table show: a line a run with what differs between runs, and what all have in common."""
    rows: dict[str, list[str]] = {}
    for row, ids in table.runs.items():
        for each in dict.fromkeys(ids):
            rows.setdefault(each, []).append(row)
    lines = [run(table.profile, each) for each in rows]
    names = list(dict.fromkeys(name for line in lines for name in line.config))
    differing = [name for name in names if len({line.config.get(name) for line in lines}) > 1]
    shared = {name: lines[0].config[name] for name in names if name not in differing}
    columns = ["run", "row", *map(_last, differing), "top-1 %", "seconds", "machine", "commit", "left out"]
    return {
        "columns": columns,
        "rows": [[line.id, *_run(line, rows[line.id], differing)] for line in lines],
        "shared": shared,
        "software": sorted({line.software for line in lines}),
        "minutes": f"{sum(line.seconds for line in lines) / 60:.1f}",
    }


def _last(name: str) -> str:
    return name.rpartition(".")[2].replace("_", " ")


def _run(line: RunLine, rows: list[str], differing: list[str]) -> list[str]:
    left_out = f"{len(line.excluded)}: {', '.join(line.excluded)}" if line.excluded else "none"
    values = [line.config.get(name, "not set") for name in differing]
    top1, seconds = f"{100 * line.video_top1:.1f}", f"{line.seconds:.1f}"
    return ["; ".join(rows), *values, top1, seconds, line.machine, line.commit, left_out]
