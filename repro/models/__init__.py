"""Architectures: functions of plain arguments that return an `nn.Module`, one file each.

Every network takes clips (B, C, T, H, W) with values in 0..255 and returns `layers.output.Output`, or a named tuple that
begins with its fields. `build` takes the names of `MODELS`, and "module:function" for a network of the user's own.
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
from repro.models.tools import own
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
    known = inspect.signature(_function(name)).parameters  # `tools.arguments.takes` lists shared arguments too
    any_name = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in known.values())
    for argument in arguments:
        if argument not in known and not any_name:
            raise unknown(f"argument of {name}", argument, known)


def build(name: str, **arguments: Any) -> nn.Module:
    """The network `name`; errors as in `check`."""
    check(name, arguments)
    return _function(name)(**arguments)


def _function(name: str) -> Callable[..., nn.Module]:
    if ":" in name:
        return own.find(name)
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]
