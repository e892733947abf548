"""STME: the second model of the thesis behind IMRS, known by the thesis's abstract alone: no numbers are available.

`repro.models.stme` says what was chosen. The claim is the abstract's: shift, spatiotemporal excitation, motion
excitation and feature enhancement each add to the network.
"""

from repro.evidence.tables import Table, published
from repro.papers import recipes as common
from repro.papers import resnet50 as resnets
from repro.parameters import Parameters

NETWORKS = {
    "TSN": resnets.BASELINES["TSN"],
    "shift (TSM)": resnets.BASELINES["TSM"],
    "+ STE": ("stme", {"me": False, "enhancement": False}),
    "+ ME": ("stme", {"enhancement": False}),
    "+ enhancement (STME)": ("stme", {}),
}


def ablation(parameters: Parameters) -> Table:
    """The parts one after the other. No number is available."""
    rows = common.rows(parameters, resnets.systems(parameters, NETWORKS))
    return Table(
        "stme_ablation", "STME: shift, spatiotemporal excitation, motion excitation, feature enhancement.",
        "Every part adds to those above it.",
        "shift (TSM)", rows, published("resnet50", "stme", parameters.dataset, "1"), "stme", protocol="TSM",
    )  # fmt: skip
