"""Convergence, ours: does more training change a system? Its recipe beside the same with twice the epochs.

Both are tested on the development edition of the embedded videos, where the recipes were settled. No number of it enters a
claim.
"""

from dataclasses import replace

from repro.config import Run
from repro.errors import Unavailable
from repro.papers.controls import SEEDS
from repro.papers.systems import SYSTEMS
from repro.papers.table import Row, Table
from repro.parameters import Parameters

TWICE = ", twice the epochs"


def table(parameters: Parameters) -> Table:
    """One row per system and one with twice the epochs. Unavailable for real data sets and full-size networks."""
    if parameters.profile not in ("smoke", "small") or parameters.dataset != "synthetic":
        raise Unavailable("convergence is measured for small networks on the embedded videos alone")
    rows: list[Row] = []
    few = replace(parameters, seeds=parameters.seeds[:SEEDS])
    for name, (plan, label) in SYSTEMS.items():
        (row,) = (row for row in plan(few).rows if row.label == label)
        rows += [_changed(row, name, 1), _changed(row, name + TWICE, 2)]
    return Table(
        "convergence", "", "Convergence: every system with its recipe and with twice the epochs, on development videos.",
        "Ours: what each system gains or loses when it is trained for twice the epochs.",
        "3D ResNeXt-101", tuple(rows), ("", "", ""), "convergence",
        ladders=tuple((name, name + TWICE) for name in SYSTEMS),
    )  # fmt: skip


def _changed(row: Row, label: str, times: int) -> Row:
    return replace(row, label=label, systems=tuple(tuple(_longer(run, times) for run in each) for each in row.systems))


def _longer(run: Run, times: int) -> Run:
    source = "development" if run.profile == "small" else run.data.source
    return replace(
        run, data=replace(run.data, source=source),
        optimisation=replace(run.optimisation, epochs=times * run.optimisation.epochs),
        teacher=None if run.teacher is None else _longer(run.teacher, times),
    )  # fmt: skip
