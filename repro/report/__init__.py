"""The page that a reader opens first, drawn from results/ and figures/ alone."""

from pathlib import Path

from repro import paths
from repro.config import PROFILES
from repro.errors import unknown

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
    from repro.report import page  # imports torch, jinja2 and Pillow, which the commands load when they need them

    return page.render(profile, ("smoke",) if profile == "smoke" else COMMITTED, folder)
