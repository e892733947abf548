"""BN-Inception: the public network's sizes and shapes, and the same output from its weights as a plain BGR reference."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from repro.errors import ReproError
from repro.models.bn_inception import BLOCKS, bn_inception
from repro.models.layers.excitation import SqueezeExcitation
from repro.models.layers.frames import fold_time
from repro.models.tools.cost import multiply_adds, parameters, published_models
from repro.models.tools.inference import channels_last
from repro.models.tsn import tsn


def meta(**arguments) -> nn.Module:
    with torch.device("meta"):
        return bn_inception(**arguments).eval()


def shapes_of_blocks(network: nn.Module, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """(D, h, w) after each block."""
    shapes = {}
    for block in network.blocks:
        gate = network.get_submodule(f"inception_{block}_excite")
        gate.register_forward_hook(lambda _, i, output, block=block: shapes.update({block: tuple(output.shape[1:])}))
    network(torch.empty(shape, device="meta"))
    return shapes


# -- exact


@pytest.mark.parametrize(
    ("arguments", "count", "gmacs"),
    [
        ({}, 10_270_240, 2.03),
        ({"in_channels": 10}, 10_292_192, 2.31),
        ({"excitation": "se"}, 10_270_240 + 646_398, 2.03),
    ],
)
def test_parameters_and_multiply_adds(arguments, count, gmacs):
    network = meta(**arguments)
    assert parameters(network) == count
    assert round(multiply_adds(network, (1, network.in_channels, 224, 224)) / 1e9, 2) == gmacs


def test_classifiers_of_the_public_files():
    with torch.device("meta"):
        assert parameters(tsn(101)) == 10_373_765
        assert parameters(tsn(1000)) == 11_295_240


def test_shapes_of_the_ten_blocks():
    assert shapes_of_blocks(meta(), (1, 3, 224, 224)) == {
        "3a": (256, 28, 28), "3b": (320, 28, 28), "3c": (576, 14, 14),
        "4a": (576, 14, 14), "4b": (576, 14, 14), "4c": (608, 14, 14), "4d": (608, 14, 14), "4e": (1056, 7, 7),
        "5a": (1024, 7, 7), "5b": (1024, 7, 7),
    }  # fmt: skip


def test_one_excitation_can_be_left_out():
    gates = [m for m in meta(excitation="se").modules() if isinstance(m, SqueezeExcitation)]
    assert [g.squeeze.in_features // g.squeeze.out_features for g in gates] == [16] * 10
    nine = meta(excitation="se", excitation_blocks=[b for b in BLOCKS if b != "3c"])
    assert parameters(meta(excitation="se")) - parameters(nine) == 2 * 576 * 36 + 576 + 36


# -- against a reference that is written from the description of the public network


def reference(state: dict[str, torch.Tensor], bgr: torch.Tensor) -> torch.Tensor:
    """BN-Inception on frames (N, 3, H, W) in BGR, mean subtracted, even maps; from tensors by their public names."""

    def conv(name, x, stride=1):
        w = state[f"{name}.weight"]
        x = F.conv2d(x, w, state[f"{name}.bias"], stride, w.shape[-1] // 2)
        mean, var, scale, shift = (
            state[f"{name}_bn.{key}"][None, :, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return ((x - mean) / (var + 1e-5).sqrt() * scale + shift).clamp(min=0)

    x = F.max_pool2d(conv("conv1_7x7_s2", bgr, 2), 3, 2, ceil_mode=True)
    x = F.max_pool2d(conv("conv2_3x3", conv("conv2_3x3_reduce", x)), 3, 2, ceil_mode=True)
    for block in ("3a", "3b", "3c", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        n, stride = f"inception_{block}", 2 if block in ("3c", "4e") else 1
        parts = [] if stride == 2 else [conv(f"{n}_1x1", x)]
        parts.append(conv(f"{n}_3x3", conv(f"{n}_3x3_reduce", x), stride))
        double = conv(f"{n}_double_3x3_1", conv(f"{n}_double_3x3_reduce", x))
        parts.append(conv(f"{n}_double_3x3_2", double, stride))
        if stride == 2:
            parts.append(F.max_pool2d(x, 3, 2, ceil_mode=True))
        elif block == "5b":
            parts.append(conv(f"{n}_pool_proj", F.max_pool2d(x, 3, 1, 1)))
        else:
            parts.append(conv(f"{n}_pool_proj", F.avg_pool2d(x, 3, 1, 1, ceil_mode=True, count_include_pad=True)))
        x = torch.cat(parts, 1)
    return x


def trained(**arguments) -> nn.Module:
    """A narrow network with statistics as after some training."""
    torch.manual_seed(0)
    network = bn_inception(**{"width": 8, **arguments}).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.bias, 0, 0.3)
        elif isinstance(module, nn.Conv2d):
            nn.init.normal_(module.bias, 0, 0.3)
    return network


def frames(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_rgb_clips_meet_weights_trained_on_bgr():
    network, rgb = trained().double(), frames(2, 3, 64, 64)
    r, g, b = rgb.double().unbind(1)
    bgr = torch.stack([b - 104, g - 117, r - 128], 1)
    expected = reference(network.state_dict(), bgr)
    torch.testing.assert_close(network(rgb), expected)
    other_way = reference(network.state_dict(), torch.stack([r - 128, g - 117, b - 104], 1))
    assert (other_way - expected).abs().max() > 0.01 * expected.abs().max()


@torch.no_grad()
def test_flow_keeps_its_order():
    network, flow = trained(in_channels=10).double(), frames(1, 10, 64, 64)
    torch.testing.assert_close(network(flow), reference(network.state_dict(), flow.double() - 128))


def test_zero_flow_enters_as_zero():
    from repro.data.flow.methods import quantise

    stored = torch.from_numpy(quantise(torch.zeros(8, 8, 2).numpy()))
    assert stored.unique().tolist() == trained(in_channels=2).mean.unique().tolist() == [128]


# -- small networks


@pytest.mark.parametrize(
    ("arguments", "size", "map_size"),
    [
        ({"stem_stride": 1, "stem_pools": 1, "blocks": ("3a", "3c", "4a", "5b")}, (28, 28), (7, 7)),
        ({"stem_stride": 2, "stem_pools": 0, "blocks": ("3a", "3c", "4a", "4e", "5b")}, (32, 33), (4, 5)),
        ({"stem_stride": 1, "stem_pools": 0, "blocks": ("3c", "4e")}, (28, 25), (7, 7)),
        ({}, (32, 32), (1, 1)),
        ({}, (112, 120), (4, 4)),
        ({}, (256, 340), (8, 11)),
    ],
)
def test_small_networks_and_odd_maps(arguments, size, map_size):
    network = trained(excitation="se", **arguments)
    assert network(frames(2, 3, *size)).shape == (2, network.out_channels, *map_size)


def test_excitation_of_a_narrow_block_has_the_largest_bottleneck_that_divides():
    network = bn_inception(width=16, excitation="se")
    reductions = {b: network.get_submodule(f"inception_{b}_excite").squeeze for b in ("3a", "4c", "4e")}
    assert {b: (s.in_features, s.in_features // s.out_features) for b, s in reductions.items()} == {
        "3a": (64, 16), "4c": (152, 8), "4e": (264, 8),
    }  # fmt: skip


def test_folded_clips_are_channels_last_frames_without_a_copy():
    memory = torch.randint(0, 256, (2, 5, 16, 20, 3), dtype=torch.uint8)  # (B, T, H, W, C), as the loader stacks it
    clip = memory.permute(0, 4, 1, 2, 3)
    folded = fold_time(clip, 3)
    assert folded.data_ptr() == memory.data_ptr()
    assert folded.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(folded.unflatten(0, (2, 5)).transpose(1, 2), clip)
    assert torch.equal(fold_time(clip.contiguous(), 3), folded)
    network, seen = channels_last(trained()), []
    for name in ("conv1_7x7_s2", "inception_4a_3x3", "inception_5b_pool_proj"):
        network.get_submodule(name).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(fold_time(torch.randint(0, 256, (2, 5, 64, 64, 3), dtype=torch.uint8).permute(0, 4, 1, 2, 3), 3))
    assert [x.is_contiguous(memory_format=torch.channels_last) for x in seen] == [True] * 3
    assert network.conv2_3x3.weight.is_contiguous(memory_format=torch.channels_last)


def test_frames_too_small_are_named():
    assert trained()(frames(1, 3, 23, 32)).shape[2:] == (1, 1)
    with pytest.raises(ReproError, match=r"frames of 22x32 pixels are too small .* a map of 1x2: use larger frames"):
        trained()(frames(1, 3, 22, 32))
    with pytest.raises(ReproError, match=r"frames of 2x2 pixels .* a map of 1x1.*stem_pools"):
        trained()(frames(1, 3, 2, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 15}, "width is 15, but must be an even number"),
        ({"blocks": ("3b", "3a")}, r"blocks is \('3b', '3a'\), but must be some of 3a, 3b, .* in this order"),
        ({"blocks": ()}, r"blocks is \(\), but"),
        ({"blocks": ("3a", "6a")}, "6a"),
        ({"stem_pools": 3}, "stem_pools is 3, but must be 0, 1 or 2"),
        ({"stem_stride": 0}, "stem_stride is 0"),
        ({"excitation": "ce"}, "unknown excitation 'ce'.*known: none, se"),
        ({"excitation_blocks": ("4z",)}, "excitation_blocks is"),
        ({"blocks": ("3a",), "excitation_blocks": ("3b",)}, "excitation_blocks is .* some of 3a"),
        ({"excitation_reduction": 0}, "excitation_reduction is 0"),
        ({"mean": (1.0, 2.0)}, "mean is .* one number for each of the 3"),
        ({"std": -1.0}, "std is -1.0, but must be positive"),
    ],
)
def test_impossible_networks_are_one_error(arguments, message):
    with pytest.raises(ReproError, match=message):
        meta(**arguments)


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "trunk"), [(3, 10_270_240), (10, 10_292_192)])
def test_the_cost_table_names_the_trunk(channels, trunk):
    rows = [r for r in published_models("T-STAM") if r["model"] == "TSN, a frame" and f"{trunk:,}" in r["note"]]
    assert [r["parameters"] for r in rows] == [trunk + 1024 * 101 + 101]
