"""The systems of the papers and their baselines, and one run of each: what `reproduce` makes again."""

from collections.abc import Container

from repro.config import Run
from repro.papers import imrs, smnet, stddcn, stme, stmsa, time_order, tstam
from repro.parameters import Parameters

SYSTEMS = {  # a name, the function that plans a table, and the row that is the system
    "3D ResNeXt-101": (imrs.table3, "plain"),
    "3D ResNeXt-101 + SE": (imrs.table3, "SE"),
    "MARS": (imrs.table4, "MARS"),
    "IMRS": (imrs.table4, "(50, 200)"),
    "TSN": (tstam.systems, "TSN"),
    "TSN + SE": (tstam.systems, "TSN+SE"),
    "T-STAM": (tstam.systems, "T-STAM"),
    "TSM": (time_order.table, "TSM"),
    "SMNet": (smnet.ablation, "SMNet"),
    "STME": (stme.ablation, "+ enhancement (STME)"),
    "STMSA": (stmsa.ablation, "STMSA (both, 4 groups)"),
    "STDDCN": (stddcn.ablation, stddcn.BEST),
}


def one_run_each(parameters: Parameters, recorded: Container[str]) -> dict[str, Run | None]:
    """{system: its run of the lowest seed among those whose ids are `recorded`}, the RGB stream of two; None without any."""
    found = {}
    for name, (plan, label) in SYSTEMS.items():
        (row,) = (row for row in plan(parameters).rows if row.label == label)
        there = [run for run in row.runs if run.id in recorded]
        found[name] = min(there, key=lambda run: (run.data.split, run.seed), default=None)
    return found
