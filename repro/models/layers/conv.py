"""A 3-D convolution that trains correctly in bfloat16 on the CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv3d_input, conv3d_weight


class Conv3d(nn.Conv3d):
    """`nn.Conv3d`, with a weight gradient that is right where the library's is not.

    In bfloat16 on processors with AVX-512 the library's (torch 2.14 with oneDNN 3.12, `jit_bf16:avx512_core_bf16`) reads and
    writes memory that is not its own where the convolution pads an input smaller than its kernel; training ends in
    NaN, or with worse weights and no word. In 3D ResNeXt-101 this is most of Res4, at 16 frames (T = 2). From an input
    padded beforehand the same gradient is right (tests/test_conv.py), so that is what it is computed from.
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
