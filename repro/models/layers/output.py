"""What every classifier of this project returns."""

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """Class scores, and the features that the last linear layer computes them from."""

    logits: Tensor  # (B, classes), before the softmax
    features: Tensor  # (B, D); where the network averages over frames, their mean
