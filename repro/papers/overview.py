"""Every system on one data set, side by side: a table of ours. On a folder of real videos it is what all folds are run for."""

from repro.papers import recipes, tstam
from repro.papers.systems import run_of
from repro.papers.table import Table
from repro.parameters import Parameters

ROWS = {  # a label, and the runs behind it as (system, modality)
    "RGB": (("resnext3d", "rgb"),),
    "Flow": (("resnext3d", "flow"),),
    "RGB+Flow": (("resnext3d", "rgb"), ("resnext3d", "flow")),
    "MARS": (("mars", ""),),
    "IMRS": (("imrs", ""),),
    "TSN": (("tsn", "rgb"), ("tsn", "flow")),
    "T-STAM": (("tstam", "rgb"), ("tstam", "flow")),
    "T-STAM, flow alone": (("tstam", "flow"),),
    "TSN, ResNet-50": (("tsn-resnet", "rgb"),),
    "TSM": (("tsm", "rgb"),),
    "SMNet": (("smnet", "rgb"),),
    "STME": (("stme", "rgb"),),
    "STMSA": (("stmsa", "rgb"),),
    "STDDCN": (("stddcn", ""),),
}
STEPS = (
    ("RGB", "IMRS"),
    ("MARS", "IMRS"),
    ("TSN", "T-STAM"),
    ("TSN, ResNet-50", "TSM", "STME"),
    ("RGB+Flow", "STDDCN"),
)


def table(parameters: Parameters) -> Table:
    """One row per system, as its paper trains and tests it; the first three are the streams of a plain 3D ResNeXt-101."""
    systems = {
        label: lambda split, seed, runs=runs: [run_of(name, parameters, split, seed, which) for name, which in runs]
        for label, runs in ROWS.items()
    }
    return Table(
        "overview", "", "Every system on one data set.",
        "Ours: what each system reaches, side by side. On the embedded videos the rows from TSN, ResNet-50 to STMSA have 24 "
        "training videos per class, all others 12.",
        "RGB", recipes.rows(parameters, systems, {"TSN": tstam.SHARES, "T-STAM": tstam.SHARES}), ("", "", ""), "overview",
        ladders=STEPS,
    )  # fmt: skip
