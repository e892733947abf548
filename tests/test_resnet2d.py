"""ResNet-50 with time and the networks built on it: exact counts, torchvision, what each switch is, folded time."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from repro.errors import ReproError
from repro.models.layers.bottleneck import Bottleneck, Modules
from repro.models.layers.gates import MotionGate, SpatioTemporalGate
from repro.models.layers.shift import Shift
from repro.models.layers.temporal import MultiScale, SelfAttention, SMNetModule
from repro.models.resnet2d import Backbone, ResNet2D, tsm, tsn_resnet
from repro.models.smnet import smnet
from repro.models.stme import stme
from repro.models.stmsa import stmsa
from repro.models.tools.checkpoints import load_public
from repro.models.tools.cost import multiply_adds, parameters

NETWORKS = {f.__name__: f for f in (tsn_resnet, tsm, smnet, stme, stmsa)}
SMALL = {"num_classes": 5, "depths": (1, 2, 1, 1), "width": 8, "stem_kernel": 5, "stem_stride": 1}


def small(make, seed=0, **changes) -> nn.Module:
    torch.manual_seed(seed)
    reduction = {"reduction": 4} if make in (smnet, stme) else {}
    return make(**{**SMALL, **reduction, **changes})


def clips(*shape: int, seed=0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def trained(model: nn.Module) -> nn.Module:
    """BatchNorms as after some training: those that start at zero let through what stands before them."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.running_var, 0.5), (module.running_mean, -0.5)):
                tensor.data = low + torch.rand(tensor.shape, generator=generator)
    return model


def meta(make, **arguments) -> nn.Module:
    with torch.device("meta"):
        return make(**arguments)


def places(model: nn.Module, kind: type) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, kind)]


# -- exact


@pytest.mark.parametrize(
    ("classes", "count"),
    [(48, 23_606_384), (101, 23_714_981), (174, 23_864_558), (400, 24_327_632), (1000, 25_557_032)],
)
def test_resnet50_parameters(classes, count):
    assert parameters(meta(tsn_resnet, num_classes=classes)) == count
    assert parameters(meta(tsm, num_classes=classes)) == count


@pytest.mark.slow
def test_resnet50_multiply_adds():
    for make in (tsn_resnet, tsm):
        assert round(multiply_adds(meta(make, num_classes=1000), (1, 3, 1, 224, 224)) / 1e9, 2) == 4.09
        assert round(multiply_adds(meta(make, num_classes=174), (1, 3, 8, 224, 224)) / 1e9, 1) == 32.7


@pytest.mark.parametrize(("gate", "more"), [(lambda channels: SpatioTemporalGate(), 432), (MotionGate, 2_000_188)])
def test_parameters_of_action_net(gate, more):
    modules = Modules(before=lambda place: gate(place.channels))
    network = meta(ResNet2D, num_classes=174, in_channels=3, backbone=Backbone(), modules=modules)
    assert parameters(network) == 23_864_558 + more


def test_stme_is_made_of_action_nets_parts():
    counts = [
        parameters(meta(stme, num_classes=174, ste=ste, me=me, enhancement=enhancement)) - 23_864_558
        for ste, me, enhancement in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 0, 1))
    ]
    assert counts == [0, 432, 2_000_188, 2_000_620, 64 * (3 + 9 + 2)]


def test_torchvision_weights_give_torchvision_logits():
    torch.manual_seed(0)
    theirs, ours = torchvision.models.resnet50(), meta(tsn_resnet, num_classes=1000).to_empty(device="cpu")
    ours.load_state_dict(trained(theirs).state_dict())
    ours.mean, ours.std = torch.full((1, 3, 1, 1), 100.0), torch.full((1, 3, 1, 1), 50.0)  # to_empty forgot them
    x = clips(2, 3, 2, 64, 64)
    with torch.no_grad():
        got = ours.eval()(x).logits
        expected = [theirs.eval()((x[:, :, t] - 100.0) / 50) for t in range(2)]
    torch.testing.assert_close(got, (expected[0] + expected[1]) / 2, rtol=1e-4, atol=1e-4)


def test_public_weights_start_temporal_networks(tmp_path):
    plain = trained(small(tsn_resnet))
    torch.save(plain.state_dict(), tmp_path / "resnet.pth")
    for make in (tsm, smnet, stme):
        model = small(make, seed=1, num_classes=7)
        report = load_public(model, tmp_path / "resnet.pth")
        assert all(name.startswith((*model.fresh, "fc.")) for name in report.fresh)
        assert torch.equal(model.layer4[0].conv2.weight, plain.layer4[0].conv2.weight)
    flow = small(tsm, in_channels=4)
    assert "cross-modality" in str(load_public(flow, tmp_path / "resnet.pth"))
    torch.testing.assert_close(flow.conv1.weight[:, 3], plain.conv1.weight.mean(1))


