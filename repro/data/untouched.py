"""Whether a file is as it was when it was checked, without reading it again.

A checked file is sealed: its time of change is a whole second. Whatever writes to it afterwards leaves a time with a
fraction, and the file is read and checked once more. On a disk that stores whole seconds only, all files look sealed.
There the checksums of packed clips, which every reader checks, are the only guard; a reader that finds damage breaks the
seal in a way that any disk keeps.
"""

import os
import time
from contextlib import suppress
from pathlib import Path

SECOND = 10**9  # nanoseconds


def seal(path: Path) -> None:
    """Notes that the content of a file was checked just now."""
    now = int(time.time()) * SECOND
    with suppress(OSError):  # another user's file, or a read-only disk: it is read again whenever somebody asks
        os.utime(path, ns=(path.stat().st_atime_ns, now))


def is_sealed(found: os.stat_result) -> bool:
    """Whether nothing has written to the file of this `os.stat` since it was sealed."""
    return found.st_mtime_ns > 0 and found.st_mtime_ns % SECOND == 0


def unseal(path: Path) -> None:
    """Notes that the content of a file is damaged."""
    with suppress(OSError):  # as above; the caller raises an error that names the file
        os.utime(path, (0, 0))
