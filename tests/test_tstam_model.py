"""T-STAM and TSN: every equation against loops over numbers, weights that sum to one, any number of frames."""

import math

import pytest
import torch
from torch import nn

from repro.errors import ReproError
from repro.models.tools.cost import parameters
from repro.models.tsn import tsn
from repro.models.tstam import tstam

SMALL = {"width": 2, "stem_stride": 2, "stem_pools": 0, "blocks": ("3a", "3c"), "std": 60.0, "num_classes": 3}


def network(build=tstam, **changes) -> nn.Module:
    torch.manual_seed(0)
    small = {"embedding": 3, "heads": 2} if build is tstam else {}
    model = build(**{**SMALL, **small, **changes}).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    nn.init.normal_(model.fc.weight)
    if build is tstam:
        nn.init.normal_(model.score.weight)
        nn.init.normal_(model.embed.weight)
    return model


def clips(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def maps_of(model: nn.Module, clip: torch.Tensor) -> list:
    """X of each clip as nested lists, [b][t][c][y][x], frame by frame."""
    return [[model.base_model(clip[b, :, t][None])[0].tolist() for t in range(clip.shape[2])] for b in range(len(clip))]


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(v) for v in values]
    return [p / sum(powers) for p in powers]


def batchnorm(bn: nn.BatchNorm2d, channel: int, value: float) -> float:
    mean, var, scale, shift = (t[channel].item() for t in (bn.running_mean, bn.running_var, bn.weight, bn.bias))
    return (value - mean) / math.sqrt(var + bn.eps) * scale + shift


def by_hand(model: nn.Module, X: list, heads: int, frames: str, per_channel: bool) -> tuple[list, list, list]:
    """Eqs. (1)-(9) for one clip X[t][c][y][x]: F, alpha[t][d], alpha[t][j][k]; plain numbers."""
    T, C, H, W = len(X), len(X[0]), len(X[0][0]), len(X[0][0][0])
    w1, b1 = model.embed.weight[:, :, 0, 0].tolist(), model.embed.bias.tolist()
    D, K = len(w1), [(y, x) for y in range(H) for x in range(W)]
    # (1)
    x_hat = [
        [[sum(w1[d][c] * X[t][c][y][x] for c in range(C)) + b1[d] for y, x in K] for d in range(D)] for t in range(T)
    ]
    pooled = [[sum(x_hat[t][d]) / len(K) for d in range(D)] for t in range(T)]
    # (2), (3)
    w, b = model.score.weight.tolist(), model.score.bias.tolist()
    score = [[sum(w[o][d] * pooled[t][d] for d in range(D)) + b[o] for o in range(len(b))] for t in range(T)]
    columns = [softmax([score[t][o] for t in range(T)]) for o in range(len(b))]
    alpha = [[columns[d if per_channel else 0][t] for d in range(D)] for t in range(T)]
    f_t = [sum(alpha[t][d] * pooled[t][d] for t in range(T)) for d in range(D)]
    # (4), (5), (6)
    first, bn1, _, second, bn2 = model.spatial
    v, c1 = first.weight[:, :, 0, 0].tolist(), first.bias.tolist()
    u, c2, M = second.weight.tolist(), second.bias.tolist(), len(c1) // heads
    where = [[None] * heads for _ in range(T)]
    for t in range(T):
        for j in range(heads):
            hidden = [
                [
                    [
                        math.tanh(batchnorm(bn1, m, sum(v[m][c] * X[t][c][y][x] for c in range(C)) + c1[m]))
                        for x in range(W)
                    ]
                    for y in range(H)
                ]
                for m in range(j * M, (j + 1) * M)
            ]
            s = []
            for y, x in K:
                near = [
                    (y + dy, x + dx, dy + 2, dx + 2)
                    for dy in range(-2, 3)
                    for dx in range(-2, 3)
                    if 0 <= y + dy < H and 0 <= x + dx < W
                ]
                total = sum(u[j][m][ky][kx] * hidden[m][yy][xx] for m in range(M) for yy, xx, ky, kx in near)
                s.append(batchnorm(bn2, j, total + c2[j]))
            where[t][j] = softmax(s)
    # (7), (8), (9)
    F = []
    for j in range(heads):
        for d in range(D):
            f_s = sum(where[t][j][k] * x_hat[t][d][k] for t in range(T) for k in range(len(K)))
            F.append(f_t[d] + (f_s / T if frames == "mean" else f_s))
    return F, alpha, where


