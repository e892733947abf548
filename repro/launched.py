"""What a process that another one started has to know: its place among those of torchrun, and when to end."""

import os
import threading
import time


def rank() -> int:
    """The number of this process among those that torchrun started, from 0, on all machines."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """How many processes torchrun started, on all machines; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """How many processes torchrun started on this machine; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def end_with(parent: int) -> None:
    """Ends this process within a second of its parent's death, whatever it does: a parent that is killed cannot tell it."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
