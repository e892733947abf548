"""What a network costs: parameters and multiply-adds, beside the figures that the papers print.

Everything is computed on the meta device: no memory is allocated, no clip is read.
"""

import copy
import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repro.errors import unknown
from repro.models import build
from repro.models.layers.excitation import ChannelExcitation, SqueezeExcitation
from repro.models.layers.shift import ChannelwiseTemporal


def parameters(model: nn.Module) -> int:
    """Number of learnable values."""
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of convolutions and matrix products for an input of this shape, (B, C, T, H, W); half the FLOPs.

    A channelwise temporal convolution counts as three for each value of its output, as the library's counter counts the
    same convolution: here it is computed by products of whole maps, which that counter does not see.
    """
    twin, temporal = _meta_copy(model), []
    for part in twin.modules():
        if isinstance(part, ChannelwiseTemporal):
            part.register_forward_hook(lambda _, inputs, output: temporal.append(3 * output.numel()))
    with FlopCounterMode(display=False) as counter:
        twin(torch.empty(shape, device="meta"))
    return counter.get_total_flops() // 2 + sum(temporal)


def excitation_multiplies(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Element-wise operations of the channel gates, which `multiply_adds` omits: one to pool, one to scale each value."""
    model, counts = _meta_copy(model), []
    gates = [part for part in model.modules() if isinstance(part, ChannelExcitation | SqueezeExcitation)]
    for gate in gates:
        gate.register_forward_hook(lambda _, inputs, output: counts.append(2 * output.numel()))
    if gates:
        model(torch.empty(shape, device="meta"))
    return sum(counts)


def _meta_copy(model: nn.Module) -> nn.Module:
    """In eval mode, without storage, and with BatchNorm passing its input on: the counts omit it, and it takes most time."""
    twin = copy.deepcopy(model).to("meta").eval()
    for part in twin.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            part.forward = lambda x: x
    return twin


@dataclass(frozen=True)
class Network:
    """One network of a system: a name of `MODELS`, its arguments, and the clip that is counted."""

    model: str
    classes: int
    channels: int
    clip: tuple[int, int, int]  # T, H, W
    arguments: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Printed:
    """What a paper prints of a system, as text: the number of decimals says how exactly our count can match."""

    source: str = "-"  # the table
    parameters: str = ""  # in M; "" where nothing is printed
    gmacs: str = ""  # multiply-adds in G, which the papers call FLOPs


@dataclass(frozen=True)
class System:
    """One row: networks that are counted together, and what a paper prints of them."""

    name: str
    variant: str  # the channel gates
    input: str
    networks: tuple[Network, ...]
    printed: Printed
    note: str  # what is counted


def _streams(name, model, channels, clip, classes, note, printed=None, **arguments) -> System:
    """One network for each of the streams in `channels`, {"rgb": 3, "flow": 2}, and for all of them the same arguments."""
    networks = tuple(Network(model, classes, c, clip, tuple(arguments.items())) for c in channels.values())
    given = f"{' + '.join(channels)}, {'x'.join(map(str, clip))}"
    return System(name, arguments.get("excitation", "none"), given, networks, printed or Printed(), note)


def _imrs(name, excitation, classes, channels, note, printed=None) -> System:
    return _streams(name, "resnext3d", channels, (16, 112, 112), classes, note, printed, excitation=excitation)


def _inception(name, model, excitation, channels, frames, note, printed=None) -> System:
    """TSN and T-STAM on UCF101."""
    return _streams(name, model, channels, (frames, 224, 224), 101, note, printed, excitation=excitation)


def _resnet(name, model, note, classes=174, frames=8, **arguments) -> System:
    """The ResNet-50 networks; 174 classes are Something-Something's."""
    return _streams(name, model, {"rgb": 3}, (frames, 224, 224), classes, note, **arguments)


def _stddcn(name, note, **arguments) -> System:
    channels = {"rgb + flow, one network": 13}
    return _streams(name, "stddcn", channels, (8, 224, 224), 101, note, **arguments)


RGB, FLOW, PAIR = {"rgb": 3}, {"flow": 2}, {"rgb": 3, "flow": 2}
STACK, BOTH = {"flow": 10}, {"rgb": 3, "flow": 10}  # five displacements for each frame
ALONE = "one network, 400-class head"
TWO = "RGB student + flow teacher, both with 51 classes; the teacher is not run at test"
SE, CE = ", SE (r = 16) after each stage", ", CE (k = 3) after each stage"
COUNTED = "; 18.04 counts CE's pooling and channel multiplication too, 18.03 without them"
TSN = (
    "one RGB network with 101 classes, not the three modalities of the row; 16.4 G is not reached: 8 frames by convolutions "
    "and matrix products alone; with bias, BatchNorm, ReLU and pooling it would be 16.4 [inferred]"
)
TENS = "flow: five displacements a frame, ten channels; without the optical flow itself"
TRAIN, TEST = "6 frames, as in training; ", "25 frames, as at test, one crop of ten; "
TRUNK = "BN-Inception: {} without its classifier"
ALL_TEN = "SE (r = 16) after all ten blocks"

