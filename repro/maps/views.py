"""Test views as a network sees them, with the map of its answer, and as the video has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from repro import networks
from repro.config import Run
from repro.data import store, transforms, video
from repro.data.clips import ClipDataset, collate
from repro.data.flow import methods as flow
from repro.maps import cam, clips, overlap

LARGEST = 480  # pixels of a frame's longer side: an animation of larger ones takes megabytes


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
    clips.pack(run, clips.catalog(run).part("test")["clip"])
    data = ClipDataset(clips.catalog(run), "test", run.data, (run.data.modality,))
    views = [i for i, view in enumerate(data.views) if view.video == number % len(data.files)]
    return see(data, views[len(views) // 2 if run.data.sampling == "consecutive" else 0])


@dataclass(frozen=True)
class Whole:
    """The frames of a view as the video has them, (T, H, W, 3) uint8 RGB, and the square that the network sees of them.

    top, left, side: of that square, in pixels. flip: whether the network sees it mirrored.
    """

    frames: np.ndarray
    top: int
    left: int
    side: int
    flip: bool


def whole(data: ClipDataset, i: int) -> Whole:
    """The frames of test view `i`, decoded from the video itself: at their own size, or with `LARGEST` pixels of a side."""
    view = data.views[i]
    found = {}
    for t, frame in enumerate(video.frames(Path(data.table["path"].iloc[view.video]))):
        if t in view.starts:
            scale = min(LARGEST / max(frame.shape[:2]), 1)
            found[t] = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        if t == max(view.starts):
            break
    frames = np.stack([found[t] for t in view.starts])
    scale = min(frames.shape[1:3]) / min(data.sizes[view.video])
    side = min(round(view.crop.height * scale), *frames.shape[1:3])
    top, left = (round(each * scale) for each in (view.crop.top, view.crop.left))
    return Whole(frames, min(top, frames.shape[1] - side), min(left, frames.shape[2] - side), side, view.crop.flip)


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
