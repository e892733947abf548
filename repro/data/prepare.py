"""From video files to packed clips: a process a core, progress, kill and resume, every clip accounted for."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import joblib
import numpy as np
import pandas as pd

from repro import paths
from repro.data import store, video
from repro.data.flow import methods as flow
from repro.data.store import Recipe
from repro.errors import ReproError


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


def _up_to_date(target: Path, source: Path, recipe: Recipe) -> bool:
    """True where the packed clip is whole, of this recipe, and made from this source; hashes only what looks newer."""
    if not target.exists():
        return False
    try:
        made_from = store.open_packed(target, recipe).header["source"]  # another recipe is an error
    except store.Damaged as error:
        print(f"packed once more: {error}", file=sys.stderr)
        return False
    found = [file.stat() for file in video.files(source)]  # one, or those of a frame folder
    if made_from["bytes"] != sum(file.st_size for file in found):
        return False
    newest = max(file.st_mtime for file in found)
    return newest <= target.stat().st_mtime or made_from == store.source_identity(source)


def _pack(clip: str, source: Path, target: Path, recipe: Recipe) -> tuple[str, int, str]:
    cv2.setNumThreads(1)  # a process a core: threads inside a process only get in the way
    try:
        return clip, store.pack(source, target, recipe) - 1, ""
    except ReproError as error:
        return clip, 0, str(error)


def prepare(table: pd.DataFrame, dataset: str, root: Path, recipe: Recipe, jobs: int = -1) -> Prepared:
    """Packs every clip of `table` (columns clip, path) that is not packed yet.

    Clips are written one by one and atomically, so a killed call loses only the clips in work. A clip that fails is
    reported at once and counted at the end; the others go on. The caller decides whether failures are fatal.
    jobs: worker processes, -1 for one a core.
    """
    base = store.folder(dataset, root, recipe, paths.data())
    work, there, unreadable = [], [], {}
    for clip, path in zip(table["clip"], table["path"], strict=True):
        target = store.packed_path(base, clip)
        try:
            (there if _up_to_date(target, Path(path), recipe) else work).append((clip, Path(path), target))
        except store.OtherRecipe:
            raise
        except ReproError as error:
            unreadable[clip] = str(error)
            print(f"failed: {error}", file=sys.stderr)
    made, failed, pairs, start = [], unreadable, 0, time.perf_counter()
    if work:
        print(f"preparing {len(work)} clips of {dataset} ({len(there)} there already)", file=sys.stderr)
        flow.extract(np.zeros((2, 32, 32, 3), np.uint8), recipe.flow)  # compiles once, here; the workers read the cache
        workers = min(joblib.cpu_count() if jobs == -1 else jobs, len(work))
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered", pre_dispatch="4*n_jobs")
        shown = start
        for clip, n, error in parallel(joblib.delayed(_pack)(*item, recipe) for item in work):
            pairs += n
            if error:
                failed[clip] = error
                print(f"failed: {error}", file=sys.stderr)
            else:
                made.append(clip)
            now, done = time.perf_counter(), len(made) + len(failed)
            if now - shown > 2 or done == len(work):
                shown, left = now, (now - start) / done * (len(work) - done)
                print(
                    f"  {done}/{len(work)} clips, {pairs / (now - start):.1f} pairs/s, {left:.0f} s left",
                    file=sys.stderr,
                )
    return Prepared(base, tuple(made), tuple(w[0] for w in there), failed, pairs, time.perf_counter() - start)


def require_all(prepared: Prepared) -> None:
    """One error for all the clips that could not be prepared."""
    if prepared.failed:
        few: Sequence[str] = list(prepared.failed.values())[:5]
        raise ReproError(
            f"{len(prepared.failed)} clips could not be prepared, {len(prepared.made) + len(prepared.there)} are ready: "
            + "; ".join(few)
        )
