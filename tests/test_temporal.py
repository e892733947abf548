"""Temporal modules against loops written from their equations; the plain forms against the fast ones that networks use;
the project's own gradients against numerical ones."""

import copy

import pytest
import torch
from torch import nn

from repro.errors import ReproError
from repro.models.layers.frames import fold_time
from repro.models.layers.gates import MotionGate, SpatialAttention, SpatioTemporalGate, channel_mean, excite
from repro.models.layers.shift import ChannelwiseTemporal, Shift
from repro.models.layers.temporal import Excitation, FeatureEnhancement, MultiScale, SelfAttention, SMNetModule
from repro.models.smnet import PlainSMNetModule
from repro.models.stme import PlainEnhancement, PlainExcitation
from repro.models.stmsa import PlainMultiScale, PlainSelfAttention
from repro.models.tools.cost import multiply_adds

B, T, C, H, W = 2, 5, 16, 3, 4


def frames(b=B, t=T, c=C, h=H, w=W, dtype=torch.float32, seed=0) -> torch.Tensor:
    """(B*T, C, H, W), channels last in memory."""
    x = torch.randn(b * t, h, w, c, generator=torch.Generator().manual_seed(seed))
    return x.to(dtype).permute(0, 3, 1, 2)


def randomised(module: nn.Module, seed=0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.3)
        if name.endswith("running_var"):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return module.eval()


def padded(z: torch.Tensor, b: int, t: int) -> torch.Tensor:
    """Frame t of clip b, (C, H, W); zeros where there is none."""
    return z[b * T + t] if 0 <= t < T else torch.zeros_like(z[0])


def batch_norm(z: torch.Tensor, bn: nn.BatchNorm2d) -> torch.Tensor:
    shape = (1, -1, 1, 1)
    scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    return (z - bn.running_mean.view(shape)) * scale.view(shape) + bn.bias.view(shape)


def shift_loop(x: torch.Tensor, divide: int, distance: int = 1) -> torch.Tensor:
    y, fold = torch.zeros_like(x), x.shape[1] // divide
    for b in range(B):
        for t in range(T):
            for c in range(x.shape[1]):
                since = t + distance if c < fold else t - distance if c < 2 * fold else t
                y[b * T + t, c] = padded(x, b, since)[c]
    return y


