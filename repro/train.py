"""The training loop. It knows no model, no data set and no loss: networks take uint8 clips, losses are called by kind.

After every epoch the whole state goes to one checkpoint, and every random choice depends on (seed, epoch) alone. A run
that is killed at any moment goes on after its last whole epoch and, on the CPU, ends with the same bits.

A batch may be shared by processes, and pass in micro-batches: `microbatches`.
"""

import copy
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import SGD, lr_scheduler

from repro import evaluate, losses, microbatches
from repro.config import Optimisation, Run
from repro.data.clips import ClipDataset, batches
from repro.errors import ReproError
from repro.models.tools import files
from repro.models.tools.groups import multiples
from repro.models.tools.inference import channels_last

PARTS = ("model", "optimiser", "schedule")  # of a `Training`, by the names of its attributes


def fit(
    run: Run,
    fabric: Fabric,
    model: nn.Module,
    teacher: nn.Module | None,
    training: ClipDataset,
    validation: ClipDataset | None,
    checkpoint: Path,
    workers: int = 0,
    say: Callable[[str], None] = print,
) -> list[dict]:
    """Trains `model` in place, from `checkpoint` on where that file exists. Returns the history, one dict per epoch.

    A checkpoint that is damaged or another run's is renamed to checkpoint.damaged.pt, and the training starts again.

    teacher: in eval mode and frozen, for runs that distil. `training` then shows the teacher's modality too.
    validation: needed by `select="best"` and by the plateau schedule, else may be None.
    say: receives one line of text per epoch, as do Fabric's loggers, where it has some.

    The history has `loss`, the objective's terms, `clip_top1` and, with a bound on the gradient, `clipped`, the share of
    steps at which the bound acted. They are means over the epoch's steps, each computed before the step's update. `lr` is
    the optimiser's rate after the last step, which with "onecycle" is already that of the next step. With a validation part
    there are `val_loss` and `val_top1` after the epoch. With `select="best"` the model ends with the weights of the epoch
    that had the lowest `val_loss`.

    Raises ReproError for a loss or a gradient that is not finite, naming run, epoch and step; and for a batch that the
    processes cannot share.
    """
    opt = run.optimisation
    microbatches.share(run, fabric, model, len(training))
    state = Training(run, fabric, model, teacher, steps=max(len(training) // opt.batch, 1))
    with fabric.rank_zero_first():  # which alone finds a damaged checkpoint
        if checkpoint.exists():
            say(state.resume(checkpoint))
    for line in state.history:  # a logger that starts now has all epochs too
        fabric.log_dict(line, line["epoch"])
    for epoch in range(len(state.history), opt.epochs):
        line = {"epoch": epoch + 1, **state.epoch(training, epoch, workers)}
        if validation is not None:
            line |= state.validate(validation, epoch, workers)
        if opt.schedule == "steps":
            state.schedule.step()
        state.history.append(line)
        fabric.log_dict(line, line["epoch"])
        say(f"{run.id} " + ", ".join(f"{name} {value:.4g}" for name, value in line.items()))
        if fabric.is_global_zero:
            state.save(checkpoint)
        fabric.barrier()
    if opt.select == "best":
        model.load_state_dict(state.best["model"])
    return state.history


def sgd(model: nn.Module, opt: Optimisation) -> SGD:
    """The optimiser of all parameters that are not frozen. Its first group has the rate `opt.lr`."""
    groups = [
        {"params": parameters, "lr": rate * opt.lr, "weight_decay": decay * opt.weight_decay}
        for (rate, decay), parameters in multiples(model, opt.rates).items()
    ]
    return SGD(groups, lr=opt.lr, momentum=opt.momentum, dampening=opt.dampening)


def scheduler(optimiser: SGD, opt: Optimisation, steps: int) -> lr_scheduler.LRScheduler:
    """The learning rate of each group over time; `steps` is the number of updates per epoch.

    "onecycle" changes after every step: from lr / 25 up to lr during the first 30 % of all steps, then down to
    lr / 250,000.
    "steps" divides by ten after each epoch in `opt.steps`.
    "plateau" divides by ten after `patience` + 1 epochs in a row without a gain. A gain is a validation loss more than a
    ten-thousandth below the best so far.
    """
    if opt.schedule == "onecycle":
        rates = [group["lr"] for group in optimiser.param_groups]
        return lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps * opt.epochs)
    if opt.schedule == "steps":
        return lr_scheduler.MultiStepLR(optimiser, list(opt.steps))
    return lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.1, patience=opt.patience)


