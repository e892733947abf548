"""Convolutions: a bias-free 2-D one, and a 3-D one that trains correctly in bfloat16 on the CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv3d_input, conv3d_weight


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A 2-D convolution without bias that keeps H and W at stride 1, with torchvision's initial values."""
    module = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return module


class Conv3d(nn.Conv3d):
    """`nn.Conv3d` with a correct weight gradient where the library's is wrong.

    The faulty kernel is oneDNN 3.12's in torch 2.14, in bfloat16 on processors with AVX-512 (`jit_bf16:avx512_core_bf16`).
    Where the convolution pads an input that is smaller than its kernel, it reads and writes memory outside its buffers.
    Training then ends in NaN, or silently with worse weights. In 3D ResNeXt-101 at 16 frames (T = 2) this affects most of
    Res4. The same gradient is correct for an input that is padded beforehand (tests/test_conv.py), so it is computed from
    one.
    """

    def forward(self, x: Tensor) -> Tensor:
        small = any(side < kernel for side, kernel in zip(x.shape[2:], self.kernel_size, strict=True))  # T, H, W
        trains = torch.is_grad_enabled() and self.weight.requires_grad
        if not (small and trains and x.dtype == torch.bfloat16 and x.device.type == "cpu"):
            return super().forward(x)
        y = _PaddedWeightGradient.apply(x, self.weight, self.stride, self.padding, self.groups)
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None, None]


class _PaddedWeightGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, stride, padding, groups):
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding, groups
        return F.conv3d(x, weight.to(x.dtype), None, stride, padding, 1, groups)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        stride, padding, groups = ctx.geometry
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = conv3d_input(x.shape, weight.to(x.dtype), grad, stride, padding, 1, groups)
        sides = zip(x.shape[2:], weight.shape[2:], padding, strict=True)
        t, h, w = before = [pad if side < kernel else 0 for side, kernel, pad in sides]
        rest = tuple(pad - b for pad, b in zip(padding, before, strict=True))
        grad_weight = conv3d_weight(F.pad(x, (w, w, h, h, t, t)), weight.shape, grad, stride, rest, 1, groups)
        return grad_x, grad_weight.to(weight.dtype), None, None, None
