"""The bfloat16 convolution against float64, on shapes where the library's own weight gradient is wrong."""

import pytest
import torch

from repro.models.layers.conv import Conv3d


def leave_garbage() -> None:
    """Frees blocks of memory full of large numbers, which a kernel that reads what it did not write will find."""
    blocks = [torch.full((2**power,), 1e4) for power in range(4, 21) for _ in range(4)]
    del blocks


@pytest.mark.slow
@pytest.mark.parametrize("layout", [torch.channels_last_3d, torch.contiguous_format])
@pytest.mark.parametrize(
    ("inputs", "outputs", "groups", "kernel", "stride", "sides"),
    [
        (64, 64, 4, (3, 3, 3), 1, (2, 7, 7)),  # as Res4 of 3D ResNeXt-101, with fewer groups
        (32, 32, 8, (3, 3, 3), 1, (2, 16, 16)),
        (32, 32, 1, (3, 3, 3), 1, (2, 8, 8)),
        (32, 32, 8, (3, 3, 3), 2, (1, 1, 1)),
        (32, 32, 4, (3, 3, 3), 2, (4, 1, 1)),
        (32, 32, 4, (3, 3, 3), 1, (1, 4, 4)),
        (32, 32, 4, (3, 3, 3), 2, (5, 6, 7)),
        (3, 16, 1, (3, 5, 5), (1, 2, 2), (2, 16, 16)),
        (3, 16, 1, (7, 7, 7), (1, 2, 2), (4, 16, 16)),
        (2, 64, 1, (7, 7, 7), (1, 2, 2), (8, 16, 16)),
    ],
)
def test_bfloat16_gradients(layout, inputs, outputs, groups, kernel, stride, sides):
    torch.manual_seed(0)
    conv = Conv3d(inputs, outputs, kernel, stride, [k // 2 for k in kernel], groups=groups, bias=False)
    x = torch.randn(4, inputs, *sides)
    exact_x, exact = x.double().requires_grad_(), Conv3d(**_geometry(conv)).double()
    exact.load_state_dict(conv.state_dict())
    expected = exact(exact_x)
    toward = torch.randn_like(expected)
    expected.backward(toward)

    conv.to(memory_format=layout)
    for _ in range(2):
        conv.zero_grad()
        ours_x = x.bfloat16().to(memory_format=layout).requires_grad_()
        leave_garbage()
        with torch.autocast("cpu", torch.bfloat16):
            output = conv(ours_x)
        leave_garbage()
        output.backward(toward.bfloat16().to(memory_format=layout))
        pairs = ((output, expected), (ours_x.grad, exact_x.grad), (conv.weight.grad, exact.weight.grad))
        for ours, wanted in pairs:
            assert (ours.double() - wanted).abs().max() < 0.02 * wanted.abs().max()
        assert conv.weight.grad.dtype == torch.float32


def _geometry(conv: Conv3d) -> dict:
    names = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "groups")
    return {name: getattr(conv, name) for name in names} | {"bias": False}


@pytest.mark.parametrize("bias", [False, True])
def test_it_is_the_same_convolution(bias):
    torch.manual_seed(0)
    conv = Conv3d(8, 8, 3, padding=1, groups=2, bias=bias).bfloat16()
    x = torch.randn(2, 8, 2, 5, 5).bfloat16()
    with torch.no_grad():
        plain = torch.nn.functional.conv3d(x, conv.weight, conv.bias, padding=1, groups=2)
    torch.testing.assert_close(conv(x), plain, rtol=0.02, atol=0.02)
    assert conv(x).dtype == torch.bfloat16
