"""A trained network as a file for other programs, written only where it computes the same as the network itself."""

import copy
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from repro import networks, paths
from repro.errors import ReproError
from repro.models.tools import checkpoints
from repro.single import weights
from repro.single.weights import Network

ENDINGS = {"safetensors": ".safetensors", "onnx": ".onnx", "torch-export": ".pt2"}
TOLERANCE = 1e-4  # largest difference of two logits, as a share of the largest logit


class Exported(NamedTuple):
    """What was written, and how far its logits are from the network's on random clips."""

    path: Path
    difference: float
    largest: float


class Logits(nn.Module):
    """A network that returns its logits alone."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, clips: Tensor) -> Tensor:
        return self.network(clips).logits


def export(network: Network, form: str, output: Path | None = None) -> Exported:
    """Writes a network as safetensors, ONNX or torch.export's format, with its classes and its input as metadata.

    The file is read back, and its logits for two random clips are compared with the network's. ReproError where a network
    has no such form, or where the logits differ by more than `TOLERANCE`; then nothing is written.
    """
    target = output or Path(f"{network.run.id}{ENDINGS[form]}")
    if target.suffix != ENDINGS[form]:
        raise ReproError(f"{target}: a file of {form} ends in {ENDINGS[form]}")
    clips = weights.random_clips(network.run)
    with torch.no_grad():
        ours = network.model(clips).logits
    with paths.atomic(target) as part:
        run = WRITERS[form](network, clips, part)
        theirs = run(clips).detach()
        largest, difference = float(ours.abs().max()), float((ours - theirs).abs().max())
        if not difference <= TOLERANCE * largest:
            off = f"logits differ by {difference:.2g} where the largest is {largest:.2g}"
            raise ReproError(
                f"{network.run.model.name} as {form}: {off}, and {TOLERANCE:g} of it is tolerated; nothing was written"
            )
    return Exported(target, difference, largest)


Run = Callable[[Tensor], Tensor]


def _safetensors(network: Network, clips: Tensor, part: Path) -> Run:
    weights.required("safetensors")
    from safetensors.torch import load_file, save_file

    save_file(
        {k: v.contiguous().clone() for k, v in network.model.state_dict().items()}, part, weights.metadata(network)
    )
    again = networks.build(network.run, network.classes, initialise=False).eval()
    checkpoints.load_state(part, again, load_file(part))

    def run(clips: Tensor) -> Tensor:
        with torch.no_grad():
            return again(clips).logits

    return run


def _torch_export(network: Network, clips: Tensor, part: Path) -> Run:
    program = _program(network, clips)
    with open(part, "wb") as file:
        torch.export.save(program, file, extra_files={"metadata.json": json.dumps(weights.metadata(network))})
    with open(part, "rb") as file:
        again = torch.export.load(file).module()
    return again


def _onnx(network: Network, clips: Tensor, part: Path) -> Run:
    onnx, runtime = weights.required("onnx"), weights.required("onnxruntime")
    weights.required("onnxscript")
    program = _program(network, clips)
    try:
        found = torch.onnx.export(program, dynamo=True, input_names=["clips"], output_names=["logits"], verbose=False)
    except Exception as error:  # the exporter documents no list of what it raises
        raise _refused(network, "ONNX", error) from error
    model = found.model_proto
    onnx.helper.set_model_props(model, weights.metadata(network))
    onnx.save(model, part)
    session = runtime.InferenceSession(str(part), providers=["CPUExecutionProvider"])
    return lambda clips: torch.from_numpy(session.run(["logits"], {"clips": clips.numpy()})[0])


def _program(network: Network, clips: Tensor) -> torch.export.ExportedProgram:
    """The network for clips of its own size and any number of them at once."""
    batch = torch.export.Dim("batch", min=1)
    # a program keeps its steps, and some of them write into given memory, which cannot be if gradients flow through
    model = Logits(copy.deepcopy(network.model)).eval().requires_grad_(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own parts, deprecated or slow
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            return torch.export.export(model, (clips,), dynamic_shapes=({0: batch},))
    except Exception as error:  # the exporter documents no list of what it raises
        raise _refused(network, "torch-export", error) from error


def _refused(network: Network, form: str, error: Exception) -> ReproError:
    why = " ".join(str(error).split())[:300]
    return ReproError(f"{network.run.model.name} has no form in {form}: {type(error).__name__}: {why}")


WRITERS = {"safetensors": _safetensors, "onnx": _onnx, "torch-export": _torch_export}
