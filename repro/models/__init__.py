"""Architectures: plain functions of plain arguments that return an `nn.Module`; one file each, readable alone."""

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
    """An unknown network or argument is an error that offers the nearest name."""
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    known = inspect.signature(MODELS[name]).parameters
    for argument in arguments:
        if argument not in known:
            raise unknown(f"argument of {name}", argument, known)


def build(name: str, **arguments: Any) -> nn.Module:
    """The network `name` of `MODELS`; errors as in `check`."""
    check(name, arguments)
    return MODELS[name](**arguments)
