"""STME: the second model of the thesis behind IMRS, known by the thesis's abstract alone: no numbers are available.

`repro.models.stme` says what was chosen. The claim is the abstract's: shift, spatiotemporal excitation, motion
excitation and feature enhancement each add to the network.
"""

from repro.papers import common, resnets
from repro.study import Study
from repro.tables import Table, published

NETWORKS = {
    "TSN": resnets.BASELINES["TSN"],
    "shift (TSM)": resnets.BASELINES["TSM"],
    "+ STE": ("stme", {"me": False, "enhancement": False}),
    "+ ME": ("stme", {"enhancement": False}),
    "+ enhancement (STME)": ("stme", {}),
}


def ablation(study: Study) -> Table:
    """The parts one after the other. No number is available."""
    rows = common.rows(study, resnets.systems(study, NETWORKS))
    return Table(
        "stme_ablation", "STME: shift, spatiotemporal excitation, motion excitation, feature enhancement.",
        "Every part adds to those above it.",
        "shift (TSM)", rows, published("resnets", "stme", study.dataset, "1"), "stme", protocol="TSM",
    )  # fmt: skip
