"""All tables, figures and the page from records alone: nothing is trained, decoded or executed in a kernel."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from repro import damaged, notebooks, paths, records, report
from repro.errors import Unavailable
from repro.evidence import claims, cost, published, results, reversal, tables, time_order
from repro.evidence.results import Result
from repro.figures import claims as claims_figure
from repro.figures import published as published_figure
from repro.figures import results as drawn
from repro.figures import style
from repro.papers import time_order as time_order_plan
from repro.papers.table import Table
from repro.parameters import Parameters
from repro.report import pictures, run_times
from repro.report.evidence import NO_TABLES

# tables made by measuring, not from records of runs: the time of a machine, and where trained networks look
MEASURED = ("imrs_latency", "imrs_cam", "cam_2d", "tstam_attention_flow")


def rebuild_all(profile: str) -> list[str]:
    """Rebuilds every data set that a profile has records of, and returns "dataset/table" for each table written."""
    written = []
    for parameters in _recorded(profile):
        written += [f"{parameters.name}/{name}" for name in rebuild(parameters)]
    return written


def _recorded(profile: str) -> Iterator[Parameters]:
    """The parameters of each data set that has records; of a folder of videos, for the folds and seeds recorded."""
    splits: dict[tuple, set[int]] = {}
    seeds: dict[tuple, set[int]] = {}
    for record, _ in records.everything(profile):
        data, of_folder = record.config["data"], ()
        if data["dataset"] == "folder":
            of_folder = data["source"], data["group"], data.get("folds", 3), tuple(data.get("test_groups", ()))
        splits.setdefault((data["dataset"], *of_folder), set()).add(data["split"])
        seeds.setdefault((data["dataset"], *of_folder), set()).add(record.config["seed"])
    for (dataset, *of_folder), numbers in sorted(splits.items(), key=str):
        given: dict[str, Any] = {}
        if of_folder:
            names = "data_root", "group", "folds", "test_groups"
            runs = {"splits": sorted(numbers), "seeds": sorted(seeds[dataset, *of_folder])}
            given = dict(zip(names, of_folder, strict=True)) | runs
        yield Parameters(profile=profile, dataset=dataset, **given)


def rebuild(parameters: Parameters) -> list[str]:
    """Writes what the records of a profile and data set carry, and returns the names of the tables."""
    names, embedded = [], parameters.dataset == "synthetic"
    for notebook in notebooks.NOTEBOOKS.values():
        usual = replace(parameters, splits=notebook.splits) if embedded else parameters
        for plan in notebook.tables:
            try:
                table = plan(usual)
            except Unavailable:  # a protocol that needs a file, or other data
                continue
            if all(map(records.find, table.runs())):
                names += [_save(result, usual, table) for result in _table(table, usual)]
    if not (embedded or names):  # single runs of the command `train`, which no table shows
        return []
    everything = replace(parameters, splits=notebooks.NOTEBOOKS["claims"].splits) if embedded else parameters
    names += [_save(result, everything) for result in _across(everything)]
    return names


def _table(table: Table, parameters: Parameters) -> Iterator[Result]:
    """A table of runs, its figure and its ladders."""
    if table.notebook == "temporal_order":
        yield reversal.table(parameters)
        yield time_order.build(table, parameters, time_order_plan.BLIND)
        figure = drawn.order_figure(table, parameters)
    else:
        yield tables.build(table, parameters)
        figure = drawn.figure_of(table, parameters)
    style.save(figure, table.name, parameters, table.notebook)
    if table.ladders:
        yield tables.chain(table, parameters)


def _across(parameters: Parameters) -> Iterator[Result]:
    """The claims, and on the embedded set what does not depend on a data set."""
    findings = claims.evaluate(parameters)
    yield claims.result(findings, parameters)
    style.save(claims_figure.figure(findings, parameters), "claims", parameters, "claims")
    if parameters.dataset == "synthetic":
        yield claims.power(findings, parameters)
        yield published.imrs_table5(parameters)
        yield published.tstam_comparison(parameters)
        yield published.family2d(parameters)
        yield cost.exact_table()
        yield cost.claims_table()
        yield run_times.table()
        style.save(published_figure.figure(published.imrs_numbers()), "imrs_table5", parameters, "sota_comparison")


def _save(result: Result, parameters: Parameters, table: Table | None = None) -> str:
    results.save(result, parameters, table.runs() if table else ())
    return result.name


def differences(profile: str) -> tuple[int, list[str]]:
    """Rebuilds a profile from its committed records alone, in data/rebuilt/, and compares it with the project's files.

    Returns how many files were compared, and the names of those that differ or are missing on either side.
    """
    folder, place = paths.data() / "rebuilt", paths.ROOT / "results"
    shutil.rmtree(folder, ignore_errors=True)
    with paths.moved(REPRO_OUT=folder, REPRO_RUNS=folder / "runs"):
        rebuild_all(profile)
    moved = paths.moved(REPRO_OUT=paths.ROOT, REPRO_RUNS=folder / "runs")  # the page shows tables that measure too
    with moved, paths.atomic(folder / "results" / "index.html") as part:
        part.write_text(report.text(profile, place), encoding="utf-8")
    tables = [path for path in sorted((place / profile).glob("*/*")) if path.parent.name not in NO_TABLES]
    names = [path.relative_to(paths.ROOT) for path in tables if path.stem not in MEASURED]
    lacking = [str(name) for name in names if not (folder / name).exists()]
    return len(_files(folder)), different(folder, paths.ROOT) + lacking


def different(made: Path, committed: Path) -> list[str]:
    """The names of the files below `made` that differ from those below `committed`, or are not there.

    Byte for byte; but pictures, which libraries compress in more than one way, pixel for pixel, and the page without them.
    """
    return [str(name) for name in _files(made) if not _same(made / name, committed / name)]


def _files(folder: Path) -> list[Path]:
    return [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]


def _same(made: Path, committed: Path) -> bool:
    if not committed.is_file():
        return False
    if made.suffix == ".png":
        image = damaged.read(pictures.read, committed)
        return image is not None and np.array_equal(pictures.read(made), image)
    if made.name == "index.html":
        one, other = (re.sub(rb'"data:image/[^"]*"', b"", each.read_bytes()) for each in (made, committed))
        return one == other
    return made.read_bytes() == committed.read_bytes()
