"""How much of a network's maps lies on the person in the embedded videos, whose outline is known.

A high share alone says little, so it is compared with three baselines:
- chance: the part of the clip that the person fills;
- the average person: the same map's share on the average outline of the measured clips, since persons are drawn in the
  middle and many maps are high there too;
- random weights: the share of the same network before training, which shows what architecture and pictures do without
  any learning.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import joblib
import numpy as np
import torch
from torch import Tensor, nn

from repro import machine, networks, progress
from repro.config import CrossEntropy, Data, Optimisation, Run
from repro.data import catalog, transforms
from repro.data.clips import ClipDataset, collate
from repro.data.embedded import videos
from repro.errors import ReproError
from repro.maps import clips as stored
from repro.maps import measurements
from repro.maps.measurements import Measured, Overlap
from repro.parameters import Parameters

BATCH = 64
Maps = Callable[[nn.Module, Tensor], np.ndarray]  # clips (B, C, T, H, W) to maps (B, T, H, W), zero or positive


def mask(data: ClipDataset, i: int) -> np.ndarray:
    """(T, S, S) float32 in [0, 1]: how much of each pixel of test view `i` of the embedded set shows the person.

    Masks are cut and resized exactly as frames are. The flow between two frames has the mask of the first. ReproError
    for another data set.
    """
    if data.data.dataset != "synthetic":
        raise ReproError(f"no masks for {data.data.dataset}: only the embedded set knows where its person is")
    view = data.views[i]
    path = Path(data.table["path"].iloc[view.video])
    whole = videos.mask_of(path.parents[2], path.name)  # (T', H, W)
    out = np.empty((len(view.starts), data.data.size, data.data.size, 3), np.uint8)
    images = [view.crop.cut(255 * whole[t, ..., None].astype(np.uint8)) for t in view.starts]
    transforms.apply([np.repeat(image, 3, axis=2) for image in images], view.crop.flip, out)
    return out[..., 0].astype(np.float32) / 255


def share_on_person(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of each map's mass inside its mask, and that share divided by the mask's share of the clip (its chance).

    maps: (..., T, H, W), zero or positive. masks: the same shape, bool, or how much of a pixel is inside, in [0, 1].
    Returns two arrays of shape (...). The share of an empty map, and a ratio to an empty mask, are NaN.
    """
    if maps.shape != masks.shape:
        raise ReproError(f"maps have shape {maps.shape}, masks {masks.shape}: they must be of the same clips")
    axes = (-3, -2, -1)
    mass, inside = maps.sum(axes, dtype=float), (maps * masks).sum(axes, dtype=float)
    chance = masks.mean(axes, dtype=float)
    share = np.divide(inside, mass, out=np.full(mass.shape, np.nan), where=mass > 0)
    return share, np.divide(share, chance, out=np.full(mass.shape, np.nan), where=chance > 0)


def measure(run: Run, maps_of: Maps, untrained: bool, device: str = "cpu", step: int = 1) -> Measured:
    """The overlap of one run's maps over every `step`-th test clip.

    untrained: measures the network with the weights and BatchNorm statistics that training from scratch starts from.
    """
    data, order, masks = _test_clips(run.data, step)
    model = networks.build(run, data.classes, initialise=False).eval() if untrained else networks.trained(run)
    model, average, parts = model.to(device), masks.mean(axis=0), []
    for start in range(0, len(order), BATCH):
        items = [data[i] for i in order[start : start + BATCH]]
        clips, here = collate(items)[run.data.modality].to(device), masks[start : start + BATCH]
        with torch.inference_mode():
            answers = model(clips).logits.argmax(1).cpu().numpy()
        maps = maps_of(model, clips)
        share, _ = share_on_person(maps, here)
        usual, _ = share_on_person(maps, np.broadcast_to(average, here.shape))
        parts.append((share, usual, here.mean(axis=(1, 2, 3)), answers == [item["label"] for item in items]))
    return Measured(*map(np.concatenate, zip(*parts, strict=True)))


@functools.lru_cache(maxsize=2)
def _test_clips(data: Data, step: int) -> tuple[ClipDataset, range, np.ndarray]:
    clips = ClipDataset(catalog.of(data), "test", data, (data.modality,))
    order = range(0, len(clips), step)
    return clips, order, np.stack([mask(clips, i) for i in order])  # (N, T, S, S)


def compare(
    systems: Mapping[str, Sequence[Run]], name: str, maps_of: Maps, parameters: Parameters, step: int = 1
) -> dict[str, Overlap]:
    """{system: its overlap}, over every `step`-th test clip; runs of one seed on several splits are joined end to end.

    name: of the maps, such as "gradcam of excite2"; it must change whenever `maps_of` does. Measurements made before, or
    committed with the project, are read. The others are made here, which needs the weights of their runs: ReproError
    where they are not on this machine.
    """
    find = functools.partial(measurements.find, name=name, step=step, fresh=parameters.fresh)
    missing = {label: runs for label, runs in systems.items() if find(runs) is None}
    absent = [run.id for runs in missing.values() for run in runs if not networks.are_here([run])]
    if absent:
        raise ReproError(
            f"the overlap of {name!r} with the person is not measured for {', '.join(missing)}, and the networks of runs "
            f"{', '.join(absent)} are not on this machine: fresh=True trains them"
        )
    for overlap in _measured(missing, name, maps_of, parameters, step):
        measurements.write(overlap, measurements.path_here(overlap.id))
    return {label: find(runs) for label, runs in systems.items()}


def _measured(
    systems: Mapping[str, Sequence[Run]], name: str, maps_of: Maps, parameters: Parameters, step: int
) -> list[Overlap]:
    """The overlap of each system, measured now; a network that several systems share is measured once."""
    device = networks.resolve_device(parameters.device)
    runs = [run for each in systems.values() for run in each]
    for run in runs:
        stored.catalog(run)  # here, not in every process
    work = {(run.id, False): run for run in runs} | {(_alone(run).id, True): _alone(run) for run in runs}
    parallel = joblib.Parallel(n_jobs=parameters.jobs if device == "cpu" else 1, return_as="generator")
    each = parallel(joblib.delayed(measure)(work[k], maps_of, k[1], device, step) for k in work)
    found = dict(zip(work, progress.bar(f"measuring {name}", len(work), "network", each), strict=True))
    provenance = machine.environment(device)
    result = []
    for own in systems.values():
        trained = joined(own, [found[run.id, False] for run in own])
        untrained = joined(own, [found[_alone(run).id, True] for run in own])
        result.append(Overlap(tuple(run.id for run in own), name, step, trained, untrained, provenance))
    return result


def _alone(run: Run) -> Run:
    """The run without all that only training reads: runs that differ in nothing else are the same untrained network."""
    any_optimisation = Optimisation(schedule="onecycle", select="last")  # one that needs no validation part
    return replace(run, objective=CrossEntropy(), optimisation=any_optimisation, teacher=None, start=None)


def joined(runs: Sequence[Run], measured: Sequence[Measured]) -> Measured:
    """One (S, N) measurement of (N,) ones: a row per seed, its splits end to end."""
    seeds = dict.fromkeys(run.seed for run in runs)
    rows = [[m for run, m in zip(runs, measured, strict=True) if run.seed == seed] for seed in seeds]
    names = [field.name for field in fields(Measured)]
    return Measured(*(np.stack([np.concatenate([getattr(m, name) for m in row]) for row in rows]) for name in names))
