"""The training loop. It knows no model and no data set by name: networks take uint8 clips and give `Output`s.

After every epoch the whole state goes to one checkpoint, and every random choice depends on (seed, epoch) alone, so a
run killed at any moment goes on from its last whole epoch and ends, on the CPU, bit for bit where it would have ended.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn

from repro import evaluate
from repro import losses as objectives
from repro.config import Run
from repro.data.clips import ClipDataset, batches
from repro.errors import ReproError
from repro.models.stddcn import StreamsOutput
from repro.models.tools.inference import channels_last
from repro.paths import atomic


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
    """Trains `model` in place, going on from `checkpoint` where it exists. Returns the history, one dict an epoch.

    teacher: in eval mode and frozen, for runs that distil. With `select="best"` the model ends as it was after the
    epoch with the lowest validation loss. A loss that is not finite is an error that names run, epoch and step.
    """
    opt = run.optimisation
    channels_last(model)
    optimiser = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad],
        lr=opt.lr,
        momentum=opt.momentum,
        dampening=opt.dampening,
        weight_decay=opt.weight_decay,
    )
    steps = max(len(training) // opt.batch, 1)
    if opt.schedule == "onecycle":
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, opt.lr, total_steps=steps * opt.epochs)
    elif opt.schedule == "steps":
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(opt.steps))
    else:
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.1, patience=opt.patience)
    wrapped, wrapped_optimiser = fabric.setup(model, optimiser)
    history, best = [], {"val_loss": math.inf, "model": {}}
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True, map_location=fabric.device)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        history, best = state["history"], state["best"]
        say(f"{run.id}: goes on after epoch {len(history)} of {opt.epochs}")

    for epoch in range(len(history), opt.epochs):
        torch.manual_seed(run.seed * 100_003 + epoch)  # for dropout; the data draw from (seed, epoch) themselves
        wrapped.train()
        sums, seen = {}, 0
        loader = batches(training, opt.batch, epoch, workers, fabric.global_rank, fabric.world_size)
        for step, batch in enumerate(loader):
            batch = fabric.to_device(batch)
            output = wrapped(batch[run.data.modality])
            losses = _losses(run, fabric, output, batch, teacher)
            if fabric.all_reduce(torch.isfinite(losses["loss"]).float(), reduce_op="mean") != 1:
                parts = ", ".join(f"{name} {float(value.detach()):g}" for name, value in losses.items())
                raise ReproError(
                    f"run {run.id} stopped in epoch {epoch + 1}, step {step + 1}: the loss is not finite ({parts}); "
                    f"lower the learning rate ({opt.lr:g}) or the lambdas ({run.objective.lambda1:g}, "
                    f"{run.objective.lambda2:g})"
                )
            wrapped_optimiser.zero_grad()
            fabric.backward(losses["loss"])
            if opt.clip_gradient:
                limit = opt.clip_gradient
                norm = fabric.clip_gradients(wrapped, wrapped_optimiser, max_norm=limit, error_if_nonfinite=False)
                if not torch.isfinite(norm):
                    raise ReproError(
                        f"run {run.id} stopped in epoch {epoch + 1}, step {step + 1}: the gradient is not finite"
                    )
            wrapped_optimiser.step()
            if opt.schedule == "onecycle":
                schedule.step()
            hits = (output.logits.argmax(1) == batch["label"]).float().mean()
            for name, value in {**losses, "clip_top1": hits}.items():
                sums[name] = sums.get(name, 0.0) + value.detach()
            seen += 1
        if fabric.world_size > 1:  # each process kept its own BatchNorm statistics; the first one's are what is saved
            for buffer in model.buffers():
                torch.distributed.broadcast(buffer, 0)
        means = fabric.all_reduce({name: value / seen for name, value in sums.items()}, reduce_op="mean")
        line = {"epoch": epoch + 1, "lr": optimiser.param_groups[0]["lr"]}
        line |= {name: float(value) for name, value in means.items()}
        if validation is not None:
            scores = evaluate.predict(model, validation, fabric, opt.batch, run.data.modality, workers)
            line |= {"val_loss": scores.loss(), "val_top1": scores.video_top1()}
            if not math.isfinite(line["val_loss"]):
                raise ReproError(f"run {run.id} stopped after epoch {epoch + 1}: the validation loss is not finite")
            if opt.schedule == "plateau":
                schedule.step(line["val_loss"])
            if opt.select == "best" and line["val_loss"] < best["val_loss"]:
                best = {"val_loss": line["val_loss"], "model": {k: v.clone() for k, v in model.state_dict().items()}}
        if opt.schedule == "steps":
            schedule.step()
        history.append(line)
        say(f"{run.id} " + ", ".join(f"{name} {value:.4g}" for name, value in line.items()))
        if fabric.is_global_zero:
            state = {
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
            }
            with atomic(checkpoint) as part:
                torch.save({**state, "history": history, "best": best}, part)
        fabric.barrier()
    if opt.select == "best":
        model.load_state_dict(best["model"])
    return history


def _losses(run: Run, fabric: Fabric, output, batch: dict, teacher: nn.Module | None) -> dict[str, torch.Tensor]:
    """The loss to minimise under `loss`, and its parts."""
    o = run.objective
    if isinstance(output, StreamsOutput):
        losses = objectives.mutual_distillation(output, batch["label"], weight=o.mutual, temperature=o.temperature)
        return {"loss": losses.total, **{k: v for k, v in losses._asdict().items() if k != "total"}}
    if teacher is None:
        return {"loss": nn.functional.cross_entropy(output.logits, batch["label"])}
    with torch.no_grad(), fabric.autocast():
        target = teacher(batch[teacher_input(run)])
    target = type(target)(*(t.float() for t in target))
    losses = objectives.distillation(
        output, target, batch["label"],
        lambda1=o.lambda1, lambda2=o.lambda2, on=o.on, norm=o.norm, direction=o.direction, reduction=o.reduction,
    )  # fmt: skip
    return {"loss": losses.total, "cross_entropy": losses.cross_entropy, "feature": losses.feature, "kl": losses.kl}


def teacher_input(run: Run) -> str:
    """The modality that the teacher of `run` sees."""
    return run.teacher.data.modality
