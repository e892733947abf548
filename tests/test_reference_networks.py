"""Full-size networks against the public code of four of them: the same names, shapes, logits and gradients.

reference/networks/README.md says which code, and how its numbers were made.
"""

import importlib.util
import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from repro.models.layers.bottleneck import Modules
from repro.models.layers.gates import MotionGate, SpatioTemporalGate, excite
from repro.models.layers.shift import ChannelwiseTemporal
from repro.models.resnet2d import Backbone, ResNet2D, tsm
from repro.models.resnext3d import resnext3d
from repro.models.tools.checkpoints import load_public
from repro.models.tsn import tsn

_spec = importlib.util.spec_from_file_location(
    "reference_networks", Path(__file__).parent / "reference" / "networks" / "make.py"
)
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)
FROZEN = json.loads(reference.FILE.read_text())
TOLERANCE = {"rtol": 1e-9, "atol": 1e-12}  # everything is float64


def of_mars(name: str) -> str:
    return name


def of_cadene(name: str) -> str:
    return re.sub("^fc", "last_linear", name.removeprefix("base_model."))


def of_tsm(name: str) -> str:
    if name.startswith("fc"):
        return f"new_{name}"
    return "base_model." + re.sub(r"(layer\d\.\d+\.conv1)", r"\1.net", name)


PARTS = {
    "temporal": "action_shift", "ste.conv": "action_p1_conv1", "me.reduce": "action_p3_squeeze",
    "me.bn": "action_p3_bn1", "me.conv": "action_p3_conv1", "me.expand": "action_p3_expand",
}  # fmt: skip


def of_action(name: str) -> str:
    name = re.sub(r"(layer\d\.\d+\.conv1)", r"\1.net", name)
    return re.sub(r"before\.(.+)\.(\w+)$", lambda found: f"conv1.{PARTS[found[1]]}.{found[2]}", name)


class Action(nn.Module):
    """ACTION-Net's module from parts of SMNet and STME. Its channel excitation, with weights of zero, is a gate of 1/2."""

    def __init__(self, channels: int):
        super().__init__()
        self.temporal, self.ste, self.me = ChannelwiseTemporal(channels), SpatioTemporalGate(), MotionGate(channels)

    def forward(self, x: Tensor, t: int) -> Tensor:
        x = self.temporal(x, t)
        return excite(x, self.ste(x, t), self.me(x, t)) + 1.5 * x


def action_net(num_classes: int) -> nn.Module:
    return ResNet2D(num_classes, 3, Backbone(), Modules(before=lambda place: Action(place.channels)))


NETWORKS = {  # our network, and their name of a tensor of ours
    "MARS": (resnext3d, of_mars),
    "BN-Inception": (tsn, of_cadene),
    "TSM": (tsm, of_tsm),
    "ACTION-Net": (action_net, of_action),
}


def named(name: str) -> dict[str, tuple[str, Tensor]]:
    """{their name: (our name, an empty tensor of their shape)} of the full-size network, without BatchNorm's counters."""
    make, of = NETWORKS[name]
    with torch.device("meta"):
        state = make(reference.CLASSES).state_dict()
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    channelwise = [k for k in state if k.endswith("before.temporal.weight")]  # (C, 3); a Conv1d has (C, 1, 3)
    return {of(k): (k, v[:, None] if k in channelwise else v) for k, v in state.items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_names_and_shapes_are_the_reference_s(name):
    assert reference.digest({theirs: tuple(v.shape) for theirs, (_, v) in named(name).items()}) == FROZEN[name]["names"]


def loaded(name: str, folder: Path) -> nn.Module:
    """Our network with the weights of the rules, read from a file under the reference's names where it has a loader."""
    network, tensors = NETWORKS[name][0](reference.CLASSES), named(name)
    state = {theirs: reference.weights(theirs, tuple(v.shape)) for theirs, (_, v) in tensors.items()}
    if name == "ACTION-Net":
        own = network.state_dict()
        network.load_state_dict({**own, **{k: state[t].view(own[k].shape) for t, (k, _) in tensors.items()}})
        return network.double()
    file = folder / "public.pth"
    torch.save(state, file)
    assert not load_public(network, file).fresh
    file.unlink()
    return network.double()


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients_are_the_reference_s(name, tmp_path):
    network, clip = loaded(name, tmp_path), reference.clip(name)
    found = reference.measure(network, lambda: network(clip).logits)
    for kind, values in found.items():
        torch.testing.assert_close(torch.tensor(values), torch.tensor(FROZEN[name][kind]), **TOLERANCE, msg=kind)
