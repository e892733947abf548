"""What a network costs: parameters, multiply-adds, shapes; and the papers' own figures beside (IMRS, Tables 1, 3, 5).

Everything is computed on the meta device: nothing is allocated, no clip is read.
"""

import copy
import functools
import math
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from repro.models import build
from repro.models.excitation import ChannelExcitation, SqueezeExcitation


def parameters(model: nn.Module) -> int:
    """Number of learnable values."""
    return sum(p.numel() for p in model.parameters())


def multiply_adds(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of convolutions and matrix products for an input of this shape, (B, C, T, H, W); half the FLOPs."""
    with FlopCounterMode(display=False) as counter:
        _meta_copy(model)(torch.empty(shape, device="meta"))
    return counter.get_total_flops() // 2


def stage_shapes(model: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Output shape of each direct submodule, by name, in the order in which they run (the paper's Table 1)."""
    model, shapes = _meta_copy(model), {}
    for name, part in model.named_children():
        part.register_forward_hook(lambda _, inputs, output, name=name: shapes.update({name: tuple(output.shape)}))
    model(torch.empty(shape, device="meta"))
    return shapes


def excitation_multiplies(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Element-wise operations of the excitations, which `multiply_adds` leaves out: pooling and scaling."""
    kinds = ChannelExcitation | SqueezeExcitation
    excited = [name for name, part in model.named_children() if isinstance(part, kinds)]
    shapes = stage_shapes(model, shape) if excited else {}
    return sum(2 * math.prod(shapes[name]) for name in excited)


def _meta_copy(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).to("meta").eval()


CLIP = (16, 112, 112)  # T, H, W of the papers


def published_models() -> list[dict[str, Any]]:
    """Our exact numbers beside each figure that IMRS prints. Paper "FLOPs" are multiply-adds, in G; parameters in M.

    `match` says whether the paper's figures, at their printed two decimals, are reproduced as `note` says.
    """
    alone = "one network, 400-class head"
    pair = "RGB student + flow teacher, both with 51 classes; the teacher is not run at test"
    ce = "; 18.04 counts CE's pooling and channel multiplication too, 18.03 without them"
    return [
        _row("3D ResNeXt-101", "none", 400, "rgb", 48.34, None, "Table 3", alone),
        _row("3D ResNeXt-101 + SE", "se", 400, "rgb", 49.04, None, "Table 3", alone + ", SE (r = 16) after each stage"),
        _row("3D ResNeXt-101 + CE", "ce", 400, "rgb", 48.34, None, "Table 3", alone + ", CE (k = 3) after each stage"),
        _row("3D ResNeXt-101", "none", 400, "rgb", 48.34, 9.57, "Table 5", alone),
        _row("MARS", "none", 51, "rgb + flow", 95.23, 18.03, "Table 5", pair),
        _row("IMRS", "ce", 51, "rgb + flow", 95.23, 18.04, "Table 5", pair + ce),
        _row("IMRS at test", "ce", 51, "rgb", None, None, "-", "what a clip really costs: the student alone"),
        _row("flow stream", "none", 51, "flow", None, None, "-", "without the optical flow itself"),
    ]  # fmt: skip


@functools.cache
def _cost(classes: int, channels: int, excitation: str) -> tuple[int, int, int]:
    """Parameters, multiply-adds and excitations' element-wise operations of one of the papers' networks."""
    with torch.device("meta"):
        network = build("resnext3d", num_classes=classes, in_channels=channels, excitation=excitation)
    shape = (1, channels, *CLIP)
    return parameters(network), multiply_adds(network, shape), excitation_multiplies(network, shape)


def _row(model, variant, classes, inputs, paper_parameters, paper_gflops, source, note) -> dict[str, Any]:
    streams = {"rgb": (3,), "flow": (2,), "rgb + flow": (3, 2)}[inputs]
    count, macs, elementwise = map(sum, zip(*(_cost(classes, c, variant) for c in streams), strict=True))
    printed = {round(macs / 1e9, 2), round((macs + elementwise) / 1e9, 2)}
    same = paper_parameters in (None, round(count / 1e6, 2)) and (paper_gflops is None or paper_gflops in printed)
    return {
        "model": model,
        "variant": variant,
        "classes": classes,
        "input": f"{inputs}, {'x'.join(map(str, CLIP))}",
        "parameters": count,
        "gmacs": round(macs / 1e9, 4),
        "gmacs_with_excitation": round((macs + elementwise) / 1e9, 4),
        "gflops": round(2 * macs / 1e9, 4),
        "paper_parameters_m": paper_parameters,
        "paper_gflops": paper_gflops,
        "source": source,
        "match": same if paper_parameters is not None else None,
        "note": note,
    }
