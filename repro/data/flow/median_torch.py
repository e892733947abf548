"""Median filter of tensors by sorting networks.

A sorting network is a fixed list of comparators; each puts the smaller of two values first. On tensors a comparator is
one minimum and one maximum of whole planes. Neighbouring windows share their columns, so each column of 3 or 5 pixels
is sorted once (SORT); the median is then selected from the sorted columns of a window (SELECT).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Comparators (low wire, high wire). Wire size * r + c of SELECT is rank r of sorted column c. Comparators of a full
# network were dropped while the median stayed right for every zero-one input with sorted columns.
SORT = {3: ((0, 1), (1, 2), (0, 1)), 5: ((0, 1), (3, 4), (2, 4), (2, 3), (1, 4), (0, 3), (0, 2), (1, 3), (1, 2))}
SELECT5 = (
    (0, 3), (1, 4), (0, 2), (1, 3), (2, 4), (2, 3), (5, 8), (6, 9), (6, 8), (5, 6), (7, 9), (6, 7), (8, 9),
    (7, 8), (10, 13), (11, 14), (10, 12), (11, 13), (10, 11), (12, 14), (11, 12), (13, 14), (12, 13), (15, 18),
    (16, 19), (15, 17), (16, 18), (15, 16), (17, 19), (16, 17), (17, 18), (20, 23), (21, 24), (21, 23),
    (20, 21), (22, 24), (21, 22), (8, 16), (4, 3), (12, 15), (21, 20), (15, 9), (17, 3), (4, 11), (15, 17),
    (20, 16), (17, 20), (8, 7), (21, 15), (11, 7), (12, 21), (7, 15), (13, 17), (21, 7), (13, 15), (7, 13),
)  # fmt: skip
SELECT3 = ((0, 1), (1, 2), (3, 4), (4, 5), (3, 4), (7, 8), (6, 7), (2, 4), (4, 6), (2, 4))
SELECT = {3: (SELECT3, 4), 5: (SELECT5, 13)}  # comparators, wire of the median


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
