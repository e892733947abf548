"""Arguments that several networks share, declared once."""

import inspect
from collections.abc import Callable
from typing import Any


def takes(shared: Callable[..., Any]) -> Callable[[Callable], Callable]:
    """Decorates a network that hands its `**keywords` on to `shared`, a function or a dataclass.

    The network's signature then lists the parameters of `shared` with their defaults, except those that it declares
    itself. `help` shows them, and `repro.models.build` checks names against them.
    """

    def decorate(network: Callable) -> Callable:
        signature = inspect.signature(network)
        own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        theirs = [p for p in inspect.signature(shared).parameters.values() if p.name not in signature.parameters]
        more = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in theirs]
        network.__signature__ = signature.replace(parameters=[*own, *more])
        return network

    return decorate
