"""Class activation maps of clips: where, and when, a network finds evidence for a class.

`cam` maps 3-D networks, and 2-D networks that fold time into the batch, with those methods of the grad-cam package that
work on clips. Left out of version 1.5.7 (tests/test_cam.py shows the first three):
- ScoreCAM, AblationCAM, FullGrad and SESS fail on clips; AblationCAM also leaves its own layer in the network.
- ShapleyCAM fails where time is folded.
- EigenCAM and EigenGradCAM: the sign of a singular vector means nothing, so a map may be its own negative.
- GradCAMElementWise is LayerCAM where no activation is negative, as behind every ReLU.
- KPCA_CAM starts its solver at random, RandomCAM is random by design; FinerCAM and RefineCAM are Grad-CAM and
  Grad-CAM++ where one class and one layer are given.
"""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from repro.errors import ReproError, unknown

METHODS = {  # and the library's name
    "gradcam": "GradCAM",  # a channel weighs its mean gradient (Selvaraju et al. 2017)
    "gradcam++": "GradCAMPlusPlus",  # positive gradients, weighted by higher powers (Chattopadhay et al. 2018)
    "xgradcam": "XGradCAM",  # gradients, averaged with the activations as weights (Fu et al. 2020)
    "hirescam": "HiResCAM",  # gradient times activation, place by place (Draelos, Carin 2020)
    "layercam": "LayerCAM",  # positive gradient times activation, place by place (Jiang et al. 2021)
    "segeigencam": "SegEigenCAM",  # first principal component of |gradient| times activation, with a fixed sign
    "fem": "FEM",  # strong activations, whatever the class, without gradients (Fuad et al. 2020, for 3-D networks)
}


def cam(
    model: nn.Module,
    clips: Tensor,
    layer: str,
    method: str = "gradcam",
    target: int | Sequence[int] | None = None,
) -> np.ndarray:
    """Where in time and space the output of `layer` is evidence for a class, at the size of the clips.

    Parameters
    ----------
    model: any classifier of this project. It is not changed: a copy in eval mode is used, on the same device.
    clips: (B, C, T, H, W), 0..255, any dtype.
    layer: name of a submodule, "excite3" or "layer4.0", whose output is (B, c, t, h, w), or (B * t, c, h, w) with time
        folded into the batch, clip by clip.
    method: one of `METHODS`.
    target: a class number for all clips or for each; None takes the class that the network predicts.

    Returns float32 (B, T, H, W) in [0, 1]: the minimum of each clip's map is 0 and its maximum 1; the map is all zero
    where the method finds nothing. Splines enlarge the layer's grid; its first and last cells are centred on the first
    and last pixel or frame. The same input gives the same map. ReproError for an unknown layer, method or class, for a
    layer without a grid, and for scores that are not finite.
    """
    import pytorch_grad_cam  # takes seconds

    if method not in METHODS:
        raise unknown("CAM method", method, METHODS)
    with torch.inference_mode(False):
        network = copy.deepcopy(model).eval().requires_grad_(True)  # frozen parameters would leave no gradients
    parts = dict(network.named_modules())
    if layer == "" or layer not in parts:
        raise unknown("layer", layer, [name for name, _ in network.named_children()])
    found = grids(network, clips[:1])
    if np.prod(found.get(layer, ())) <= 1:
        known = ", ".join(f"{k} {_by(v)}" for k, v in found.items() if "." not in k and np.prod(v) > 1)
        raise ReproError(f"layer {layer!r} has no grid to map for clips of {_by(clips.shape[2:])}; TxHxW: {known}")
    with torch.inference_mode(False), torch.enable_grad():
        library = getattr(pytorch_grad_cam, METHODS[method])
        # cloned, because what follows a layer may work in place
        tool = library(_Logits(network), [parts[layer]], lambda output: _unfolded(output, len(clips)).clone())
        maps = tool(clips.to(torch.float32, copy=True), None if target is None else _targets(target, len(clips)))
    if not np.isfinite(maps).all() or not tool.outputs.isfinite().all():
        raise ReproError(f"the {method} map of {layer} is not finite: look at the network's scores")
    return maps.clip(0, 1)


def grids(model: nn.Module, clips: Tensor) -> dict[str, tuple[int, int, int]]:
    """{name: (t, h, w)}: the grid of each submodule's output for such clips, at its first call."""
    network, found = copy.deepcopy(model).eval(), {}

    def note(name: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple, output: object) -> None:
            if isinstance(output, Tensor) and output.dim() in (4, 5) and len(output) % len(clips) == 0:
                found.setdefault(name, tuple(_unfolded(output, len(clips)).shape[2:]))

        return hook

    for name, part in network.named_modules():
        part.register_forward_hook(note(name))
    with torch.inference_mode():
        network(clips.to(next(network.parameters()).device))
    return found


def deepest(model: nn.Module, clips: Tensor, steps: int = 4) -> str:
    """The last stage of `model` whose grid has at least `steps` steps in time, and places: a layer for `cam`."""
    found = {k: v for k, v in grids(model, clips).items() if k and "." not in k and v[0] >= steps and v[1] * v[2] > 1}
    if not found:
        raise ReproError(f"no stage keeps {steps} steps in time of clips of {_by(clips.shape[2:])}: name a layer")
    return list(found)[-1]


def temporal_curve(maps: np.ndarray) -> np.ndarray:
    """(..., T): the mean of maps (..., T, H, W) over each frame."""
    return maps.mean(axis=(-2, -1))


class _Logits(nn.Module):
    """A network that returns only its class scores, as the library expects."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, clips: Tensor) -> Tensor:
        return self.network(clips).logits


def _unfolded(output: Tensor, clips: int) -> Tensor:
    """(B, c, t, h, w), from that shape or from (B * t, c, h, w)."""
    return output if output.dim() == 5 else output.unflatten(0, (clips, -1)).transpose(1, 2)


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _targets(target: int | Sequence[int], clips: int) -> list[Callable[[Tensor], Tensor]]:
    numbers = [target] * clips if isinstance(target, int) else [int(k) for k in target]
    if len(numbers) != clips:
        raise ReproError(f"{len(numbers)} target classes for {clips} clips: give one, or one for each clip")
    return [_score(k) for k in numbers]


def _score(number: int) -> Callable[[Tensor], Tensor]:
    def score(logits: Tensor) -> Tensor:
        if not 0 <= number < len(logits):
            raise ReproError(f"target is class {number}, but the network has classes 0 to {len(logits) - 1}")
        return logits[number]

    return score
