"""All 2-D systems on classes that differ in the direction of time only: a test of ours, on the embedded set.

Networks that average or weigh frames, TSN and T-STAM's RGB stream, cannot tell a video from its reverse; those with
temporal modules, and those that see optical flow, can.
"""

from repro.errors import Unavailable
from repro.papers import recipes, resnet50, smnet, stddcn, stme, stmsa, tstam
from repro.papers.table import Row, Table
from repro.parameters import Parameters

BLIND = ("TSN", "T-STAM, RGB stream")


def rows(parameters: Parameters) -> tuple[Row, ...]:
    """The 2-D networks of all papers, one row each; T-STAM's two streams have a row each."""
    networks = {
        "TSN": resnet50.BASELINES["TSN"],
        "TSM": resnet50.BASELINES["TSM"],
        "SMNet": smnet.NETWORKS["SMNet"],
        "STME": stme.NETWORKS["+ enhancement (STME)"],
        "STMSA": stmsa.NETWORKS["STMSA (both, 4 groups)"],
    }
    systems = resnet50.systems(parameters, networks) | {
        "STDDCN": lambda split, seed: [stddcn.run(parameters, split, seed, "STDDCN (dense, two-way, distilled)")],
        "T-STAM, RGB stream": lambda split, seed: [tstam.stream(parameters, split, seed)],
        "T-STAM, flow stream": lambda split, seed: [tstam.stream(parameters, split, seed, "flow")],
    }
    return recipes.rows(parameters, systems)


def table(parameters: Parameters) -> Table:
    """TSN and T-STAM's RGB stream at chance, all others above it. Unavailable for another data set than the embedded one."""
    if parameters.dataset != "synthetic":
        raise Unavailable(
            f"temporal_order: {parameters.dataset} has no classes that are each other's reverse: use 'synthetic'"
        )
    return Table(
        "temporal_order", "", "The direction of time: networks on videos and their reverse.",
        "Ours: without temporal modules or flow a network is at chance; with them it is above.",
        "TSN", rows(parameters), ("", "", ""),
        "temporal_order",
    )  # fmt: skip
