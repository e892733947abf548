"""From video files to packed clips: one process per core, kill and resume, every clip accounted for."""

import functools
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from repro import paths, processes, progress
from repro.data import one_clip, store
from repro.data.flow import methods as flow
from repro.data.one_clip import Item, Outcome
from repro.data.store import Recipe
from repro.errors import ReproError, Unwritable, require

if TYPE_CHECKING:  # an optional dependency
    from repro.cluster import Cluster

KINDS = "made", "there", "failed"
DIED = "the process that packed it died, by a crash of a library or for want of memory; convert it or leave it out"


@dataclass(frozen=True)
class Prepared:
    """What became of every clip: names made now, there already, and failed with their errors."""

    store: Path
    made: tuple[str, ...]
    there: tuple[str, ...]
    failed: dict[str, str]
    pairs: int
    seconds: float

    def summary(self) -> str:
        rate = self.pairs / self.seconds if self.seconds > 0 else 0.0
        return (
            f"{len(self.made)} clips prepared ({self.pairs} flow pairs, {rate:.1f} pairs/s), {len(self.there)} there "
            f"already, {len(self.failed)} failed; store: {self.store}"
        )


def prepare(
    table: pd.DataFrame, dataset: str, root: Path, recipe: Recipe, jobs: int = -1, device: str = "cpu",
    cluster: "Cluster | None" = None,
) -> Prepared:  # fmt: skip
    """Packs every clip of `table` (columns clip, path) that is not packed yet, or whose packed file is damaged.

    Clips are written one by one and atomically, so a killed call loses only the clips in work, and several calls at once
    share the work. A clip that fails is reported at once and counted at the end; the others go on. The caller decides
    whether failures are fatal. A store that takes no file raises Unwritable, because no other clip could be written.
    jobs: worker processes, -1 for one per core.
    device: of torch, "cpu" or "cuda", for the flow "tvl1_torch". All other flow is computed on the CPU.
    cluster: packs the clips in place of this machine's processes.
    """
    _check_device(device, recipe, cluster)
    base = store.folder(dataset, root, recipe, paths.data())
    with paths.writing(base):  # what is wrong with the folder is one error now, not one for each clip
        base.mkdir(exist_ok=True)
    one_clip.sweep(base)
    outcomes, work = _looked_at(table, base, recipe)
    start = time.perf_counter()
    if work:
        packed = _results(work, recipe, jobs, device, cluster)
        results = progress.bar(f"preparing {dataset}", len(work), "clip", packed)
        try:
            for item, outcome in results:
                outcomes[item.clip] = outcome
                if outcome.error:
                    tqdm.write(f"failed: {outcome.error}", file=sys.stderr)
        except Unwritable as error:
            ready = sum(outcome.kind in ("made", "there") for outcome in outcomes.values())
            raise Unwritable(f"{error}. {ready} of {len(table)} clips are packed") from None
    made, there, failed = ([c for c in table["clip"] if outcomes[c].kind == kind] for kind in KINDS)
    errors = {clip: outcomes[clip].error for clip in failed}
    pairs = sum(outcome.pairs for outcome in outcomes.values())
    return Prepared(base, tuple(made), tuple(there), errors, pairs, time.perf_counter() - start)


def require_all(prepared: Prepared) -> None:
    """One error for all the clips that could not be prepared."""
    if prepared.failed:
        few: Sequence[str] = list(prepared.failed.values())[:5]
        raise ReproError(
            f"{len(prepared.failed)} clips could not be prepared, {len(prepared.made) + len(prepared.there)} are ready: "
            + "; ".join(few)
        )


def _check_device(device: str, recipe: Recipe, cluster: "Cluster | None") -> None:
    require(device in ("cpu", "cuda"), "device", device, "'cpu' or 'cuda'")
    if device == "cuda":
        require(recipe.flow == "tvl1_torch", "device", device, f"'cpu' for flow {recipe.flow!r}")
        if cluster:
            cluster.accelerator(device)
            return
        import torch  # here: preparing starts seconds faster without it

        require(torch.cuda.is_available(), "device", device, "'cpu' on this machine, where torch finds no GPU")


def _looked_at(table: pd.DataFrame, base: Path, recipe: Recipe) -> tuple[dict[str, Outcome], list[Item]]:
    """The clips that need no work, packed already or of no use; and the others, to pack or to look at more closely."""
    outcomes, work = {}, []
    for clip, path in zip(table["clip"], table["path"], strict=True):
        source = Path(path)
        try:
            target = store.packed_path(base, clip)
            if one_clip.is_packed(target, source, recipe, closely=False):
                outcomes[clip] = Outcome("there")
            else:
                work.append(Item(clip, source, target))
        except store.OtherRecipe:
            raise
        except ReproError as error:
            outcomes[clip] = Outcome("failed", error=str(error))
            print(f"failed: {error}", file=sys.stderr)
    return outcomes, work


def _results(
    work: list[Item], recipe: Recipe, jobs: int, device: str, cluster: "Cluster | None"
) -> Iterator[tuple[Item, Outcome]]:
    """What becomes of each clip, as it is known. Clips that another `prepare` has in work come last."""
    busy = []
    for item, outcome in _side_by_side(work, recipe, jobs, device, cluster, wait=False):
        if outcome.kind == "busy":
            busy.append(item)
        else:
            yield item, outcome
    yield from _side_by_side(busy, recipe, jobs, device, cluster, wait=True)


def _side_by_side(
    work: list[Item], recipe: Recipe, jobs: int, device: str, cluster: "Cluster | None", wait: bool
) -> Iterator[tuple[Item, Outcome]]:
    """Packs clips in several processes; with "tvl1_torch" in threads, so that one process has the device."""
    attend = functools.partial(one_clip.attend, recipe=recipe, device=device, wait=wait)
    count = processes.count(jobs, len(work))
    if cluster:
        for item, outcome in cluster.each(attend, work, accelerator=device):
            yield item, outcome or Outcome("failed", error=f"{item.source}: {DIED}")
        return
    if recipe.flow == "tvl1_torch":
        threads = joblib.Parallel(count, backend="threading", return_as="generator")
        yield from zip(work, threads(joblib.delayed(attend)(item) for item in work), strict=True)
        return
    if work:
        flow.extract(np.zeros((2, 32, 32, 3), np.uint8), recipe.flow)  # compiles once; the workers read the cache
    for item, outcome in processes.each(attend, work, count):
        yield item, outcome or Outcome("failed", error=f"{item.source}: {DIED}")
