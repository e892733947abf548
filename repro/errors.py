"""The one exception users meet: its message names the value, the file or the clip, and the remedy."""

import difflib
from collections.abc import Iterable


class ReproError(Exception):
    """Bad input, named together with what to do about it."""


class Unavailable(ReproError):
    """A table that a parameters cannot have while it can have others: a paper's protocol wants a file, or other data."""


def unknown(kind: str, name: str, known: Iterable[str]) -> ReproError:
    """The error for a name that is not in `known`, offering the nearest one; the caller raises it."""
    names = [str(k) for k in known]
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return ReproError(f"unknown {kind} {str(name)!r}{hint} (known: {', '.join(names)})")
