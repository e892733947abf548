"""Everything at once: the runs that have no record yet, then the notebooks side by side, then the page."""

import functools
import sys
from pathlib import Path
from typing import Any

import joblib
from tqdm import tqdm

from repro import execute, launched, notebooks, paths, processes, report
from repro.elsewhere import Elsewhere
from repro.errors import ReproError


def reproduce(profile: str, only: tuple[str, ...], jobs: int, fresh: bool, elsewhere: Elsewhere) -> Path:
    """Makes what is missing and returns the page. What failed is one error at the end, when all the rest is done.

    elsewhere: where the runs are made; the notebooks, which then read records, are executed on this machine.
    """
    given = {"profile": profile, "jobs": jobs, "fresh": fresh}
    names, failed, wanted = notebooks.chosen(only), [], []
    for name in list(names):
        try:
            wanted += notebooks.runs_of(name, given)
        except ReproError as error:  # a protocol may need a file that another does not; a notebook may be damaged
            failed.append(f"{name}: {error}")
            names.remove(name)
    with elsewhere.connected() as cluster:
        execute.execute(wanted, jobs, fresh=fresh, cluster=cluster)
    if launched.rank() == 0:  # under torchrun the first process alone goes on to the notebooks
        workers = joblib.cpu_count() if jobs == -1 else jobs
        failed += execute_all(names, {**given, "jobs": 1}, paths.data() / "executed" / profile, workers)
    page = report.write(profile)
    if failed:
        raise ReproError(f"{len(failed)} notebooks failed, the others are done: " + "; ".join(failed))
    return page


def execute_all(names: list[str], given: dict[str, Any], folder: Path, workers: int) -> list[str]:
    """Executes notebooks side by side, one process each; returns the errors of those that failed.

    A notebook that was executed before, from the same source with the same package, is left alone while results/ and
    figures/ are there. The notebook that measures time runs alone, at the end.
    """
    drawn = all((paths.out() / where / given["profile"]).is_dir() for where in ("results", "figures"))
    left = [name for name in names if not (drawn and _is_made(name, given, folder))]
    together, alone = [n for n in left if n != "efficiency"], [n for n in left if n == "efficiency"]
    errors, done = [], 0
    with tqdm(total=len(left), unit="notebook", disable=None, file=sys.stderr) as bar:
        for batch, count in ((together, workers), (alone, 1)):
            # side by side they share the cores: with more threads than cores, small networks take five times as long
            threads = max(joblib.cpu_count() // count, 1)
            with joblib.parallel_config("loky", inner_max_num_threads=threads):
                attempt = functools.partial(_attempt, given=given, folder=folder)
                for name, error in processes.each(attempt, batch, count, ahead=1):
                    if error is None:
                        error = f"failed: {name}: {processes.DIED}"
                    bar.update()
                    done += 1
                    tqdm.write(f"  {done} of {len(left)} notebooks: {error or name}", file=sys.stderr)
                    errors += [error] if error else []
    return errors


def _mark(name: str, folder: Path) -> Path:
    return folder / f"{name}.made-from"


def _is_made(name: str, given: dict[str, Any], folder: Path) -> bool:
    try:
        return _mark(name, folder).read_bytes() == notebooks.stamp(name, given).encode()
    except OSError:  # not there, or not for us to read
        return False


def _attempt(name: str, given: dict[str, Any], folder: Path) -> str:
    """Executes a notebook; returns what went wrong, or nothing."""
    mark = _mark(name, folder)
    try:
        with paths.writing(mark):
            mark.unlink(missing_ok=True)
        notebooks.execute(name, given, folder, quiet=True)
        with paths.atomic(mark) as part:
            part.write_text(notebooks.stamp(name, given))
    except ReproError as error:
        return f"failed: {error}"
    return ""
