"""What a rehearsal has in place of a data set and of public weights: drawn videos under the lists' own names, random tensors."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2

from repro import paths, processes
from repro.config import Run
from repro.data import catalog
from repro.data.annotations.small import Clip
from repro.data.embedded import drawing, files
from repro.data.embedded.options import CLASSES, Synthetic
from repro.data.parts import carve
from repro.errors import ReproError

DRAWN = Synthetic(frames=40, side=240)  # 40 to 50 frames of 320x240: enough for 25 places, and for two windows of 16
IMAGENET, KINETICS = 1000, 400  # classes of the heads in public files


def parted(dataset: str, lists: Path, val_fraction: float) -> tuple[list[str], list[Clip]]:
    """The classes of a data set's official lists and the clips of split 1, each in its part, as a full run has them.

    ReproError naming the folder or the file that is not below `lists`, or whose lines are not the official ones.
    """
    folders = list(catalog.LAYOUTS[dataset].items())[1:]  # the first one has the videos
    for name, what in folders:
        if not (lists / name).is_dir():
            raise ReproError(
                f"{dataset}: no folder {lists / name} with the official lists ({what}); name the folder above it as --lists"
            )
    classes, clips = catalog.listed_clips(dataset, lists, 1)
    return classes, carve(sorted(clip for clip in clips if clip.part != "unused"), val_fraction)


def handful(clips: Sequence[Clip], counts: Mapping[str, int]) -> list[Clip]:
    """As many clips of each part as `counts` says, from as many classes as possible."""
    turns: Counter[tuple[str, str]] = Counter()
    waiting: dict[str, list[tuple[int, Clip]]] = {part: [] for part in counts}
    for clip in clips:
        waiting[clip.part].append((turns[clip.part, clip.cls], clip))
        turns[clip.part, clip.cls] += 1
    return [clip for part, count in counts.items() for _, clip in sorted(waiting[part])[:count]]


def write(dataset: str, lists: Path, root: Path, clips: Sequence[Clip], jobs: int) -> None:
    """Makes `root` a root of the data set: links to all lists below `lists`, and drawn videos in place of `clips`.

    Videos that are there already stay.
    """
    videos, *_ = catalog.LAYOUTS[dataset]
    with paths.writing(root / videos):
        (root / videos).mkdir(exist_ok=True)
        for entry in lists.iterdir():
            if entry.name != videos:
                (root / entry.name).unlink(missing_ok=True)
                (root / entry.name).symlink_to(entry)
    places = enumerate(root / clip.path.relative_to(lists) for clip in clips)
    work = [(number, path) for number, path in places if not path.exists()]
    for (_, path), done in processes.each(_draw, work, processes.count(jobs, len(work))):
        if not done:
            raise ReproError(f"{path}: {processes.DIED}; give fewer --jobs")


def _draw(numbered: tuple[int, Path]) -> bool:
    """Draws a video as motion JPEG, or a folder of frames where the name has no ending."""
    number, path = numbered
    index, cls = divmod(number, len(CLASSES))
    frames, _ = drawing.clip(CLASSES[cls], DRAWN, index, "train", masked=False)
    if path.suffix:
        with paths.atomic(path, sync=False) as part:
            files.write_movie(part, frames)
        return True
    part = path.with_name(f"{path.name}.part")
    with paths.writing(part / "00001.jpg"):
        for i, frame in enumerate(frames, 1):
            ok, image = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            assert ok
            (part / f"{i:05d}.jpg").write_bytes(image)
        os.replace(part, path)
    return True


def random_weights(run: Run, file: Path) -> None:
    """Writes a file of the form that the run's public start has, names and shapes, with random values.

    3D ResNeXt-101: as Hara and MARS publish it, of Kinetics-400, for the run's own modality. BN-Inception and ResNet-50: of
    ImageNet, for RGB.
    """
    import torch  # takes seconds, and the processes that draw do without

    from repro import models

    torch.manual_seed(0)
    if run.model.name == "resnext3d":
        model = models.build("resnext3d", num_classes=KINETICS, in_channels=run.data.channels)
        content = {"arch": model.arch, "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}
    elif run.model.name in ("tsn", "tstam"):
        state = models.build("tsn", num_classes=IMAGENET).state_dict()
        content = {k.removeprefix("base_model.").replace("fc.", "last_linear."): v for k, v in state.items()}
    else:
        content = models.build("tsn_resnet", num_classes=IMAGENET).state_dict()
    with paths.atomic(file) as part:
        torch.save(content, part)
