"""Work on a cluster: real schedulers and workers, killed, late, restarted, unfit."""

import dataclasses
import math
import os
import signal
import sys
import threading
import time

import pytest

pytest.importorskip("distributed", reason="needs the extra repro[cluster]")

import dask
import distributed
from drills.workers import Machines

from repro import execute, paths, records
from repro.cluster import Cluster, started
from repro.elsewhere import HERE, Elsewhere
from repro.errors import ReproError
from repro.papers import imrs
from repro.parameters import Parameters


def product(item: int, *needed: int) -> int:
    if item == 13:
        raise ReproError("thirteen")
    for each in needed:
        item *= each
    return item


@pytest.fixture
def here(home, monkeypatch):
    """A scheduler and one worker in this process, whose folders the worker sets, until the test ends."""
    monkeypatch.setenv("REPRO_RUNS", str(paths.runs()))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", protocol="tcp"
    ) as local:
        yield local


def test_an_item_gets_the_results_of_those_it_needs(here):
    with Cluster(here.scheduler_address) as cluster:
        found = list(cluster.each(product, [2, 3, 5, 7], [(), (0,), (0, 1), ()]))
    assert dict(found) == {2: 2, 3: 6, 5: 60, 7: 7}
    assert len(found) == 4
    assert not list(paths.data().glob(".cluster*"))


def test_an_error_ends_the_work(here):
    with Cluster(here.scheduler_address) as cluster, pytest.raises(ReproError, match="thirteen"):
        list(cluster.each(product, [1, 13, 2]))


def test_more_items_than_are_handed_out_at_once(here, monkeypatch):
    monkeypatch.setattr("repro.cluster.WINDOW", 3)
    with Cluster(here.scheduler_address) as cluster:
        needs = [(i - 1,) if i else () for i in range(10)]
        found = dict(cluster.each(product, list(range(1, 11)), needs))
    assert found == {n: math.factorial(n) for n in range(1, 11)}


def test_a_worker_that_cannot_share_the_work_is_refused(home):
    with (
        distributed.LocalCluster(
            1, threads_per_worker=2, processes=False, dashboard_address=":0", protocol="tcp"
        ) as local,
        pytest.raises(ReproError, match=r"worker tcp://.* has 2 threads; start it with --nthreads 1"),
    ):
        Cluster(local.scheduler_address).__enter__()
    assert not list(paths.data().glob(".cluster*"))


def test_a_gpu_is_asked_of_workers_that_have_one(here):
    with Cluster(here.scheduler_address) as cluster:
        assert (cluster.accelerator("auto"), cluster.accelerator("cpu")) == ("cpu", "cpu")
        with pytest.raises(ReproError, match="no worker has a GPU: start workers with --resources GPU=1"):
            cluster.accelerator("cuda")


def test_no_scheduler_is_one_clear_error(home, monkeypatch):
    monkeypatch.setattr("repro.cluster.FIRST", 0)
    with pytest.raises(
        ReproError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9; start it, then the same command"
    ):
        Cluster("tcp://127.0.0.1:9").__enter__()


SBATCH = """#!/bin/sh
cp "$1" {jobs}.sh
sh {jobs}.sh > /dev/null 2>&1 &
echo $! >> {jobs}
echo "Submitted batch job $!"
"""


@pytest.mark.slow
def test_workers_that_slurm_starts(home, monkeypatch):
    """A stand-in for sbatch runs the job's script here."""
    programs, jobs = home / "bin", home / "jobs"
    programs.mkdir()
    for name, script in (("sbatch", SBATCH.format(jobs=jobs)), ("scancel", "#!/bin/sh\nkill $1\n")):
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(paths.ROOT / "tests"))  # where workers find `product`
    monkeypatch.chdir(home)
    with (
        pytest.raises(ReproError, match=r"no jobqueue\.slurm\.cores or no jobqueue\.slurm\.memory: write both"),
        started("slurm"),
    ):
        pass
    section = {"cores": 2, "memory": "8GB", "interface": "lo"}
    with (
        dask.config.set({f"jobqueue.slurm.{name}": value for name, value in section.items()}),
        started("slurm", 2) as address,
        Cluster(address) as cluster,
    ):
        assert dict(cluster.each(product, [2, 3, 5])) == {2: 2, 3: 3, 5: 5}
        assert len(cluster.client.scheduler_info()["workers"]) == 2
    assert len(jobs.read_text().split()) == 1  # one job of two workers


