"""The one exception users meet: its message names the value, the file or the clip, and the remedy."""

import difflib
from collections.abc import Iterable


class ReproError(Exception):
    """Bad input, named together with what to do about it."""


class Unavailable(ReproError):
    """What these parameters cannot have, while they can have other tables: a protocol needs a file, or other data."""


class Unwritable(ReproError):
    """A folder that takes no file: full, over quota, read-only, forbidden, or a file itself. Each further file would fail too."""


def one_line(error: BaseException) -> str:
    """The kind of an error and what it says; the texts of OpenCV and torch have several lines."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def require(holds: bool, what: str, value: object, rule: str) -> None:
    """Raises one error that names the value and the rule it breaks."""
    if not holds:
        raise ReproError(f"{what} is {value!r}, but must be {rule}")


def unknown(kind: str, name: str, known: Iterable[str]) -> ReproError:
    """The error for a name that is not in `known`, offering the nearest one; the caller raises it."""
    names = [str(k) for k in known]
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ReproError(f"unknown {kind} {str(name)!r}{hint} (known: {', '.join(names)})")
