"""The network of a run: built from its configuration, or as it was trained on this machine."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from repro import models, paths, progress, records
from repro.config import Run
from repro.errors import ReproError, unknown
from repro.models.tools import checkpoints, inference, own
from repro.models.tools.freeze import freeze_batchnorm_except_first, freeze_except
from repro.parameters import DEVICES


def weights_path(run: Run) -> Path:
    """Where this machine keeps the trained weights of a run. They are too large to be committed."""
    return paths.runs() / run.id / "weights.pt"


def are_here(runs: Sequence[Run]) -> bool:
    """Whether the trained networks of all runs are on this machine."""
    return all(weights_path(run).exists() for run in runs)


def build(run: Run, classes: Sequence[str], initialise: bool = True) -> nn.Module:
    """The untrained network of a run: seeded, and with its frozen parts frozen.

    initialise: loads its public checkpoint or the network of its start, where the run has one.
    """
    torch.manual_seed(run.seed)
    if run.model.code and own.code(run.model.name) != run.model.code:
        raise ReproError(
            f"run {run.id}: the file of {run.model.name} has changed since; take the old one back, or train again"
        )
    sizes = {"num_classes": len(classes), "in_channels": run.data.channels}
    model = models.build(run.model.name, **sizes, **run.model.arguments)
    opt = run.optimisation
    file = weights_path(run.start) if run.start is not None else Path(opt.init_file) if opt.init else None
    if file is not None and initialise:
        for network in getattr(model, "pathways", (model,)):  # one file starts each stream of a network with several
            found = checkpoints.load_public(network, file, head=run.start is None)
            if run.start is None:  # a file from elsewhere; a notebook shows stderr in red, like an error
                print(found, file=sys.stdout if progress.in_notebook() else sys.stderr)
            if found.fresh and not opt.epochs:
                raise ReproError(
                    f"{file}: {len(found.fresh)} tensors of the network are not in it, first {found.fresh[0]}, and nothing "
                    "would train them; give a checkpoint of this network with as many classes, or train"
                )
    if opt.trained:
        freeze_except(model, opt.trained)
    if opt.partial_batchnorm:
        freeze_batchnorm_except_first(model)
    return model


def trained(run: Run) -> nn.Module:
    """The finished network of a run, in eval mode on the CPU."""
    if not weights_path(run).exists():
        raise ReproError(
            f"run {run.id} ({run.title}) was not trained on this machine, and networks are not part of the project; "
            "train it with fresh = True"
        )
    return _loaded(run, records.get(run).classes).eval()


def frozen_teacher(run: Run, classes: Sequence[str]) -> nn.Module:
    """The teacher of `run`: eval mode, no gradients, BatchNorm folded."""
    return inference.for_inference(_loaded(run.teacher, classes), bf16=False)


def _loaded(run: Run, classes: Sequence[str]) -> nn.Module:
    model = build(run, classes, initialise=False)
    checkpoints.load_weights(weights_path(run), model, list(classes))
    return model


def start_hash(run: Run) -> str:
    """sha256 of the public checkpoint that a run starts from; empty where it starts from scratch."""
    opt = run.optimisation
    if not opt.init:
        return ""
    path = Path(opt.init_file).expanduser()
    if not path.is_file():
        raise ReproError(
            f"run {run.id} starts from {opt.init_file or opt.init}, but there is no such file; give its path"
        )
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def resolve_device(device: str) -> str:
    """'auto' becomes the best accelerator at hand; a device that is not there is an error."""
    if device not in DEVICES:
        raise unknown("device", device, DEVICES)
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, available in there.items() if available)
    if not there[device]:
        raise ReproError(f"device {device!r} is not available here; use 'auto' or 'cpu'")
    return device
