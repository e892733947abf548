"""What every classifier of this project returns."""

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """Class scores and the features they were computed from."""

    logits: Tensor  # (B, classes), before the softmax
    features: Tensor  # (B, D), the globally averaged last feature map: the input of the last linear layer
