"""Median filter of tensors by the networks of `median_networks.py`.

On tensors a comparator is one minimum and one maximum of whole planes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.data.flow.median_networks import SELECT, SORT


def _compare(wires: list[Tensor], network: tuple) -> None:
    for low, high in network:
        a, b = wires[low], wires[high]
        wires[low], wires[high] = torch.minimum(a, b), torch.maximum(a, b)


def median_filter(plane: Tensor, size: int) -> Tensor:
    """Median filter of (B, H, W), the border repeated; size 3 or 5."""
    h, w = plane.shape[1:]
    reach = size // 2
    wide = F.pad(plane[:, None], [reach] * 4, mode="replicate")[:, 0]  # (B, H + 2r, W + 2r)
    ranks = [wide[:, k : k + h] for k in range(size)]
    _compare(ranks, SORT[size])
    wires = [rank[:, :, k : k + w] for rank in ranks for k in range(size)]
    network, middle = SELECT[size]
    _compare(wires, network)
    return wires[middle]
