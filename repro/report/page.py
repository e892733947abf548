"""From evidence to one HTML page: style, script and images are inside it, only files of the project are linked."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from nbconvert.filters import markdown2html

from repro import notebooks, paths
from repro.evidence.tables import NOT_AVAILABLE
from repro.models.tools.cost import published_models
from repro.report import evidence, pictures, runs
from repro.report.evidence import Table

TIERS = {
    "exact": "counts of parameters and multiply-adds, to the last digit; where a paper's figure differs, it says so",
    "synthetic": "networks trained on the embedded videos: claims can be tested, levels cannot be compared",
    "small real": "networks trained on small sets of real videos",
    "paper": "the published protocol on the published data; where the protocol is another paper's, it says whose",
}
VERDICTS = {
    "supported": "the 95 % interval of our gain lies on the side that the paper claims",
    "contradicted": "the interval lies on the other side",
    "not resolved": "the interval holds zero: this evidence cannot tell",
    "not run": "its runs have no record here; the command makes them",
}
COLUMNS = {  # of the verdict table: {name in `evidence.verdicts`: heading}
    "claim": "claim", "verdict": "verdict", "our gain [95 %]": "our gain [95 %]", "paper's gain": "paper's gain",
    "published": "paper's number", "seeds": "seeds", "tier": "tier", "data": "data", "profile": "profile", "paper": "paper",
    "source": "table", "command": "command",
}  # fmt: skip
SECTION = "## Deviations"  # of README.md


def render(profile: str, profiles: Sequence[str], folder: Path) -> str:
    """The page of `profiles` as text, for a file in `folder`; equal inputs give equal text. What `profile` lacks is listed."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("repro.report", "."), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    tables = [table for each in profiles for table in evidence.tables(each)]
    verdicts = list(evidence.verdicts(tables))
    counted = published_models()
    exact = list(dict.fromkeys(name for row in counted for name in row))
    shown = [t for t in tables if t.name != evidence.CLAIMS and not set(exact) <= set(t.columns)]
    figures = pictures.figures(profiles, folder)
    drawn = {(t.profile, t.dataset, t.name) for t in shown}
    return environment.get_template("page.html").render(
        tiers=TIERS,
        meanings=VERDICTS,
        verdicts=verdicts,
        columns={name: heading for name, heading in COLUMNS.items() if any(line[name] for line in verdicts)},
        right=[name for name in COLUMNS if _numeric([line[name] for line in verdicts])],
        counts=_counts(verdicts),
        papers=_by_paper(shown),
        figures={(f.profile, f.dataset, f.name): f for f in figures},
        others=[f for f in figures if (f.profile, f.dataset, f.name) not in drawn],
        runs={table.id: runs.of_table(table) for table in shown if table.runs},
        record=lambda table, run: link(runs.file_of(table.profile, run), folder),
        exact=exact,
        counted=[[_number(row.get(name)) for name in exact] for row in counted],
        missing=evidence.missing(tables, profile),
        notebooks=[_notebook(name, profile, folder) for name in notebooks.NOTEBOOKS],
        deviations=_deviations(folder),
        profile=profile,
        profiles=list(dict.fromkeys(table.profile for table in tables)),
        numeric=_numeric,
    )


def _counts(verdicts: Sequence[dict[str, str]]) -> dict[str, dict[str, int]]:
    """{tier: {verdict: how many}}; what a verdict adds in brackets does not count."""
    counts: dict[str, dict[str, int]] = {}
    for line in verdicts:
        tier = counts.setdefault(line["tier"], dict.fromkeys(VERDICTS, 0))
        kind = line["verdict"].partition(" (")[0]
        tier[kind] = tier.get(kind, 0) + 1
    return counts


def _by_paper(tables: Sequence[Table]) -> dict[str, list[Table]]:
    """{title of the paper: its tables}; papers in the order in which the notebooks' tables name them."""
    order = [f.__module__.rpartition(".")[2] for functions in notebooks.NOTEBOOKS.values() for f in functions]
    keys = [p for p in dict.fromkeys([*order, *sorted(t.paper for t in tables)]) if p] + [""]
    groups = {evidence.paper_title(key): [table for table in tables if table.paper == key] for key in keys}
    return {title: group for title, group in groups.items() if group}


def _notebook(name: str, profile: str, folder: Path) -> dict[str, str]:
    """A notebook, its source, and its executed copy where `reproduce` or `run` left one beside results/."""
    executed = paths.data() / "executed" / profile / f"{name}.ipynb"
    here = executed.exists() and executed.is_relative_to(paths.out())
    given = "" if profile == "small" else f" -p profile {profile}"
    return {
        "name": name,
        "title": notebooks.title(name),
        "source": link(notebooks.path_of(name), folder),
        "executed": link(executed, folder) if here else "",
        "command": f"python -m repro run {name}{given}",
    }


def _deviations(folder: Path) -> str:
    """The README's section as HTML: links start from the page, tables scroll in a box and have scopes."""
    readme = paths.ROOT / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else ""
    if f"\n{SECTION}" not in text:
        return f"<p>Not available: README.md has no section that starts with “{SECTION}”.</p>"
    section = text.split(f"\n{SECTION}", 1)[1].split("\n", 1)[1].split("\n## ", 1)[0]
    made = markdown2html(section).replace("<th>", '<th scope="col">').replace("</table>", "</table></div>")
    made = made.replace("<table>", '<div class="box" role="region" aria-label="Deviations" tabindex="0"><table>')
    up = quote(Path(os.path.relpath(paths.ROOT, folder)).as_posix())
    return re.sub(r'(href|src)="(?!https?:|#)', rf'\1="{up}/', made)


def link(file: Path, folder: Path) -> str:
    """A file as a link from a page in `folder`."""
    return quote(Path(os.path.relpath(file, folder)).as_posix())


def _number(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _numeric(cells: Sequence[str]) -> bool:
    """Whether a column holds numbers, which stand on the right."""
    filled = [cell for cell in cells if cell not in ("", NOT_AVAILABLE)]
    return bool(filled) and all(re.match(r"[+-]?[\d,.]+( ±.*| \[.*| \(.*|)$", cell) for cell in filled)