@pytest.mark.parametrize(
    ("heads", "frames", "per_channel"), [(2, "mean", False), (1, "sum", False), (3, "mean", True), (2, "sum", True)]
)
@torch.no_grad()
def test_every_equation(heads, frames, per_channel):
    model = network(heads=heads, frames=frames, per_channel=per_channel).double()
    clip = clips(2, 3, 3, 12, 14)
    output, attention = model(clip), model.attend(clip)
    for b, X in enumerate(maps_of(model, clip)):
        F, alpha, where = by_hand(model, X, heads, frames, per_channel)
        F, alpha, where = (torch.tensor(values, dtype=torch.float64) for values in (F, alpha, where))
        torch.testing.assert_close(output.features[b], F)
        torch.testing.assert_close(attention.frames[b], alpha.mean(1))
        torch.testing.assert_close(attention.positions[b].flatten(2), where)
    torch.testing.assert_close(output.logits, output.features @ model.fc.weight.T + model.fc.bias)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("times", [1, 6, 25])
@torch.no_grad()
def test_weights_sum_to_one_for_any_number_of_frames(times, per_channel):
    model = network(per_channel=per_channel)
    clip = clips(2, 3, times, 20, 20)
    frames, positions = model.attend(clip)
    assert frames.shape == (2, times)
    assert positions.shape == (2, times, 2, 5, 5)
    torch.testing.assert_close(frames.sum(1), torch.ones(2))
    torch.testing.assert_close(positions.sum((3, 4)), torch.ones(2, times, 2))
    assert times == 1 or frames.std() > 1e-4
    assert positions.std() > 1e-4
    assert model(clip).features.shape == (2, 2 * 3)


@torch.no_grad()
def test_six_copies_of_a_clip_are_the_clip_with_mean_and_not_with_sum():
    clip = clips(1, 3, 2, 20, 20)
    longer = clip.repeat(1, 1, 6, 1, 1)
    for frames, same in (("mean", True), ("sum", False)):
        model = network(frames=frames)
        assert torch.allclose(model(clip).features, model(longer).features, rtol=1e-4, atol=1e-4) == same


@torch.no_grad()
def test_weights_sum_to_one_under_bf16_autocast():
    model = network()
    with torch.autocast("cpu", torch.bfloat16):
        frames, positions = model.attend(clips(2, 3, 6, 20, 20))
        features = model(clips(2, 3, 6, 20, 20)).features
    assert frames.dtype == positions.dtype == features.dtype == torch.float32
    torch.testing.assert_close(frames.sum(1), torch.ones(2))
    torch.testing.assert_close(positions.sum((3, 4)), torch.ones(2, 6, 2))


def test_sizes():
    with torch.device("meta"):
        plain, full, wide = tstam(101, excitation="none"), tstam(101), tstam(51, embedding=1024)
    assert parameters(plain.base_model) == 10_270_240
    assert parameters(plain.embed) == 262_400
    assert parameters(plain.spatial) == 2_154_508
    assert parameters(plain.fc) == 103_525
    assert parameters(plain.score) == 257
    assert parameters(full) == 10_916_638 + 262_400 + 2_154_508 + 103_525 + 257
    assert wide.fc.in_features == 4096
    with torch.device("meta"):
        assert parameters(tstam(51, heads=1).spatial) == 538_627


def test_dropout_and_small_weights_before_the_classifier():
    torch.manual_seed(0)
    model = tstam(**SMALL)
    assert model.fc.weight.std() < 0.002
    assert not model.fc.bias.any()
    x = clips(2, 3, 4, 20, 20)
    nn.init.normal_(model.fc.weight)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = 0.0
    model.train()
    assert not torch.equal(model(x).logits, model(x).logits)
    assert torch.equal(model(x).features, model(x).features)


def test_one_position_is_nothing_to_attend_to():
    with pytest.raises(ReproError, match=r"clips of 4x20 pixels leave a map of 1x5, but spatial attention needs 2x2"):
        network()(clips(1, 3, 2, 4, 20))


@torch.no_grad()
def test_tsn_averages_the_scores_of_frames():
    model, clip = network(tsn).double(), clips(2, 3, 5, 20, 20)
    expected = torch.zeros(2, 3, dtype=torch.float64)
    for b in range(2):
        for t in range(5):
            pooled = model.base_model(clip[b, :, t][None]).mean((2, 3))[0]  # (D,)
            expected[b] += (model.fc.weight @ pooled + model.fc.bias) / 5
    torch.testing.assert_close(model(clip).logits, expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 0}, "heads is 0, but must be at least 1"),
        ({"embedding": 0}, "embedding is 0"),
        ({"frames": "total"}, "unknown value of frames 'total'.*known: mean, sum"),
        ({"dropout": 1.0}, r"dropout is 1.0, but must be in \[0, 1\)"),
        ({"head_std": 0.0}, "head_std is 0.0, but must be positive"),
        ({"num_classes": 0}, "num_classes is 0"),
    ],
)
def test_impossible_networks_are_one_error(arguments, message):
    with pytest.raises(ReproError, match=message):
        tstam(**{**SMALL, **arguments})
