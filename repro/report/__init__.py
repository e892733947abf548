"""The page that a reader opens first, drawn from results/ and figures/ alone, and what the runs of a notebook cost."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from repro import notebooks, paths, records
from repro.config import PROFILES, Run
from repro.errors import unknown
from repro.papers.table import unique, with_needs
from repro.parameters import Parameters

COMMITTED = ("small", "gpu", "paper")  # these profiles share one page; smoke, which proves nothing, has its own


def write(profile: str = "small") -> Path:
    """Writes results/index.html, one page that needs no network; for the smoke profile results/smoke/index.html.

    The page of the other profiles comes with the results in the README beside results/, where there is one, and with the
    tables that docs/ there shows.
    Raises a ReproError that names the file where a table, a figure or a record cannot be read.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    target = paths.out() / "results" / ("smoke/index.html" if profile == "smoke" else "index.html")
    with paths.atomic(target) as part:
        part.write_text(text(profile, target.parent), encoding="utf-8")
    beside = paths.out() / "README.md"
    if profile != "smoke" and beside.exists():
        from repro.report import docs, page, readme  # as in `text`

        readme.write(page.summary(COMMITTED), beside)
        for file in sorted(beside.parent.glob("docs/*.md")):
            docs.write(file, beside.parent)
    return target


def text(profile: str, folder: Path) -> str:
    """The page of a profile for a file in `folder`."""
    from repro.report import page  # imports torch, jinja2 and Pillow, which `costs` does without

    return page.render(profile, ("smoke",) if profile == "smoke" else COMMITTED, folder)


def behind(name: str) -> list[Run]:
    """The small profile's runs behind a notebook's tables."""
    notebook = notebooks.NOTEBOOKS[name]
    parameters = Parameters(splits=notebook.splits)
    return [run for plan in notebook.tables for run in plan(parameters).runs()]


def costs(groups: Mapping[str, Iterable[Run]]) -> dict[str, str]:
    """How many runs each group has, teachers and starts included, and their processor time, from the records."""
    planned = {name: with_needs(runs) for name, runs in groups.items()}
    seconds = {run.id: records.seconds(run) for run in unique(itertools.chain(*planned.values()))}
    return {name: _cost([seconds[run.id] for run in runs]) for name, runs in planned.items()}


def _cost(planned: Sequence[float | None]) -> str:
    if not planned:
        return "no runs"
    seconds = [each for each in planned if each is not None]
    took = f"{sum(seconds) / 60:.1f} minutes of one processor core"
    if len(seconds) == len(planned):
        return f"{len(planned)} runs; {took}"
    return f"{len(planned)} runs; {len(seconds)} of them are recorded and took {took}"
