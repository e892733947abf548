"""How a command ends: each error is one line and exit code 1, and so is each signal, with the exit code that shells give it.

A signal raises KeyboardInterrupt, so that everything which is open is closed. Libraries may lose that exception, or turn it
into another: what was asked is remembered here, and done at the latest after `PATIENCE` seconds.

Of the processes that torchrun started, the first speaks for all. Another one speaks only of an error that is its own.
"""

import atexit
import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, NoReturn

from repro import launched
from repro.errors import ReproError

STOPPED = "stopped; nothing finished is lost: the same command goes on from here"
PATIENCE = 10  # seconds
FIRST = 30  # seconds that other processes give the first one, which may have the same error: torchrun then ends them
SIGNALS = (signal.SIGINT, signal.SIGTERM)
QUIET = "ignore:resource_tracker"  # which warns of folders that a stopped command left to it, and removes them
_codes: list[int] = []  # of the exit, once the command was stopped; the first counts
_said: list[str] = []
_kept: list[int] = []  # stderr of a process that is silent


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Ends the process with one line on stderr, without a traceback, for what users, disks and other programs can cause.

    Exit codes: 1 for an error, 130 for SIGINT, 143 for SIGTERM, 141 when the reader of the output has gone.
    """
    os.environ["PYTHONWARNINGS"] = ",".join(
        filter(None, (os.environ.get("PYTHONWARNINGS"), QUIET))
    )  # of joblib's tracker
    atexit.register(_leave_last)  # first to be registered, so last to be called
    sys.excepthook = _except
    _on_signals(_ask)
    if launched.processes() > 1:
        launched.end_with(os.getppid())
    if launched.rank():
        _fall_silent()
    try:
        try:
            yield
        except SystemExit:  # of --help
            _flush()
            raise
        _flush()
    except BrokenPipeError as error:
        if _is_read():
            _fail(f"error: {error}")
        _codes.append(128 + signal.SIGPIPE)
        _say("")
    except (ReproError, OSError) as error:  # an OSError names its file: a folder without permission, a name too long
        _fail(f"error: {error}")
    except MemoryError as error:
        _fail(f"error: not enough memory ({str(error) or 'no size given'}); use fewer --jobs or smaller data")
    finally:
        _on_signals(_leave)


def _fall_silent() -> None:
    """For a process that does as the first one does: nothing is printed, until `_let_the_first_speak`."""
    _kept.append(os.dup(2))
    _to_nowhere()


def _on_signals(handler: Any) -> None:
    for each in SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:  # as under nohup
            signal.signal(each, handler)


def _ask(number: int, frame: FrameType | None) -> NoReturn:
    _codes.append(128 + number)
    sys.unraisablehook = lambda _: None  # of a KeyboardInterrupt in a callback
    _on_signals(_leave)  # a second signal does not wait
    signal.signal(signal.SIGALRM, _leave)
    signal.alarm(PATIENCE)
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    _codes.append(128 + number)
    _leave_last()
    raise AssertionError  # never: the process has ended


def _leave_last() -> None:
    """Ends a process that was stopped; one that was not goes on to its end."""
    if _codes:
        _say(STOPPED)
        os._exit(_codes[0])


def _except(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Instead of a traceback, where the command was stopped: whatever a library made of that."""
    if _codes:
        _say(STOPPED)
    else:
        _let_the_first_speak()
        sys.__excepthook__(kind, error, trace)


def _fail(line: str) -> NoReturn:
    if _codes:  # an error that comes of the stop
        raise KeyboardInterrupt
    _let_the_first_speak()
    sys.exit(f"process {launched.rank()}: {line}" if launched.rank() else line)


def _let_the_first_speak() -> None:
    for stderr in _kept:
        time.sleep(FIRST)
        os.dup2(stderr, 2)


def _say(line: str) -> None:
    """Says why, once, then nothing more: libraries that are stopped complain about it."""
    if _said:
        return
    _said.append(line)
    with contextlib.suppress(OSError, RuntimeError):  # nobody reads; a signal within a `print`
        os.write(2, f"\n{line}\n".encode() if line else b"")
        _flush()
    _to_nowhere()


def _to_nowhere() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for each in (1, 2):
        os.dup2(nowhere, each)


def _flush() -> None:
    if sys.stdout is not None:  # closed by the shell
        sys.stdout.flush()


def _is_read() -> bool:
    """Whether somebody reads our output: a broken pipe may also be that of a process started here."""
    ends = select.poll()
    for each in (1, 2):
        ends.register(each, 0)
    return not any(event & select.POLLERR for _, event in ends.poll(0))