def test_ctrl_c_is_not_that_of_dask_jobqueue():
    """Which ends its process in silence, with exit code 0."""
    assert getattr(signal.getsignal(signal.SIGINT), "__module__", "") != "dask_jobqueue.runner"


def test_ssh_needs_names_of_machines():
    with pytest.raises(ReproError, match="needs the names of its machines: --hosts"), started("ssh"):
        pass


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scheduler": "tcp://a:1", "cluster": "local"}, "--scheduler tcp://a:1 runs already"),
        ({"workers": 3}, "describe a cluster to start: give --cluster local, ssh or slurm"),
        ({"hosts": ("a",)}, "describe a cluster to start"),
        ({"cluster": "local", "workers": -1}, "--workers -1: give a number from 1"),
    ],
)
def test_options_that_contradict_each_other_are_refused(given, words):
    with pytest.raises(ReproError, match=words):
        Elsewhere(**given)


def test_without_options_the_work_stays_here():
    with HERE.connected() as cluster:
        assert cluster is None


def test_without_the_extra_its_installation_is_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "repro.cluster", None)
    with (
        pytest.raises(ReproError, match=r"a cluster needs .*: pip install -e '\.\[cluster\]'"),
        Elsewhere("tcp://a:1").connected(),
    ):
        pass


@pytest.fixture
def machines(tmp_path):
    started = Machines(tmp_path / "dask.log")
    yield started
    started.stop()


def until(what, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_worker_a_late_one_and_a_new_scheduler_leave_the_records_of_one_machine(home, machines, monkeypatch):
    """All runs once, with the same scores and histories."""
    parameters = Parameters(profile="smoke", jobs=1)
    student = imrs.student(parameters, 1, 0)
    longer = dataclasses.replace(student.teacher.optimisation, epochs=8)
    runs = [student, *(dataclasses.replace(student.teacher, seed=s, optimisation=longer) for s in range(1, 4))]
    alone = execute.execute(runs, jobs=1)
    monkeypatch.setenv("REPRO_RUNS", str(home / "runs of the cluster"))

    def logged(i: int, epoch: int) -> bool:
        log = paths.runs() / runs[i].id / "log.txt"
        return log.exists() and f"epoch {epoch}," in log.read_text()

    scheduler, first = machines.scheduler(), machines.worker()
    steps = iter(
        [
            (lambda: logged(1, 3), lambda: (first.kill(), machines.worker())),  # in mid training; the other comes late
            (lambda: logged(2, 2), lambda: (scheduler.kill(), machines.scheduler(), machines.worker())),
        ]
    )

    def disturb() -> None:
        for ready, act in steps:
            until(ready)
            act()

    disturber = threading.Thread(target=disturb)
    disturber.start()
    with Cluster(machines.address) as cluster:
        shared = execute.execute(runs, cluster=cluster, fresh=True)
    disturber.join()
    again = 0
    for run, one, other in zip(runs, alone, shared, strict=True):
        assert (one.history, one.metrics) == (other.history, other.metrics), run.title
        assert (one.scores == other.scores).all()
        log = (paths.runs() / run.id / "log.txt").read_text().splitlines()
        trained = sum("epoch " in line and "goes on" not in line for line in log)
        again += trained - run.optimisation.epochs
    assert 0 <= again <= 2  # the epochs in work when the worker and the scheduler were killed
    assert {path.parent.name for path in paths.runs().glob("*/record.json")} >= {run.id for run in runs}
    assert records.here(student.teacher) is not None
