"""SMNet: Yang, Lu, Zhou 2022, "A Spatio-Temporal Motion Network for Action Recognition Based on Spatial Attention".

Its abstract is all that is known here (`repro.models.smnet` says what was chosen), so the paper's numbers are not
available. Its claims are those of the abstract, that both excitations serve, and of a caption, which speaks of four modules;
that these stand one a stage is our reading.
"""

from repro.evidence.tables import Table, published
from repro.papers import recipes as common
from repro.papers import resnet50 as resnets
from repro.parameters import Parameters

NETWORKS = {
    "TSN": resnets.BASELINES["TSN"],
    "STE alone": ("smnet", {"me": False}),
    "ME alone": ("smnet", {"ste": False}),
    "SMNet, Res2-Res3": ("smnet", {"stages": (2, 3)}),
    "SMNet, Res4-Res5": ("smnet", {"stages": (4, 5)}),
    "SMNet": ("smnet", {}),
}


def ablation(parameters: Parameters) -> Table:
    """Which of the two excitations, and in which stages. No number of the paper is available."""
    rows = common.rows(parameters, resnets.systems(parameters, NETWORKS))
    return Table(
        "smnet_ablation", "SMNet: spatio-temporal excitation, motion excitation, and the stages they stand in.",
        "Both excitations together, in all four stages, are better than TSN, than one of them, and than fewer stages.",
        "SMNet", rows, published("resnet50", "smnet", parameters.dataset, "1"), "smnet", protocol="TSM",
    )  # fmt: skip
