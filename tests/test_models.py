"""Every architecture runs through the same tests; the papers' exact numbers; speed-ups that must change nothing."""

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from repro.config import Optimisation
from repro.errors import ReproError
from repro.models import MODELS, build
from repro.models.layers.excitation import ChannelExcitation, SqueezeExcitation
from repro.models.tools.cost import excitation_multiplies, multiply_adds, parameters, published_models
from repro.models.tools.freeze import freeze_batchnorm_except_first, freeze_except
from repro.models.tools.inference import bf16_supported, channels_last, fold_batchnorm, for_inference
from repro.train import sgd


@dataclass(frozen=True)
class Case:
    """A miniature of a model, for 32x32 frames."""

    arguments: dict[str, Any]
    variants: tuple[dict[str, Any], ...] = ({},)  # changes of the arguments that bring other parameters
    trained: tuple[str, ...] = ("fc",)  # parts that fine-tuning might train
    unseen: tuple[str, ...] = ()  # parameters that cannot change the output, such as a bias before a softmax
    channels: int = 3


INCEPTION = {
    "width": 8, "blocks": ("3a", "3c", "4a", "4e", "5b"), "stem_pools": 0, "excitation": "se", "std": 60.0, "head_std": 0.1,
}  # fmt: skip
RESNET = {"depths": (1, 2, 1, 1), "width": 8, "stem_kernel": 5, "stem_stride": 1}
CASES = {
    "resnext3d": Case(
        {"depths": (1, 2, 1, 1), "width": 8, "cardinality": 4, "excitation": "ce", "stem_kernel": (3, 5, 5), "std": 60.0},
        variants=({"excitation": "none"}, {"excitation": "ce"}, {"excitation": "se"}),
        trained=("layer4", "fc"),
    ),
    "tsn": Case(INCEPTION, variants=({"excitation": "none"}, {"excitation": "se"})),
    "tstam": Case(
        {**INCEPTION, "embedding": 12, "heads": 2},
        variants=({"excitation": "none"}, {"excitation": "se"}, {"per_channel": True, "heads": 3}),
        trained=("spatial", "fc"),
        unseen=("score.bias", "spatial.3.bias", "spatial.4.bias"),
    ),
    "tsn_resnet": Case(RESNET, trained=("layer4", "fc")),
    "tsm": Case(RESNET, trained=("layer4", "fc")),
    "smnet": Case(
        {**RESNET, "reduction": 4}, variants=({}, {"me": False}, {"ste": False}), trained=("layer4", "fc"),
    ),
    "stme": Case(
        {**RESNET, "reduction": 4},
        variants=({}, {"me": False}, {"ste": False}, {"shift": False, "enhancement": False}),
        trained=("layer4", "fc"),
    ),
    "stmsa": Case(
        {**RESNET, "groups": 2},
        variants=({}, {"multi_scale": False}, {"attention": False}, {"attention_stages": (2, 3, 4, 5)}),
        trained=("layer4", "fc"),
    ),
    "stddcn": Case(
        RESNET,
        variants=({}, {"direction": "none"}, {"direction": "m->a"}, {"dense": False}, {"combine": "concat"}),
        channels=13,
    ),
}  # fmt: skip
NORMS = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def small(name="resnext3d", seed=0, **changes) -> nn.Module:
    torch.manual_seed(seed)
    return build(name, **{"num_classes": 5, **CASES[name].arguments, **changes})


