"""How commands end: one line, no traceback, and the exit codes that shells give; in processes of their own."""

import os
import signal
import subprocess
import sys
import time

import pytest

from repro import endings, paths

SCRIPT = """
import os, signal, sys, time
from repro import endings
from repro.errors import ReproError
with endings.in_one_line():
    {work}
"""


def run(work: str, command: str = "exec {python} -c {script}") -> subprocess.CompletedProcess:
    """The end of a process that does this inside `in_one_line`; command: of the shell, which may connect it to others."""
    environment = {**os.environ, "PYTHONPATH": str(paths.ROOT), "SCRIPT": SCRIPT.format(work=work)}
    line = command.format(python=sys.executable, script='"$SCRIPT"')
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=environment, timeout=60, preexec_fn=heed_interrupts
    )


def heed_interrupts() -> None:
    """For a process that is started: Ctrl-C counts, though a shell that started the tests in the background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


STOP = "os.kill(os.getpid(), signal.{name}); time.sleep(20)"


@pytest.mark.parametrize(
    ("work", "code", "said"),
    [
        ("raise ReproError('one thing')", 1, "error: one thing\n"),
        ("open('/nowhere/at/all')", 1, "error: [Errno 2] No such file or directory: '/nowhere/at/all'\n"),
        ("open('x' * 5000)", 1, f"error: [Errno 36] File name too long: '{'x' * 5000}'\n"),
        ("raise MemoryError", 1, "error: not enough memory (no size given); use fewer --jobs or smaller data\n"),
        ("sys.exit(2)", 2, ""),
        ("print('done')", 0, ""),
        (STOP.format(name="SIGINT"), 130, f"\n{endings.STOPPED}\n"),
        (STOP.format(name="SIGTERM"), 143, f"\n{endings.STOPPED}\n"),
        ("eval(\"os.kill(os.getpid(), signal.SIGINT) or time.sleep(20)\")", 130, f"\n{endings.STOPPED}\n"),
        (f"""
    try:
        {STOP.format(name="SIGINT")}
    except KeyboardInterrupt as error:
        raise ReproError("a library's words for it")""", 130, f"\n{endings.STOPPED}\n"),
        (f"""
    try:
        {STOP.format(name="SIGTERM")}
    except KeyboardInterrupt as error:
        raise ValueError("a library's words for it")""", 143, f"\n{endings.STOPPED}\n"),
        (f"""
    try:
        {STOP.format(name="SIGTERM")}
    except BaseException:
        pass""", 143, f"\n{endings.STOPPED}\n"),
        (f"""
    endings.PATIENCE = 1
    try:
        {STOP.format(name="SIGTERM")}
    except BaseException:
        time.sleep(20)""", 143, f"\n{endings.STOPPED}\n"),
        (f"""
    class Swallows:
        def __del__(self):
            {STOP.format(name="SIGINT")}
    x = Swallows()
    del x""", 130, f"\n{endings.STOPPED}\n"),
        ("import asyncio; asyncio.run(asyncio.to_thread(os.kill, os.getpid(), signal.SIGTERM))", 143, f"\n{endings.STOPPED}\n"),
    ],
)  # fmt: skip
def test_each_end_is_one_line_and_a_code(work, code, said):
    done = run(work)
    assert (done.returncode, done.stderr) == (code, said)
    assert done.stdout == ("done\n" if "done" in work else "")


def test_what_is_stopped_cleans_up_in_silence_and_a_second_signal_ends_it_at_once():
    work = f"""
    try:
        {STOP.format(name="SIGTERM")}
    finally:
        import atexit
        atexit.register(lambda: 1 / 0)"""
    assert (done := run(work)).returncode == 143
    assert done.stderr == f"\n{endings.STOPPED}\n"
    start = time.perf_counter()
    hanging = work.replace("1 / 0", "(os.kill(os.getpid(), signal.SIGTERM), time.sleep(20))")
    assert run(hanging).returncode == 143
    assert time.perf_counter() - start < 15


@pytest.mark.parametrize(
    "work",
    [
        "print('x\\n' * 100_000)",
        "print('x' * 70_000); sys.exit(0)",
        "[print('x' * 99, flush=True) for _ in range(9999)]",
    ],
)
def test_a_reader_that_leaves_ends_the_command_in_silence(work):
    done = run(work, 'set -o pipefail; {python} -c {script} | head -c 1; echo "${{PIPESTATUS[0]}}"')
    assert done.stderr == ""
    assert done.stdout == "x141\n"


def test_a_broken_pipe_to_another_process_is_an_error():
    done = run("read, write = os.pipe(); os.close(read); os.write(write, b'x')")
    assert (done.returncode, done.stderr) == (1, "error: [Errno 32] Broken pipe\n")


def test_what_a_stopped_command_leaves_to_the_tracker_goes_without_words(tmp_path):
    """As where it had no time to end: joblib's tracker of folders, a process of its own, warned of each."""
    left = tmp_path / "left"
    left.mkdir()
    done = run(
        "import os; from joblib.externals.loky.backend import resource_tracker; resource_tracker.ensure_running(); "
        f"resource_tracker.register({str(left)!r}, 'folder'); os._exit(3)"
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert not left.exists()


def test_without_output_a_command_still_ends_well():
    done = run("print('nobody sees it')", "exec {python} -c {script} >&-")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("seconds", [0.6, 1.2, 2.4])
def test_a_command_is_stopped_at_any_stage_of_its_imports_and_its_work(home, number, seconds):
    """From the first import on. Before it, Python itself starts."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "repro", "report"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True, cwd=paths.ROOT, preexec_fn=heed_interrupts,
    ) as process:  # fmt: skip
        for line in process.stderr:
            if "repro.endings" in line:
                break
        time.sleep(seconds - 0.5)
        process.send_signal(number)
        said = [line for line in process.stderr.read().splitlines() if line and not line.startswith("import time:")]
    assert (process.returncode, said) in ((128 + number, [endings.STOPPED]), (0, []))


@pytest.mark.slow
def test_a_reader_that_goes_away_costs_no_words():
    """As head does after its lines; this one is gone before the first."""
    line = f'set -o pipefail; "{sys.executable}" -m repro list | :; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=paths.ROOT)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "141"
