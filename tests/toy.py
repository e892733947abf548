"""Clips and a network so small that training them takes a fraction of a second."""

from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from repro.config import CrossEntropy, Data, Model, Optimisation, Run
from repro.models.layers.output import Output

CLASSES = ("a", "b", "c", "d")
FRAMES, SIDE = 2, 4


class View(NamedTuple):
    video: int


class Clips(torch.utils.data.Dataset):
    """What the training loop needs of a `ClipDataset`. A clip is noise with one bright quarter: its class.

    The top left pixel of every frame is black.
    """

    def __init__(self, videos=16, part="train", modalities=("rgb",), views=1, average="logits", seed=0):
        self.labels, self.classes = np.arange(videos) % len(CLASSES), CLASSES
        self.modalities, self.seed, self.epoch, self.random = modalities, seed, 0, part == "train"
        self.views = [] if self.random else [View(video) for video in range(videos) for _ in range(views)]
        self.data = data(average=average)

    def __len__(self) -> int:
        return len(self.labels) if self.random else len(self.views)

    def __getitem__(self, i: int) -> dict:
        label = int(self.labels[i if self.random else self.views[i].video])
        rng = np.random.default_rng((self.seed, self.epoch, i))
        item = {"label": label, "view": i}
        for modality in self.modalities:
            clip = rng.integers(0, 100, (FRAMES, SIDE, SIDE, 3)).astype(np.uint8)
            clip[:, label // 2 * 2 :, label % 2 * 2 :][:, :2, :2] += 100
            clip[:, 0, 0] = 0
            item[modality] = clip
        return item


class Network(nn.Module):
    """Linear in the frames' mean, normalised on request."""

    def __init__(self, norm=False, dropout=0.0, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        inputs = 3 * SIDE * SIDE
        self.norm = nn.BatchNorm1d(inputs) if norm else nn.Identity()
        self.dropout, self.fc = nn.Dropout(dropout), nn.Linear(inputs, len(CLASSES))

    def forward(self, clips: torch.Tensor) -> Output:
        features = self.dropout(self.norm(clips.float().mean(2).flatten(1) / 255))  # (B, C * H * W)
        return Output(self.fc(features), features)


def data(**changes) -> Data:
    return Data("synthetic", "smoke", **changes)


def run(objective=None, teacher=None, seed=0, modality="rgb", **optimisation) -> Run:
    """A run of constant learning rate that tests its last epoch, unless asked otherwise."""
    opt = {
        "epochs": 1,
        "batch": 8,
        "lr": 0.1,
        "schedule": "plateau",
        "patience": 1000,
        "select": "last",
        **optimisation,
    }
    return Run(
        "smoke", seed, data(modality=modality), Model("toy"), objective or CrossEntropy(), Optimisation(**opt),
        teacher=teacher,
    )  # fmt: skip
