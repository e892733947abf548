"""Ctrl-C and SIGTERM at random moments of every command, a pipe that closes, and two processes at the same work."""

import itertools
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from drills import command
from drills.outcome import Outcome, Tally

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
LATEST = 12  # seconds


def stop_commands(tally: Tally, rng: random.Random, home: Path, attempts: int, until: float = float("inf")) -> None:
    """Sends a signal to each command at a random moment; an earlier end is as good."""
    people = _people(home / "people", clips=6)
    commands = (
        ("prepare", "folder", "--root", str(people)), ("reproduce", "--profile", "smoke"), ("rebuild",),
        ("report",), ("list",), ("rerun", "--sample", "2"),
    )  # fmt: skip
    for i in range(attempts):
        if time.monotonic() > until:
            return
        words, sent = commands[i % len(commands)], rng.choice(list(CODES))
        place = home / words[0]
        process = command.start(place, *words)
        try:
            process.wait(rng.uniform(0.2, LATEST))
        except subprocess.TimeoutExpired:
            process.send_signal(sent)
        tally.add(sent.name, *command.judged(place, ended(process), (0, CODES[sent])))


def ended(process: subprocess.Popen) -> int | None:
    """The exit code of a process that was sent a signal; None where it goes on for a minute, and it is killed."""
    try:
        return process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def side_by_side(tally: Tally, home: Path) -> None:
    """Two prepares of one folder at once: all clips packed, each once."""
    people = _people(home / "people", clips=8)
    words = "prepare", "folder", "--root", str(people), "--jobs", "1"
    one = command.start(home, *words)
    time.sleep(0.5)
    other = subprocess.run(
        [sys.executable, "-m", "repro", *words],
        cwd=command.ROOT,
        env=command.environment(home),
        capture_output=True,
        text=True,
    )
    one.wait()
    text = command.printed(home) + other.stdout + other.stderr
    made = sum(int(line.split()[0]) for line in text.splitlines() if "clips prepared" in line)
    packs = len(list(home.glob("data/store/**/*.clip")))
    right = (made, packs, one.returncode, other.returncode) == (8, 8, 0, 0)
    tally.add("two prepares at once", Outcome.HEALED if right else Outcome.WRONG, f"{made} made, {packs} packs: {text}")
    closed = subprocess.run(
        f"{sys.executable} -m repro list | head -1", shell=True, cwd=command.ROOT, env=command.environment(home),
        capture_output=True, text=True,
    )  # fmt: skip
    tally.add("list | head -1", Outcome.TRACEBACK if closed.stderr else Outcome.CLEAR, closed.stderr)


def _people(folder: Path, clips: int) -> Path:
    """A folder of videos in two classes, drawn as the embedded set is."""
    import tiny

    from repro.data.embedded import videos

    if folder.exists():
        return folder
    drawn = videos.write(folder.with_name("drawn"), tiny.EDITION)
    for i, movie in enumerate(itertools.islice(itertools.cycle(sorted(drawn.rglob("*.avi"))), clips)):
        target = folder / ("one", "two")[i % 2] / f"person{i}_{i}.avi"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(movie, target)
    return folder
