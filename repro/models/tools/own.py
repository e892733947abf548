"""A network of the user's own, named "module:function": a module that Python finds, first in the current directory.

Such a name comes from the command line or from code, never from a file alone: importing a module runs it.
"""

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from repro.errors import ReproError


def find(name: str) -> Callable[..., nn.Module]:
    """The function or class "module:function". ReproError where there is none, or where importing its module fails."""
    module, _, function = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), function, None)
    except Exception as error:  # whatever the user's file raises
        why = f"{type(error).__name__}: {error}"
        raise ReproError(
            f"model {name!r}: importing {module!r} fails ({why}); run the command in the folder of {module}.py"
        ) from error
    if not callable(found):
        raise ReproError(f"model {name!r}: {module!r} has no function or class {function!r}")
    return found


def code(name: str) -> str:
    """Twelve hexadecimal digits that change with the file that has the function: another network has another run."""
    return hashlib.sha256(Path(inspect.getfile(find(name))).read_bytes()).hexdigest()[:12]
