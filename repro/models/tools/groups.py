"""Groups of parameters, each with a learning rate and a weight decay of its own, as the code of TSN and of TSM has them."""

from typing import Literal

from torch import Tensor, nn

from repro.models.tools.freeze import NORMS

CONVOLUTIONS = nn.Conv1d | nn.Conv2d | nn.Conv3d
RGB = 3  # channels of RGB; every other number is flow


def multiples(model: nn.Module, rates: Literal["one", "tsn", "tsm"]) -> dict[tuple[int, int], list[Tensor]]:
    """{(times the rate, times the weight decay): parameters} of all that are not frozen. (1, 1) is there and comes first.

    "one": all alike.
    "tsn": biases have twice the rate. The first convolution of a flow network has 5 times the rate, its bias 10 times.
    Biases, and scale and shift of BatchNorm, have no weight decay.
    "tsm": the same, and linear layers, which there are the new classifiers, have 5 times the rate, their biases 10 times.

    In a network with several `pathways` each has a first convolution.
    """
    if rates == "one":
        return {(1, 1): [p for p in model.parameters() if p.requires_grad]}
    pathways = getattr(model, "pathways", (model,))
    firsts = [next((part for part in each.modules() if isinstance(part, CONVOLUTIONS)), None) for each in pathways]
    quick = [first for first in firsts if first is not None and first.in_channels != RGB]
    if rates == "tsm":
        quick += [part for part in model.modules() if isinstance(part, nn.Linear)]
    found: dict[tuple[int, int], list[Tensor]] = {(1, 1): []}
    for part in model.modules():
        times = 5 if any(part is each for each in quick) else 1
        for name, parameter in part.named_parameters(recurse=False):
            group = (1, 0) if isinstance(part, NORMS) else (2 * times, 0) if name == "bias" else (times, 1)
            if parameter.requires_grad:
                found.setdefault(group, []).append(parameter)
    return found
