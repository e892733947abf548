"""Work shared among machines, through a scheduler of dask.distributed.

All machines see one data folder and have the same version of this project. What a worker that is lost had in work is done
by another, and what a scheduler that is lost had handed out is handed out again: finished runs and clips count, wherever
they were made.
"""

import itertools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dask
import distributed
import joblib
from distributed.scheduler import KilledWorker

from repro import machine, paths, progress
from repro.errors import ReproError

INTERRUPT = signal.getsignal(signal.SIGINT)
from dask_jobqueue import SLURMCluster  # noqa: E402  which also reads its section of Dask's configuration

signal.signal(signal.SIGINT, INTERRUPT)  # dask_jobqueue makes Ctrl-C end its process with exit code 0
logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # of a lost scheduler, this module tells itself

Item, Result = TypeVar("Item"), TypeVar("Result")
WINDOW = 1000  # items handed out at once
FIRST, PATIENCE = 30, 300  # seconds to wait for a scheduler, and for one that is lost
POLL = 0.05  # seconds
NO_LIMIT = {"memory_limit": 0}  # Dask's would pause a worker for the memory of a network; what Dask keeps here is small
FOLDERS = {"REPRO_DATA": paths.data, "REPRO_OUT": paths.out, "REPRO_RUNS": paths.runs}


class _Fit(distributed.WorkerPlugin):
    """Refuses a worker that cannot share the work, now or when it joins; gives the others the folders of this command."""

    name = "repro"

    def __init__(self, seen: Path):
        self.seen, self.commit = str(seen), machine.git_state()["commit"]
        self.folders = {name: str(folder().resolve()) for name, folder in FOLDERS.items()}

    def setup(self, worker: Any) -> None:
        if worker.state.nthreads != 1:  # threads would share torch's random numbers
            raise ReproError(
                f"worker {worker.address} has {worker.state.nthreads} threads; start it with --nthreads 1, once per core"
            )
        if not Path(self.seen).exists():
            raise ReproError(
                f"worker {worker.address} does not see {Path(self.seen).parent}: share that folder among the machines"
            )
        if (commit := machine.git_state()["commit"]) != self.commit:
            raise ReproError(
                f"worker {worker.address} has commit {commit} of this project, not {self.commit}: install the same everywhere"
            )
        os.environ.update(self.folders)
        if worker.nanny and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends this process