SYSTEMS = {
    "IMRS": (
        _imrs("3D ResNeXt-101", "none", 400, RGB, ALONE, Printed("Table 3", "48.34")),
        _imrs("3D ResNeXt-101 + SE", "se", 400, RGB, ALONE + SE, Printed("Table 3", "49.04")),
        _imrs("3D ResNeXt-101 + CE", "ce", 400, RGB, ALONE + CE, Printed("Table 3", "48.34")),
        _imrs("3D ResNeXt-101", "none", 400, RGB, ALONE, Printed("Table 5", "48.34", "9.57")),
        _imrs("MARS", "none", 51, PAIR, TWO, Printed("Table 5", "95.23", "18.03")),
        _imrs("IMRS", "ce", 51, PAIR, TWO + COUNTED, Printed("Table 5", "95.23", "18.04")),
        _imrs("IMRS at test", "ce", 51, RGB, "what a clip really costs: the student alone"),
        _imrs("flow stream", "none", 51, FLOW, "without the optical flow itself"),
        _inception("TSN", "tsn", "none", RGB, 8, TSN, Printed("Table 5", "10.4", "16.4")),
    ),
    "T-STAM": (
        _inception("TSN, a frame", "tsn", "none", RGB, 1, TRUNK.format("10,270,240")),
        _inception("TSN, a frame", "tsn", "none", STACK, 1, f"{TRUNK.format('10,292,192')}; {TENS}"),
        _inception("TSN + SE, a frame", "tsn", "se", RGB, 1, ALL_TEN),
        _inception("TSN + SE, a frame", "tsn", "se", STACK, 1, f"{ALL_TEN}; {TENS}"),
        _inception("TSN", "tsn", "none", BOTH, 25, TEST + TENS),
        _inception("TSN + SE", "tsn", "se", BOTH, 25, TEST + TENS),
        _inception("T-STAM without SE", "tstam", "none", BOTH, 25, TEST + TENS),
        _inception("T-STAM", "tstam", "se", RGB, 6, TRAIN + "four heads"),
        _inception("T-STAM", "tstam", "se", RGB, 25, TEST + "four heads"),
        _inception("T-STAM", "tstam", "se", STACK, 25, TEST + TENS),
        _inception("T-STAM", "tstam", "se", BOTH, 25, TEST + TENS),
    ),
    "ResNet-50": (
        _resnet("ResNet-50, a frame", "tsn_resnet", "torchvision's, 1000 classes", classes=1000, frames=1),
        _resnet("TSN, ResNet-50", "tsn_resnet", "no temporal module"),
        _resnet("TSM", "tsm", "the shift has no parameters"),
        _resnet("SMNet", "smnet", "four modules, one in the last block of each stage"),
        _resnet("SMNet, 16 modules", "smnet", "one in every block", blocks="all"),
        _resnet("STME", "stme", "shift, both excitations, enhancement"),
        _resnet("STMSA", "stmsa", "four groups; self-attention after Res4"),
        _stddcn("STDDCN, two streams", "no connections", direction="none"),
        _stddcn("STDDCN", "dense connections both ways"),
    ),
}


def published_models(paper: str | None = None) -> list[dict[str, Any]]:
    """Our exact counts beside what a paper prints: the rows of one paper of `SYSTEMS`, or of all.

    `gmacs` are multiply-adds in G. The columns `paper_...` repeat the paper's figures; what it calls FLOPs are multiply-adds.
    `match`: whether our counts, with or without the operations of the channel gates, equal all printed figures at their
    decimals; None where none is printed. Only IMRS prints costs.
    Raises ReproError for an unknown paper.
    """
    if paper is not None and paper not in SYSTEMS:
        raise unknown("paper", paper, SYSTEMS)
    return [_row(system) for name, systems in SYSTEMS.items() if paper in (None, name) for system in systems]


def _row(system: System) -> dict[str, Any]:
    count, macs, elementwise = map(sum, zip(*map(_cost, system.networks), strict=True))
    with_gates, printed = macs + elementwise, system.printed
    same_cost = _agrees(printed.gmacs, macs / 1e9) or _agrees(printed.gmacs, with_gates / 1e9)
    return {
        "model": system.name,
        "variant": system.variant,
        "classes": system.networks[0].classes,
        "input": system.input,
        "parameters": count,
        "gmacs": round(macs / 1e9, 4),
        "gmacs_with_excitation": round(with_gates / 1e9, 4),
        "paper_parameters_m": float(printed.parameters) if printed.parameters else None,
        "paper_gflops": float(printed.gmacs) if printed.gmacs else None,
        "source": printed.source,
        "match": _agrees(printed.parameters, count / 1e6) and same_cost if printed.parameters else None,
        "note": system.note,
    }


@functools.cache
def _cost(network: Network) -> tuple[int, int, int]:
    """Parameters, multiply-adds and element-wise operations of the channel gates."""
    with torch.device("meta"):
        model = build(
            network.model, num_classes=network.classes, in_channels=network.channels, **dict(network.arguments)
        )
    shape = (1, network.channels, *network.clip)
    return parameters(model), multiply_adds(model, shape), excitation_multiplies(model, shape)


def _agrees(figure: str, value: float) -> bool:
    """Whether a printed figure is this value, rounded to its decimals. Where nothing is printed, nothing disagrees."""
    return not figure or f"{value:.{len(figure.partition('.')[2])}f}" == figure