# -- where modules stand


def test_shifts_stand_before_conv1_of_every_bottleneck_or_every_second():
    model = meta(tsm, num_classes=5)
    assert places(model, Shift) == [f"{name}.before" for name in places(model, Bottleneck)]
    assert len(places(model, Shift)) == 16
    deep = meta(tsm, num_classes=5, depths=(3, 4, 23, 3))
    assert len(places(deep, Shift)) == 2 + 2 + 12 + 2
    assert "layer3.22.before" in places(deep, Shift)
    assert "layer3.21.before" not in places(deep, Shift)


def test_modules_stand_where_they_are_asked_for():
    assert places(meta(smnet, num_classes=5), SMNetModule) == [f"layer{i}.before" for i in ("1.2", "2.3", "3.5", "4.2")]
    assert len(places(meta(smnet, num_classes=5, blocks="all"), SMNetModule)) == 16
    assert places(meta(smnet, num_classes=5, stages=(4,)), SMNetModule) == ["layer3.5.before"]
    assert places(meta(smnet, num_classes=5, ste=False, me=False), SMNetModule) == []
    assert places(meta(stmsa, num_classes=5), SelfAttention) == ["layer3.5.after"]
    five = meta(stmsa, num_classes=5, attention_stages=(3, 4), attention_blocks="second")
    assert places(five, SelfAttention) == [f"layer{i}.after" for i in ("2.0", "2.2", "3.0", "3.2", "3.4")]
    assert len(places(five, MultiScale)) == 16


def test_the_shift_leaves_the_shortcut_alone():
    model, x = small(tsm).eval(), torch.rand(8, 8, 6, 6)
    block = model.layer1[0]
    nn.init.zeros_(block.bn3.weight)
    torch.testing.assert_close(block(x, 4), torch.relu(block.downsample(x)))


# -- every network


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("shape", [(2, 3, 8, 32, 32), (1, 3, 1, 20, 28), (3, 3, 5, 29, 40)])
def test_output_shapes(make, shape):
    model = small(make).eval()
    for x in (clips(*shape), clips(*shape).float()):
        logits, features = model(x)
        assert logits.shape == (shape[0], 5)
        assert features.shape == (shape[0], 8 * 32)
        assert logits.dtype == features.dtype == torch.float32


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_gradients_reach_every_parameter(make):
    model = trained(small(make))
    model(clips(4, 3, 8, 32, 32)).logits.square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_folded_time_is_a_loop_over_clips(make):
    model, x = trained(small(make)).eval(), clips(3, 3, 6, 32, 32)
    together = model(x)
    for i in range(3):
        alone = model(x[i : i + 1])
        torch.testing.assert_close(together.logits[i : i + 1], alone.logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(together.features[i : i + 1], alone.features, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_only_temporal_networks_see_the_order_of_frames(make):
    model, x = trained(small(make)).eval(), clips(2, 3, 6, 32, 32)
    blind = torch.allclose(model(x).logits, model(x.flip(2)).logits, rtol=1e-4, atol=1e-4)
    assert blind == (make is tsn_resnet)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_state_dict_round_trip(make, tmp_path):
    model, x = trained(small(make)), clips(2, 3, 4, 32, 32)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    other = small(make, seed=1)
    other.load_state_dict(torch.load(tmp_path / "w.pt", weights_only=True))
    assert torch.equal(model.eval()(x).logits, other.eval()(x).logits)


@pytest.mark.parametrize("make", [stme, stmsa])
def test_what_starts_at_zero_changes_nothing_at_first(make):
    off = {"enhancement": False} if make is stme else {"attention": False}
    model, x = small(make), clips(2, 3, 4, 32, 32)
    plain = small(make, seed=1, **off)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if k in plain.state_dict()})
    assert len(plain.state_dict()) < len(model.state_dict())
    assert torch.equal(model.eval()(x).logits, plain.eval()(x).logits)


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_frames_arrive_channels_last_without_a_copy(make):
    model = small(make).eval()
    model.mean, model.std = model.mean * 0, model.std * 0 + 1
    x = torch.rand(2, 4, 32, 32, 3).permute(0, 4, 1, 2, 3)  # (B, C, T, H, W) as a loader delivers it
    seen = []
    model.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(x)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(seen[0][5], x[1, :, 1])


