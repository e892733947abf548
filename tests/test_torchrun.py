"""One run by several processes that torchrun starts: the same update, the same record, and the same manners."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from drills import command
from lightning_fabric import Fabric
from torch import nn

from repro import execute, launched, make, microbatches, paths, records, train
from repro.elsewhere import Elsewhere
from repro.errors import ReproError
from repro.models.tools import files, freeze
from repro.parameters import Parameters
from repro.single import plan

TWO = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")


# -- micro-batches in one process


def trained(folder: Path, norm: bool = False, processes: int = 1, **optimisation) -> tuple[list[dict], dict]:
    """History and weights of a toy run; `processes` of them share it, if they were started."""
    run, model = toy.run(epochs=2, lr=0.5, **optimisation), toy.Network(norm=norm)
    fabric = Fabric(accelerator="cpu", devices=processes, strategy="ddp" if processes > 1 else "auto")
    fabric.launch()
    checkpoint = folder / f"{run.id}-{norm}.pt"
    return train.fit(run, fabric, model, None, toy.Clips(), None, checkpoint, say=lambda line: None), model.state_dict()


def same(one: tuple[list[dict], dict], other: tuple[list[dict], dict]) -> None:
    torch.testing.assert_close(one[1], other[1])
    for a, b in zip(one[0], other[0], strict=True):
        assert a == pytest.approx(b)


CASES = [{"batch": 8}, {"batch": 8, "clip_gradient": 0.5}, {"batch": 16, "momentum": 0.0}]


@pytest.mark.parametrize("changes", CASES, ids=str)
def test_micro_batches_make_the_update_of_the_batch(tmp_path, changes):
    whole = trained(tmp_path / "whole", **changes)
    same(trained(tmp_path, micro_batch=2, **changes), whole)
    assert all(line.get("clipped", 1.0) == 1.0 for line in whole[0])  # the bound acts, on the whole gradient


def test_batchnorm_sees_the_micro_batch(tmp_path):
    whole, micro = (trained(tmp_path, norm=True, batch=8, micro_batch=size)[1] for size in (0, 2))
    assert not torch.allclose(whole["fc.weight"], micro["fc.weight"])
    assert (whole["norm.num_batches_tracked"], micro["norm.num_batches_tracked"]) == (4, 16)


def test_the_last_micro_batch_of_a_small_part_counts_by_its_clips():
    share = {"label": torch.arange(10), "rgb": torch.arange(20).view(10, 2)}
    found = list(microbatches.parts(share, 4))
    assert [(part["rgb"].tolist()[0], len(part["label"]), weight, last) for part, weight, last in found] == [
        ([0, 1], 4, 0.4, False),
        ([8, 9], 4, 0.4, False),
        ([16, 17], 2, 0.2, True),
    ]


# -- who shares what


class Shared(Fabric):
    """As if torchrun had started some processes."""

    def __init__(self, processes: int):
        super().__init__(accelerator="cpu", devices=1)
        self.processes = processes

    world_size = property(lambda self: self.processes)


@pytest.mark.parametrize(
    ("changes", "processes", "words"),
    [
        (
            {"batch": 8},
            3,
            "a batch of 8 clips cannot be shared equally by 3 processes: start 2, or choose another --set",
        ),
        ({"batch": 8, "micro_batch": 4}, 4, "8 clips in micro-batches of 4 cannot be .* by 4 processes: start 2, or"),
        ({"batch": 99}, 5, "a batch of 16 clips cannot be shared equally by 5 processes: start 4"),  # there are 16
        ({"batch": 8}, 2, r"only GPUs can share it \(torch's Sync.*for 2 processes here, --set .*micro_batch=4"),
    ],
)
def test_a_batch_that_cannot_be_shared(changes, processes, words):
    run = toy.run(**changes)
    with pytest.raises(ReproError, match=f"^run {run.id}: .*{words}"):
        microbatches.share(run, Shared(processes), toy.Network(norm=True), 16)


def test_a_micro_batch_divides_the_batch():
    with pytest.raises(ReproError, match=r"Optimisation.micro_batch is 3, but must be 0 or a divisor of the batch, 8"):
        toy.run(batch=8, micro_batch=3)
    assert toy.run(micro_batch=4).id != toy.run().id == toy.run(micro_batch=0).id


@pytest.mark.parametrize(
    ("changes", "processes", "norm", "words"),
    [
        ({"micro_batch": 2}, 2, True, "2 processes share each batch of 8 clips, 4 each in micro-batches of 2; BatchNorm "
         "takes its statistics over 2 clips"),
        ({"micro_batch": 4}, 1, True, "each batch of 8 clips passes in micro-batches of 4; BatchNorm takes its statistics "
         "over 4 clips"),
        ({}, 4, False, "4 processes share each batch of 8 clips, 2 each"),
        ({}, 1, True, ""),
    ],
)  # fmt: skip
def test_what_is_shared_is_said(changes, processes, norm, words, capsys):
    run = toy.run(batch=8, **changes)
    microbatches.share(run, Shared(processes), toy.Network(norm=norm), 16)
    assert capsys.readouterr().err == (f"run {run.id}: {words}\n" if words else "")


def test_batchnorm_over_all_processes_leaves_frozen_layers_alone():
    def network() -> nn.Sequential:
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
        return nn.Sequential(*layers)

    plain, shared, clips = network(), network(), torch.rand(6, 3, 8, 8)
    for each in (plain, shared):
        freeze.freeze_batchnorm_except_first(each)
    microbatches._synchronise(shared)
    assert [type(each) for each in (shared[1], shared[2][1])] == [nn.SyncBatchNorm, nn.BatchNorm2d]
    torch.testing.assert_close(shared.train()(clips), plain.train()(clips))  # of one process they are the same
    torch.testing.assert_close(shared.state_dict(), plain.state_dict())


def test_more_processes_than_devices(home, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ReproError, match="--nproc-per-node is 2, but must be at most 1, the devices of kind cuda here"):
        make.fabric_of(toy.run(), "cuda")


def test_a_cluster_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ReproError, match="use one of the two"):
        Elsewhere(cluster="local")


def test_an_error_of_one_process_ends_the_command(home, monkeypatch):
    monkeypatch.setattr(execute, "make", lambda *_: (_ for _ in ()).throw(RuntimeError("peer\nclosed")))
    assert execute._attempt(toy.run(), accelerator="cpu", log="").startswith("failed: run ")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        ReproError, match=r"^run \w+: RuntimeError: peer closed \(after an error in one process all end"
    ):
        execute._attempt(toy.run(), accelerator="cpu", log="")


# -- two processes


def together() -> None:
    """In each of two processes: trains the toy runs, and the first one writes what came of them."""
    folder = Path(sys.argv[1])
    found = [trained(folder, processes=2, **given) for given in runs_of_two()]
    if launched.rank() == 0:
        torch.save(found, folder / "found.pt")


def runs_of_two() -> list[dict]:
    return [*CASES, *({"micro_batch": 2, **case} for case in CASES), {"norm": True, "batch": 8, "micro_batch": 2}]


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path):
    done = subprocess.run(
        [*TWO, __file__, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(paths.ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *plain, normalised = torch.load(tmp_path / "found.pt", weights_only=True)
    for given, found in zip(runs_of_two(), plain, strict=False):
        same(found, trained(tmp_path / "alone", **{**given, "micro_batch": 0}))
    alone = trained(tmp_path / "alone", **runs_of_two()[-1])
    for name in ("fc.weight", "fc.bias", "norm.weight", "norm.bias"):
        torch.testing.assert_close(normalised[1][name], alone[1][name])  # BatchNorm saw the same micro-batches
    assert not torch.equal(normalised[1]["norm.running_mean"], alone[1]["norm.running_mean"])  # of the first's alone


PLAIN = """
import torch
from repro.models.layers.output import Output

