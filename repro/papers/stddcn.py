"""STDDCN: Hao, Zhang 2019, "Spatiotemporal distilled dense-connectivity network for video action recognition".

Its abstract and highlights are all that is known here (`repro.models.stddcn` says what was chosen), so the paper's
numbers are not available. The claims are the abstract's: dense connections at the level of blocks and distillation from
the fusion each serve. Every row is one network with two pathways, trained end to end; its score is the fusion's.
"""

from repro.config import Objective, Run
from repro.papers import common, resnets
from repro.study import Study
from repro.tables import Table, published

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


def run(study: Study, split: int, seed: int, system: str) -> Run:
    """One system of `NETWORKS`, its two pathways trained together."""
    arguments, objective = NETWORKS[system]
    return resnets.run(study, split, seed, "stddcn", arguments, "rgb+flow", objective)


def ablation(study: Study) -> Table:
    """Connections, distillation, both; one way and two; dense and single. No number of the paper is available."""
    rows = common.rows(
        study,
        {label: lambda split, seed, label=label: [run(study, split, seed, label)] for label in NETWORKS},
    )
    return Table(
        "stddcn_ablation", "STDDCN: dense connections between two streams, and distillation from their fusion.",
        "Dense connections and distillation each make two streams better, and both together most.",
        "two streams", rows, published("resnets", "stddcn", study.dataset, "1"), "stddcn", protocol="TSM",
    )  # fmt: skip
