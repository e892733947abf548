"""What a network costs: parameters, multiply-adds, shapes; and the papers' own figures beside.

Everything is computed on the meta device: nothing is allocated, no clip is read.
"""

import copy
import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repro.errors import unknown
from repro.models import build
from repro.models.layers.excitation import ChannelExcitation, SqueezeExcitation
from repro.models.tools.inference import fold_batchnorm


def parameters(model: nn.Module) -> int:
    """Number of learnable values."""
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of convolutions and matrix products for an input of this shape, (B, C, T, H, W); half the FLOPs."""
    with FlopCounterMode(display=False) as counter:
        _meta_copy(model)(torch.empty(shape, device="meta"))
    return counter.get_total_flops() // 2


def stage_shapes(model: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Output shape of each direct submodule, by name, in the order in which they run (IMRS's Table 1)."""
    return _shapes(model, shape, [name for name, _ in model.named_children()])


def excitation_multiplies(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Element-wise operations of the excitations, which `multiply_adds` leaves out: pooling and scaling."""
    kinds = ChannelExcitation | SqueezeExcitation
    excited = [name for name, part in model.named_modules() if isinstance(part, kinds)]
    shapes = _shapes(model, shape, excited) if excited else {}
    return sum(2 * math.prod(shapes[name]) for name in excited)


def _shapes(model: nn.Module, shape: tuple[int, ...], names: list[str]) -> dict[str, tuple[int, ...]]:
    """Output shapes of the named submodules for an input of this shape."""
    model, shapes = _meta_copy(model), {}
    for name in names:
        part = model.get_submodule(name)
        part.register_forward_hook(lambda _, inputs, output, name=name: shapes.update({name: tuple(output.shape)}))
    model(torch.empty(shape, device="meta"))
    return shapes


def _meta_copy(model: nn.Module) -> nn.Module:
    """Without storage, and without BatchNorm, which counts nothing here and takes most of the time."""
    return fold_batchnorm(copy.deepcopy(model).to("meta"))


@dataclass(frozen=True)
class Network:
    """One network of a system: a name of `MODELS`, its arguments, and the clip that is counted."""

    model: str
    clip: tuple[int, int, int]  # T, H, W
    channels: int
    classes: int
    arguments: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class System:
    """One row: networks that are counted together, and what a paper prints of them ("" where it prints nothing)."""

    name: str
    variant: str
    input: str
    networks: tuple[Network, ...]
    parameters: str = ""  # in M, as printed: its decimals say how exactly it can match
    gflops: str = ""  # in G, as printed
    source: str = "-"
    note: str = ""


def _imrs(name, variant, classes, streams, parameters, gflops, source, note) -> System:
    channels = {"rgb": (3,), "flow": (2,), "rgb + flow": (3, 2)}[streams]
    clip = (16, 112, 112)
    nets = tuple(Network("resnext3d", clip, c, classes, (("excitation", variant),)) for c in channels)
    return System(name, variant, _input(streams, clip), nets, parameters, gflops, source, note)


def _segments(name, model, variant, classes, streams, frames, note, printed=("", "", "-"), **arguments) -> System:
    """TSN and T-STAM: flow is a stack of five displacements a frame."""
    channels = {"rgb": (3,), "flow": (10,), "rgb + flow": (3, 10)}[streams]
    clip, given = (frames, 224, 224), (("excitation", variant), *arguments.items())
    nets = tuple(Network(model, clip, c, classes, given) for c in channels)
    return System(name, variant, _input(streams, clip), nets, *printed, note)


def _resnet(name, model, note, classes=174, frames=8, channels=3, **arguments) -> System:
    """The ResNet-50 systems; 174 classes are Something-Something's."""
    clip = (frames, 224, 224)
    streams = "rgb" if channels == 3 else "rgb + flow, one network"
    return System(
        name,
        "none",
        _input(streams, clip),
        (Network(model, clip, channels, classes, tuple(arguments.items())),),
        note=note,
    )


def _input(streams: str, clip: tuple[int, int, int]) -> str:
    return f"{streams}, {'x'.join(map(str, clip))}"


ALONE = "one network, 400-class head"
PAIR = "RGB student + flow teacher, both with 51 classes; the teacher is not run at test"
SE, CE = ", SE (r = 16) after each stage", ", CE (k = 3) after each stage"
COUNTED = "; 18.04 counts CE's pooling and channel multiplication too, 18.03 without them"
TSN = (
    "one RGB network with 101 classes, not the three modalities of the row; 16.4 G is not reached: 8 frames by convolutions "
    "and matrix products alone; with bias, BatchNorm, ReLU and pooling it would be 16.4 [inferred]"
)
TENS = "flow: five displacements a frame, ten channels; without the optical flow itself"
TRAIN, TEST = "6 frames, as in training; ", "25 frames, as at test, one crop of ten; "

SYSTEMS = {
    "IMRS": (
        _imrs("3D ResNeXt-101", "none", 400, "rgb", "48.34", "", "Table 3", ALONE),
        _imrs("3D ResNeXt-101 + SE", "se", 400, "rgb", "49.04", "", "Table 3", ALONE + SE),
        _imrs("3D ResNeXt-101 + CE", "ce", 400, "rgb", "48.34", "", "Table 3", ALONE + CE),
        _imrs("3D ResNeXt-101", "none", 400, "rgb", "48.34", "9.57", "Table 5", ALONE),
        _imrs("MARS", "none", 51, "rgb + flow", "95.23", "18.03", "Table 5", PAIR),
        _imrs("IMRS", "ce", 51, "rgb + flow", "95.23", "18.04", "Table 5", PAIR + COUNTED),
        _imrs("IMRS at test", "ce", 51, "rgb", "", "", "-", "what a clip really costs: the student alone"),
        _imrs("flow stream", "none", 51, "flow", "", "", "-", "without the optical flow itself"),
        _segments("TSN", "tsn", "none", 101, "rgb", 8, TSN, ("10.4", "16.4", "Table 5")),
    ),
    "T-STAM": (
        _segments("TSN, a frame", "tsn", "none", 101, "rgb", 1, "BN-Inception: 10,270,240 without its classifier"),
        _segments("TSN, a frame", "tsn", "none", 101, "flow", 1, "BN-Inception: 10,292,192 without its classifier; " + TENS),
        _segments("TSN + SE, a frame", "tsn", "se", 101, "rgb", 1, "SE (r = 16) after all ten blocks"),
        _segments("TSN + SE, a frame", "tsn", "se", 101, "flow", 1, "SE (r = 16) after all ten blocks; " + TENS),
        _segments("TSN", "tsn", "none", 101, "rgb + flow", 25, TEST + TENS),
        _segments("TSN + SE", "tsn", "se", 101, "rgb + flow", 25, TEST + TENS),
        _segments("T-STAM without SE", "tstam", "none", 101, "rgb + flow", 25, TEST + TENS),
        _segments("T-STAM", "tstam", "se", 101, "rgb", 6, TRAIN + "four heads"),
        _segments("T-STAM", "tstam", "se", 101, "rgb", 25, TEST + "four heads"),
        _segments("T-STAM", "tstam", "se", 101, "flow", 25, TEST + TENS),
        _segments("T-STAM", "tstam", "se", 101, "rgb + flow", 25, TEST + TENS),
    ),
    "ResNet-50": (
        _resnet("ResNet-50, a frame", "tsn_resnet", "torchvision's, 1000 classes", 1000, 1),
        _resnet("TSN, ResNet-50", "tsn_resnet", "no temporal module"),
        _resnet("TSM", "tsm", "the shift has no parameters"),
        _resnet("SMNet", "smnet", "four modules, one in the last block of each stage"),
        _resnet("SMNet, 16 modules", "smnet", "one in every block", blocks="all"),
        _resnet("STME", "stme", "shift, both excitations, enhancement"),
        _resnet("STMSA", "stmsa", "four groups; self-attention after Res4"),
        _resnet("STDDCN, two streams", "stddcn", "no connections", 101, channels=13, direction="none"),
        _resnet("STDDCN", "stddcn", "dense connections both ways", 101, channels=13),
    ),
}  # fmt: skip


def published_models(paper: str | None = None) -> list[dict[str, Any]]:
    """Our exact numbers beside what a paper prints, of one paper of `SYSTEMS` or of all.

    Papers' "FLOPs" are multiply-adds, in G; parameters in M. `match` says whether the paper's figures, at their printed
    decimals, are reproduced as `note` says; None where the paper prints none. Only IMRS prints costs.
    """
    if paper is not None and paper not in SYSTEMS:
        raise unknown("paper", paper, SYSTEMS)
    return [_row(system) for name, systems in SYSTEMS.items() if paper in (None, name) for system in systems]


@functools.cache
def _cost(network: Network) -> tuple[int, int, int]:
    """Parameters, multiply-adds and excitations' element-wise operations of a network."""
    with torch.device("meta"):
        model = build(
            network.model, num_classes=network.classes, in_channels=network.channels, **dict(network.arguments)
        )
    shape = (1, network.channels, *network.clip)
    return parameters(model), multiply_adds(model, shape), excitation_multiplies(model, shape)


def _row(system: System) -> dict[str, Any]:
    count, macs, elementwise = map(sum, zip(*map(_cost, system.networks), strict=True))
    all_parameters = _printed(system.parameters, count / 1e6)
    all_macs = _printed(system.gflops, macs / 1e9) or _printed(system.gflops, (macs + elementwise) / 1e9)
    return {
        "model": system.name,
        "variant": system.variant,
        "classes": system.networks[0].classes,
        "input": system.input,
        "parameters": count,
        "gmacs": round(macs / 1e9, 4),
        "gmacs_with_excitation": round((macs + elementwise) / 1e9, 4),
        "gflops": round(2 * macs / 1e9, 4),
        "paper_parameters_m": float(system.parameters) if system.parameters else None,
        "paper_gflops": float(system.gflops) if system.gflops else None,
        "source": system.source,
        "match": all_parameters and all_macs if system.parameters else None,
        "note": system.note,
    }


def _printed(figure: str, value: float) -> bool:
    """Whether a printed figure is this value at its own decimals; nothing printed agrees with anything."""
    return not figure or f"{value:.{len(figure.partition('.')[2])}f}" == figure