class Colour(torch.nn.Module):
    def __init__(self, num_classes, in_channels=3):
        super().__init__()
        self.fc = torch.nn.Linear(in_channels * 16, num_classes)

    def forward(self, clips):  # (B, C, T, H, W)
        seen = torch.nn.functional.adaptive_avg_pool2d(clips.float().mean(2) / 255, 4).flatten(1)
        return Output(self.fc(seen), seen)
"""
SETS = ("optimisation.epochs=30", "optimisation.micro_batch=4", "optimisation.batch=16")
WORDS = (
    "-m",
    "repro",
    "train",
    "tsn",
    "--dataset",
    "synthetic",
    "--model",
    "plain:Colour",
    "--profile",
    "smoke",
    "--jobs",
    "1",
)
OPTIONS = [text for each in SETS for text in ("--set", each)]


class Commands:
    """`train` in one process or two, all of them in a folder where no other process works."""

    def __init__(self, home: Path):
        self.home, self.environment = home, command.environment(home) | {"PYTHONPATH": str(paths.ROOT)}
        self.run = plan.plan("tsn", Parameters(profile="smoke", seeds=0), "", None, "plain:Colour", SETS)

    def start(self, *launcher: str, runs: str) -> subprocess.Popen:
        return subprocess.Popen(
            [*launcher, *WORDS, *OPTIONS], env=self.environment | {"REPRO_RUNS": str(self.home / runs)}, cwd=self.home,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=command.heed_interrupts,
            process_group=0,
        )  # fmt: skip

    def whole(self, *launcher: str, runs: str) -> tuple[str, str]:
        """What a command prints that is left in peace."""
        process = self.start(*launcher, runs=runs)
        out, said = process.communicate(timeout=500)
        assert process.returncode == 0, said
        return out, said

    def stopped(self, runs: str, epoch: int, stop: Callable[[subprocess.Popen], None]) -> str:
        """What two processes print that are stopped after an epoch, and torchrun about it."""
        process, log = self.start(*TWO, runs=runs), self.log(runs)
        until(lambda: process.poll() is not None or (log.exists() and f"epoch {epoch}," in log.read_text()))
        stop(process)
        out, said = process.communicate(timeout=200)
        assert process.returncode != 0, said
        assert not command.orphans(self.home)
        assert not out
        assert not log.with_name("record.json").exists()
        return said

    def log(self, runs: str) -> Path:
        return self.home / runs / self.run.id / "log.txt"


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    home = tmp_path_factory.mktemp("torchrun")
    (home / "plain.py").write_text(PLAIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        yield Commands(home)


def until(what, seconds: float = 500) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_of_two_processes_of_which_one_is_killed_ends_as_that_of_one(commands):
    run = commands.run
    commands.whole(sys.executable, runs="one")
    commands.stopped("two", 6, lambda process: os.kill(the_second(process), signal.SIGKILL))
    out, said = commands.whole(*TWO, runs="two")
    assert out.count(f"run {run.id}: ") == said.count("1 runs to make, 1 at a time on cpu, each by 2 processes") == 1
    assert said.count("2 processes share each batch of 16 clips, 8 each in micro-batches of 4\n") == 1
    assert commands.log("two").read_text().count("goes on after epoch") == 1
    one, two = (commands.log(runs).parent for runs in ("one", "two"))
    expected, record = (records.read(folder / "record.json") for folder in (one, two))
    assert record.provenance["machine"]["device"] == "cpu x2"
    assert record.config["optimisation"]["micro_batch"] == 4
    for theirs, ours in zip(expected.history, record.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    np.testing.assert_allclose(record.scores.astype(float), expected.scores.astype(float), atol=0.01)
    torch.testing.assert_close(*(files.read(folder / "weights.pt")["state_dict"] for folder in (two, one)))


@pytest.mark.slow
def test_two_processes_end_with_ctrl_c_and_with_torchrun_and_go_on(commands):
    said = commands.stopped("stopped", 2, lambda process: os.killpg(process.pid, signal.SIGINT))
    assert said.count("stopped; nothing finished is lost") == 1
    commands.stopped("stopped", 4, lambda process: process.kill())
    assert commands.log("stopped").read_text().count("goes on after epoch") == 1


def the_second(torchrun: subprocess.Popen) -> int:
    """The second of the processes that torchrun started."""
    started = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    (found,) = (p for p in started if b"RANK=1" in Path(f"/proc/{p}/environ").read_bytes().split(b"\0"))
    return int(found)


if __name__ == "__main__":
    together()
