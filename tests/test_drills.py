"""A short drill: damaged files, signals, two processes at the same work. `make drill` goes on for half an hour."""

import random
import time

import pytest
from drills import disks, files, outcome, signals, workers
from drills.outcome import Outcome, Tally

from repro.errors import ReproError


def returned(value):
    return value


def refused():
    raise ReproError("x.avi: damaged; fetch it again")


def crashed():
    raise KeyError("frames")


def ended():
    raise SystemExit(3)


def too_large():
    return bytes(2 * outcome.MEMORY)


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (refused, Outcome.CLEAR),
        (crashed, Outcome.TRACEBACK),
        (ended, Outcome.TRACEBACK),
        (too_large, Outcome.TRACEBACK),
    ],
)
def test_what_came_of_an_attempt_is_told_apart(act, expected):
    assert outcome.attempt(act)[0] is expected
    one, same, other = (outcome.attempt(returned, value) for value in (1, 1, 2))
    assert one == same != other
    assert one[0] is Outcome.ACCEPTED


def test_a_tally_counts_and_names_what_failed():
    tally = Tally()
    for found in (Outcome.CLEAR, Outcome.CLEAR, Outcome.WRONG, Outcome.SKIPPED):
        tally.add("a drill", found, "why")
    assert tally.failed == 1
    assert tally.details == ["a drill: wrong: why", "a drill: skipped: why"]
    line = next(line for line in str(tally).splitlines() if line.startswith("a drill "))
    assert line.split() == ["a", "drill", "4", "2", "0", "0", "1", "1", "0", "0", "0"]


@pytest.mark.slow
def test_a_short_drill_breaks_nothing(tmp_path):
    tally, rng = Tally(), random.Random(0)
    files.damage_files(tally, rng, tmp_path / "files", attempts=48, until=time.monotonic() + 40)
    signals.stop_commands(tally, rng, tmp_path / "signals", attempts=2)
    signals.side_by_side(tally, tmp_path / "together")
    assert not tally.failed, tally
    assert sum(tally.counts["packed clip, prepare"].values()) > 0


@pytest.mark.slow
def test_the_work_of_a_killed_worker_is_done_by_another(tmp_path):
    pytest.importorskip("distributed", reason="needs the extra repro[cluster]")
    tally = Tally()
    workers.killed_workers(tally, random.Random(0), tmp_path, items=8, kills=1)
    assert not tally.failed, tally
    assert {drill: count[Outcome.HEALED] for drill, count in tally.counts.items() if "of" in drill} == {
        "clips of killed workers": 8,
        "runs of killed workers": 8,
    }


@pytest.mark.slow
def test_full_disks_are_clear_and_heal(tmp_path):
    tally = Tally()
    disks.full_disks(tally, tmp_path)
    if set.union(*(set(count) for count in tally.counts.values())) == {Outcome.SKIPPED}:
        pytest.skip(tally.details[0])
    assert not tally.failed, tally
