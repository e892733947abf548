"""Scores of a network on the views of a part of a data set. The view protocol stands in the run and in its record."""

from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from repro import metrics
from repro.data.clips import ClipDataset, batches
from repro.errors import ReproError


@dataclass(frozen=True)
class Scores:
    """Logits of M clips of N videos. clips: (M, K) float32; video: (M,) which video each clip is of; labels: (N,).

    average: what is averaged over the clips of a video, logits (MARS) or probabilities (Hara's code, T-STAM).
    """

    clips: np.ndarray
    video: np.ndarray
    labels: np.ndarray
    average: str = "logits"

    def videos(self) -> np.ndarray:
        """(N, K): mean logits of each video's clips, or the logarithm of their mean probabilities."""
        clips = self.clips if self.average == "logits" else metrics.softmax(self.clips)
        sums = np.zeros((len(self.labels), clips.shape[1]))
        np.add.at(sums, self.video, clips)
        means = sums / np.bincount(self.video, minlength=len(self.labels))[:, None]
        return means if self.average == "logits" else np.log(np.maximum(means, 1e-12))  # within float16

    def loss(self) -> float:
        """Mean cross-entropy of the clips."""
        labels = torch.from_numpy(self.labels[self.video])
        return float(nn.functional.cross_entropy(torch.from_numpy(self.clips), labels))

    def clip_top1(self) -> float:
        return metrics.top(self.clips, self.labels[self.video])

    def video_top1(self) -> float:
        return metrics.top(self.videos(), self.labels)


def predict(
    model: nn.Module, dataset: ClipDataset, fabric: Fabric, batch: int, modality: str, workers: int = 0
) -> Scores:
    """Runs `model`, in eval mode, over all views of `dataset`; several processes share the work."""
    training = model.training
    model.eval()
    clips = torch.zeros(len(dataset), len(dataset.classes), device=fabric.device)
    with torch.inference_mode():
        for items in batches(dataset, batch, 0, workers, fabric.global_rank, fabric.world_size):
            with fabric.autocast():
                logits = model(fabric.to_device(items[modality])).logits.float()
            clips[items["view"].to(fabric.device)] = logits
    clips = fabric.all_reduce(clips, reduce_op="sum")
    model.train(training)
    video = np.array([view.video for view in dataset.views])
    return Scores(clips.cpu().numpy(), video, dataset.labels.astype(np.int64), dataset.data.average)


def measure(scores: Scores) -> tuple[np.ndarray, dict]:
    """What a record keeps: video scores (N, K) float16, and metrics computed from just these, fractions in [0, 1]."""
    with np.errstate(over="ignore"):
        videos = scores.videos().astype(np.float16)
    if not np.isfinite(videos).all():
        raise ReproError("the network's test scores are not finite, or too large to store; its training diverged")
    found = {
        "clip_top1": scores.clip_top1(),
        "video_top1": metrics.top(videos, scores.labels),
        "video_top5": metrics.top(videos, scores.labels, 5),
        "mean_class": metrics.mean_class(videos, scores.labels),
        "per_class": {str(c): value for c, value in metrics.per_class(videos, scores.labels).items()},
    }
    return videos, found
