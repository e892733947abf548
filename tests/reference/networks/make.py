"""Makes networks.json: what the public code of four networks computes from weights and clips that follow from rules.

README.md, beside this file, says which code, and how this is run. Test and reference share the rules, which need nothing
but whole numbers and a few products, so that both have the same weights to the last bit. Everything is float64.
"""

import hashlib
import importlib.util
import json
import math
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

FILE = Path(__file__).with_name("networks.json")
CLASSES = 5
CLIPS = {  # B, T, H, W
    "MARS": (1, 16, 64, 64), "BN-Inception": (1, 2, 224, 224), "TSM": (1, 4, 64, 96), "ACTION-Net": (1, 4, 64, 96),
}  # fmt: skip
ZERO = "action_p2"  # ACTION-Net's channel excitation, which the project has not: its gate is then 1/2 everywhere


def noise(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers in [-1, 1): the place in the array plus the CRC-32 of the name, its bits mixed as MurmurHash3 does at the end."""
    x = np.arange(math.prod(shape), dtype=np.uint32) + np.uint32(zlib.crc32(name.encode()))
    for bits, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = (x ^ (x >> np.uint32(bits))) * np.uint32(factor)
    return (x / 2**31 - 1).reshape(shape)


def weights(name: str, shape: tuple[int, ...]) -> Tensor:
    """The values, float32, of a tensor that the reference code calls `name`. BatchNorm's counters are not for this."""
    values = noise(name, shape)
    if ZERO in name:
        values = 0 * values
    elif len(shape) > 1:
        values = values * math.sqrt(6 / math.prod(shape[1:]))  # He et al.: keeps the size of what passes through a ReLU
    else:  # BatchNorm's scales and variances lie around 1, its means and all biases around 0
        values = values / 2 + name.endswith(("weight", "running_var"))
    return torch.from_numpy(values.astype(np.float32))


def clip(network: str) -> Tensor:
    """Clips (B, 3, T, H, W), RGB, uint8."""
    b, t, h, w = CLIPS[network]
    return torch.from_numpy(np.floor(128 * noise("clip", (b, 3, t, h, w)) + 128).astype(np.uint8))


def digest(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Hash of the names and shapes of a state_dict in any order, without BatchNorm's counters and the tensors of `ZERO`."""
    kept = [name for name in sorted(shapes) if not name.endswith("num_batches_tracked") and ZERO not in name]
    return hashlib.sha256("\n".join(f"{name} {tuple(shapes[name])}" for name in kept).encode()).hexdigest()


def measure(network: nn.Module, logits: Callable[[], Tensor]) -> dict[str, list[float]]:
    """Logits in training, with the batch's statistics; norms of the loss's gradients; then logits in evaluation.

    Dropout is off. gradients: of all parameters together, of the first one (the first convolution's weight) and of the
    last but one (the last layer's weight). The running statistics of the evaluation have taken in those of one batch.
    """
    network.train()
    for part in network.modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    training = logits()
    F.cross_entropy(training, torch.arange(len(training))).backward()
    norms = torch.stack([p.grad.norm() for p in network.parameters()])
    network.eval()
    with torch.no_grad():
        evaluation = logits()
    return {
        "training": training[0].tolist(),
        "gradients": [norms.norm().item(), norms[0].item(), norms[-2].item()],
        "evaluation": evaluation[0].tolist(),
    }


# -- the reference code, under its own names


def load(file: Path):
    """A module from its file."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def channels(*values: float) -> Tensor:
    """Three numbers, rounded to float32 as the project's buffers are, for (N, 3, H, W)."""
    return torch.tensor(values).double().view(1, 3, 1, 1)


def frames(network: str) -> Tensor:
    """The clip's frames (B*T, 3, H, W), float64, in 0..255."""
    return clip(network).double().transpose(1, 2).flatten(0, 1)


IMAGENET = channels(123.675, 116.28, 103.53), channels(58.395, 57.12, 57.375)


def mars(folder: Path):
    network = load(folder / "MARS" / "models" / "resnext.py").resnet101(
        num_classes=CLASSES, sample_size=64, sample_duration=16
    )
    x = clip("MARS").double() - channels(114.7748, 107.7354, 99.4750)[:, :, None]
    return network, lambda: network(x)


def bn_inception(_: Path):
    from pretrainedmodels.models.bninception import bninception

    network = bninception(num_classes=CLASSES, pretrained=None)
    x = frames("BN-Inception").flip(1) - channels(104, 117, 128)  # BGR
    return network, lambda: network(x).mean(0, keepdim=True)


def tsm(folder: Path):
    sys.path.insert(0, str(folder / "temporal-shift-module"))
    from ops.models import TSN

    segments = CLIPS["TSM"][1]
    network = TSN(
        CLASSES, segments, "RGB", base_model="resnet50", dropout=0.5, partial_bn=False, pretrain="", is_shift=True
    )
    x = ((frames("TSM") - IMAGENET[0]) / IMAGENET[1]).flatten(0, 1)[None]  # (1, T * 3, H, W)
    return network, lambda: network(x)


def action(folder: Path):
    import torchvision

    network = torchvision.models.resnet50(num_classes=CLASSES)
    load(folder / "ACTION-Net" / "models" / "action.py").make_temporal_shift(network, CLIPS["ACTION-Net"][1])
    x = (frames("ACTION-Net") - IMAGENET[0]) / IMAGENET[1]
    return network, lambda: network(x).mean(0, keepdim=True)


if __name__ == "__main__":
    found = {}
    for name, make in {"MARS": mars, "BN-Inception": bn_inception, "TSM": tsm, "ACTION-Net": action}.items():
        network, logits = make(Path(sys.argv[1]))
        state = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
        network.load_state_dict({k: weights(k, tuple(v.shape)) for k, v in state.items()}, strict=False)
        names = digest({k: tuple(v.shape) for k, v in state.items()})
        found[name] = {"names": names, **measure(network.double(), logits)}
    FILE.write_text(json.dumps(found, indent=1) + "\n")
