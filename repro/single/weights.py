"""A trained network from what a user has: the id of a run or its first characters, its weights.pt, or an exported file."""

import contextlib
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from repro import metrics, networks, packed, paths, records
from repro.config import Run, content
from repro.errors import ReproError
from repro.models.tools import checkpoints
from repro.records import Record

FORMAT = "repro export 1"  # in the metadata of exported files
KEPT = 0.95  # share of the run's own test videos that the rule for "none of these" accepts


@dataclass(frozen=True)
class Network:
    """A trained network, in eval mode on the CPU, with all that a prediction needs.

    classes: names, in the order of the outputs. least: a highest probability below it means none of the classes; see `least`.
    tested: test videos that it was computed from. record: of its run; None of an exported file.
    """

    run: Run
    model: nn.Module
    classes: tuple[str, ...]
    least: float
    tested: int
    record: Record | None = None


def least(record: Record) -> float:
    """The highest probability that all but a twentieth of the run's test videos reach, by their scores in the record.

    A video that stays below it is said to show none of the classes. All that is known of the rule is that it accepts 95 % of
    videos like the test part. How many videos of other actions it refuses was never measured; a network that is
    sure of everything refuses none.
    """
    return metrics.accepted(record.scores, KEPT)


def load(weights: str, model: str = "") -> Network:
    """The network of a run on this machine, of a weights.pt with its record beside it, or of a safetensors file.

    model: "module:function" where the network is the user's own. It has to be given, because a file alone runs no code.
    """
    path = Path(weights).expanduser()
    if path.suffix == ".safetensors":
        return _exported(path, model)
    if path.suffix not in (".pt", ""):
        raise ReproError(
            f"{path}: give a run's id, its weights.pt or a .safetensors file; other files are for other programs"
        )
    record_file = _beside(path) if path.suffix == ".pt" else records.path_here(_id(weights))
    record = records.read(record_file)
    run = records.run_of(record.config)
    _require_named(run, model)
    network = networks.build(run, record.classes, initialise=False)
    checkpoints.load_weights(record_file.with_name("weights.pt"), network, record.classes)
    return Network(run, network.eval(), tuple(record.classes), least(record), len(record.labels), record)


def _beside(path: Path) -> Path:
    if path.name != "weights.pt" or not path.is_file():
        raise ReproError(f"{path}: no such file of weights; give a run's weights.pt, its id, or a .safetensors file")
    record = path.resolve().with_name("record.json")
    if not record.is_file():
        raise ReproError(f"{path}: no record.json beside it; a run's folder has both, and so has a file of `export`")
    return record


def _id(start: str) -> str:
    """The id of the one finished run on this machine that starts so."""
    ids = sorted(path.parent.name for path in paths.runs().glob("*/record.json"))
    found = [id for id in ids if start and id.startswith(start)]
    if len(found) > 1:
        raise ReproError(f"{start!r} starts {len(found)} runs ({', '.join(found[:5])}): give more characters")
    if not found:
        remedy = "train one with `python -m repro train`, or give a weights.pt or .safetensors file"
        raise ReproError(f"{start!r} is no file, and none of the {len(ids)} runs in {paths.runs()} starts so: {remedy}")
    if not (paths.runs() / found[0] / "weights.pt").exists():
        raise ReproError(f"run {found[0]} has a record in {paths.runs()} but no weights; train it again")
    return found[0]


def _require_named(run: Run, model: str) -> None:
    """A network of the user's own has to be named on the command line, and no other may be."""
    wanted = run.model.name if ":" in run.model.name else ""
    if model != wanted:
        remedy = f"say that you trust it: --model {wanted}" if wanted else "leave out --model"
        raise ReproError(
            f"run {run.id} has the network {run.model.name}, and --model is {model or 'not given'}; {remedy}"
        )


def metadata(network: Network) -> dict[str, str]:
    """What an exported file says of itself, as text: run, classes, input, the rule for none of these, the configuration."""
    data = network.run.data
    frames = f"{data.frames} consecutive frames" if data.sampling == "consecutive" else "one place in each segment"
    shape = "x".join(map(str, shape_of(network.run)))
    described = (
        f"clips (batch, channels, frames, height, width) = batch x {shape}, uint8 0..255, {data.modality}: {frames}, "
        f"short side {data.side}, centre crop resized to {data.size}; flow by {data.flow}, +-{data.bound:g} pixels as 0..255"
    )
    plain = {"labels": list(network.classes), "config": content(network.run)}
    return {
        "format": FORMAT, "run": network.run.id, "input": described, "output": "logits (batch, classes), before the softmax",
        "none_below": repr(network.least), "tested": str(network.tested),
        **{name: json.dumps(value) for name, value in plain.items()},
    }  # fmt: skip


def shape_of(run: Run) -> tuple[int, int, int, int]:
    """Channels, frames, height and width of a test clip."""
    return run.data.channels, run.data.test_frames or run.data.frames, run.data.size, run.data.size


def _exported(path: Path, model: str) -> Network:
    safetensors = required("safetensors")
    if not path.is_file():
        raise ReproError(f"no such file: {path}")
    with _named(path):
        # a safetensors file has keys, but is no dict
        with safetensors.safe_open(path, "pt") as file:
            found: dict[str, Any] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if found.get("format") != FORMAT:
            raise ValueError("not a file of `python -m repro export`")
        classes, config = (packed.parsed(found[name].encode()) for name in ("labels", "config"))
        if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
            raise ValueError("its labels are no list of names")
        run = records.run_of(config)
        if run.id != found["run"]:
            raise ValueError(f"the configuration of run {run.id}, but it says run {found['run']}")
        bound, tested = float(found["none_below"]), int(found["tested"])
    _require_named(run, model)
    network = networks.build(run, classes, initialise=False)
    checkpoints.load_state(path, network, tensors)
    return Network(run, network.eval(), tuple(classes), bound, tested)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, OSError, ReproError) as error:
        raise ReproError(f"{path}: cannot be read as an exported network ({error}); export it again") from None
    except Exception as error:  # safetensors raises an exception of its own for a damaged file
        raise ReproError(f"{path}: not a safetensors file ({error}); export it again") from None


def required(package: str) -> Any:
    """A package of the extra `export`; ReproError where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ReproError(f"this needs {package}, which is not installed: pip install -e '.[export]'") from None


def random_clips(run: Run, count: int = 2) -> torch.Tensor:
    """(count, C, T, H, W) uint8 noise, always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, *shape_of(run)), dtype=torch.uint8, generator=generator)
