"""Kills at random moments over everything that `reproduce --profile smoke` does, and the same command again each time."""

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from drills import command
from drills.outcome import Outcome, Tally
from repro import records
from repro.rebuild import MEASURED

COMMAND = "reproduce", "--profile", "smoke"
LONGEST = 60  # seconds between a start and its kill; the expected value is half of it
TIMED = *MEASURED, "imrs_efficiency", "index"  # files that show a time or come from such


def kill_reproduce(tally: Tally, rng: random.Random, home: Path, until: float) -> None:
    """Kills and starts again until the clock says so; whenever the command ends, compares with a run left in peace."""
    reference, place = home / "reference", home / "killed"
    command.start(reference, *COMMAND).wait()
    while time.monotonic() < until:
        before = _finished(place)
        process = command.start(place, *COMMAND)
        try:
            returned = process.wait(rng.uniform(0.5, LONGEST))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            tally.add("kill -9 of reproduce", *_after_kill(place, before))
            continue
        tally.add("reproduce after kills", *_compared(reference, place, returned))
        shutil.rmtree(place)


def _finished(home: Path) -> dict[Path, bytes]:
    """The records and weights that a kill may not take away."""
    names = "data/runs/*/record.json", "data/runs/*/weights.pt"
    return {path: path.read_bytes() for name in names for path in home.glob(name)}


def _after_kill(home: Path, before: dict[Path, bytes]) -> tuple[Outcome, str]:
    gone = [str(path) for path, data in before.items() if not path.exists() or path.read_bytes() != data]
    if gone:
        return Outcome.LOST, ", ".join(gone)
    left = command.orphans(home)
    return (Outcome.HANG, f"workers {left} went on after their parent") if left else (Outcome.HEALED, "")


def _compared(reference: Path, home: Path, returned: int) -> tuple[Outcome, str]:
    """HEALED where the killed and continued command left the same records and tables, and nothing half-written."""
    text = command.printed(home)
    if returned or "Traceback" in text:
        return Outcome.TRACEBACK if "Traceback" in text else Outcome.WRONG, text[-2000:]
    different = [
        path.name for path in _paths(reference, "data/runs/*/record.json") if not _same_record(reference, home, path)
    ]
    for pattern in ("out/results/**/*.csv", "out/results/**/*.json"):
        for path in _paths(reference, pattern):
            timed = path.stem in TIMED or path.parent.name in ("records", "maps")
            if not timed and not _same_bytes(reference, home, path):
                different.append(str(path))
    litter = [str(path) for path in home.rglob(".*") if path.is_file()]
    return (Outcome.WRONG, f"different {different}, litter {litter}") if different or litter else (Outcome.HEALED, "")


def _paths(home: Path, pattern: str) -> list[Path]:
    return [path.relative_to(home) for path in sorted(home.glob(pattern))]


def _same_bytes(one: Path, other: Path, path: Path) -> bool:
    return (other / path).is_file() and (one / path).read_bytes() == (other / path).read_bytes()


def _same_record(one: Path, other: Path, path: Path) -> bool:
    return (other / path).is_file() and records.equal(records.read(one / path), records.read(other / path))
