"""What a long piece of work says of itself."""

import sys
import time


class Progress:
    """Says on stderr what starts, of how many, and how long the rest takes at the speed so far.

    The caller counts in `done` what has ended. Unlike a bar it leaves a line for each, to read in a log afterwards.
    """

    def __init__(self, total: int, what: str):
        self.total, self.what, self.begun, self.done, self.since = total, what, 0, 0, time.perf_counter()

    def starts(self, title: str) -> None:
        self.begun += 1
        line = f"  {self.begun} of {self.total} {self.what}: {title}"
        if self.done:
            seconds = (time.perf_counter() - self.since) / self.done * (self.total - self.done)
            line += f"; {seconds / 60:.0f} min left" if seconds >= 90 else f"; {seconds:.0f} s left"
        sys.stderr.write(line + "\n")  # at once: `print` would let another thread's line in before the end
        sys.stderr.flush()
