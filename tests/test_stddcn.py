"""STDDCN: starts as the plain two-stream network, connections against loops, its loss against numbers and loops."""

import copy

import pytest
import torch
from torch import nn

from repro.config import MutualDistillation
from repro.errors import ReproError
from repro.losses import mutual_distillation
from repro.models.resnet2d import tsn_resnet
from repro.models.stddcn import Connection, stddcn
from repro.models.tools.checkpoints import load_public
from repro.models.tools.cost import parameters

SMALL = {"num_classes": 5, "in_channels": 7, "depths": (1, 2, 1, 1), "width": 8, "stem_kernel": 5, "stem_stride": 1}
CONNECTED = ("m->a", "a->m", "both")


def small(seed=0, **changes) -> nn.Module:
    torch.manual_seed(seed)
    return stddcn(**{**SMALL, **changes})


def clips(*shape: int, seed=0) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def trained(model: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.running_var, 0.5), (module.running_mean, -0.5)):
                tensor.data = low + torch.rand(tensor.shape, generator=generator)
    return model


@pytest.mark.parametrize("combine", ["sum", "concat"])
@pytest.mark.parametrize("training", [False, True])
def test_starts_as_the_plain_two_stream_network_to_the_bit(combine, training):
    model, x = small(combine=combine, dropout=0.0).train(training), clips(3, 7, 4, 32, 32)
    got = copy.deepcopy(model)(x)
    alone = {"num_classes": 5, "depths": (1, 2, 1, 1), "width": 8, "stem_kernel": 5, "stem_stride": 1, "dropout": 0.0}
    for name, part, channels in (("appearance", x[:, :3], 3), ("motion", x[:, 3:], 4)):
        plain = tsn_resnet(**alone, in_channels=channels).train(training)
        plain.load_state_dict(getattr(model, name).state_dict())
        assert torch.equal(getattr(got, name), plain(part).logits)


@pytest.mark.parametrize("direction", ["none", *CONNECTED])
def test_connections_lead_where_they_should(direction):
    model, x = trained(small(direction=direction)).eval(), clips(2, 7, 4, 32, 32)
    before = model(x)
    other = x.clone()
    other[:, 3:] = clips(2, 4, 4, 32, 32, seed=1)
    assert torch.equal(before.appearance, model(other).appearance) == (direction not in ("m->a", "both"))
    other = x.clone()
    other[:, :3] = clips(2, 3, 4, 32, 32, seed=1)
    assert torch.equal(before.motion, model(other).motion) == (direction not in ("a->m", "both"))


def test_dense_connections_reach_from_every_earlier_stage():
    dense, single = small(), small(dense=False)
    assert [[p[0].in_channels for p in c.project] for c in dense.to_motion] == [[32], [32, 64], [32, 64, 128]]
    assert [[p[0].stride[0] for p in c.project] for c in dense.to_motion] == [[1], [2, 1], [4, 2, 1]]
    assert [[p[0].in_channels for p in c.project] for c in single.to_motion] == [[32], [64], [128]]
    assert [c.project[0].in_channels for c in small(combine="concat").to_motion] == [64, 160, 352]


@pytest.mark.slow
def test_sizes_of_full_networks():
    with torch.device("meta"):
        plain, sums = stddcn(101, direction="none", combine="sum"), stddcn(101, combine="sum", direction="m->a")
    flow = 23_714_981 + 7 * 64 * 49  # ResNet-50 whose stem takes 10 channels
    fusion = 2048 * 101 + 101
    assert parameters(plain) == 23_714_981 + flow + fusion
    pairs = [(256, 256), (256, 512), (512, 512), (256, 1024), (512, 1024), (1024, 1024)]
    assert parameters(sums) - parameters(plain) == sum(a * b + 2 * b for a, b in pairs)