def _shapes(content: Any) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in files.tensors(content)}


class Training:
    """A run while it trains. A checkpoint holds the run's id, model, optimiser, schedule, history and best epoch."""

    def __init__(self, run: Run, fabric: Fabric, model: nn.Module, teacher: nn.Module | None, steps: int):
        self.run, self.fabric, self.model, self.teacher = run, fabric, channels_last(model), teacher
        self.optimiser = sgd(model, run.optimisation)
        self.schedule = scheduler(self.optimiser, run.optimisation, steps)
        self.network, self.fabric_optimiser = fabric.setup(model, self.optimiser)
        self.history: list[dict] = []
        self.best: dict[str, Any] = {"val_loss": math.inf, "model": {}}  # stays so with `select="last"`

    def state(self) -> dict[str, Any]:
        """Everything that training changes, and whose it is."""
        parts = {name: getattr(self, name).state_dict() for name in PARTS}
        return {"run": self.run.id, **parts, "history": self.history, "best": self.best}

    def save(self, checkpoint: Path) -> None:
        """Writes the state with a checksum, atomically."""
        files.write(self.state(), checkpoint)

    def resume(self, checkpoint: Path) -> str:
        """Takes over what `save` wrote, or sets another file aside; returns what was done, in one line."""
        try:
            self.load(checkpoint)
        except ReproError as error:
            aside = checkpoint.with_name("checkpoint.damaged.pt")
            os.replace(checkpoint, aside)
            said = f"{self.run.id}: starts again, and its checkpoint is set aside as {aside}: {error}"
            print(said, file=sys.stderr)
            return said
        return f"{self.run.id}: goes on after epoch {len(self.history)} of {self.run.optimisation.epochs}"

    def load(self, checkpoint: Path) -> None:
        """Takes over what `save` wrote. ReproError for any other file, and then nothing has changed."""
        saved, before = files.read(checkpoint), copy.deepcopy(self.state())
        try:
            self._take(saved)
        except torch.OutOfMemoryError:  # says nothing of the file
            raise
        except Exception as error:  # torch documents no list of what its load_state_dict raises
            self._take(before)
            why = " ".join(str(error).split())
            raise ReproError(f"{checkpoint} is no checkpoint of run {self.run.id} ({why})") from error

    def _take(self, saved: Mapping[str, Any]) -> None:
        """Takes over a state; raises an error of any kind where it does not fit."""
        own, epochs = self.state(), [line["epoch"] for line in saved["history"]]
        with_best = self.run.optimisation.select == "best" and epochs
        fits = {
            "of its run": saved["run"] == self.run.id,
            "finite": all(tensor.isfinite().all() for _, tensor in files.tensors(saved)),
            "of this schedule": saved["schedule"].keys() == own["schedule"].keys(),
            "of its first epochs": epochs == list(range(1, len(epochs) + 1)),
            "with its best epoch": _shapes(saved["best"]["model"]) == (_shapes(own["model"]) if with_best else {}),
        }
        for name in PARTS:
            getattr(self, name).load_state_dict(saved[name])
        momenta = [
            (p.shape, value.shape) for p, kept in self.optimiser.state.items() for _, value in files.tensors(kept)
        ]
        fits["of its momenta"] = all(ours == theirs for ours, theirs in momenta)
        if wrong := [what for what, holds in fits.items() if not holds]:
            raise ValueError(f"it is not {', '.join(wrong)}")
        self.history, self.best = saved["history"], saved["best"]

    def epoch(self, clips: ClipDataset, epoch: int, workers: int) -> dict[str, float]:
        """One pass over the training clips: `lr` after it, and means over all steps and processes."""
        run, fabric = self.run, self.fabric
        # for dropout, in each process its own; the data draw from (seed, epoch) themselves
        torch.manual_seed(run.seed * 100_003 + epoch + (fabric.global_rank << 48))
        self.network.train()
        sums: dict[str, Tensor] = {}
        loader = batches(clips, run.optimisation.batch, epoch, workers, fabric.global_rank, fabric.world_size)
        for count, batch in enumerate(loader, start=1):
            where = f"run {run.id} stopped in epoch {epoch + 1}, step {count}"
            for name, value in self.step(batch, where).items():
                sums[name] = sums.get(name, 0.0) + value
        if fabric.world_size > 1:  # each process kept its own BatchNorm statistics; the first one's are what is saved
            for buffer in self.model.buffers():
                torch.distributed.broadcast(buffer, 0)
        means = fabric.all_reduce({name: value / count for name, value in sums.items()}, reduce_op="mean")
        return {"lr": self.optimiser.param_groups[0]["lr"]} | {name: float(value) for name, value in means.items()}

    def step(self, batch: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        """One update of the weights, by the mean gradient of the batch. Returns what `backward` does, as means over the batch.

        batch: this process's share, on the CPU.
        """
        opt, fabric = self.run.optimisation, self.fabric
        self.fabric_optimiser.zero_grad()
        terms: dict[str, Tensor] = {}
        for part, weight, last in microbatches.parts(batch, opt.micro_batch):
            with fabric.no_backward_sync(self.network, enabled=not last):
                found = self.backward(fabric.to_device(part), weight)
            terms = {name: terms.get(name, 0.0) + weight * value for name, value in found.items()}
        if fabric.all_reduce(torch.isfinite(terms["loss"]).float(), reduce_op="mean") != 1:
            values = ", ".join(f"{name} {float(value):g}" for name, value in terms.items() if name != "clip_top1")
            remedy = f"lower the learning rate ({opt.lr:g}) or the weights of the objective"
            raise ReproError(f"{where}: the loss is not finite ({values}); {remedy}")
        if limit := opt.clip_gradient:
            norm = fabric.clip_gradients(self.network, self.fabric_optimiser, max_norm=limit, error_if_nonfinite=False)
            if not torch.isfinite(norm):
                raise ReproError(f"{where}: the gradient is not finite")
            terms["clipped"] = (norm > limit).float()
        self.fabric_optimiser.step()
        if opt.schedule == "onecycle":
            self.schedule.step()
        return terms

    def backward(self, batch: Mapping[str, Tensor], weight: float) -> dict[str, Tensor]:
        """Adds `weight` times the gradient of a micro-batch to that of the step.

        Returns the objective's scalars and the fraction of correctly classified clips, without a gradient.
        """
        run = self.run
        output = self.network(batch[run.data.modality])
        terms = losses.OBJECTIVES[run.objective.kind](run.objective, output, batch["label"], self._target(batch))
        self.fabric.backward(terms["loss"] * weight)
        top1 = (output.logits.argmax(1) == batch["label"]).float().mean()
        return {name: value.detach() for name, value in {**terms, "clip_top1": top1}.items()}

    def _target(self, batch: Mapping[str, Tensor]) -> Any:
        """The teacher's output, in float32 and without a gradient; None for a run without a teacher."""
        if self.teacher is None:
            return None
        with torch.no_grad(), self.fabric.autocast():
            target = self.teacher(batch[self.run.teacher.data.modality])
        return type(target)(*(part.float() for part in target))

    def validate(self, clips: ClipDataset, epoch: int, workers: int) -> dict[str, float]:
        """The scores of the validation part. They move the plateau schedule and decide which epoch is the best."""
        opt = self.run.optimisation
        batch = microbatches.at_once(opt, self.fabric.world_size)
        scores = evaluate.predict(self.model, clips, self.fabric, batch, workers=workers)
        line = {"val_loss": scores.loss(), "val_top1": scores.video_top1()}
        if not math.isfinite(line["val_loss"]):
            raise ReproError(f"run {self.run.id} stopped after epoch {epoch + 1}: the validation loss is not finite")
        if opt.schedule == "plateau":
            self.schedule.step(line["val_loss"])
        if opt.select == "best" and line["val_loss"] < self.best["val_loss"]:
            weights = {name: value.clone() for name, value in self.model.state_dict().items()}
            self.best = {"val_loss": line["val_loss"], "model": weights}
        return line
