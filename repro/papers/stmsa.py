"""STMSA: the third model of the thesis behind IMRS, known by the thesis's abstract alone: no numbers are available.

`repro.models.stmsa` says what was chosen. The claim is the abstract's: grouped spatiotemporal multi-scale convolution
and self-attention each add to the network.
"""

from repro.evidence.tables import Table, published
from repro.papers import recipes as common
from repro.papers import resnet50 as resnets
from repro.parameters import Parameters

NETWORKS = {
    "TSN": resnets.BASELINES["TSN"],
    "multi-scale alone": ("stmsa", {"attention": False}),
    "self-attention alone": ("stmsa", {"multi_scale": False}),
    "both, 2 groups": ("stmsa", {"groups": 2}),
    "STMSA (both, 4 groups)": ("stmsa", {}),
}


def ablation(parameters: Parameters) -> Table:
    """Which of the two parts, and the number of groups. No number is available."""
    rows = common.rows(parameters, resnets.systems(parameters, NETWORKS))
    return Table(
        "stmsa_ablation", "STMSA: grouped spatiotemporal multi-scale convolution and self-attention.",
        "Both together are better than either and than TSN.",
        "STMSA (both, 4 groups)", rows, published("resnet50", "stmsa", parameters.dataset, "1"), "stmsa", protocol="TSM",
    )  # fmt: skip
