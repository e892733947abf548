"""From video files to packed clips: one process per core, kill and resume, every clip accounted for."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from repro import paths
from repro.data import store, video
from repro.data.flow import methods as flow
from repro.data.store import Recipe
from repro.errors import ReproError, require

Item = tuple[str, Path, Path]  # a clip's name, its source and its packed file


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


def _read(source: Path, recipe: Recipe) -> np.ndarray | str:
    """The frames of a clip, or what is wrong with it."""
    cv2.setNumThreads(1)  # one process per core: more threads would only compete
    try:
        return store.read_frames(source, recipe)
    except ReproError as error:
        return str(error)


def _write(target: Path, source: Path, found: np.ndarray | str, recipe: Recipe, device: str = "cpu") -> int | str:
    """Packs what `_read` found; returns the number of flows, or what is wrong with the clip."""
    if isinstance(found, str):
        return found
    try:
        store.write(target, source, found, recipe, device)
    except ReproError as error:
        return str(error)
    return len(found) - 1


def _pack(source: Path, target: Path, recipe: Recipe) -> int | str:
    return _write(target, source, _read(source, recipe), recipe)


def _results(work: list[Item], recipe: Recipe, jobs: int, device: str) -> Iterator[tuple[str, int | str]]:
    """(clip, number of flows or error) of each clip, in order.

    The workers decode, compute the flow and write; with "tvl1_torch" they decode only, a few clips ahead, while this
    process computes the flow of one clip on the device.
    """
    workers = min(joblib.cpu_count() if jobs == -1 else jobs, len(work))
    parallel = joblib.Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs")
    if recipe.flow == "tvl1_torch":
        frames = parallel(joblib.delayed(_read)(source, recipe) for _, source, _ in work)
        for (clip, source, target), found in zip(work, frames, strict=True):
            yield clip, _write(target, source, found, recipe, device)
    else:
        flow.extract(np.zeros((2, 32, 32, 3), np.uint8), recipe.flow)  # compiles once; the workers read the cache
        packed = parallel(joblib.delayed(_pack)(source, target, recipe) for _, source, target in work)
        yield from zip((clip for clip, _, _ in work), packed, strict=True)


def _sorted_out(table: pd.DataFrame, base: Path, recipe: Recipe) -> tuple[list[Item], list[str], dict[str, str]]:
    """The clips to pack, the names of those that are packed already, and the errors of those that cannot be read."""
    work, there, failed = [], [], {}
    for clip, path in zip(table["clip"], table["path"], strict=True):
        source, target = Path(path), store.packed_path(base, clip)
        try:
            if _up_to_date(target, source, recipe):
                there.append(clip)
            else:
                work.append((clip, source, target))
        except store.OtherRecipe:
            raise
        except ReproError as error:
            failed[clip] = str(error)
            print(f"failed: {error}", file=sys.stderr)
    return work, there, failed


def _check_device(device: str, recipe: Recipe) -> None:
    require(device in ("cpu", "cuda"), "device", device, "'cpu' or 'cuda'")
    if device == "cuda":
        require(recipe.flow == "tvl1_torch", "device", device, f"'cpu' for flow {recipe.flow!r}")
        import torch  # here: preparing starts seconds faster without it

        require(torch.cuda.is_available(), "device", device, "'cpu' on this machine, where torch finds no GPU")


def prepare(
    table: pd.DataFrame, dataset: str, root: Path, recipe: Recipe, jobs: int = -1, device: str = "cpu"
) -> Prepared:
    """Packs every clip of `table` (columns clip, path) that is not packed yet.

    Clips are written one by one and atomically, so a killed call loses only the clips in work. A clip that fails is
    reported at once and counted at the end; the others go on. The caller decides whether failures are fatal.
    jobs: worker processes, -1 for one per core.
    device: of torch, "cpu" or "cuda", for the flow "tvl1_torch". All other flow is computed on the CPU.
    """
    _check_device(device, recipe)
    base = store.folder(dataset, root, recipe, paths.data())
    work, there, failed = _sorted_out(table, base, recipe)
    made, pairs, start = [], 0, time.perf_counter()
    if work:  # the bar is for terminals only, so that a log does not fill with it
        results = _results(work, recipe, jobs, device)
        for clip, found in tqdm(results, f"preparing {dataset}", len(work), unit="clip", disable=None, file=sys.stderr):
            if isinstance(found, str):
                failed[clip] = found
                tqdm.write(f"failed: {found}", file=sys.stderr)
            else:
                made.append(clip)
                pairs += found
    return Prepared(base, tuple(made), tuple(there), failed, pairs, time.perf_counter() - start)


def require_all(prepared: Prepared) -> None:
    """One error for all the clips that could not be prepared."""
    if prepared.failed:
        few: Sequence[str] = list(prepared.failed.values())[:5]
        raise ReproError(
            f"{len(prepared.failed)} clips could not be prepared, {len(prepared.made) + len(prepared.there)} are ready: "
            + "; ".join(few)
        )
