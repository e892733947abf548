"""Architectures: functions of plain arguments that return an `nn.Module`, one file each.

Every network takes clips (B, C, T, H, W) with values in 0..255 and returns `layers.output.Output`, or a named tuple that
begins with its fields. `build` takes the names of `MODELS`.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from repro.errors import unknown
from repro.models.resnet2d import tsm, tsn_resnet
from repro.models.resnext3d import resnext3d
from repro.models.smnet import smnet
from repro.models.stddcn import stddcn
from repro.models.stme import stme
from repro.models.stmsa import stmsa
from repro.models.tsn import tsn
from repro.models.tstam import tstam

MODELS: dict[str, Callable[..., nn.Module]] = {
    "resnext3d": resnext3d,
    "tsn": tsn,
    "tstam": tstam,
    "tsn_resnet": tsn_resnet,
    "tsm": tsm,
    "smnet": smnet,
    "stme": stme,
    "stmsa": stmsa,
    "stddcn": stddcn,
}


def check(name: str, arguments: Iterable[str]) -> None:
    """Raises ReproError for an unknown name or argument, offering the nearest one."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    known = inspect.signature(MODELS[name]).parameters  # `tools.arguments.takes` lists shared arguments too
    for argument in arguments:
        if argument not in known:
            raise unknown(f"argument of {name}", argument, known)


def build(name: str, **arguments: Any) -> nn.Module:
    """The network `name` of `MODELS`; errors as in `check`."""
    check(name, arguments)
    return MODELS[name](**arguments)
