"""Work shared among processes. A process that dies costs the item it had, and none outlives the one that started it."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from typing import TypeVar

import joblib

from repro import launched

DIED = "its process died, by a crash of a library or for want of memory"  # of an item without a result
Item, Result = TypeVar("Item"), TypeVar("Result")


def count(jobs: int, items: int) -> int:
    """Processes for `items` pieces of work: `jobs`, or one per core for -1, but no more than there is work.

    Processes that torchrun started share the cores.
    """
    return max(min(joblib.cpu_count() // launched.processes_here() if jobs == -1 else jobs, items), 1)


def each(
    do: Callable[[Item], Result], items: Sequence[Item], jobs: int, ahead: int = 2
) -> Iterator[tuple[Item, Result | None]]:
    """(item, `do(item)`) of each item, as they finish; None for an item whose process dies.

    jobs: processes; 1 is this one, without protection. ahead: items handed to each process at once. When a process dies,
    by a crash of a library or for want of memory, all others end too and it is not known which item it had. So those that
    were in work are done once more, one after another, and the item whose process dies again is the one.
    """
    if jobs == 1:
        yield from ((item, do(item)) for item in items)
        return
    left = dict(enumerate(items))
    while left:
        try:
            for i, result in _parallel(do, list(left.items()), jobs, ahead):
                yield left.pop(i), result
        except BrokenExecutor:
            for i in list(left)[: jobs * ahead]:  # handed out in order, so these were in work
                yield left[i], alone(do, left.pop(i))


def alone(do: Callable[[Item], Result], item: Item) -> Result | None:
    """`do(item)` in a process that does nothing else; None where it dies."""
    try:
        ((_, result),) = _parallel(do, [(0, item)], 2, 1)  # one of two: a single one would be this process
    except BrokenExecutor:
        return None
    return result


def _parallel(
    do: Callable[[Item], Result], items: Sequence[tuple[int, Item]], jobs: int, ahead: int
) -> Iterator[tuple[int, Result]]:
    run = joblib.Parallel(
        jobs, return_as="generator_unordered", pre_dispatch=jobs * ahead, batch_size=1,
        initializer=launched.end_with, initargs=(os.getpid(),),
    )  # fmt: skip
    return run(joblib.delayed(_numbered)(do, i, item) for i, item in items)


def _numbered(do: Callable[[Item], Result], i: int, item: Item) -> tuple[int, Result]:
    return i, do(item)