@pytest.mark.slow
@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_gradients_in_bfloat16_are_those_of_float32(make):
    # With running statistics: those of few values amplify the rounding, in the plain network as in all.
    model, x = trained(small(make)).eval(), clips(8, 3, 4, 32, 32)
    gradients = []
    for enabled in (False, True):
        model = copy.deepcopy(model)
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            logits = model(x).logits
        nn.functional.cross_entropy(logits.float(), torch.arange(8) % 5).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.isfinite(gradients[1]).all()
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.99


# -- input and errors


def test_defaults_of_mean_and_std():
    rgb, flow = small(tsn_resnet), small(tsn_resnet, in_channels=10)
    assert rgb.mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    assert rgb.std.flatten().tolist() == pytest.approx([58.395, 57.12, 57.375])
    assert flow.mean.flatten().tolist() == [127.5] * 10
    assert flow.std.flatten().tolist() == pytest.approx([57.63] * 10)
    assert small(tsn_resnet, std=60.0).std.flatten().tolist() == [60.0] * 3
    assert not {"mean", "std"} & rgb.state_dict().keys()
    assert flow(clips(1, 10, 2, 32, 32)).logits.shape == (1, 5)


def test_dropout_falls_on_frames():
    model = small(tsn_resnet, dropout=0.5).train()
    torch.manual_seed(0)
    first, second = model(clips(2, 3, 4, 32, 32)), model(clips(2, 3, 4, 32, 32))
    assert not torch.equal(first.logits, second.logits)
    torch.testing.assert_close(first.features, second.features)


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (tsn_resnet, {"num_classes": 0}, "num_classes is 0"),
        (tsn_resnet, {"depths": (1, 1, 1)}, r"depths is \(1, 1, 1\), but must be four"),
        (tsm, {"depths": ()}, "depths is"),
        (tsn_resnet, {"stem_kernel": 4}, "stem_kernel is 4, but must be odd"),
        (tsn_resnet, {"dropout": 1.0}, "dropout is 1.0"),
        (tsn_resnet, {"std": 0.0}, "std is"),
        (tsn_resnet, {"mean": (1.0, 2.0)}, "one number for each of the 3"),
        (smnet, {"stages": (1, 2)}, r"stages is \(1, 2\)"),
        (smnet, {"blocks": "first"}, "unknown value of blocks 'first'"),
        (smnet, {"kernel": 4}, "kernel is 4"),
        (stmsa, {"groups": 3}, "groups is 3, but must be a divisor of its 8"),
        (stmsa, {"attention_blocks": "all"}, "unknown value of attention_blocks"),
        (stmsa, {"attention_stages": ()}, "attention_stages is"),
        (stme, {"reduction": 7}, "reduction is 7"),
    ],
)
def test_impossible_networks_are_one_error(make, arguments, message):
    with pytest.raises(ReproError, match=message):
        small(make, **arguments)


def test_wrong_clips_are_named():
    with pytest.raises(ReproError, match=r"shape \(1, 2, 8, 32, 32\).*\(B, 3, T, H, W\)"):
        small(tsn_resnet)(clips(1, 2, 8, 32, 32))
    with pytest.raises(ReproError, match="clips of 8x32 pixels are 4x16 after the stem, but must be 5x5 or more"):
        small(tsn_resnet)(clips(1, 3, 2, 8, 32))


# -- attention maps


def test_attention_maps():
    model, x = trained(small(stmsa, attention_stages=(3, 4))).eval(), clips(2, 3, 4, 40, 32)
    maps = model.attend(x)
    assert {name: tuple(m.shape) for name, m in maps.items()} == {
        "layer2.1": (2, 4, 10, 8, 4, 5, 4),
        "layer3.0": (2, 4, 5, 4, 4, 3, 2),
    }
    for m in maps.values():
        torch.testing.assert_close(m.sum((4, 5, 6)), torch.ones(m.shape[:4]))
    assert small(stmsa, attention=False).attend(x) == {}


def test_public_weights_start_what_stmsa_keeps_of_a_resnet(tmp_path):
    """Its multi-scale convolutions stand where the file's 3x3 ones do, which are ignored and named."""
    small = {"depths": (1, 1, 1, 1), "width": 8}
    public = tsn_resnet(7, **small)
    torch.save(public.state_dict(), tmp_path / "resnet50.pth")
    network = stmsa(4, groups=2, **small)
    report = load_public(network, tmp_path / "resnet50.pth")
    assert torch.equal(network.layer3[0].conv1.weight, public.layer3[0].conv1.weight)
    assert "layer3.0.conv2.weight" in report.ignored
    assert "fc.weight" in report.ignored
    assert any("spatial" in name for name in report.fresh)
