"""How much of a network's maps lies on the figure of the embedded videos, whose mask is known.

Three baselines, for a high share alone says little: the part of the clip that the figure fills (chance); the share of
the same map on the average figure of those clips, for figures stand in the middle and so do many maps; and the share
of the same network with random weights, which shows what the architecture and the pictures do without any learning.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from repro import execute
from repro.config import Data, Objective, Run
from repro.data import transforms
from repro.data.clips import ClipDataset, collate
from repro.data.embedded import videos as synthetic
from repro.errors import ReproError
from repro.evidence import statistics as verdicts
from repro.evidence import tables
from repro.maps import cam as explain
from repro.parameters import Parameters

BATCH = 64
Maps = Callable[[nn.Module, Tensor], np.ndarray]  # clips (B, C, T, H, W) to maps (B, T, H, W), zero or positive


@dataclass(frozen=True)
class Measured:
    """Of S runs on N test clips, or of one (without S). share: on the figure, NaN where the map is empty; usual: on the
    average figure; chance: what the figure fills of the clip; right: is the clip's class the network's first choice?"""

    share: np.ndarray  # (S, N)
    usual: np.ndarray  # (S, N)
    chance: np.ndarray  # (S, N)
    right: np.ndarray  # (S, N) bool


def mask(data: ClipDataset, i: int) -> np.ndarray:
    """(T, S, S) float32: how much of each pixel of test view `i` of the embedded set shows the figure, 0..1.

    The mask takes the way of the frames: the view's frames, its crop, its resizing. Flow from a frame to the next has
    the mask of the first.
    """
    if data.data.dataset != "synthetic":
        raise ReproError(f"no masks for {data.data.dataset}: only the embedded set knows where its figure is")
    view = data.views[i]
    whole = synthetic.mask_of(data.data.root, Path(data.table["path"].iloc[view.video]).name)  # (T', H, W)
    out = np.empty((len(view.starts), data.data.size, data.data.size, 3), np.uint8)
    images = [view.crop.cut(255 * whole[t, ..., None].astype(np.uint8)) for t in view.starts]
    transforms.apply([np.repeat(image, 3, axis=2) for image in images], view.crop.flip, out)
    return out[..., 0].astype(np.float32) / 255


def measure(run: Run, maps_of: Maps, untrained: bool, device: str = "cpu", step: int = 1) -> Measured:
    """The maps of one run over every `step`-th test clip, or of its network with the weights (and BatchNorm statistics)
    that its training started from, a public checkpoint excepted."""
    data, order, figures = _test_clips(run.data, step)
    model = execute.build(run, data.classes, initialise=False).eval() if untrained else execute.trained(run)
    model, average, parts = model.to(device), figures.mean(axis=0), []
    for start in range(0, len(order), BATCH):
        items = [data[i] for i in order[start : start + BATCH]]
        clips, here = collate(items)[run.data.modality].to(device), figures[start : start + BATCH]
        with torch.inference_mode():
            answers = model(clips).logits.argmax(1).cpu().numpy()
        maps = maps_of(model, clips)
        share, _ = explain.share_on_figure(maps, here)
        usual, _ = explain.share_on_figure(maps, np.broadcast_to(average, here.shape))
        parts.append((share, usual, here.mean(axis=(1, 2, 3)), answers == [item["label"] for item in items]))
    return Measured(*map(np.concatenate, zip(*parts, strict=True)))


@functools.lru_cache(maxsize=2)
def _test_clips(data: Data, step: int) -> tuple[ClipDataset, range, np.ndarray]:
    clips = ClipDataset(execute.load_catalog(data), "test", data, (data.modality,))
    order = range(0, len(clips), step)
    return clips, order, np.stack([mask(clips, i) for i in order])  # (N, T, S, S)


def compare(
    systems: Mapping[str, Sequence[Run]], maps_of: Maps, parameters: Parameters, step: int = 1
) -> dict[str, tuple[Measured, Measured]]:
    """{system: (trained, with random weights)}, over every `step`-th test clip.

    Runs of one seed on several splits are put end to end.
    """
    device = execute.resolve_device(parameters.device)
    work = {(run.id, untrained): (run, untrained) for runs in systems.values() for run, untrained in _both(runs)}
    parallel = joblib.Parallel(n_jobs=parameters.jobs if device == "cpu" else 1)
    measured = parallel(
        joblib.delayed(measure)(run, maps_of, untrained, device, step) for run, untrained in work.values()
    )
    found = dict(zip(work, measured, strict=True))
    result = {}
    for label, runs in systems.items():
        each = [(run, untrained, found[run.id, untrained]) for run, untrained in _both(runs)]
        result[label] = tuple(
            _joined([(run, m) for run, u, m in each if u == untrained]) for untrained in (False, True)
        )
    return result


def _both(runs: Sequence[Run]) -> list[tuple[Run, bool]]:
    """Each run, and its network before training, which a student shares with the run that has no teacher."""
    return [(run, False) for run in runs] + [(replace(run, objective=Objective(), teacher=None), True) for run in runs]


def _joined(measured: Sequence[tuple[Run, Measured]]) -> Measured:
    seeds = dict.fromkeys(run.seed for run, _ in measured)
    rows = [[m for run, m in measured if run.seed == seed] for seed in seeds]
    names = Measured.__dataclass_fields__
    return Measured(*(np.stack([np.concatenate([getattr(m, name) for m in row]) for row in rows]) for name in names))


def table(
    found: Mapping[str, tuple[Measured, Measured]], parameters: Parameters, what: str, command: str
) -> pd.DataFrame:
    """Two lines a system: all test clips, and those that it got right. Differences in points; `what` names the maps."""
    lines = []
    for label, (trained, untrained) in found.items():
        for clips in ("all", "right"):
            chosen = trained.right if clips == "right" else np.ones_like(trained.right)
            mean = verdicts.bootstrap([np.where(chosen, trained.share, np.nan)]).mean
            over = gains(trained, untrained, chosen)
            lines.append(
                {
                    "system": label,
                    "test clips": f"{clips}, {chosen.sum(axis=1).mean():.0f}",
                    "on the figure, %": _number(100 * mean),
                    "times chance": _number(mean / trained.chance[chosen].mean() if chosen.any() else np.nan, 2),
                    **{f"over {name} [95 %]": _gain(gain) for name, gain in over.items()},
                    "empty maps": int(np.isnan(trained.share[chosen]).sum()),
                    "verdict": verdict(list(over.values())) + tables.ONE_SEED * (len(trained.share) == 1),
                    "tier": parameters.tier,
                }
            )
    frame = pd.DataFrame(lines)
    frame.attrs = {
        "title": f"How much of the map lies on the figure ({what}).",
        "claim": "Ours: a trained network looks at the figure, more than chance, than on the average figure, than untrained.",
        "command": command,
        "tier": parameters.tier,
    }
    return frame


def gains(trained: Measured, untrained: Measured, chosen: np.ndarray) -> dict[str, verdicts.Gain]:
    """{baseline: mean and interval of the share minus the baseline's}, of the chosen (S, N) clips."""
    share = np.where(chosen, trained.share, np.nan)
    others = {"chance": trained.chance, "the average figure": trained.usual, "random weights": untrained.share}
    return {name: verdicts.bootstrap([share - other]) for name, other in others.items()}


def verdict(over: Sequence[verdicts.Gain]) -> str:
    """On the claim that a share is above all of its baselines."""
    return verdicts.together([gain.verdict(+1) for gain in over])


def _number(value: float, digits: int = 1) -> str:
    return tables.NOT_AVAILABLE if np.isnan(value) else f"{value:.{digits}f}"


def _gain(gain: verdicts.Gain) -> str:
    if np.isnan(gain[0]):
        return tables.NOT_AVAILABLE
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * g for g in gain))


def sentence(found: Mapping[str, tuple[Measured, Measured]], what: str) -> str:
    """What the table shows, of all test clips."""
    told, clear = [], []
    for label, (trained, untrained) in found.items():
        share, area = 100 * verdicts.bootstrap([trained.share]).mean, 100 * trained.chance.mean()
        if np.isnan(share):
            told.append(f"- {label}: every map is empty")
            continue
        over = gains(trained, untrained, np.ones_like(trained.right))
        points = ", ".join(f"{_gain(gain)} over {name}" for name, gain in over.items())
        told.append(f"- {label}: {share:.0f} % of the map on a figure that fills {area:.0f} % of the clip ({points})")
        clear += [label] * (verdict(list(over.values())) == verdicts.SUPPORTED)
    return "\n".join(
        [
            f"**What it shows** ({what}). Clearly above all three baselines: {', '.join(clear) or 'none'}. More than with "
            "random weights is a sign of learning, be it only of where figures usually stand; more than on the average "
            "figure, too, is a sign that the map follows this one.\n",
            *told,
        ]
    )
