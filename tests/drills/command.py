"""Commands of the project in processes of their own, in a data folder of their own: start, stop, and look for what is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from drills.outcome import Outcome
from repro import endings

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 15  # seconds that workers may take to follow their parent


def environment(home: Path) -> dict[str, str]:
    """This process's variables, with the data and the results below `home`."""
    return os.environ | {"REPRO_DATA": str(home / "data"), "REPRO_OUT": str(home / "out"), "OMP_NUM_THREADS": "1"}


def start(home: Path, *words: str) -> subprocess.Popen:
    """`python -m repro WORDS`, from the moment on when it heeds signals; what it prints goes to a file beside `home`."""
    home.mkdir(parents=True, exist_ok=True)
    with open(_log(home), "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "repro", *words], cwd=ROOT, env=environment(home), stdout=log, stderr=log,
            preexec_fn=heed_interrupts,
        )  # fmt: skip
    while not _heeds(process.pid, signal.SIGTERM) and process.poll() is None:  # Python itself starts
        time.sleep(0.01)
    return process


def _heeds(process: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:")).split()[1]
    return bool(int(caught, 16) >> number - 1 & 1)


def heed_interrupts() -> None:
    """For a process that is started: Ctrl-C counts, though the shell that started us in the background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def printed(home: Path) -> str:
    """What the last command in `home` printed."""
    return _log(home).read_text(errors="replace")


def _log(home: Path) -> Path:
    return home.with_name(f"{home.name}.txt")


def living(home: Path) -> list[int]:
    """The processes that work in `home`."""
    found, mark = [], f"REPRO_DATA={home / 'data'}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            mine = mark in (process / "environ").read_bytes().split(b"\0")
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if mine and state != "Z":
            found.append(int(process.name))
    return found


def is_kernel(process: int) -> bool:
    """Whether a process executes a notebook."""
    try:
        return b"ipykernel_launcher" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return False


def orphans(home: Path) -> list[int]:
    """The processes that still work in `home` after its command ended; they are then killed."""
    end = time.monotonic() + PATIENCE
    while (left := living(home)) and time.monotonic() < end:
        time.sleep(0.2)
    for process in left:
        os.kill(process, signal.SIGKILL)
    return left


def judged(home: Path, returned: int | None, codes: tuple[int, ...]) -> tuple[Outcome, str]:
    """CLEAR where a command ended with one of `codes`, without a traceback and without processes left.

    returned: None for one that did not end. A command that was asked to stop says so in its last line.
    """
    left, text = orphans(home), printed(home)
    said = f"exit code {returned}: {text[-500:]}"
    if "Traceback (most recent call last)" in text:
        return Outcome.TRACEBACK, text[-2000:]
    if returned is None or left:
        return Outcome.HANG, f"processes {left} were left; {said}"
    unsaid = returned in (130, 143) and not text.endswith(f"{endings.STOPPED}\n")
    return (Outcome.WRONG, said) if returned not in codes or unsaid else (Outcome.CLEAR, text)
