"""How a network runs, not what it computes: memory layout, folded BatchNorm, bfloat16."""

import copy
import itertools

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # instructions of x86 and of Arm that compute in bfloat16


def bf16_supported(device: str | torch.device = "cpu") -> bool:
    """Whether the device computes in bfloat16 natively. Where it only emulates bfloat16, autocast is slower than float32.

    A processor with AVX-512 but without its bfloat16 instructions emulates: there it takes twice the time of float32.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(name, False) for name in BF16)


def channels_last(model: nn.Module) -> nn.Module:
    """Stores the weights of 2-D and 3-D convolutions with their channels last, in place; returns the network."""
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.dim() in (4, 5):
            layout = torch.channels_last if tensor.dim() == 4 else torch.channels_last_3d
            tensor.data = tensor.data.to(memory_format=layout)
    return model


def fold_batchnorm(model: nn.Module) -> nn.Module:
    """A copy in eval mode in which every convolution absorbs the BatchNorm that follows it; same output, to rounding.

    A convolution and a BatchNorm that are registered one after the other in the same module are taken to run one after
    the other. This holds for every model of this project; tests/test_models.py compares the outputs of each.
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
    """A copy for prediction only: BatchNorm folded, channels last, no gradients and, on request, weights in bfloat16.

    Weights in bfloat16 compute what autocast computes without a cast at every call, which takes a sixth of the time at
    batch 8. Request them only where `bf16_supported`. Logits and features are then bfloat16.
    """
    model = channels_last(fold_batchnorm(model).requires_grad_(False))
    return model.to(torch.bfloat16) if bf16 else model
