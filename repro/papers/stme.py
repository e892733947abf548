"""STME: the second model of the thesis behind IMRS, known by the thesis's abstract alone: no numbers are available.

`repro.models.stme` says what was chosen. The claim is the abstract's: shift, spatiotemporal excitation, motion
excitation and feature enhancement each add to the network.
"""

from repro.papers import recipes, resnet50
from repro.papers.table import Claim, Table, beats, ladder
from repro.parameters import Parameters

NETWORKS = {
    "TSN": resnet50.BASELINES["TSN"],
    "shift (TSM)": resnet50.BASELINES["TSM"],
    "+ STE": ("stme", {"me": False, "enhancement": False}),
    "+ ME": ("stme", {"enhancement": False}),
    "+ enhancement (STME)": ("stme", {}),
}


def ablation(parameters: Parameters) -> Table:
    """The parts one after the other. No number is available."""
    rows = recipes.rows(parameters, resnet50.systems(parameters, NETWORKS))
    return Table(
        "stme_ablation", "stme", "STME: shift, spatiotemporal excitation, motion excitation, feature enhancement.",
        "Every part adds to those above it.",
        "shift (TSM)", rows, ("resnet50", "stme", "1"), "stme", protocol="TSM",
        ladders=(tuple(NETWORKS),),
    )  # fmt: skip


CLAIMS = (
    Claim("STME is better than TSM, which it builds on, and than TSN.", "STME", "thesis, abstract, implied",
          ablation, beats("+ enhancement (STME)", "shift (TSM)", "TSN")),
    Claim("Shift, both excitations and enhancement each add to what is there.", "STME", "thesis, abstract, implied; our order",
          ablation, ladder("TSN", "shift (TSM)", "+ STE", "+ ME", "+ enhancement (STME)")),
)  # fmt: skip
