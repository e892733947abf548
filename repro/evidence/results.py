"""A finished table: its cells, runs and verdicts; and how it is written and read.

The JSON file holds all of it and is what the page reads. CSV, Markdown, HTML and LaTeX are for people and papers.
"""

import dataclasses
import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from repro import damaged, paths, records
from repro.checked import complaint
from repro.config import Run
from repro.errors import ReproError
from repro.evidence import latex
from repro.evidence.markup import as_code, as_markdown
from repro.evidence.statistics import Outcome, Verdict
from repro.papers.table import with_needs
from repro.parameters import Parameters
from repro.records import Record

NOT_AVAILABLE = "not available"


@dataclass(frozen=True)
class Line:
    """One row of a finished table: its cells by column, the ids of its runs, and its verdict where it has one."""

    cells: Mapping[str, str]
    runs: tuple[str, ...] = ()
    verdict: Verdict | None = None


@dataclass(frozen=True, repr=False)
class Result:
    """A finished table. paper: a key of `papers.TITLES`. numeric: the columns that hold numbers."""

    name: str
    paper: str
    title: str
    claim: str
    tier: str
    notebook: str
    command: str
    lines: tuple[Line, ...]
    numeric: tuple[str, ...] = ()

    @property
    def frame(self) -> pd.DataFrame:
        """The cells alone, one line per row."""
        return pd.DataFrame([dict(line.cells) for line in self.lines])

    @property
    def outcomes(self) -> list[Outcome]:
        """What the rows' verdicts say."""
        return [line.verdict.outcome for line in self.lines if line.verdict is not None]

    def __repr__(self) -> str:
        return markdown(self.frame)

    def _repr_html_(self) -> str:
        return _web(self.frame).to_html()

    @property
    def again(self) -> str:
        """How to make the table again, as a sentence in Markdown."""
        return f"Make it again with {as_code(self.command)}."


STORED = TypeAdapter(Result)  # checks every field of a file, the nested ones included


def save(result: Result, parameters: Parameters, runs: Sequence[Run] = ()) -> Result:
    """Writes NAME.json, .csv, .md, .html and .tex to results/PROFILE/DATASET/, and beside them what this machine has of
    the records of `runs` and their teachers.

    Returns the result, so that a notebook shows what it saved.
    """
    results = paths.out() / "results" / parameters.profile
    for ending, text in _texts(result, f"{parameters.profile}:{parameters.name}").items():
        with paths.atomic(results / parameters.name / f"{result.name}.{ending}") as part:
            part.write_text(text, encoding="utf-8")
    for each in with_needs(runs):
        if (made := records.here(each)) is not None:
            _keep(made, records.path_in(results, each.id))
    return result


def _keep(record: Record, target: Path) -> None:
    """Writes a record, unless it is there already: made again with equal numbers, it keeps its first provenance."""
    before = damaged.read(records.read, target) if target.exists() else None
    if before is None or not records.equal(before, record):
        records.write(record, target)


def _texts(result: Result, place: str) -> dict[str, str]:
    """A result in every format, by the ending of the file. place: profile and data set."""
    frame = result.frame
    caption = f"{result.title} Claim: {result.claim} Tier: {result.tier}. Command: {result.command}"
    extra = {"command": result.command, "runs": [" ".join(line.runs) for line in result.lines]}
    header = f"**{as_markdown(result.title)}** {as_markdown(result.claim)}\n\n"
    header += f"Tier: {as_markdown(result.tier)}. Command: {as_code(result.command)}\n\n"
    web = _web(frame).set_uuid(result.name).set_caption(html.escape(caption)).to_html(doctype_html=True)
    web = web.replace("<th ", '<th scope="col" ').replace("<html>", '<html lang="en">')
    return {
        "json": json.dumps(dataclasses.asdict(result), indent=1, ensure_ascii=False) + "\n",
        "csv": frame.assign(**extra | dict(frame)).to_csv(index=False),
        "md": header + markdown(frame) + "\n",
        "html": web,
        "tex": _latex(result, place),
    }


def _latex(result: Result, place: str) -> str:
    """A result in LaTeX, without commands; without tiers where its caption says all of them."""
    said = ["command"] + ["tier"] * all(line.cells.get("tier") == result.tier for line in result.lines)
    rows = [{name: text for name, text in line.cells.items() if name not in said} for line in result.lines]
    claim = f" Claim: {result.claim}" if result.claim else ""
    label = re.sub(r"[^\w:-]", "-", f"tab:{place}:{result.name}", flags=re.ASCII)
    return latex.table(rows, result.numeric, f"{result.title}{claim} Tier: {result.tier}.", label, result.command)


def _web(frame: pd.DataFrame) -> "pd.io.formats.style.Styler":
    """A frame for a web page, all its text escaped."""
    return frame.style.hide(axis="index").format(escape="html").format_index(escape="html", axis=1)


def read(path: Path) -> Result:
    """A result that `save` wrote; another file is one error."""
    try:
        return STORED.validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        why = complaint(error) if isinstance(error, ValidationError) else error
        raise ReproError(
            f"{path}: not a table that repro wrote ({why}); delete it and run its notebook again"
        ) from None


def committed(name: str, parameters: Parameters) -> Result | None:
    """A table that was saved before: in the output folder, else with the project, else None."""
    folders = (folder / parameters.profile / parameters.name for folder in (paths.out() / "results", paths.committed()))
    found = (damaged.read(read, path) for folder in folders if (path := folder / f"{name}.json").exists())
    return next(filter(None, found), None)


def markdown(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table; missing values are empty cells."""
    values = [["" if pd.isna(value) else str(value) for value in row] for row in frame.itertuples(index=False)]
    rows = [list(frame.columns), ["---"] * frame.shape[1], *values]
    return "\n".join("| " + " | ".join(map(as_markdown, row)) + " |" for row in rows)