class Cluster:
    """The workers of a scheduler. To be used in a `with` statement, which lets go of them."""

    def __init__(self, address: str):
        self.address, self.client = address, None

    def __enter__(self) -> "Cluster":
        paths.data().mkdir(parents=True, exist_ok=True)
        self.mark = paths.data() / f".cluster.{os.getpid()}.{time.time_ns()}"
        self.mark.touch()
        try:
            self._connect(FIRST)
        except BaseException:
            self.mark.unlink()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.mark.unlink()

    @property
    def dashboard(self) -> str:
        """The address of the scheduler's own page, which shows every worker and task."""
        return self.client.dashboard_link

    def accelerator(self, device: str) -> str:
        """cuda or cpu: what `device` is on these workers. A worker has a GPU if it was started with --resources GPU=1."""
        with_gpu = any("GPU" in worker["resources"] for worker in self.client.scheduler_info()["workers"].values())
        if device == "cuda" and not with_gpu:
            raise ReproError("device is 'cuda', but no worker has a GPU: start workers with --resources GPU=1")
        return "cuda" if with_gpu and device in ("auto", "cuda") else "cpu"

    def each(
        self,
        do: Callable[..., Result],
        items: Sequence[Item],
        needs: Sequence[Sequence[int]] = (),
        accelerator: str = "cpu",
    ) -> Iterator[tuple[Item, Result | None]]:
        """(item, `do(item, *results of the items it needs)`) of each item, as they finish.

        The result is None for an item that several workers in turn died of, and for the items that need it.
        needs: for each item the indices of earlier ones; empty where none needs another. An error in `do` ends the work.
        """
        results: dict[int, Result | None] = {}
        while len(results) < len(items):
            for i, result in self._handed_out(do, items, needs or [()] * len(items), results, accelerator):
                results[i] = result
                yield items[i], result

    def _handed_out(
        self, do: Callable, items: Sequence, needs: Sequence[Sequence[int]], results: dict[int, Any], accelerator: str
    ) -> Iterator[tuple[int, Any]]:
        """(index, result) of the items without a result; ends early where the scheduler was lost and is there again."""
        left = iter([i for i in range(len(items)) if i not in results])
        kept = set(itertools.chain.from_iterable(needs))  # the results that others need
        resources = {"GPU": 1} if accelerator == "cuda" else None
        futures: dict[int, distributed.Future] = {}
        pending: set[int] = set()
        while True:
            for i in itertools.islice(left, WINDOW - len(pending)):
                given = [results[n] if n in results else futures[n] for n in needs[i]]
                futures[i] = self.client.submit(do, items[i], *given, pure=False, resources=resources)
                pending.add(i)
            if not pending:
                return
            finished = sorted(i for i in pending if futures[i].done())
            if self.client.status != "running" or any(futures[i].cancelled() for i in finished):
                progress.say(f"the scheduler at {self.address} is lost; another one has {PATIENCE} s to answer there")
                self._connect(PATIENCE)
                return
            for i in finished:
                yield i, _result(futures[i])
                pending.remove(i)
                if i not in kept:
                    del futures[i]  # which frees the result's memory on its worker
            if not finished:
                time.sleep(POLL)

    def _connect(self, timeout: float) -> None:
        """Connects to the scheduler, again if need be, and refuses workers that do not fit."""
        end = time.monotonic() + timeout
        if self.client is not None:
            self.client.close(timeout=1)
        while True:
            try:
                self.client = distributed.Client(self.address, timeout=5)
                break
            except OSError as error:
                if time.monotonic() > end:
                    remedy = "start it, then the same command; what is finished counts"
                    raise ReproError(f"no scheduler answers at {self.address}; {remedy}") from error
                time.sleep(1)
        self.client.register_plugin(_Fit(self.mark))


@contextmanager
def started(kind: str, workers: int = 0, hosts: Sequence[str] = ()) -> Iterator[str]:
    """Starts a scheduler and its workers for as long as the block runs; gives the scheduler's address.

    kind: "local", processes of this machine, one per core unless `workers` says how many; "ssh", `workers` processes (1) on
    each of `hosts`, with the scheduler on the first; "slurm", `workers` processes (1) in jobs as the section jobqueue.slurm
    of Dask's configuration describes them. Raises ReproError where hosts or that section are missing.
    """
    if kind == "local":
        own = distributed.LocalCluster(  # what its parts warn of while they end says nothing
            n_workers=workers or joblib.cpu_count(), threads_per_worker=1, silence_logs=logging.ERROR,
            dashboard_address="127.0.0.1:0", **NO_LIMIT,
        )  # fmt: skip
    elif kind == "ssh":
        if not hosts:
            raise ReproError("a cluster of kind 'ssh' needs the names of its machines: --hosts NAME NAME ...")
        options = {"nthreads": 1, "n_workers": workers or 1, **NO_LIMIT}
        own = distributed.SSHCluster([hosts[0], *hosts], worker_options=options, remote_python=sys.executable)
    else:
        cores = dask.config.get("jobqueue.slurm.cores", None)
        if not (cores and dask.config.get("jobqueue.slurm.memory", None)):
            remedy = "write both to ~/.config/dask/jobqueue.yaml"
            raise ReproError(f"Dask's configuration has no jobqueue.slurm.cores or no jobqueue.slurm.memory: {remedy}")
        own = SLURMCluster(processes=cores)
        own.scale(n=workers or 1)
    with own:
        yield own.scheduler_address


def _result(future: distributed.Future) -> Any:
    try:
        return future.result()
    except KilledWorker:
        return None
