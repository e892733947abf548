"""What came of an attempt to break something, and a count of it by kind."""

import os
import resource
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from repro.errors import ReproError

MEMORY = 3 * 2**30  # bytes of address space that a reader may take beyond what this process has
SECONDS = 30


class Outcome(StrEnum):
    """The columns of the table; the last four must stay zero."""

    CLEAR = "clear"  # one error of ours, with the file and a remedy
    HEALED = "healed"  # what was damaged or cut off is as it was
    ACCEPTED = "accepted"  # a changed input of the user, which carries no checksum, is read as what it now is
    SKIPPED = "skipped"  # this machine does not allow the drill
    WRONG = "wrong"  # other values than before, without an error
    TRACEBACK = "traceback"  # an error that is not ours, or a crash
    HANG = "hang"
    LOST = "lost"  # finished work is gone


FAILURES = Outcome.WRONG, Outcome.TRACEBACK, Outcome.HANG, Outcome.LOST


@dataclass
class Tally:
    """Outcomes counted by drill, with the first lines of what must not happen."""

    counts: dict[str, Counter] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)

    def add(self, drill: str, outcome: Outcome, detail: str = "") -> None:
        """Counts one attempt; `detail` is printed where the outcome is a failure or the drill was skipped."""
        self.counts.setdefault(drill, Counter())[outcome] += 1
        if outcome in FAILURES or outcome is Outcome.SKIPPED:
            self.details.append(f"{drill}: {outcome}: {detail}")

    @property
    def failed(self) -> int:
        """How many attempts ended in a way that must not happen."""
        return sum(count[outcome] for count in self.counts.values() for outcome in FAILURES)

    def __str__(self) -> str:
        names = ["drill", "tried", *Outcome]
        rows = [[drill, sum(count.values()), *(count[o] for o in Outcome)] for drill, count in self.counts.items()]
        rows.append(["all", *(sum(row[i] for row in rows) for i in range(1, len(names)))])
        width = max(len(str(row[0])) for row in rows)
        lines = [" ".join([f"{row[0]:{width}}", *(f"{value:>9}" for value in row[1:])]) for row in [names, *rows]]
        return "\n".join([*lines, *self.details])


def attempt(act: Callable[[], Any], expected: Any = None) -> tuple[Outcome, str]:
    """Calls `act` in a forked process with bounded memory and time.

    expected: what it must return to be HEALED; another value is WRONG. None: any value is ACCEPTED.
    """
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if child == 0:
            os._exit(_act(act, expected, said))
        _, status = os.waitpid(child, 0)
        said.seek(0)
        text = said.read()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return (Outcome.HANG, text) if number == signal.SIGALRM else (Outcome.TRACEBACK, f"signal {number} {text}")
    return list(Outcome)[os.WEXITSTATUS(status)], text


def _act(act: Callable[[], Any], expected: Any, said: Any) -> int:
    """In the child: the index of the outcome, which is its exit code."""
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + MEMORY, here + MEMORY))
    signal.alarm(SECONDS)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            found = act()
        outcome = Outcome.ACCEPTED if expected is None else Outcome.HEALED if found == expected else Outcome.WRONG
    except ReproError as error:
        outcome = Outcome.CLEAR
        print(error, file=said)
    except BaseException:
        outcome = Outcome.TRACEBACK
        print(traceback.format_exc(), file=said)
    said.flush()
    return list(Outcome).index(outcome)
