"""STDDCN: Hao, Zhang 2019, "Spatiotemporal distilled dense-connectivity network for video action recognition".

Only its abstract and highlights are known here (`repro.models.stddcn` says what was chosen), so the paper's numbers are
not available. The claims are the abstract's: dense connections between blocks and distillation from the fusion each help.
Every row is one network with two pathways, trained end to end; its score is the fusion's.
"""

from repro.config import MutualDistillation, Run
from repro.papers import recipes, resnet50
from repro.papers.table import Claim, Table, beats, each_beats
from repro.parameters import Parameters

DISTILLED = MutualDistillation(
    weight=1.0, temperature=2.0
)  # Hinton's form; the paper's weight and temperature are not known
PLAIN = MutualDistillation(weight=0.0)
NETWORKS = {
    "two streams": ({"direction": "none"}, PLAIN),
    "dense connections": ({}, PLAIN),
    "distillation": ({"direction": "none"}, DISTILLED),
    "one-way (motion to appearance)": ({"direction": "m->a"}, DISTILLED),
    "one-way (appearance to motion)": ({"direction": "a->m"}, DISTILLED),
    "single connections": ({"dense": False}, DISTILLED),
    "STDDCN (dense, two-way, distilled)": ({}, DISTILLED),
}
BEST = "STDDCN (dense, two-way, distilled)"


def run(parameters: Parameters, split: int, seed: int, system: str) -> Run:
    """One system of `NETWORKS`, its two pathways trained together."""
    arguments, objective = NETWORKS[system]
    return resnet50.run(parameters, split, seed, "stddcn", arguments, "rgb+flow", objective)


def ablation(parameters: Parameters) -> Table:
    """Connections, distillation, both; one way and two; dense and single. No number of the paper is available."""
    rows = recipes.rows(
        parameters,
        {label: lambda split, seed, label=label: [run(parameters, split, seed, label)] for label in NETWORKS},
    )
    return Table(
        "stddcn_ablation", "stddcn", "STDDCN: dense connections between two streams, and distillation from their fusion.",
        "Dense connections and distillation each make two streams better, and both together most.",
        "two streams", rows, ("resnet50", "stddcn", "1"), "stddcn", protocol="TSM",
        ladders=tuple(("two streams", part, BEST) for part in ("dense connections", "distillation")),
    )  # fmt: skip


CLAIMS = (
    Claim("Dense connections and distillation each make two streams better.", "STDDCN", "abstract, implied",
          ablation, each_beats("two streams", "dense connections", "distillation")),
    Claim("Both together are better than either alone, and than two streams.", "STDDCN", "abstract, implied", ablation,
          beats("STDDCN (dense, two-way, distilled)", "dense connections", "distillation", "two streams")),
)  # fmt: skip
