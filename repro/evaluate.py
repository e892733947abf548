"""The scores of a network on the views of a part of a data set. The run, and so its record, names the view protocol."""

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
    """Logits of the M views ("clips") of N videos, with K classes.

    clips: (M, K) float32. video: (M,) ints, the row in `labels` of each clip's video. labels: (N,) ints.
    average: what is averaged over the clips of a video: "logits" (MARS) or "probabilities" (Hara's code, T-STAM).
    """

    clips: np.ndarray
    video: np.ndarray
    labels: np.ndarray
    average: str = "logits"

    def videos(self) -> np.ndarray:
        """(N, K) float64: the mean logits of each video's clips, or the logarithm of their mean probabilities."""
        clips = self.clips if self.average == "logits" else metrics.softmax(self.clips)
        sums = np.zeros((len(self.labels), clips.shape[1]))
        np.add.at(sums, self.video, clips)
        means = sums / np.bincount(self.video, minlength=len(self.labels))[:, None]
        return means if self.average == "logits" else np.log(np.maximum(means, 1e-12))  # a float16 holds log(1e-12)

    def loss(self) -> float:
        """Mean cross-entropy of the clips."""
        labels = torch.from_numpy(self.labels[self.video])
        return float(nn.functional.cross_entropy(torch.from_numpy(self.clips), labels))

    def clip_top1(self) -> float:
        """Fraction of clips whose highest logit is that of their label."""
        return metrics.top(self.clips, self.labels[self.video])

    def video_top1(self) -> float:
        """Fraction of videos whose highest score, averaged over their clips, is that of their label."""
        return metrics.top(self.videos(), self.labels)


def predict(
    model: nn.Module,
    dataset: ClipDataset,
    fabric: Fabric | None = None,
    batch: int = 16,
    workers: int = 0,
) -> Scores:
    """The logits of `model`, in eval mode, for all views of a validation or test part of one modality.

    fabric: device, precision and processes, which share the views; by default this process alone, in float32, on the CPU.
    batch: views at a time. workers: processes that decode.
    """
    (modality,) = dataset.modalities
    fabric = fabric or Fabric(accelerator="cpu", devices=1)
    training = model.training
    model.eval()
    clips = torch.zeros(len(dataset), len(dataset.classes), device=fabric.device)  # (M, K)
    with torch.inference_mode():
        for items in batches(dataset, batch, 0, workers, fabric.global_rank, fabric.world_size):
            with fabric.autocast():
                logits = model(fabric.to_device(items[modality])).logits.float()
            clips[items["view"].to(fabric.device)] = logits
    clips = fabric.all_reduce(clips, reduce_op="sum")  # each process filled the rows of its own views
    model.train(training)
    video = np.array([view.video for view in dataset.views])
    return Scores(clips.cpu().numpy(), video, dataset.labels.astype(np.int64), dataset.data.average)


def measure(scores: Scores) -> tuple[np.ndarray, dict]:
    """What a record keeps: log-probabilities of the videos (N, K) by `metrics.rounded`, and metrics as fractions in [0, 1].

    All metrics but `clip_top1` are computed from what is kept, so a reader of the record gets the same numbers.
    Raises ReproError for scores that are not finite.
    """
    videos = scores.videos()
    if not np.isfinite(videos).all():
        raise ReproError("the test scores are not finite: the training diverged")
    videos = metrics.rounded(videos)
    return videos, {"clip_top1": scores.clip_top1(), **metrics.of_scores(videos, scores.labels)}
