"""Where a command's work is done, if not by processes of this machine: options that several commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from repro import launched
from repro.errors import ReproError

if TYPE_CHECKING:  # an optional dependency
    from repro.cluster import Cluster


@dataclass(frozen=True)
class Elsewhere:
    """Work on a cluster, through dask.distributed; docs/scale.md describes it. Needs pip install -e '.[cluster]'."""

    scheduler: str = ""  # address of a dask.distributed scheduler that runs, such as tcp://node1:8786
    # start a scheduler and workers for this command: processes here, on machines by ssh, or in jobs of Slurm
    cluster: Literal["", "local", "ssh", "slurm"] = ""
    workers: int = 0  # with --cluster: how many; with ssh, on each machine. 0: local one per core, else one
    hosts: tuple[str, ...] = ()  # with --cluster ssh: the machines; the first also has the scheduler

    def __post_init__(self):
        if self.scheduler and self.cluster:
            raise ReproError(f"--scheduler {self.scheduler} runs already, so --cluster {self.cluster} is one too many")
        if (self.workers or self.hosts) and not self.cluster:
            raise ReproError("--workers and --hosts describe a cluster to start: give --cluster local, ssh or slurm")
        if (self.scheduler or self.cluster) and launched.processes() > 1:
            raise ReproError(
                "torchrun shares each run among processes, a cluster hands out whole runs: use one of the two"
            )
        if self.workers < 0:
            raise ReproError(f"--workers {self.workers}: give a number from 1, or leave it out")

    @contextmanager
    def connected(self) -> Iterator["Cluster | None"]:
        """The cluster, for as long as the block runs; None where the work stays on this machine."""
        if not (self.scheduler or self.cluster):
            yield None
            return
        try:
            from repro.cluster import Cluster, started
        except ImportError as error:
            raise ReproError(f"a cluster needs {error.name}: pip install -e '.[cluster]'") from error
        if self.scheduler:
            with Cluster(self.scheduler) as cluster:
                yield cluster
        else:
            with started(self.cluster, self.workers, self.hosts) as address, Cluster(address) as cluster:
                yield cluster


HERE = Elsewhere()