@pytest.mark.parametrize("divide", [2, 3, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shift_is_its_definition_to_the_bit(divide, dtype):
    x = frames(dtype=dtype)
    y = Shift(divide)(x, T)
    assert torch.equal(y, shift_loop(x, divide))
    assert torch.equal(Shift(divide)(x.contiguous(), T), y)
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("dilation", [1, 2, 7])
def test_channelwise_convolution_is_its_equation(dilation):
    module, x = randomised(ChannelwiseTemporal(C, dilation=dilation)), frames()
    expected = torch.empty_like(x)
    for b in range(B):
        for t in range(T):
            taps = [padded(x, b, t + k * dilation) for k in (-1, 0, 1)]
            expected[b * T + t] = sum(module.weight[:, k, None, None] * taps[k] for k in range(3))
    y = module(x, T)
    torch.testing.assert_close(y, expected)
    assert y.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("distance", [1, 2])
def test_channelwise_convolution_starts_as_a_shift(distance):
    x = frames()
    assert torch.equal(ChannelwiseTemporal(C, dilation=distance)(x, T), shift_loop(x, 8, distance))


def test_spatiotemporal_gate_is_its_equation():
    module, x = randomised(SpatioTemporalGate()), frames()
    k, gate = module.conv.weight[0, 0], module(x, T)
    assert gate.shape == (B * T, 1, H, W)
    for b, t, i, j in torch.cartesian_prod(*map(torch.arange, (B, T, H, W))).tolist():
        total = torch.tensor(0.0)
        for dt, di, dj in torch.cartesian_prod(*[torch.arange(-1, 2)] * 3).tolist():
            if 0 <= i + di < H and 0 <= j + dj < W:
                total += k[dt + 1, di + 1, dj + 1] * padded(x, b, t + dt)[:, i + di, j + dj].mean()
        torch.testing.assert_close(gate[b * T + t, 0, i, j], torch.sigmoid(total))


@pytest.mark.parametrize(("h", "w"), [(3, 4), (1, 1), (2, 1)])
def test_motion_gate_is_its_equation(h, w):
    module, x = randomised(MotionGate(C, 4)), frames(h=h, w=w)
    z = batch_norm(torch.einsum("rc,nchw->nrhw", module.reduce.weight[:, :, 0, 0], x), module.bn)
    gate = module(x, T)
    assert gate.shape == (B * T, C, 1, 1)
    for b in range(B):
        for t in range(T):
            d = torch.zeros(4)
            for r in range(4 if t < T - 1 else 0):
                k = module.conv.weight[r, 0]
                for i, j in torch.cartesian_prod(torch.arange(h), torch.arange(w)).tolist():
                    near = ((i + a, j + c, k[a + 1, c + 1]) for a in (-1, 0, 1) for c in (-1, 0, 1))
                    after = padded(z, b, t + 1)[r]
                    moved = sum(after[p, q] * v for p, q, v in near if 0 <= p < h and 0 <= q < w)
                    d[r] += (moved - z[b * T + t, r, i, j]) / (h * w)
            expected = torch.sigmoid(module.expand.weight[:, :, 0, 0] @ d)
            torch.testing.assert_close(gate[b * T + t, :, 0, 0], expected)


def test_spatial_attention_is_a_convolution_of_the_mean():
    module, x = randomised(SpatialAttention(7)), frames()
    expected = torch.sigmoid(nn.functional.conv2d(x.mean(1, keepdim=True), module.conv.weight[:, :, 0], padding=3))
    torch.testing.assert_close(module(x), expected)


def test_multi_scale_is_the_cascade():
    for stride in (1, 2):
        module, x = randomised(MultiScale(C, stride, 4)), frames()
        expected, last = [], None
        for i, scale in enumerate(module.scales):
            part = x[:, 4 * i : 4 * i + 4]
            moved = torch.zeros_like(part)
            own = part if last is None or stride == 2 else part + last
            for b in range(B):
                for t in range(T):
                    taps = [padded(own, b, t + k * (i + 1)) for k in (-1, 0, 1)]
                    moved[b * T + t] = sum(scale.temporal.weight[:, k, None, None] * taps[k] for k in range(3))
            last = torch.relu(batch_norm(nn.functional.conv2d(moved, scale.conv.weight, None, stride, 1), scale.bn))
            expected.append(last)
        torch.testing.assert_close(module(x, T), torch.cat(expected, 1))


def test_self_attention_is_its_equation():
    module, x = randomised(SelfAttention(C)), frames(h=4)
    f = [nn.functional.conv2d(x, m.weight) for m in (module.query, module.key, module.value)]
    f[1:] = [nn.functional.max_pool2d(z, 2) for z in f[1:]]
    y = torch.empty_like(f[0])
    maps = module.weights(x, T)
    assert maps.shape == (B, T, 4, 4, T, 2, 2)
    for b in range(B):
        q, k, v = (z[b * T : b * T + T].permute(0, 2, 3, 1).reshape(-1, C // 2) for z in f)
        for i in range(len(q)):
            e = torch.exp(torch.stack([q[i] @ k[j] / (C // 2) ** 0.5 for j in range(len(k))]))
            y[b * T + i // 16, :, i // 4 % 4, i % 4] = (e[:, None] / e.sum() * v).sum(0)
            torch.testing.assert_close(maps[b].reshape(len(q), len(k))[i], e / e.sum())
    expected = x + batch_norm(torch.einsum("oc,nchw->nohw", module.out.weight[:, :, 0, 0], y), module.bn)
    torch.testing.assert_close(module(x, T), expected, rtol=1e-4, atol=1e-5)


def test_sums_of_branches():
    x = frames()
    s, c = torch.rand(B * T, 1, H, W), torch.rand(B * T, C, 1, 1)
    torch.testing.assert_close(excite(x, s, c), (x * s + x) + (x * c + x))
    torch.testing.assert_close(channel_mean(x), x.mean(1, keepdim=True))
    for ste, me in ((True, True), (True, False), (False, True)):
        m = randomised(SMNetModule(C, ste, me, 7, 4))
        u = m.temporal(x, T) if ste else x
        parts = ([u * m.spatial(u) + u] if ste else []) + ([u * m.motion(u, T) + u] if me else [])
        torch.testing.assert_close(m(x, T), sum(parts))
        for shift in (True, False):
            m = randomised(Excitation(C, shift, ste, me, 8, 4))
            u = shift_loop(x, 8) if shift else x
            gates = [g(u, T) for g in (m.ste, m.me) if g is not None]
            torch.testing.assert_close(m(x, T), sum(u * g + u for g in gates))
    assert torch.equal(Excitation(C, True, False, False, 8, 4)(x, T), shift_loop(x, 8))


def test_enhancement_starts_as_nothing():
    module, x = FeatureEnhancement(C), frames()
    assert torch.equal(module(x, T), x)
    assert not torch.allclose(randomised(module)(x, T), x)


PAIRS = {
    "smnet": (PlainSMNetModule(C, 7, 4), SMNetModule(C, True, True, 7, 4)),
    "stme": (PlainExcitation(C, 8, 4), Excitation(C, True, True, True, 8, 4)),
    "enhancement": (PlainEnhancement(C), FeatureEnhancement(C)),
    "multi-scale": (PlainMultiScale(C, 1, 4), MultiScale(C, 1, 4)),
    "multi-scale, stride 2": (PlainMultiScale(C, 2, 4), MultiScale(C, 2, 4)),
    "self-attention": (PlainSelfAttention(C), SelfAttention(C)),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("plain", "fast"), PAIRS.values(), ids=PAIRS)
def test_the_fast_form_is_the_plain_one(plain, fast, training):
    """Outputs, gradients and BatchNorm statistics, from the same values of all parameters."""
    plain, fast = (
        copy.deepcopy(plain).double().train(training),
        randomised(copy.deepcopy(fast)).double().train(training),
    )
    for ours, theirs in ((plain.parameters(), fast.parameters()), (plain.buffers(), fast.buffers())):
        for mine, its in zip(ours, theirs, strict=True):
            mine.data = its.data.clone().view_as(mine)  # the same numbers in the same order, with axes of length one
    x = frames(h=5, w=6, dtype=torch.float64).requires_grad_()  # (B*T, C, H, W)
    clip = x.detach().unflatten(0, (B, T)).transpose(1, 2).contiguous().requires_grad_()  # (B, C, T, H, W)
    y, expected = fast(x, T), plain(clip)
    torch.testing.assert_close(y, expected.transpose(1, 2).flatten(0, 1))
    weights = frames(h=y.shape[2], w=y.shape[3], dtype=torch.float64, seed=1)
    (y * weights).sum().backward()
    (expected * weights.unflatten(0, (B, T)).transpose(1, 2)).sum().backward()
    torch.testing.assert_close(x.grad, clip.grad.transpose(1, 2).flatten(0, 1))
    for mine, its in zip(plain.parameters(), fast.parameters(), strict=True):
        assert its.grad.abs().max() > 1e-6
        torch.testing.assert_close(its.grad.view_as(mine), mine.grad)
    for mine, its in zip(plain.buffers(), fast.buffers(), strict=True):
        torch.testing.assert_close(its, mine)


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    [Shift(4), ChannelwiseTemporal(8), ChannelwiseTemporal(8, dilation=2), SMNetModule(8, True, True, 3, 4),
     Excitation(8, True, True, True, 8, 4), SelfAttention(8), MultiScale(8, 1, 2)],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
def test_gradients_are_the_numerical_ones(module):
    module = randomised(module).double()
    names = [name for name, _ in module.named_parameters()]

    def run(x, *values):
        return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x, 3))

    x = frames(1, 3, 8, 2, 2, torch.float64).requires_grad_()
    values = [p.detach().clone().requires_grad_() for p in module.parameters()]
    assert torch.autograd.gradcheck(run, (x, *values))


@pytest.mark.parametrize(
    "module",
    [Shift(), ChannelwiseTemporal(C), SMNetModule(C, True, True, 7, 4), Excitation(C, True, True, True, 8, 4),
     SelfAttention(C), MultiScale(C, 1, 4), FeatureEnhancement(C)],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
def test_bfloat16_is_close_and_stays_channels_last(module):
    module = randomised(module)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        x = frames(dtype=dtype).requires_grad_()
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = module(x, T)
        assert y.dtype == dtype
        assert y.is_contiguous(memory_format=torch.channels_last)
        y.float().square().sum().backward()
        results.append([y.float(), x.grad.float(), *(p.grad for p in module.parameters())])
    for plain, low in zip(*results, strict=True):
        assert (low - plain).abs().max() < 0.06 * plain.abs().max() + 1e-3


def test_impossible_modules_are_one_error():
    with pytest.raises(ReproError, match="divide is 1"):
        Shift(1)
    with pytest.raises(ReproError, match="reduction is 5, but must be a divisor of its 16"):
        MotionGate(16, 5)
    with pytest.raises(ReproError, match="groups is 3, but must be a divisor of its 16"):
        MultiScale(16, 1, 3)


def test_a_channelwise_temporal_convolution_costs_what_the_library_counts():
    class Ours(nn.Module):
        def __init__(self):
            super().__init__()
            self.temporal = ChannelwiseTemporal(16, dilation=2)

        def forward(self, x):
            return self.temporal(fold_time(x, 16), x.shape[2])

    shape = (2, 16, 4, 6, 5)  # B, C, T, H, W
    theirs = nn.Conv3d(16, 16, (3, 1, 1), padding=(2, 0, 0), dilation=(2, 1, 1), groups=16, bias=False)
    assert multiply_adds(Ours(), shape) == multiply_adds(theirs, shape) == 3 * 2 * 16 * 4 * 6 * 5
