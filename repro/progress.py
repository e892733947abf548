"""How far long work is: one bar. A notebook shows it as one line that is renewed in place, a terminal on stderr.

With `REPRO_PROGRESS=text` a notebook writes to stderr too, which `python -m repro run` passes on to the terminal.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

WIDTH = 110  # of the line in a notebook, in characters


class _Line:
    """A file for tqdm: the last line that was written to it is an output of the notebook's cell."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.shown = None

    def write(self, text: str) -> None:
        from IPython.display import display

        if not (line := text.strip()):
            return
        if self.shown is None:
            self.shown = display({"text/plain": line}, raw=True, display_id=True)
        else:
            self.shown.update({"text/plain": line}, raw=True)

    def flush(self) -> None:
        """Every line is shown at once."""


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook that somebody looks at."""
    ipython = sys.modules.get("IPython")
    kernel = ipython and getattr(ipython.get_ipython(), "kernel", None)
    return kernel is not None and os.environ.get("REPRO_PROGRESS") != "text"


def bar(what: str, total: int, unit: str, work: Iterable | None = None) -> tqdm:
    """A bar of `total` units, over `work` where it is given; a log, which is no terminal, gets none."""
    if in_notebook():
        return tqdm(work, what, total, unit=unit, file=_Line(), ncols=WIDTH, disable=total == 0)
    return tqdm(work, what, total, unit=unit, file=sys.stderr, disable=None)


def say(text: str) -> None:
    """A line for terminals and logs. In a notebook the bar is enough."""
    if not in_notebook():
        tqdm.write(text, file=sys.stderr)


@contextmanager
def following(shown: tqdm, count: Callable[[], int]) -> Iterator[None]:
    """Moves a bar to what `count` gives, every second while the block runs: for work that other processes do."""
    end = threading.Event()

    def follow() -> None:
        while not end.wait(1):
            shown.update(max(count() - shown.n, 0))
            shown.refresh()  # the time that has passed, where nothing else is new

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        shown.update(max(count() - shown.n, 0))
