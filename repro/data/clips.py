"""From packed clips to batches: uint8 (B, C, T, H, W) in channels-last memory, ready for the device.

Every random choice of a training clip comes from (seed, epoch, position of the video in the table), never from a
generator that keeps its state: the same clip is drawn with any number of workers, processes or restarts.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from repro import paths
from repro.config import Data
from repro.data import catalog, prepare, sampling, store, transforms
from repro.data.catalog import Catalog
from repro.data.store import Recipe
from repro.data.transforms import Crop
from repro.errors import ReproError

if TYPE_CHECKING:  # an optional dependency
    from repro.cluster import Cluster

IN_MEMORY = 1 << 30  # bytes of decoded frames up to which a part of a data set is kept in memory


@dataclass(frozen=True)
class View:
    """One clip to cut in testing: which video of the table, which frames of it, and the crop."""

    video: int
    starts: tuple[int, ...]  # (T,): the frame, or the first flow of the stack, at each place of the clip
    crop: Crop


def recipe_of(data: Data) -> Recipe:
    """How the clips of a run are stored."""
    return Recipe(side=data.side, flow=data.flow, bound=data.bound)


def store_folder(data: Data) -> Path:
    """The folder of the packed clips of a run."""
    return store.folder(data.dataset, catalog.data_root(data), recipe_of(data), paths.data())


def prepared(data: Data, jobs: int = -1, cluster: "Cluster | None" = None, part: str | None = None) -> Catalog:
    """The table of clips of a run, all of them stored: draws the embedded set, decodes, computes flow where that is missing.

    part: the one part that is wanted; None: all.
    """
    found, root, recipe = catalog.of(data, jobs), catalog.data_root(data), recipe_of(data)
    wanted = found.table if part is None else found.part(part)
    prepare.require_all(prepare.prepare(wanted, data.dataset, root, recipe, jobs, cluster=cluster))
    return found


class ClipDataset(torch.utils.data.Dataset):
    """Clips of one part of a catalog. Items are dicts: a (T, S, S, C) uint8 array per modality, `label`, `view`.

    part: 'train' draws one random clip per video and epoch; 'val' and 'test' cut the views of the run's protocol; ten
    crops and the number of test frames are for 'test' alone.
    modalities: 'rgb', 'flow', 'rgb+flow' (one clip of both, RGB's channels first), or several of them, which then show
    the same frames, crop and flip.
    """

    def __init__(self, clips: Catalog, part: str, data: Data, modalities: Sequence[str], seed: int = 0):
        self.table = clips.part(part)
        if self.table.empty:
            missing = f"; {len(clips.excluded)} files are missing" if clips.excluded else ""
            raise ReproError(f"{clips.dataset} split {clips.split}: no clip is in the {part} part{missing}")
        self.labels, self.classes = self.table["label"].to_numpy(), clips.classes
        self.data, self.modalities, self.seed, self.epoch = data, tuple(modalities), seed, 0
        self.random = part == "train"
        self.streams = sorted({stream for modality in modalities for stream in modality.split("+")})
        recipe, where = recipe_of(data), store_folder(data)
        self.recipe, self.files = recipe, [store.packed_path(where, clip) for clip in self.table["clip"]]
        opened = [store.open_packed(file, recipe) for file in self.files]
        lost = 1 if "flow" in self.streams else 0  # T frames have T - 1 flows
        self.counts = [clip.frames - lost for clip in opened]
        self.sizes = [(clip.header["height"], clip.header["width"]) for clip in opened]
        snippet = data.stack if lost else 1
        self.length = data.frames if data.sampling == "consecutive" else snippet  # frames at a stretch
        short = sum(count < self.length for count in self.counts)
        if short:
            warnings.warn(
                f"{short} of {len(opened)} {part} videos have fewer than {self.length} frames and loop", stacklevel=2
            )
        pixels = sum(n * h * w for n, (h, w) in zip(self.counts, self.sizes, strict=True))
        self.in_memory = pixels * sum(3 if stream == "rgb" else 2 for stream in self.streams) <= IN_MEMORY
        self.views = [] if self.random else [v for i in range(len(opened)) for v in self._views(i, part == "test")]

    def _views(self, video: int, testing: bool) -> list[View]:
        """The views of a video in testing, or in validation."""
        data, count = self.data, self.counts[video]
        if data.sampling == "segments":
            segments = data.test_frames if testing and data.test_frames else data.frames
            clips = [sampling.segment_starts(count, self.length, segments, None)]
        else:
            starts = sampling.view_starts(data.views, count, data.frames)
            clips = [sampling.clip_indices(start, data.frames, count) for start in starts]
        size = self.sizes[video]
        ten = testing and data.crops == "ten"
        crops = transforms.ten_crops(*size, data.flip) if ten else [transforms.centre_crop(*size)]
        return [View(video, tuple(map(int, starts)), crop) for starts in clips for crop in crops]

    def __len__(self) -> int:
        return len(self.files) if self.random else len(self.views)

    def __getitem__(self, i: int) -> dict:
        view = self._draw(i) if self.random else self.views[i]
        item = {"label": int(self.labels[view.video]), "view": i}
        for modality in self.modalities:
            clips = [self._clip(view, stream) for stream in modality.split("+")]
            item[modality] = clips[0] if len(clips) == 1 else np.concatenate(clips, axis=3)  # (T, S, S, C)
        return item

    def _draw(self, video: int) -> View:
        """A random training clip of a video."""
        data, count = self.data, self.counts[video]
        rng = np.random.default_rng((self.seed, self.epoch, video))
        if data.sampling == "segments":
            starts = sampling.segment_starts(count, self.length, data.frames, rng)
        else:
            starts = sampling.clip_indices(sampling.random_start(count, data.frames, rng), data.frames, count)
        if data.crop == "random":
            return View(video, tuple(starts), transforms.random_crop(*self.sizes[video], data.size, rng, data.flip))
        scaled = transforms.multiscale_corner_crop if data.crop == "multiscale" else transforms.tsn_crop
        return View(video, tuple(starts), scaled(*self.sizes[video], data.smallest_scale, rng, data.flip))

    def _clip(self, view: View, stream: str) -> np.ndarray:
        """(T, S, S, 3) RGB or (T, S, S, 2 * stack) flow of a view."""
        data, count = self.data, self.counts[view.video]
        stack = 1 if stream == "rgb" else data.stack
        indices = [int(i) for start in view.starts for i in sampling.clip_indices(start, stack, count)]
        if self.in_memory and torch.utils.data.get_worker_info() is None:  # a worker's memory goes with its epoch
            images = store.decoded(self.files[view.video], self.recipe, stream)
            images = [view.crop.cut(images[i]) for i in indices]
        else:
            clip = store.open_packed(self.files[view.video], self.recipe)
            images = clip.rgb(indices, view.crop) if stream == "rgb" else clip.flow(indices, view.crop)
        if stack > 1:
            images = [np.concatenate(images[i : i + stack], axis=2) for i in range(0, len(images), stack)]
        out = np.empty((len(images), data.size, data.size, images[0].shape[2]), np.uint8)
        transforms.apply(images, view.crop.flip, out, flow=stream == "flow")
        return out


def collate(items: list[dict]) -> dict[str, torch.Tensor]:
    """Stacks items to a batch; clips become (B, C, T, H, W), a view of (B, T, H, W, C) memory: channels_last_3d."""
    batch = {name: torch.tensor([item[name] for item in items]) for name in ("label", "view")}
    for modality in items[0].keys() - batch.keys():
        stacked = torch.from_numpy(np.stack([item[modality] for item in items]))  # (B, T, H, W, C)
        batch[modality] = stacked.permute(0, 4, 1, 2, 3)  # (B, C, T, H, W)
    return batch


def batches(
    dataset: ClipDataset, size: int, epoch: int = 0, workers: int = 0, rank: int = 0, world: int = 1
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of one pass, shuffled by (seed, epoch) in training and in order otherwise.

    A training epoch drops the incomplete last batch, unless it is the only one. With several processes `size` is that of the
    whole batch, and process `rank` of `world` gets the clips of its place in it.
    """
    dataset.epoch = epoch
    order = np.arange(len(dataset))
    if dataset.random:
        order = np.random.default_rng((dataset.seed, epoch)).permutation(len(dataset))
        if len(order) > size:
            order = order[: len(order) // size * size]
    shares = [np.array_split(order[i : i + size], world)[rank].tolist() for i in range(0, len(order), size)]
    groups = [share for share in shares if share]
    return iter(torch.utils.data.DataLoader(dataset, batch_sampler=groups, num_workers=workers, collate_fn=collate))
