"""STDDCN: Hao, Zhang 2019, "Spatiotemporal distilled dense-connectivity network for video action recognition".

Its abstract and highlights are all that is known here (`repro.models.stddcn` says what was chosen), so the paper's
numbers are not available. The claims are the abstract's: dense connections at the level of blocks and distillation from
the fusion each serve. Every row is one network with two pathways, trained end to end; its score is the fusion's.
"""

from repro.config import Objective, Run
from repro.evidence.tables import Table, published
from repro.papers import recipes as common
from repro.papers import resnet50 as resnets
from repro.parameters import Parameters

DISTILLED = Objective(mutual=1.0, temperature=2.0)  # Hinton's form; the paper's weight and temperature are not known
PLAIN = Objective()
NETWORKS = {
    "two streams": ({"direction": "none"}, PLAIN),
    "dense connections": ({}, PLAIN),
    "distillation": ({"direction": "none"}, DISTILLED),
    "one-way (motion to appearance)": ({"direction": "m->a"}, DISTILLED),
    "one-way (appearance to motion)": ({"direction": "a->m"}, DISTILLED),
    "single connections": ({"dense": False}, DISTILLED),
    "STDDCN (dense, two-way, distilled)": ({}, DISTILLED),
}


def run(parameters: Parameters, split: int, seed: int, system: str) -> Run:
    """One system of `NETWORKS`, its two pathways trained together."""
    arguments, objective = NETWORKS[system]
    return resnets.run(parameters, split, seed, "stddcn", arguments, "rgb+flow", objective)


def ablation(parameters: Parameters) -> Table:
    """Connections, distillation, both; one way and two; dense and single. No number of the paper is available."""
    rows = common.rows(
        parameters,
        {label: lambda split, seed, label=label: [run(parameters, split, seed, label)] for label in NETWORKS},
    )
    return Table(
        "stddcn_ablation", "STDDCN: dense connections between two streams, and distillation from their fusion.",
        "Dense connections and distillation each make two streams better, and both together most.",
        "two streams", rows, published("resnet50", "stddcn", parameters.dataset, "1"), "stddcn", protocol="TSM",
    )  # fmt: skip
