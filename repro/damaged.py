"""Files that cannot be believed: each costs what it holds and nothing else. It is named at once, and counted at the end."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from repro.errors import ReproError

T = TypeVar("T")
named: set[Path] = set()  # what this process was asked to read and could not


def read(reader: Callable[[Path], T], path: Path) -> T | None:
    """What `reader` finds in a file; or None, once its ReproError was printed to stderr."""
    try:
        return reader(path)
    except ReproError as error:
        if path not in named:
            print(f"error: {error}", file=sys.stderr)
        named.add(path)
        return None


def require_none() -> None:
    """A ReproError that counts the files named so far."""
    if named:
        files = "1 file" if len(named) == 1 else f"{len(named)} files"
        raise ReproError(f"{files} could not be read, see above; all that does not need them is done")