def clips(*shape: int, seed=0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def heads(output) -> torch.Tensor:
    """One number of all class scores: the students' too, where a network has some."""
    return sum(z.square().sum() for name, z in output._asdict().items() if name != "features")


def randomise_statistics(model: nn.Module) -> nn.Module:
    """Running statistics and scales as after some training, so that folding has something to fold."""
    for module in model.modules():
        if isinstance(module, NORMS):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    return model


def without_dropout(model: nn.Module) -> nn.Module:
    """So that training and another layout of memory, in whose order dropout draws, change nothing."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def meta(**arguments) -> nn.Module:
    with torch.device("meta"):
        return build("resnext3d", **arguments)


def test_every_model_has_a_case():
    assert CASES.keys() == MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(2, 8, 32, 32), (1, 16, 48, 48), (3, 5, 33, 40)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_output_shapes(name, shape, dtype):
    logits, features = small(name).eval()(clips(shape[0], CASES[name].channels, *shape[1:]).to(dtype))[:2]
    assert logits.shape == (shape[0], 5)
    assert features.shape == (shape[0], small(name).fc.in_features)
    assert logits.dtype == features.dtype == torch.float32


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), [(n, variant) for n in CASES for variant in CASES[n].variants])
def test_gradients_reach_every_parameter(name, variant):
    model = small(name, **variant).eval()  # in training, BatchNorm takes out the bias of a convolution before it
    for norm in (m for m in model.modules() if isinstance(m, NORMS) and not m.weight.any()):
        nn.init.ones_(norm.weight)  # parts that start at zero would keep the gradient from what stands before them
    heads(model(clips(4, CASES[name].channels, 8, 32, 32))).backward()
    largest = {n: 0.0 if p.grad is None else p.grad.abs().max().item() for n, p in model.named_parameters()}
    unseen = CASES[name].unseen
    assert [n for n, size in largest.items() if n not in unseen and not size > 0] == []
    assert all(largest[n] < 1e-4 * max(largest.values()) for n in unseen)


@pytest.mark.parametrize("name", MODELS)
def test_same_seed_same_network_and_same_output(name):
    x = clips(2, CASES[name].channels, 8, 32, 32)
    first, second, other = (small(name, seed=s).eval()(x).logits for s in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.allclose(first, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_state_dict_carries_everything(name, tmp_path):
    model, x = randomise_statistics(small(name)), clips(2, CASES[name].channels, 8, 32, 32)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    other = small(name, seed=1)
    other.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    assert torch.equal(model.eval()(x).logits, other.eval()(x).logits)


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_is_its_clips_one_by_one(name):
    model, x = randomise_statistics(small(name)).eval(), clips(3, CASES[name].channels, 6, 32, 32)
    together, alone = model(x), [model(clip[None]) for clip in x]
    torch.testing.assert_close(together.logits, torch.cat([o.logits for o in alone]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(together.features, torch.cat([o.features for o in alone]), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(alone[0].logits, alone[1].logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("training", [False, True])
def test_channels_last_is_the_same_network(name, training):
    model, x = without_dropout(small(name)).train(training), clips(4, CASES[name].channels, 8, 32, 32)
    fast = channels_last(copy.deepcopy(model))
    for weight in fast.parameters():
        layout = {4: torch.channels_last, 5: torch.channels_last_3d}.get(weight.dim(), torch.contiguous_format)
        assert weight.is_contiguous(memory_format=layout)
    plain, fast = model(x), fast(x.to(memory_format=torch.channels_last_3d))
    torch.testing.assert_close(fast.logits, plain.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fast.features, plain.features, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_folding_batchnorm_changes_nothing(name):
    model, x = randomise_statistics(small(name)), clips(4, CASES[name].channels, 8, 32, 32)
    folded = fold_batchnorm(model)
    assert any(isinstance(m, NORMS) for m in model.modules())
    assert not any(isinstance(m, NORMS) for m in folded.modules())
    expected = model.eval()(x)
    torch.testing.assert_close(folded(x).features, expected.features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(folded(x).logits, expected.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(for_inference(model, bf16=False)(x).logits, expected.logits, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_predicts_the_same(name):
    model, x = randomise_statistics(small(name)).eval(), clips(8, CASES[name].channels, 8, 32, 32)
    expected, got = model(x).logits, for_inference(model, bf16=True)(x).logits
    assert got.dtype == torch.bfloat16
    assert (got.float() - expected).abs().max() < 0.05 * expected.abs().max()


def changed_by_training(model: nn.Module, name: str) -> set[str]:
    """Names in the state_dict, BatchNorm statistics included, that two epochs of two steps change."""
    before, x, labels = (
        copy.deepcopy(model.state_dict()),
        clips(8, CASES[name].channels, 8, 32, 32),
        torch.arange(8) % 5,
    )
    optimiser = sgd(model, Optimisation(lr=0.1, momentum=0.9, weight_decay=0.01))
    for _ in range(2):
        model.train()
        for half in (slice(0, 4), slice(4, 8)):
            output = model(x[half])._asdict()
            optimiser.zero_grad()
            sum(nn.functional.cross_entropy(z, labels[half]) for n, z in output.items() if n != "features").backward()
            optimiser.step()
        model.eval()
    return {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        ({"avx512_f": True, "avx512_vnni": True, "avx512_bf16": False}, False),  # emulates
        ({"avx512_f": True, "avx512_bf16": True}, True),
        ({"amx_tile": True, "amx_bf16": True}, True),
        ({"neon": True, "bf16": False}, False),
        ({"neon": True, "bf16": True}, True),
    ],
)
def test_bfloat16_is_for_processors_that_have_it(monkeypatch, capabilities, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert bf16_supported() is native


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_frozen_parts_stay_as_they_are(name):
    model, trained = small(name), CASES[name].trained
    freeze_except(model, trained)
    model = copy.deepcopy(model)  # a copy is frozen too
    gates = [n for n, m in model.named_modules() if isinstance(m, ChannelExcitation | SqueezeExcitation)]
    changed = changed_by_training(model, name)
    assert {next((gate for gate in gates if k.startswith(f"{gate}.")), k.split(".")[0]) for k in changed} == {
        *trained,
        *gates,
    }
    free = {key for key in model.state_dict() if key.split(".")[0] in trained}
    assert {key for key in free if key.endswith(("running_mean", "running_var", "weight"))} <= changed
    with pytest.raises(ReproError, match=r"unknown part of the network 'layer5'"):
        freeze_except(model, ("layer5",))


@pytest.mark.parametrize("name", MODELS)
def test_frozen_batchnorm_uses_its_running_statistics(name):
    model, x = without_dropout(randomise_statistics(small(name))), clips(4, CASES[name].channels, 8, 32, 32)
    expected = model.eval()(x).logits
    freeze_except(model, ())
    assert torch.equal(model.train()(x).logits, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_partial_batchnorm_trains_the_first_alone(name):
    model = small(name)
    freeze_batchnorm_except_first(model)
    model = copy.deepcopy(model)
    changed, prefix = changed_by_training(model, name), "base_model." if hasattr(model, "base_model") else ""
    first, *others = [f"{n}." for n, m in model.named_modules() if isinstance(m, NORMS) and n.startswith(prefix)]
    assert len(others) >= 5
    assert {key for key in changed if key.startswith(tuple(others))} == set()
    assert {f"{first}{part}" for part in ("weight", "bias", "running_mean", "running_var")} <= changed
    frozen = {n for n, _ in model.named_parameters() if n.startswith(tuple(others))}
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == frozen
    kernels = {n for n, p in model.named_parameters() if p.dim() > 1}
    assert kernels <= changed  # convolutions and the head go on training


# -- exact: the IMRS paper's numbers


@pytest.mark.parametrize(
    ("channels", "excitation", "classes", "count"),
    [
        (3, "none", 51, 47_625_715), (3, "none", 101, 47_728_165), (3, "none", 400, 48_340_816),
        (2, "none", 51, 47_603_763), (2, "none", 101, 47_706_213), (2, "none", 400, 48_318_864),
        (3, "se", 51, 48_326_115), (3, "se", 101, 48_428_565), (3, "se", 400, 49_041_216),
        (3, "ce", 51, 47_625_727), (3, "ce", 101, 47_728_177), (3, "ce", 400, 48_340_828),
        (2, "ce", 51, 47_603_775), (2, "ce", 101, 47_706_225), (2, "ce", 400, 48_318_876),
    ],
)  # fmt: skip
def test_parameter_counts(channels, excitation, classes, count):
    assert parameters(meta(num_classes=classes, in_channels=channels, excitation=excitation)) == count


def test_one_excitation_has_three_parameters():
    plain = parameters(meta(num_classes=51))
    for stages in [(2,), (3,), (4,), (5,), (2, 5)]:
        assert parameters(meta(num_classes=51, excitation="ce", excitation_stages=stages)) == plain + 3 * len(stages)


@pytest.mark.slow
def test_multiply_adds():
    rgb, flow = meta(num_classes=51), meta(num_classes=51, in_channels=2)
    assert multiply_adds(rgb, (1, 3, 16, 112, 112)) == 19_134_001_152 // 2  # 9.567 G
    assert multiply_adds(flow, (1, 2, 16, 112, 112)) == 16_931_074_048 // 2  # 8.466 G
    assert round(multiply_adds(rgb, (1, 3, 64, 112, 112)) / 1e9, 2) == 38.27
    assert round(multiply_adds(rgb, (1, 3, 16, 224, 224)) / 1e9, 2) == 38.04
    excited = meta(num_classes=51, excitation="ce")
    assert multiply_adds(excited, (1, 3, 16, 112, 112)) == 19_134_001_152 // 2 + 3 * (256 + 512 + 1024 + 2048)
    values = 256 * 8 * 28 * 28 + 512 * 4 * 14 * 14 + 1024 * 2 * 7 * 7 + 2048 * 1 * 4 * 4
    assert excitation_multiplies(excited, (1, 3, 16, 112, 112)) == 2 * values


def test_shapes_of_table_1():
    model, shapes = meta(num_classes=101, excitation="ce"), {}
    for name, part in model.named_children():
        part.register_forward_hook(lambda _, inputs, output, name=name: shapes.update({name: tuple(output.shape)}))
    model(torch.empty((1, 3, 16, 112, 112), device="meta"))
    wanted = {
        "conv1": (1, 64, 16, 56, 56), "maxpool": (1, 64, 8, 28, 28),
        "layer1": (1, 256, 8, 28, 28), "excite2": (1, 256, 8, 28, 28),
        "layer2": (1, 512, 4, 14, 14), "excite3": (1, 512, 4, 14, 14),
        "layer3": (1, 1024, 2, 7, 7), "excite4": (1, 1024, 2, 7, 7),
        "layer4": (1, 2048, 1, 4, 4), "excite5": (1, 2048, 1, 4, 4),
        "fc": (1, 101),
    }  # fmt: skip
    assert {name: shapes[name] for name in wanted} == wanted


@pytest.mark.slow
def test_published_figures_are_reproduced():
    rows = published_models("IMRS")
    missed = [row["model"] for row in rows if row["paper_parameters_m"] and not row["match"]]
    assert missed == ["TSN"]  # its 16.4 G, not its 10.4 M
    imrs = next(row for row in rows if row["model"] == "IMRS")
    assert imrs["parameters"] == 95_229_502
    assert (imrs["gmacs"], imrs["gmacs_with_excitation"]) == (18.0326, 18.0411)


@pytest.mark.slow
def test_costs_of_tsn_and_tstam():
    rows = published_models()
    found = {(r["model"], r["variant"], r["classes"], r["input"]): (r["parameters"], r["gmacs"]) for r in rows}
    assert found["TSN", "none", 101, "rgb, 8x224x224"] == (10_373_765, 16.2534)
    assert found["TSN, a frame", "none", 101, "rgb, 1x224x224"] == (10_373_765, 2.0317)
    assert found["TSN + SE, a frame", "se", 101, "flow, 1x224x224"] == (10_292_192 + 646_398 + 103_525, 2.3077)
    tstam = 10_916_638 + 262_400 + 257 + 2_154_508 + 103_525
    assert found["T-STAM", "se", 101, "rgb, 6x224x224"] == (tstam, 12.9024)
    assert found["T-STAM", "se", 101, "rgb + flow, 25x224x224"][0] == 2 * tstam + 10_292_192 - 10_270_240
    assert {r["match"] for r in published_models("T-STAM")} == {None}  # the paper prints no costs
    with pytest.raises(ReproError, match="unknown paper 'TSTAM'; did you mean 'T-STAM'"):
        published_models("TSTAM")


# -- excitations, against references written as loops


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_channel_excitation_is_equation_4(kernel):
    torch.manual_seed(0)
    gate, x = ChannelExcitation(6, kernel), torch.randn(2, 6, 2, 3, 4)
    assert [p.numel() for p in gate.parameters()] == [kernel]
    w, expected = gate.conv.weight.flatten(), torch.empty_like(x)
    for b in range(2):
        y = [x[b, c].mean() for c in range(6)]
        for c in range(6):
            near = [(j, c + j - kernel // 2) for j in range(kernel)]
            eta = torch.sigmoid(sum((w[j] * y[i] for j, i in near if 0 <= i < 6), torch.tensor(0.0)))
            expected[b, c] = eta * x[b, c]
    torch.testing.assert_close(gate(x), expected)


def test_channel_excitation_is_the_band_matrix_of_equation_2():
    torch.manual_seed(0)
    gate, x = ChannelExcitation(5, 3), torch.randn(2, 5, 2, 3, 3)
    a, b, c = gate.conv.weight.flatten()
    o = torch.tensor(0.0)
    w_k = torch.stack([torch.stack(row) for row in [
        [b, c, o, o, o],
        [a, b, c, o, o],
        [o, a, b, c, o],
        [o, o, a, b, c],
        [o, o, o, a, b],
    ]])  # fmt: skip
    eta = torch.sigmoid(x.mean((2, 3, 4)) @ w_k.T)  # (B, C)
    torch.testing.assert_close(gate(x), x * eta[:, :, None, None, None])


def test_squeeze_excitation_matches_its_equation():
    torch.manual_seed(0)
    gate, x = SqueezeExcitation(8, 4), torch.randn(3, 8, 2, 3, 3)
    expected = torch.empty_like(x)
    for b in range(3):
        y = torch.stack([x[b, c].mean() for c in range(8)])
        z = (gate.squeeze.weight @ y + gate.squeeze.bias).clamp(min=0)
        eta = 1 / (1 + torch.exp(-(gate.excite.weight @ z + gate.excite.bias)))
        for c in range(8):
            expected[b, c] = eta[c] * x[b, c]
    assert z.shape == (2,)
    torch.testing.assert_close(gate(x), expected)
    frames = x.transpose(1, 2).flatten(0, 1)  # (B * T, C, H, W)
    torch.testing.assert_close(gate(frames), torch.cat([gate(frame[None, :, None])[:, :, 0] for frame in frames]))


# -- input and errors


def test_clips_enter_minus_mean_over_std():
    model = small(mean=(10.0, 20.0, 30.0), std=2.0).eval()
    seen = []
    model.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = clips(1, 3, 8, 16, 16)
    model(x)
    expected = (x.float() - torch.tensor([10.0, 20.0, 30.0]).view(1, 3, 1, 1, 1)) / 2
    torch.testing.assert_close(seen[0], expected)
    assert small(std=1.0).mean.flatten().tolist() == pytest.approx([114.7748, 107.7354, 99.4750])
    assert small(in_channels=2).mean.flatten().tolist() == [127.5, 127.5]
    assert not {"mean", "std"} & small().state_dict().keys()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0"),
        ({"depths": (1, 1, 1)}, r"depths is \(1, 1, 1\), but must be four"),
        ({"width": 16, "cardinality": 12}, "cardinality is 12, but must be a divisor of 2 \\* width = 32"),
        ({"excitation": "eca"}, "unknown excitation 'eca'"),
        ({"excitation": "ce", "excitation_stages": (1, 2)}, "excitation_stages is"),
        ({"excitation": "ce", "excitation_stages": ()}, "for none: excitation='none'"),
        ({"excitation": "ce", "excitation_kernel": 4}, "kernel is 4, but must be odd"),
        ({"excitation": "se", "excitation_reduction": 7}, "reduction is 7, but must be a divisor"),
        ({"stem_kernel": (3, 4, 3)}, "stem_kernel is .* three odd numbers"),
        ({"stem_stride": (1, 0, 1)}, "stem_stride is"),
        ({"in_channels": 4}, "mean is None, but must be one number for each of the 4"),
        ({"std": 0.0}, "std is 0.0, but must be positive"),
        ({"widht": 16}, "unknown argument of resnext3d 'widht'; did you mean 'width'"),
    ],
)
def test_impossible_networks_are_one_error(arguments, message):
    with pytest.raises(ReproError, match=message):
        meta(**{"num_classes": 5, **arguments})


@pytest.mark.parametrize(("name", "wrong", "right"), [
    ("smnet", "widht", "width"), ("smnet", "reductoin", "reduction"), ("tsm", "depth", "depths"),
    ("stddcn", "stem_pol", "stem_pool"), ("tstam", "stem_pool", "stem_pools"), ("tsn", "block", "blocks"),
])  # fmt: skip
def test_unknown_arguments_offer_the_nearest_also_of_the_backbone(name, wrong, right):
    with pytest.raises(ReproError, match=f"unknown argument of {name} '{wrong}'; did you mean '{right}'"):
        build(name, num_classes=5, **{wrong: 1})


def test_unknown_model_offers_the_nearest():
    with pytest.raises(ReproError, match="unknown model 'resnet3d'; did you mean 'resnext3d'"):
        build("resnet3d", num_classes=5)


def test_wrong_clips_are_named():
    with pytest.raises(ReproError, match=r"shape \(1, 2, 8, 32, 32\).*\(B, 3, T, H, W\)"):
        small()(clips(1, 2, 8, 32, 32))


def test_every_model_argument_has_a_default_but_the_classes():
    for name, function in MODELS.items():
        required = [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty]
        assert required == ["num_classes"], name
