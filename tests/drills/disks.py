"""Disks that are full or read-only, in a small tmpfs; skipped by name where this system does not let us mount one."""

import subprocess
from pathlib import Path

from drills import command, signals
from drills.outcome import Outcome, Tally

SMALL, LARGE = "700k", "512m"


def full_disks(tally: Tally, home: Path) -> None:
    """Each command on a full disk, then again with space; then on a read-only disk."""
    people = signals._people(home / "people", clips=8)
    for words in (
        ("prepare", "folder", "--root", str(people)),
        ("reproduce", "--profile", "smoke", "--only", "00_quickstart"),
    ):
        place = home / words[0] / "disk"
        place.mkdir(parents=True)
        refused = _mount(place, f"size={SMALL}")
        if refused:
            tally.add("full disk", Outcome.SKIPPED, f"{' '.join(words)}: no tmpfs can be mounted here ({refused})")
            continue
        try:
            _fill_and_free(tally, place, words)
        finally:
            subprocess.run(["umount", str(place)], check=True)


def _fill_and_free(tally: Tally, place: Path, words: tuple[str, ...]) -> None:
    for drill, options, codes in (
        ("full disk", "", (1,)),
        ("space again", f"size={LARGE}", (0,)),
        ("read-only disk", "ro", (0, 1)),
    ):
        if options:
            subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)
        returned = command.start(place, *words).wait()
        tally.add(f"{drill}, {words[0]}", *command.judged(place, returned, codes))


def _mount(place: Path, options: str) -> str:
    """Mounts a tmpfs; what the system says where it does not allow that."""
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True
        )
    except FileNotFoundError:
        return "no mount command"
    return done.stderr.strip() or ("" if done.returncode == 0 else f"exit code {done.returncode}")