@pytest.mark.parametrize("combine", ["sum", "concat"])
def test_connection_is_its_equation(combine):
    torch.manual_seed(0)
    module = trained(Connection(6, [(4, 2), (6, 1)], combine)).eval()
    x, far, near = torch.randn(2, 6, 3, 3), torch.randn(2, 4, 5, 6), torch.randn(2, 6, 3, 3)
    expected = x.clone()

    def project(values, part):
        """1x1 convolution and BatchNorm of one position's channels."""
        z, bn = part[0].weight[:, :, 0, 0] @ values, part[1]
        return (z - bn.running_mean) / torch.sqrt(bn.running_var + bn.eps) * bn.weight + bn.bias

    for n in range(2):
        for i in range(3):
            for j in range(3):
                own, other = x[n, :, i, j], (far[n, :, 2 * i, 2 * j], near[n, :, i, j])
                if combine == "sum":
                    expected[n, :, i, j] += sum(project(v, p) for v, p in zip(other, module.project, strict=True))
                else:
                    expected[n, :, i, j] += project(torch.cat((own, *other)), module.project)
    torch.testing.assert_close(module(x, (far, near)), expected)


@pytest.mark.parametrize("combine", ["sum", "concat"])
@pytest.mark.parametrize("shape", [(2, 7, 4, 32, 32), (1, 7, 3, 29, 42)])
def test_output_is_the_loop_over_clips(combine, shape):
    model, x = trained(small(combine=combine)).eval(), clips(*shape)
    got = model(x)
    width = 8 * 32 * (2 if combine == "concat" else 1)
    assert [tuple(v.shape) for v in got] == [(shape[0], 5), (shape[0], width), (shape[0], 5), (shape[0], 5)]
    for b in range(shape[0]):
        for together, alone in zip(got, model(x[b : b + 1]), strict=True):
            torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("arguments", [{}, {"combine": "concat"}, {"dense": False}, {"direction": "none"}])
def test_gradients_reach_every_parameter_and_state_goes_round(arguments):
    model, x = trained(small(**arguments)), clips(4, 7, 4, 32, 32)
    loss = mutual_distillation(MutualDistillation(1.0, 2.0), model(x), torch.arange(4) % 5)["loss"]
    loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []
    other = small(seed=1, **arguments)
    other.load_state_dict(model.state_dict())
    assert torch.equal(model.eval()(x).logits, other.eval()(x).logits)


def test_mean_and_std_are_split():
    model = small(mean=range(7), std=[*range(1, 8)])
    assert model.appearance.mean.flatten().tolist() == [0, 1, 2]
    assert model.motion.std.flatten().tolist() == [4, 5, 6, 7]
    assert small().motion.mean.flatten().tolist() == [127.5] * 4
    assert small(std=60.0).appearance.std.flatten().tolist() == [60.0] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_channels": 8}, "in_channels is 8, but must be 3 of RGB and 2, 4, 6"),
        ({"in_channels": 3}, "in_channels is 3"),
        ({"direction": "a-m"}, "unknown direction 'a-m'; did you mean 'a->m'"),
        ({"combine": "add"}, "unknown value of combine 'add'"),
        ({"mean": (1.0, 2.0, 3.0)}, "mean is .* each of the 7 channels"),
    ],
)
def test_impossible_networks_are_one_error(arguments, message):
    with pytest.raises(ReproError, match=message):
        small(**arguments)


def test_wrong_clips_are_named():
    with pytest.raises(ReproError, match=r"shape \(1, 3, 4, 32, 32\).*\(B, 7, T, H, W\)"):
        small()(clips(1, 3, 4, 32, 32))


def test_one_public_file_starts_both_pathways(tmp_path):
    small = {"depths": (1, 1, 1, 1), "width": 8, "stem_kernel": 5}
    public = tsn_resnet(7, **small)
    torch.save(public.state_dict(), tmp_path / "resnet50.pth")
    network = stddcn(4, in_channels=9, **small)
    for pathway in network.pathways:
        load_public(pathway, tmp_path / "resnet50.pth")
    assert torch.equal(network.appearance.conv1.weight, public.conv1.weight)
    mean = public.conv1.weight.mean(1, keepdim=True).expand(-1, 6, -1, -1)
    assert torch.equal(network.motion.conv1.weight, mean)  # cross-modality
    assert torch.equal(network.motion.layer2[0].conv2.weight, public.layer2[0].conv2.weight)
