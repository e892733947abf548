"""What changes how a network runs or trains without changing what it computes: memory, bf16, folded and frozen parts."""

import copy
import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from repro.errors import unknown
from repro.models.layers.excitation import ChannelExcitation, SqueezeExcitation


def bf16_supported(device: str | torch.device = "cpu") -> bool:
    """Whether the device computes in bfloat16 natively; where it merely emulates it, bf16 autocast loses time."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def channels_last(model: nn.Module) -> nn.Module:
    """Lays the weights of 2-D and 3-D convolutions out with their channels last, in place; returns the network."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() in (4, 5):
            layout = torch.channels_last if tensor.dim() == 4 else torch.channels_last_3d
            tensor.data = tensor.data.to(memory_format=layout)
    return model


def fold_batchnorm(model: nn.Module) -> nn.Module:
    """A copy for inference in which every convolution has absorbed the BatchNorm behind it; same output, to rounding.

    conv1 and bn1 registered one after the other in the same module are taken to run one after the other, which holds
    for every model of this project (tests/test_models.py compares the outputs of each). The copy is in eval mode.
    """
    model = copy.deepcopy(model).eval()
    for parent in list(model.modules()):
        children = list(parent.named_children())
        for (name, conv), (bn_name, bn) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d | nn.Conv3d) and isinstance(bn, nn.BatchNorm2d | nn.BatchNorm3d):
                setattr(parent, name, fuse_conv_bn_eval(conv, bn))
                setattr(parent, bn_name, nn.Identity())
    return model


def for_inference(model: nn.Module, bf16: bool) -> nn.Module:
    """A copy that only predicts, as fast as can be: BatchNorm folded, channels last, and in bfloat16 on request.

    Weights in bfloat16 do what autocast does, without casting them at every call (a sixth of the time at batch 8).
    Ask for it where `bf16_supported`; logits and features are bfloat16 then.
    """
    model = channels_last(fold_batchnorm(model).requires_grad_(False))
    return model.to(torch.bfloat16) if bf16 else model


def _stay_in_eval(bn: nn.Module, _: tuple) -> None:
    """Undoes, right before each use, what `model.train()` set."""
    bn.eval()


def freeze_except(model: nn.Module, trained: Sequence[str]) -> None:
    """Freezes, in place, all parts of a network but the named ones; the excitations always train.

    A frozen part's parameters get no gradient, and its BatchNorm keeps using, and no longer updates, its running
    statistics, also after `model.train()`: a hook returns it to eval mode before each use. MARS fine-tunes
    `("layer4", "fc")`, there with the BatchNorm statistics of the frozen part still moving. The excitations train
    because no public checkpoint has them: left alone their gates would stay near 1/2 and halve each stage's output.
    At first, then, frozen layers behind an excitation see inputs at half the scale of their statistics.

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
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.register_forward_pre_hook(_stay_in_eval)
            if isinstance(module, ChannelExcitation | SqueezeExcitation):
                module.requires_grad_(True)


def freeze_batchnorm_except_first(model: nn.Module) -> None:
    """TSN's partial BatchNorm (Wang et al. 2016, section 3.2), in place: all but the first use their running statistics.

    The first goes on adapting to the new input, which matters most for flow. As in tsn-pytorch the frozen ones' scale
    and shift get no gradient either. It lasts through `model.train()`, as in `freeze_except`. In a network with parts
    beside its backbone, `base_model`, only the backbone's are frozen: theirs have no statistics of a public checkpoint.
    """
    backbone = getattr(model, "base_model", model)
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d)]
    for norm in norms[1:]:
        norm.requires_grad_(False)
        norm.register_forward_pre_hook(_stay_in_eval)
