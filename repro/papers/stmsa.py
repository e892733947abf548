"""STMSA: the third model of the thesis behind IMRS, known by the thesis's abstract alone: no numbers are available.

`repro.models.stmsa` says what was chosen. The claim is the abstract's: grouped spatiotemporal multi-scale convolution
and self-attention each add to the network.
"""

from repro.papers import recipes, resnet50
from repro.papers.table import Claim, Table, beats, each_beats
from repro.parameters import Parameters

NETWORKS = {
    "TSN": resnet50.BASELINES["TSN"],
    "multi-scale alone": ("stmsa", {"attention": False}),
    "self-attention alone": ("stmsa", {"multi_scale": False}),
    "both, 2 groups": ("stmsa", {"groups": 2}),
    "STMSA (both, 4 groups)": ("stmsa", {}),
}


def ablation(parameters: Parameters) -> Table:
    """Which of the two parts, and the number of groups. No number is available."""
    rows = recipes.rows(parameters, resnet50.systems(parameters, NETWORKS))
    return Table(
        "stmsa_ablation", "stmsa", "STMSA: grouped spatiotemporal multi-scale convolution and self-attention.",
        "Both together are better than either and than TSN.",
        "STMSA (both, 4 groups)", rows, ("resnet50", "stmsa", "1"), "stmsa", protocol="TSM",
    )  # fmt: skip


CLAIMS = (
    Claim("Multi-scale convolution and self-attention each make TSN better.", "STMSA", "thesis, abstract, implied",
          ablation, each_beats("TSN", "multi-scale alone", "self-attention alone")),
    Claim("Both together are better than either alone, and than TSN.", "STMSA", "thesis, abstract, implied",
          ablation, beats("STMSA (both, 4 groups)", "multi-scale alone", "self-attention alone", "TSN")),
)  # fmt: skip
