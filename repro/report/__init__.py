"""The page that a reader opens first, and what each notebook cost, from results/ and figures/ alone."""

from pathlib import Path

from repro import notebooks, paths
from repro.config import PROFILES
from repro.errors import unknown
from repro.report import evidence, page, runs

COMMITTED = ("small", "gpu", "paper")  # these profiles share one page; smoke, which proves nothing, has its own


def write(profile: str = "small") -> Path:
    """Writes results/index.html, one page that needs no network; for the smoke profile results/smoke/index.html.

    Raises a ReproError that names the file where a table or a record cannot be read.
    """
    if profile not in PROFILES:
        raise unknown("profile", profile, PROFILES)
    smoke = profile == "smoke"
    target = paths.out() / "results" / ("smoke/index.html" if smoke else "index.html")
    text = page.render(profile, ("smoke",) if smoke else COMMITTED, target.parent)
    with paths.atomic(target) as part:
        part.write_text(text, encoding="utf-8")
    return target


def cost(name: str, profile: str = "small") -> str:
    """Runs behind a notebook's tables and the processor time they took, from the records in results/."""
    mine = [table for table in evidence.tables(profile) if table.notebook == name]
    ids = {run for table in mine for each in table.runs.values() for run in each}
    if not ids:
        return "seconds" if not notebooks.NOTEBOOKS[name] else "not run yet"
    seconds = sum(runs.run(profile, each).seconds for each in ids)
    return f"{len(ids)} runs, {seconds / 60:.1f} minutes of one core when last run"
