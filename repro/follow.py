"""The progress of runs that other processes make: epochs by their logs, outcomes as they come."""

import functools
import re
from collections.abc import Iterator, Sequence

from repro import processes, progress
from repro.config import Run
from repro.make import log_path


def follow(said: str, todo: Sequence[Run], outcomes: Iterator[tuple[Run, str | None]], failed: dict[str, str]) -> None:
    """Shows the progress of runs; fills `failed` with {id of a run: its error}."""
    progress.say(said)
    bar = progress.bar(said, sum(run.optimisation.epochs for run in todo), "epoch")
    with bar, progress.following(bar, functools.partial(epochs, todo, logged(todo))):
        for done, (run, error) in enumerate(outcomes, start=1):
            if lost := [needed for needed in run.needs if needed.id in failed]:
                error = f"run {run.id} needs run {lost[0].id} ({lost[0].title})"
            elif error is None:
                error = f"failed: run {run.id}: {processes.DIED}"
            if error:
                failed[run.id] = error
            bar.set_postfix_str(f"{done} of {len(todo)} runs done", refresh=False)
            progress.say(f"  {done} of {len(todo)} runs: {error or run.title}")


def logged(runs: Sequence[Run]) -> dict[str, int]:
    """{id: bytes in its log} of runs: what an earlier call left there."""
    logs = {run.id: log_path(run) for run in runs}
    return {name: log.stat().st_size if log.exists() else 0 for name, log in logs.items()}


def epochs(runs: Sequence[Run], before: dict[str, int]) -> int:
    """Epochs that runs have behind them, by what they have logged since there were `before` bytes."""
    count = 0
    for run in (each for each in runs if log_path(each).exists()):
        numbers = re.findall(rb"epoch (\d+)", log_path(run).read_bytes()[before[run.id] :])
        count += int(numbers[-1]) if numbers else 0
    return count
