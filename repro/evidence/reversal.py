"""The theorem beside the direction of time: what a network's scores do when the frames of a clip come in reverse order.

TSN averages the scores of its frames, and T-STAM weighs them by what they show. A sum does not depend on the order of its
terms, so neither can tell a clip from its reverse, whatever its weights are. Temporal modules have no such symmetry.
"""

import torch

from repro import networks
from repro.config import Run
from repro.data.embedded.options import CLASSES
from repro.evidence.results import Line, Result
from repro.papers import time_order
from repro.parameters import Parameters

NOTHING = 1e-9  # of a probability: rounding in float64


@torch.inference_mode()
def change(run: Run, clips: int = 8) -> float:
    """The largest change of a probability over random clips when their frames are reversed; random weights, float64."""
    d, network = run.data, networks.build(run, CLASSES, initialise=False).double().eval()
    pixels = torch.Generator().manual_seed(0)
    clip = torch.randint(0, 256, (clips, d.channels, d.frames, d.size, d.size), generator=pixels, dtype=torch.uint8)
    forwards, backwards = (network(each).logits.softmax(1) for each in (clip, clip.flip(2)))
    return float((forwards - backwards).abs().max())


def table(parameters: Parameters) -> Result:
    """One line per network that takes RGB frames. Flow is left out: the flow of a reversed video is another flow."""
    rows = [row for row in time_order.rows(parameters) if row.runs[0].data.modality == "rgb"]
    lines = []
    for row in rows:
        found = change(row.runs[0])
        blind = found < NOTHING
        cells = {
            "network": row.label,
            "largest change of a probability": "none" if blind else f"{found:.3f}",
            "can know the order": "no" if blind else "yes",
            "expected": "no" if row.label in time_order.BLIND else "yes",
        }
        lines.append(Line(cells))
    return Result(
        "time_reversal", "", "The direction of time, exactly: clips and their reverse in networks with random weights.",
        "Ours: averaging and weighing frames gives a clip and its reverse the same scores; temporal modules do not.",
        "exact", "temporal_order", "python -m repro run temporal_order", tuple(lines),
    )  # fmt: skip
