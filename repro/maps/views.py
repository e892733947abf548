"""Test views as a network sees them, with the map of its answer; also of any video file."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from repro import networks
from repro.config import Run
from repro.data import prepare, store, transforms
from repro.data.catalog import Catalog
from repro.data.clips import ClipDataset, collate, recipe_of
from repro.data.flow import methods as flow
from repro.maps import cam, clips, overlap


@dataclass(frozen=True)
class Seen:
    """A test view as a network sees it.

    name, label: of its video; the label is a class number, or -1 where no class is known. frames: (T, S, S, 3) uint8 RGB.
    flows: (T, S, S, 3) uint8, flow as colours, for networks that see flow. clip: (1, C, T, S, S) uint8, the network's
    input. mask: (T, S, S) float in [0, 1], the person, where known.
    """

    name: str
    label: int
    frames: np.ndarray
    flows: np.ndarray | None
    clip: torch.Tensor
    mask: np.ndarray | None


@dataclass(frozen=True)
class Explained:
    """A view, a network's map of it, (T, S, S) in [0, 1], and the name of the class that the network predicts."""

    seen: Seen
    heat: np.ndarray
    answer: str


def see(data: ClipDataset, i: int) -> Seen:
    """Test view `i` of a data set of one modality."""
    view, item = data.views[i], data[i]
    packed = store.open_packed(data.files[view.video], data.recipe)
    frames = np.empty((len(view.starts), data.data.size, data.data.size, 3), np.uint8)
    transforms.apply(packed.rgb(view.starts, view.crop), view.crop.flip, frames)
    (modality,) = data.modalities
    flows = _coloured(item["flow"][..., :2], data.data.bound) if modality == "flow" else None
    mask = overlap.mask(data, i) if data.data.dataset == "synthetic" else None
    clip = collate([item])[modality]  # (1, C, T, S, S)
    return Seen(data.table["clip"].iloc[view.video], int(item["label"]), frames, flows, clip, mask)


def _coloured(stored: np.ndarray, bound: float) -> np.ndarray:
    """(T, S, S, 3) uint8: stored flow (T, S, S, 2) as colours; full colour is the 99.5 % quantile, at least 0.5 pixels."""
    pixels = flow.dequantise(stored, bound)
    limit = max(float(np.quantile(np.hypot(pixels[..., 0], pixels[..., 1]), 0.995)), 0.5)
    return np.stack([flow.colour(each, limit) for each in pixels])


def test_view(run: Run, number: int) -> Seen:
    """One view of a test video, by the video's number; after the last video comes the first again.

    The view is the middle window, or with segments the first crop, which is the centre's.
    """
    data = ClipDataset(clips.catalog(run), "test", run.data, (run.data.modality,))
    views = [i for i, view in enumerate(data.views) if view.video == number % len(data.files)]
    return see(data, views[len(views) // 2 if run.data.sampling == "consecutive" else 0])


def own_video(run: Run, classes: Sequence[str], path: Path) -> ClipDataset:
    """Any video file as a test set of one video: stored, cut and resized as the run's own test videos.

    A file that is missing, broken, or of a single frame is a ReproError that names it.
    """
    path = path.expanduser().resolve()
    data = dataclasses.replace(run.data, dataset="folder", source="own", root=str(path.parent), group="")
    row = {"clip": path.name, "path": str(path), "label": -1, "class": "", "group": "", "part": "test"}
    catalog = Catalog("folder", data.split, tuple(classes), pd.DataFrame([row]), (), "")
    prepare.require_all(prepare.prepare(catalog.table, "folder", path.parent, recipe_of(data), jobs=1))
    return ClipDataset(catalog, "test", data, (data.modality,))


def outline(run: Run) -> tuple[nn.Module, torch.Tensor]:
    """A run's network without training, and a clip of zeros: all that the grids of its layers depend on."""
    data = run.data
    shape = (1, data.channels, data.test_frames or data.frames, data.size, data.size)
    return networks.build(run, ("one", "two"), initialise=False).eval(), torch.zeros(shape, dtype=torch.uint8)


def explained(model: nn.Module, seen: Seen, classes: Sequence[str], layer: str, method: str) -> Explained:
    """The answer of a network to a view, and where the output of `layer` is evidence for it."""
    with torch.inference_mode():
        answer = int(model(seen.clip).logits.argmax())
    return Explained(seen, cam.cam(model, seen.clip, layer, method, answer)[0], classes[answer])


def explain_runs(runs: Mapping[str, Run], number: int, layer: str, method: str) -> dict[str, Explained]:
    """{label: the map of the run's trained network} for one test video; each network sees it by its own protocol."""
    return {
        label: explained(networks.trained(run), test_view(run, number), clips.catalog(run).classes, layer, method)
        for label, run in runs.items()
    }
