"""What came of an attempt to break something, and a count of it by kind."""

import hashlib
import multiprocessing
import os
import pickle
import resource
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from repro.errors import ReproError

MEMORY = 3 * 2**30  # bytes of address space that an attempt may take beyond what its process has at its start
SECONDS = 60
TESTS = Path(__file__).resolve().parents[1]
# the server below finds what it imports in advance by this variable alone; a module it does not find it leaves out silently
os.environ["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
SERVER = multiprocessing.get_context("forkserver")  # its processes have no threads of ours, and start in milliseconds
SERVER.set_forkserver_preload(["drills.files"])


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


def attempt(act: Callable[..., Any], *arguments: Any) -> tuple[Outcome, str]:
    """Calls a function in a process with bounded memory and time.

    ACCEPTED comes with a digest of what it returned, CLEAR and TRACEBACK with the error.
    """
    ours, theirs = SERVER.Pipe(duplex=False)
    process = SERVER.Process(target=_act, args=(theirs, act, arguments))
    process.start()
    theirs.close()
    try:
        answered = ours.poll(SECONDS)
        found = ours.recv() if answered else (Outcome.HANG, f"no answer within {SECONDS} s")
    except EOFError:
        process.join()
        found = Outcome.TRACEBACK, f"the process ended with code {process.exitcode}"
    process.kill()
    process.join()
    return found


def _act(answer: Connection, act: Callable[..., Any], arguments: tuple) -> None:
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + MEMORY, here + MEMORY))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):  # those of libraries in C too
        os.dup2(nowhere, output)
    try:
        found = act(*arguments)
        answer.send((Outcome.ACCEPTED, hashlib.sha256(pickle.dumps(found)).hexdigest()))
    except ReproError as error:
        answer.send((Outcome.CLEAR, str(error)))
    except BaseException:
        answer.send((Outcome.TRACEBACK, traceback.format_exc()))
