"""What a trained network answers to one video."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from repro import make, metrics
from repro.data.clips import ClipDataset
from repro.data.video import readable
from repro.errors import ReproError
from repro.single import predict, videos
from repro.single.weights import Network


@dataclass(frozen=True)
class Answer:
    """views: the video as a test part of one. probabilities: (K,). none: whether the rule says that it shows no class.

    best: the number of the class with the highest probability. view: the number of a view to look at: the one in which that
    probability is highest, or with segments the centre crop.
    """

    views: ClipDataset
    probabilities: np.ndarray
    best: int
    none: bool
    view: int


def answer(network: Network, path: Path) -> Answer:
    """The answer to a video file, seen as the run's own test videos are. A file that cannot be read is a ReproError."""
    with readable(path):
        if not path.is_file():
            raise ReproError(f"{path}: no such video file; give the path of one")
    root, table = videos.found(path)
    for error in predict.prepared(network, root, table, jobs=1).values():
        raise ReproError(error)
    views = predict.dataset(network, root, table)
    scores = make.test(network.run, make.fabric_of(network.run, "cpu"), network.model, views, workers=0)
    probabilities = metrics.softmax(scores.videos())[0]
    best = int(probabilities.argmax())
    surest = int(metrics.softmax(scores.clips)[:, best].argmax())
    view = surest if views.data.sampling == "consecutive" else 0
    return Answer(views, probabilities, best, bool(probabilities[best] < network.least), view)


def sentence(network: Network, found: Answer) -> str:
    """The answer in words, with its probability."""
    name, share = network.classes[found.best], found.probabilities[found.best]
    return f"none of these ({name} comes first, with {share:.0%})" if found.none else f"{name}, {share:.0%}"


def known(network: Network) -> str:
    """What a network can answer, in a sentence; of one that knows drawings only, what that means."""
    names = ", ".join(network.classes)
    if network.run.data.dataset == "synthetic":
        remedy = "Train a network on your own videos and give its id as weights."
        return (
            f"This network has seen drawn videos alone and knows {len(network.classes)} drawn motions: {names}. Real videos are "
            f"foreign to it: whatever it answers to one means nothing. {remedy}"
        )
    return f"Run {network.run.id} ({network.run.title}) knows {len(network.classes)} classes: {names}."
