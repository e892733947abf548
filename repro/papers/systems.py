"""The systems of the papers and their baselines: one run of each, which `reproduce` makes again, and each by a short name."""

from collections.abc import Callable, Container
from functools import partial

from repro.config import Run
from repro.errors import ReproError, unknown
from repro.papers import imrs, resnet50, smnet, stddcn, stme, stmsa, time_order, tstam
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


Plan = Callable[..., Run]  # of parameters, split, seed and, for one stream, modality


def _resnet50(network: str) -> Plan:
    return lambda parameters, split, seed, modality: resnet50.run(parameters, split, seed, network, modality=modality)


ONE_STREAM: dict[str, Plan] = {  # of RGB or flow, by the names of the command line
    "resnext3d": partial(imrs.single, excitation="none"),
    "resnext3d-ce": imrs.single,
    "tstam": tstam.stream,
    "tsn": tstam.tsn,
    **{name.replace("_", "-"): _resnet50(name) for name in ("tsn_resnet", "tsm", "smnet", "stme", "stmsa")},
}
BOTH: dict[str, Plan] = {  # the student of RGB with its teacher of flow; two streams in one network
    "imrs": imrs.student,
    "mars": partial(imrs.student, lambda1=50, lambda2=0, excitation="none"),
    "stddcn": partial(stddcn.run, system=stddcn.BEST),
}


def run_of(system: str, parameters: Parameters, split: int, seed: int, modality: str = "") -> Run:
    """The run of one system, as the papers' tables plan it. modality: "rgb" or "flow" of one stream; empty: the usual."""
    if system in BOTH:
        if modality:
            raise ReproError(
                f"{system} sees RGB and flow as its paper says, so it takes no modality, but {modality!r} was given"
            )
        return BOTH[system](parameters, split, seed)
    if system not in ONE_STREAM:
        raise unknown("system", system, [*BOTH, *ONE_STREAM])
    if modality not in ("", "rgb", "flow"):
        raise unknown("modality", modality, ("rgb", "flow"))
    return ONE_STREAM[system](parameters, split, seed, modality=modality or "rgb")
