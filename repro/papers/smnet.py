"""SMNet: Yang, Lu, Zhou 2022, "A Spatio-Temporal Motion Network for Action Recognition Based on Spatial Attention".

Only its abstract is known here (`repro.models.smnet` says what was chosen), so the paper's numbers are not available. Its
claims are the abstract's, that both excitations help, and a caption's, which mentions four modules. One module per stage is
our reading.
"""

from repro.papers import recipes, resnet50
from repro.papers.table import Claim, Table, beats, each_beats
from repro.parameters import Parameters

NETWORKS = {
    "TSN": resnet50.BASELINES["TSN"],
    "STE alone": ("smnet", {"me": False}),
    "ME alone": ("smnet", {"ste": False}),
    "SMNet, Res2-Res3": ("smnet", {"stages": (2, 3)}),
    "SMNet, Res4-Res5": ("smnet", {"stages": (4, 5)}),
    "SMNet": ("smnet", {}),
}


def ablation(parameters: Parameters) -> Table:
    """Which of the two excitations, and in which stages. No number of the paper is available."""
    rows = recipes.rows(parameters, resnet50.systems(parameters, NETWORKS))
    return Table(
        "smnet_ablation", "smnet", "SMNet: spatio-temporal excitation, motion excitation, and the stages they are in.",
        "Both excitations together, in all four stages, are better than TSN, than one of them, and than fewer stages.",
        "SMNet", rows, ("resnet50", "smnet", "1"), "smnet", protocol="TSM",
    )  # fmt: skip


CLAIMS = (
    Claim("Spatio-temporal and motion excitation each make TSN better.", "SMNet", "abstract, implied",
          ablation, each_beats("TSN", "STE alone", "ME alone")),
    Claim("Both excitations together are better than either alone, and than TSN.", "SMNet", "abstract, implied",
          ablation, beats("SMNet", "STE alone", "ME alone", "TSN")),
    Claim("Modules in all four stages are better than in two.", "SMNet", "a caption speaks of four modules, implied",
          ablation, beats("SMNet", "SMNet, Res2-Res3", "SMNet, Res4-Res5")),
)  # fmt: skip
