"""Freezing parts of a network: their parameters and, which `requires_grad` alone does not stop, their BatchNorm statistics."""

from collections.abc import Sequence

from torch import nn

from repro.errors import unknown
from repro.models.layers.excitation import ChannelExcitation, SqueezeExcitation

NORMS = nn.BatchNorm2d | nn.BatchNorm3d
FROZEN = "statistics_are_frozen"  # attribute of a BatchNorm


def freeze_except(model: nn.Module, trained: Sequence[str]) -> None:
    """Freezes, in place, all parts of a network except the named ones and the channel gates.

    The parameters of a frozen part get no gradient. Its BatchNorm layers use their running statistics and stop updating
    them, even after `model.train()`: a hook returns them to eval mode before each use. MARS fine-tunes
    `("layer4", "fc")`, but lets the statistics of the frozen part move.

    Channel gates (IMRS's channel excitation, squeeze-and-excitation) always train, because no public checkpoint contains
    them: an untrained gate stays near 1/2 and halves the output of its stage. For the same reason the frozen layers
    behind a gate first see inputs at half the scale of their running statistics.

    Parameters: names of direct submodules ("conv1", "bn1", "layer1", ..., "fc"). Raises ReproError for an unknown one.
    """
    parts = [name for name, part in model.named_children() if any(True for _ in part.parameters())]
    for name in trained:
        if name not in parts:
            raise unknown("part of the network", name, parts)
    for name, part in model.named_children():
        if name in trained:
            continue
        part.requires_grad_(False)
        for module in part.modules():
            if isinstance(module, NORMS):
                _freeze_statistics(module)
            if isinstance(module, ChannelExcitation | SqueezeExcitation):
                module.requires_grad_(True)


def freeze_batchnorm_except_first(model: nn.Module) -> None:
    """TSN's partial BatchNorm (Wang et al. 2016, section 3.2), in place: freezes every BatchNorm except the first.

    The first one adapts to the new input, which matters most for flow. The others use their running statistics, as in
    `freeze_except`; as in tsn-pytorch their scale and shift get no gradient either. In a network with a `base_model`
    only that backbone is affected: the other BatchNorms have no statistics from a public checkpoint.
    """
    backbone = getattr(model, "base_model", model)
    norms = [module for module in backbone.modules() if isinstance(module, NORMS)]
    for norm in norms[1:]:
        norm.requires_grad_(False)
        _freeze_statistics(norm)


def learns_statistics(module: nn.Module) -> bool:
    """Whether a module is a BatchNorm that normalises training clips by their own statistics."""
    return isinstance(module, nn.BatchNorm1d | NORMS) and not getattr(module, FROZEN, False)


def _freeze_statistics(norm: nn.Module) -> None:
    setattr(norm, FROZEN, True)
    norm.register_forward_pre_hook(_stay_in_eval)


def _stay_in_eval(norm: nn.Module, _: tuple) -> None:
    """Undoes, before each use, what `model.train()` set."""
    norm.eval()
