"""Stops at random moments of what makes results, `reproduce` and then `rebuild`, and the same command again each time."""

import hashlib
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from drills import command, signals
from drills.outcome import Outcome, Tally
from repro import notebooks, records
from repro.models.tools import files

PROFILE = "--profile", "smoke"
ALWAYS = "streams"  # a notebook of each round, with teachers; another is drawn at random
OTHERS = [name for name, notebook in notebooks.NOTEBOOKS.items() if notebook.tables and name != ALWAYS]
STOPS = {"reproduce": 12, "rebuild": 4}  # in a round at most, before a command may go on to its end
SOONEST = 0.5  # seconds after the start
SHARE = 0.6  # of the seconds that a command takes in peace: the latest stop
SIGNALS = signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT  # drawn at random
CODES = {signal.SIGKILL: -signal.SIGKILL, **signals.CODES}
RESULTS = "out/results/**/*.csv", "out/results/**/*.json", "out/figures/**/*.png"
RECORDS = "data/runs/*/record.json"
FINISHED = RECORDS, "data/runs/*/weights.pt", "data/store/**/*.clip", "data/executed/**/*.made-from"
Files = dict[Path, tuple[int, bytes]]


def stop_reproduce(tally: Tally, rng: random.Random, home: Path, until: float) -> None:
    """Rounds until the clock says so; the last one goes to its end."""
    count = 0
    while time.monotonic() < until:
        _round(tally, rng, home / str(count := count + 1), [ALWAYS, rng.choice(OTHERS)], until)
        shutil.rmtree(home)


def _round(tally: Tally, rng: random.Random, home: Path, only: list[str], until: float) -> None:
    """Makes results in peace, then makes them again with stops, and compares both."""
    peace, place = home / "peace", home / "stopped"
    for words in (("reproduce", *PROFILE, "--only", *only), ("rebuild", *PROFILE)):
        name, start = words[0], time.monotonic()
        returned = command.start(peace, *words).wait()
        latest = max(SHARE * (time.monotonic() - start), 2 * SOONEST)
        found, text = command.judged(peace, returned, (0,))
        tally.add(f"{name} in peace", found, f"{only}: {text}")
        if found is not Outcome.CLEAR:
            return
        for _ in range(STOPS[name]):
            moment, how = rng.uniform(SOONEST, latest), rng.choice(SIGNALS)
            if time.monotonic() > until or not _stopped(tally, place, words, moment, how):
                break
        before = _finished(place)
        returned = command.start(place, *words).wait()
        found, text = _after(place, before, returned, 0)
        tally.add(f"{name} after stops", *(_compared(peace, place) if found is Outcome.HEALED else (found, text)))


def _stopped(tally: Tally, place: Path, words: tuple[str, ...], moment: float, how: signal.Signals) -> bool:
    """Starts a command and stops it after `moment` seconds; False where it ended before."""
    before, process = _finished(place), command.start(place, *words)
    try:
        returned = process.wait(moment)
    except subprocess.TimeoutExpired:
        drill = f"{how.name}, {_stage(place, words[0])}"
        process.send_signal(how)
        returned = signals.ended(process)
        tally.add(drill, *_after(place, before, returned, 0, CODES[how]))
        return True
    tally.add(f"{words[0]} again", *_after(place, before, returned, 0))
    return False


def _stage(place: Path, name: str) -> str:
    """What a command does at this moment."""
    if name == "rebuild":
        return "tables and page"
    if any(command.is_kernel(process) for process in command.living(place)):
        return "notebooks"
    return "training" if " runs to make" in command.printed(place) else "preparing"


def _finished(home: Path) -> Files:
    """What a stop may not take away, nor a restart make again: a file that is made again has another number."""
    found = (path for pattern in FINISHED for path in home.glob(pattern))
    whole = (path for path in found if path.name != "weights.pt" or path.with_name("record.json").exists())
    return {path: (path.stat().st_ino, hashlib.sha256(path.read_bytes()).digest()) for path in whole}


def _after(home: Path, before: Files, returned: int | None, *codes: int) -> tuple[Outcome, str]:
    """HEALED where a command ended with one of `codes` and left no process, but all that was finished before."""
    found, text = command.judged(home, returned, codes)
    now = _finished(home)
    lost = [str(path.relative_to(home)) for path, content in before.items() if now.get(path) != content]
    if found is Outcome.CLEAR and lost:
        return Outcome.LOST, f"gone or made again: {', '.join(lost)}"
    return (Outcome.HEALED, "") if found is Outcome.CLEAR else (found, text)


def _compared(peace: Path, home: Path) -> tuple[Outcome, str]:
    """HEALED where a command that was stopped and went on left what one in peace left, and nothing half-written."""
    results = {path for pattern in RESULTS for path in _paths(peace, pattern) if path.parent.name != "records"}
    wrong = {
        "other files": _paths(peace, "out/**/*") ^ _paths(home, "out/**/*"),
        "other runs": _paths(peace, RECORDS) ^ _paths(home, RECORDS),
        "another result": {path for path in _paths(peace, RECORDS) if not _same_run(peace, home, path)},
        "another content": {path for path in results if not _same_bytes(peace / path, home / path)},
        "litter": {path for path in _paths(home, "**/*") if path.name.startswith(".") or path.suffix == ".part"},
    }
    said = "; ".join(f"{what}: {', '.join(map(str, sorted(which)))}" for what, which in wrong.items() if which)
    return (Outcome.WRONG, said) if said else (Outcome.HEALED, "")


def _paths(home: Path, pattern: str) -> set[Path]:
    return {path.relative_to(home) for path in home.glob(pattern) if path.is_file()}


def _same_bytes(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def _same_run(peace: Path, home: Path, path: Path) -> bool:
    """Whether a run has an equal record and equal weights in both places."""
    if not (home / path).is_file() or not records.equal(records.read(peace / path), records.read(home / path)):
        return False
    weights = path.with_name("weights.pt")
    return files.read(peace / weights)[files.CHECKSUM] == files.read(home / weights)[files.CHECKSUM]
