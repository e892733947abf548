"""Work on a cluster of two workers that are killed at random moments, each followed by a new one; compared with one machine."""

import contextlib
import dataclasses
import importlib.util
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny

from drills import command, signals, stops
from drills.outcome import Outcome, Tally
from repro import execute, paths
from repro.config import Data, Optimisation, Run
from repro.elsewhere import Elsewhere
from repro.errors import ReproError

WORKERS, LATEST = 2, 1200  # seconds: then the scheduler is stopped, and the work is a hang


class Machines:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, log: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address, self.log, self.started = f"tcp://127.0.0.1:{self.port}", open(log, "w"), []  # noqa: SIM115

    def start(self, *arguments) -> subprocess.Popen:
        words = [sys.executable, "-m", "dask", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(paths.ROOT)}
        process = subprocess.Popen(
            words, stdout=self.log, stderr=self.log, cwd=paths.ROOT, env=environment, start_new_session=True
        )
        self.started.append(process)
        return process

    def scheduler(self) -> subprocess.Popen:
        return self.start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")

    def worker(self) -> subprocess.Popen:
        return self.start("worker", self.address, "--nthreads", "1", "--no-dashboard", "--no-nanny")

    def stop(self) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.log.close()


def killed_workers(tally: Tally, rng: random.Random, home: Path, items: int = 40, kills: int = 3) -> None:
    """Packs so many clips and makes so many runs, on workers that are killed so often."""
    if importlib.util.find_spec("distributed") is None:
        tally.add("worker killed", Outcome.SKIPPED, "needs pip install -e '.[cluster]'")
        return
    people = signals._people(home / "people", items)
    words = "prepare", "folder", "--root", str(people), "--side", "36", "--bound", "4"
    peace, place = home / "peace", home / "cluster"

    def prepare(address: str) -> tuple[Outcome, str]:
        return command.judged(place, command.start(place, *words, "--scheduler", address).wait(), (0,))

    data = Data("folder", people.name, frames=8, size=28, side=36, bound=4.0, val_fraction=0.0, root=str(people))
    plan = [dataclasses.replace(tiny.run(data, seed), optimisation=SHORT) for seed in range(items)]

    def make(address: str) -> tuple[Outcome, str]:
        try:
            _made(place, plan, address)
        except ReproError as error:
            return Outcome.WRONG, str(error)
        return Outcome.CLEAR, ""

    found, text = command.judged(peace, command.start(peace, *words).wait(), (0,))
    if found is not Outcome.CLEAR:
        tally.add("clips in peace", found, text)
        return
    _made(peace, plan)
    for drill, act, pattern, same in (
        ("clips", prepare, "data/store/**/*.clip", lambda path: stops._same_bytes(peace / path, place / path)),
        ("runs", make, stops.RECORDS, lambda path: stops._same_run(peace, place, path)),
    ):
        before, (found, text) = _disturbed(tally, rng, place, drill, act, pattern, kills)
        now = stops._finished(place)
        for path in stops._paths(peace, pattern):
            content = now.get(place / path)
            if content is None or before.get(place / path, content) != content:
                tally.add(f"{drill} of killed workers", Outcome.LOST, f"{path} is gone or made again: {text}")
            else:
                right = found is Outcome.CLEAR and same(path)
                tally.add(f"{drill} of killed workers", Outcome.HEALED if right else Outcome.WRONG, f"{path}: {text}")


SHORT = Optimisation(epochs=2, batch=8, schedule="onecycle", select="last")


def _made(home: Path, plan: list[Run], scheduler: str = "") -> None:
    """Makes runs in a data folder of their own, on this machine or through a scheduler."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("REPRO_DATA", "REPRO_OUT"):
            patch.setenv(name, command.environment(home)[name])
        with Elsewhere(scheduler).connected() as cluster:
            execute.execute(plan, jobs=1, device="cpu", fresh=True, cluster=cluster)


def _disturbed(
    tally: Tally, rng: random.Random, place: Path, drill: str, act: Callable, pattern: str, kills: int
) -> tuple[stops.Files, tuple[Outcome, str]]:
    """What was finished at each kill, and how the work ended that went on meanwhile."""
    place.mkdir(parents=True, exist_ok=True)
    machines, ended, before = Machines(place.with_name(f"{drill}.log")), threading.Event(), {}
    machines.scheduler()
    _until(lambda: _answers(machines.port), ended)
    living = [machines.worker() for _ in range(WORKERS)]
    total = len(stops._paths(place.with_name("peace"), pattern))

    def disturb() -> None:
        for count in sorted(rng.sample(range(1, 3 * total // 4), kills)):
            _until(lambda count=count: len(stops._paths(place, pattern)) >= count, ended)
            time.sleep(rng.uniform(0, 0.2))
            if ended.is_set():
                return
            before.update({path: content for path, content in stops._finished(place).items() if path not in before})
            killed = living.pop(rng.randrange(len(living)))
            os.killpg(killed.pid, signal.SIGKILL)
            living.append(machines.worker())
            tally.add(f"worker killed, {drill}", Outcome.HEALED)

    threads = threading.Thread(target=disturb), threading.Timer(LATEST, machines.stop)
    for thread in threads:
        thread.start()
    try:
        return before, act(machines.address)
    finally:
        ended.set()
        threads[1].cancel()
        threads[0].join()
        machines.stop()


def _answers(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _until(what: Callable[[], bool], ended: threading.Event) -> None:
    end = time.monotonic() + LATEST
    while not what() and not ended.is_set() and time.monotonic() < end:
        time.sleep(0.02)
