"""A batch in parts: each process has a share of it, which passes the network in micro-batches, one after another.

The update is that of the whole batch: its loss is a mean over clips, so the weighted mean of the parts' gradients is its
gradient. BatchNorm alone depends on which clips pass together. So a run says that itself, `Optimisation.micro_batch`, and no
number of processes changes it: they share whole micro-batches, or take BatchNorm's statistics over the whole batch together.
"""

import sys
from collections.abc import Iterator, Mapping

from lightning_fabric import Fabric
from torch import Tensor, nn

from repro.config import Optimisation, Run
from repro.errors import ReproError
from repro.models.tools.freeze import learns_statistics


def parts(share: Mapping[str, Tensor], size: int) -> Iterator[tuple[dict[str, Tensor], float, bool]]:
    """(micro-batch of at most `size` clips, its part of the share, whether it is the last); size 0: the whole share."""
    clips = len(share["label"])
    for start in range(0, clips, size or clips):
        part = {name: values[start : start + (size or clips)] for name, values in share.items()}
        count = len(part["label"])
        yield part, count / clips, start + count == clips


def at_once(opt: Optimisation, processes: int) -> int:
    """Clips that pass at once in validation and testing, in all processes together: as many as in training."""
    return opt.micro_batch * processes or opt.batch


def share(run: Run, fabric: Fabric, model: nn.Module, clips: int) -> None:
    """Makes the processes share every batch of a run, and says how on stderr; a single process with whole batches is silent.

    clips: of the training part. Without micro-batches the BatchNorm layers of `model` become SyncBatchNorm, in place.
    Raises ReproError for a batch that the processes cannot share equally, and on the CPU, which has no SyncBatchNorm.
    """
    opt, processes = run.optimisation, fabric.world_size
    batch = min(opt.batch, clips)  # fewer clips than a batch are one batch
    if processes > 1:
        _require_equal(run, batch, processes)
    norms = any(learns_statistics(module) for module in model.modules())
    if processes > 1 and norms and not opt.micro_batch:
        if fabric.device.type != "cuda":
            raise ReproError(
                f"run {run.id}: BatchNorm takes its statistics over a batch of {batch} clips, and only GPUs can share it "
                f"(torch's SyncBatchNorm); for {processes} processes here, --set optimisation.micro_batch={batch // processes}"
            )
        _synchronise(model)
    if processes > 1 or opt.micro_batch:
        print(f"run {run.id}: {_words(opt, batch, processes, norms)}", file=sys.stderr)


def _require_equal(run: Run, batch: int, processes: int) -> None:
    micro = run.optimisation.micro_batch or 1
    if batch % (micro * processes) == 0:
        return
    of = f" in micro-batches of {micro}" if micro > 1 else ""
    fitting = [n for n in range(1, processes) if batch % (micro * n) == 0]
    raise ReproError(
        f"run {run.id}: a batch of {batch} clips{of} cannot be shared equally by {processes} processes: start "
        f"{fitting[-1] if fitting else 1}, or choose another --set optimisation.batch or optimisation.micro_batch"
    )


def _synchronise(model: nn.Module) -> None:
    """BatchNorm over the clips of all processes, in place; frozen layers keep their statistics."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if learns_statistics(child):
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))


def _words(opt: Optimisation, batch: int, processes: int, norms: bool) -> str:
    each = batch // processes
    shared = f"{processes} processes share each batch of {batch} clips, {each} each" if processes > 1 else ""
    micro = f"micro-batches of {opt.micro_batch}" if opt.micro_batch else ""
    if micro and shared:
        shared += f" in {micro}"
    elif micro:
        shared = f"each batch of {batch} clips passes in {micro}"
    over = opt.micro_batch or f"all {batch}"
    return shared + (f"; BatchNorm takes its statistics over {over} clips" if norms else "")
