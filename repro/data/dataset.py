"""From packed clips to batches: uint8 (B, C, T, H, W) in channels-last memory, ready for the device.

Every random choice of a training clip comes from (seed, epoch, position of the video in the table), never from a
generator that lives on: the same clip is drawn with any number of workers, processes or restarts.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from repro import paths
from repro.config import Data
from repro.data import sampling, store, transforms
from repro.data.catalog import Catalog
from repro.data.store import Recipe
from repro.errors import ReproError

IN_MEMORY = 1 << 30  # bytes of decoded frames up to which a part of a data set is kept in memory
CHANNELS = {"rgb": 3, "flow": 2}


@dataclass(frozen=True)
class View:
    """One clip to cut: which video of the table, from which frame on."""

    video: int
    start: int


def recipe_of(data: Data) -> Recipe:
    """How the clips of a run are stored."""
    return Recipe(side=data.side, flow=data.flow, bound=data.bound)


def store_folder(data: Data) -> Path:
    """Where the packed clips of a run lie."""
    return store.folder(data.dataset, Path(data.root), recipe_of(data), paths.data())


class ClipDataset(torch.utils.data.Dataset):
    """Clips of one part of a catalog. Items are dicts: a (T, S, S, C) uint8 array a modality, `label`, `view`.

    part: 'train' draws one random clip a video each epoch; 'val' and 'test' cut the views that `data.views` names.
    modalities: 'rgb', 'flow' or both; both show the same frames, crop and flip.
    """

    def __init__(self, catalog: Catalog, part: str, data: Data, modalities: Sequence[str], seed: int = 0):
        self.table = catalog.part(part)
        if self.table.empty:
            missing = f"; {len(catalog.excluded)} files are missing" if catalog.excluded else ""
            raise ReproError(f"{catalog.dataset} split {catalog.split}: no clip is in the {part} part{missing}")
        self.labels, self.classes = self.table["label"].to_numpy(), catalog.classes
        self.data, self.modalities, self.seed, self.epoch = data, tuple(modalities), seed, 0
        self.random = part == "train"
        recipe, where = recipe_of(data), store_folder(data)
        self.recipe, self.files = recipe, [store.packed_path(where, clip) for clip in self.table["clip"]]
        opened = [store.open_packed(file, recipe) for file in self.files]
        lost = 1 if "flow" in self.modalities else 0  # T frames have T - 1 flows
        self.counts = [clip.frames - lost for clip in opened]
        self.sizes = [(clip.header["height"], clip.header["width"]) for clip in opened]
        short = sum(count < data.frames for count in self.counts)
        if short:
            warnings.warn(
                f"{short} of {len(opened)} {part} videos have fewer than {data.frames} frames and loop", stacklevel=2
            )
        pixels = sum(n * h * w for n, (h, w) in zip(self.counts, self.sizes, strict=True))
        self.in_memory = pixels * sum(CHANNELS[m] for m in self.modalities) <= IN_MEMORY
        self.views = (
            [View(i, -1) for i in range(len(opened))]
            if self.random
            else [
                View(i, start)
                for i, count in enumerate(self.counts)
                for start in sampling.view_starts(data.views, count, data.frames)
            ]
        )

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, i: int) -> dict:
        view = self.views[i]
        height, width = self.sizes[view.video]
        data, start = self.data, view.start
        if self.random:
            rng = np.random.default_rng((self.seed, self.epoch, view.video))
            start = sampling.random_start(self.counts[view.video], data.frames, rng)
            if data.crop == "multiscale":
                crop = transforms.multiscale_corner_crop(height, width, data.smallest_scale, rng, data.flip)
            else:
                crop = transforms.random_crop(height, width, data.size, rng, data.flip)
        else:
            crop = transforms.centre_crop(height, width)
        indices = sampling.clip_indices(start, data.frames, self.counts[view.video])
        item = {"label": int(self.labels[view.video]), "view": i}
        for modality in self.modalities:
            item[modality] = np.empty((data.frames, data.size, data.size, CHANNELS[modality]), np.uint8)
            transforms.apply(self._images(view.video, modality, indices), crop, item[modality])
        return item

    def _images(self, video: int, modality: str, indices: np.ndarray) -> list[np.ndarray]:
        if self.in_memory:
            images = store.decoded(self.files[video], self.recipe, modality)
            return [images[i] for i in indices]
        clip = store.open_packed(self.files[video], self.recipe)
        return clip.rgb(indices) if modality == "rgb" else clip.flow(indices)


def collate(items: list[dict]) -> dict[str, torch.Tensor]:
    """Stacks items to a batch; clips become (B, C, T, H, W), a view of (B, T, H, W, C) memory: channels_last_3d."""
    batch = {name: torch.tensor([item[name] for item in items]) for name in ("label", "view")}
    for modality in CHANNELS.keys() & items[0].keys():
        stacked = torch.from_numpy(np.stack([item[modality] for item in items]))  # (B, T, H, W, C)
        batch[modality] = stacked.permute(0, 4, 1, 2, 3)  # (B, C, T, H, W)
    return batch


def batches(
    dataset: ClipDataset, size: int, epoch: int = 0, workers: int = 0, rank: int = 0, world: int = 1
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of one pass, shuffled by (seed, epoch) in training and in order otherwise.

    A training epoch drops the incomplete last batch, unless it is the only one. With several processes each gets every
    `world`-th batch element, and `size` is that of the whole batch.
    """
    dataset.epoch = epoch
    order = np.arange(len(dataset))
    if dataset.random:
        order = np.random.default_rng((dataset.seed, epoch)).permutation(len(dataset))
        if len(order) > size:
            order = order[: len(order) // size * size]
    groups = [order[i : i + size][rank::world].tolist() for i in range(0, len(order), size)]
    if dataset.random and not all(groups):
        raise ReproError(f"a batch of {len(order[:size])} clips cannot be shared by {world} processes")
    groups = [group for group in groups if group]
    return iter(torch.utils.data.DataLoader(dataset, batch_sampler=groups, num_workers=workers, collate_fn=collate))
