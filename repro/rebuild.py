"""All tables, figures and the page from records alone: nothing is trained, decoded or executed in a kernel."""

from collections.abc import Iterator
from dataclasses import replace

from repro import notebooks, records
from repro.errors import Unavailable
from repro.evidence import claims, cost, published, results, tables, time_order
from repro.evidence.results import Result
from repro.figures import claims as claims_figure
from repro.figures import published as published_figure
from repro.figures import results as drawn
from repro.figures import style
from repro.papers import time_order as time_order_plan
from repro.papers.table import Table
from repro.parameters import Parameters


def rebuild_all(profile: str) -> list[str]:
    """Rebuilds every data set that a profile has records of, and returns "dataset/table" for each table written."""
    seen = {(d["dataset"], d["source"], d["group"]) for d in (r.config["data"] for r, _ in records.everything(profile))}
    written = []
    for dataset, source, group in sorted(seen):
        folder = {"data_root": source, "splits": (1,), "group": group} if dataset == "folder" else {}
        parameters = Parameters(profile=profile, dataset=dataset, **folder)
        written += [f"{parameters.name}/{name}" for name in rebuild(parameters)]
    return written


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
    everything = replace(parameters, splits=notebooks.NOTEBOOKS["claims"].splits) if embedded else parameters
    names += [_save(result, everything) for result in _across(everything)]
    return names


def _table(table: Table, parameters: Parameters) -> Iterator[Result]:
    """A table of runs, its figure and its ladders."""
    if table.notebook == "temporal_order":
        yield time_order.build(table, parameters, time_order_plan.BLIND)
        figure = drawn.order_figure(table, parameters)
    else:
        yield tables.build(table, parameters)
        make = drawn.streams_figure if table.name == "imrs_streams" else drawn.table_figure
        figure = make(table, parameters)
    style.save(figure, table.name, parameters, table.notebook)
    if table.ladders:
        yield tables.chain(table, parameters)


def _across(parameters: Parameters) -> Iterator[Result]:
    """The claims, and on the embedded set what does not depend on a data set."""
    findings = claims.evaluate(parameters)
    yield claims.result(findings, parameters)
    style.save(claims_figure.figure(findings, parameters), "claims", parameters, "claims")
    if parameters.dataset == "synthetic":
        yield published.imrs_table5(parameters)
        yield published.tstam_comparison(parameters)
        yield published.family2d(parameters)
        yield cost.exact_table()
        yield cost.claims_table()
        style.save(published_figure.figure(published.imrs_numbers()), "imrs_table5", parameters, "sota_comparison")


def _save(result: Result, parameters: Parameters, table: Table | None = None) -> str:
    results.save(result, parameters, table.runs() if table else ())
    return result.name
