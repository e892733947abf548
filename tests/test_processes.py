"""Work shared among processes: a process that dies costs its own item, and a parent that is killed takes all with it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from repro import paths, processes


def doubled(item: int) -> int:
    """Twice the item; the process dies of 13."""
    if item == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * item


def test_one_job_is_this_process():
    assert list(processes.each(lambda item: os.getpid(), ["a", "b"], 1)) == [("a", os.getpid()), ("b", os.getpid())]


def test_there_are_no_more_processes_than_work(monkeypatch):
    monkeypatch.setattr(processes.joblib, "cpu_count", lambda: 4)
    assert [processes.count(*given) for given in ((-1, 9), (-1, 3), (2, 9), (2, 0))] == [4, 3, 2, 1]


@pytest.mark.slow
def test_a_process_that_dies_costs_its_own_item():
    found = dict(processes.each(doubled, [1, 2, 13, 4, 5, 6, 7, 8], 2))
    assert found == {1: 2, 2: 4, 13: None, 4: 8, 5: 10, 6: 12, 7: 14, 8: 16}


@pytest.mark.slow
def test_an_error_ends_the_work():
    with pytest.raises(ZeroDivisionError):
        list(processes.each((1).__truediv__, [1, 0, 2], 2))


SCRIPT = """
import os, sys, time
from pathlib import Path
from repro import processes

def work(folder):
    Path(folder, str(os.getpid())).touch()
    end = time.time() + 60
    while time.time() < end:
        pass

list(processes.each(work, [sys.argv[1]] * 2, 2))
"""


def lives(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be counted does not."""
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_parent_that_is_killed_takes_its_workers_with_it(tmp_path, how):
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=paths.ROOT)
    deadline = time.time() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.time() < deadline:
        time.sleep(0.05)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert [lives(worker) for worker in workers] == [True, True]
    parent.send_signal(how)
    parent.wait()
    deadline = time.time() + 10
    while any(map(lives, workers)) and time.time() < deadline:
        time.sleep(0.1)
    assert [lives(worker) for worker in workers] == [False, False]
