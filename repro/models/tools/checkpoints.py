"""Checkpoints: public ones, and our own, which contain their list of classes. A load that fails changes nothing."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from repro.errors import ReproError
from repro.models.layers.excitation import ChannelExcitation, SqueezeExcitation
from repro.models.tools import files

FORMAT = "repro weights 1"
SHIFTED = re.compile(r"(?<=conv\d\.)net\.")  # TSM's code wraps the convolution after a shift: conv1.net.weight


@dataclass(frozen=True)
class Report:
    """What became of each tensor; `str(report)` is one line."""

    path: Path
    taken: tuple[str, ...]  # tensors of the network, now as in the file
    fresh: tuple[str, ...]  # tensors of the network, left as initialised
    ignored: tuple[str, ...]  # tensors of the file, not used
    head: str  # where the head is from
    stem: str = ""  # what was done to the first convolution, if anything

    def __str__(self) -> str:
        fresh = _parts([name.removeprefix("base_model.") for name in self.fresh])
        return (
            f"{self.path.name}: {len(self.taken)} tensors taken ({_parts(self.taken)}); "
            f"fresh: {fresh or 'none'}; ignored: {_parts(self.ignored) or 'none'}; {self.head}{self.stem and '; ' + self.stem}"
        )


def _parts(names: Sequence[str]) -> str:
    """conv1 1, bn1 4, ...: the names' first components, counted."""
    return ", ".join(f"{part} {n}" for part, n in Counter(name.split(".")[0] for name in names).items())


def load_public(model: nn.Module, path: str | Path, head: bool = True) -> Report:
    """Loads a public checkpoint, or one of `save_weights`, and reports what became of each tensor.

    Hara's and MARS's 3D ResNeXt: {"arch": "resnext-101", "state_dict": {"module.conv1...": ...}}. torchvision's ResNet and
    BN-Inception, from ImageNet or from TSN on Kinetics: tensors by name, alone or under "state_dict"; the names with or
    without "module." and "base_model.", the head called fc, last_linear or new_fc, BatchNorm's tensors (C,) or, in old
    files, (1, C). TSM: the same, its shifted convolutions called conv1.net.

    All tensors must fit by name and shape, with these exceptions:
    - Channel gates and the parts that the network lists as `fresh` (temporal modules; T-STAM's attention and head) stay as
      initialised: the public networks have none.
    - Tensors of parts that the network lists as `replaced` (STMSA's 3x3 convolutions) are ignored.
    - A head for another number of classes is ignored, and the network's own stays as initialised. One for the same number
      is taken; the report warns that only the number is known to agree, since these files name no classes. With
      `head=False` it is always ignored.
    - BatchNorm's step counters, which old files lack, play no role.

    A file for RGB starts a 2-D network for flow by `cross_modality`, as TSN does. The 3-D networks take files of their own
    modality only: their authors publish flow networks, and a stem averaged over RGB has never seen motion.

    Raises ReproError naming the file if it is missing, damaged or unsafe, if its architecture is another, or if a tensor
    does not fit.
    """
    path = Path(path)
    own = model.state_dict()
    state, stem = _fit_stem(model, own, _under_own_names(_public_state(path, model.arch), own))
    if not own.keys() & state.keys():
        raise ReproError(f"{path}: none of its {len(state)} tensors has a name of this network")
    gates = [name for name, part in model.named_modules() if isinstance(part, ChannelExcitation | SqueezeExcitation)]
    new = tuple(f"{part}." for part in (*gates, *getattr(model, "fresh", ())))
    replaced = tuple(f".{part}." for part in getattr(model, "replaced", ()))
    classes, theirs = own["fc.bias"].numel(), state["fc.bias"].numel() if "fc.bias" in state else None
    same_head = head and theirs == classes and not "fc.bias".startswith(new)
    ignored = [k for k in state if k not in own and any(part in k for part in replaced)]
    ignored += [k for k in state if k.startswith("fc.") and not same_head]
    state = {k: v for k, v in state.items() if k not in ignored}
    optional = {k for k in own if k.startswith(new) or k.endswith("num_batches_tracked")}
    optional |= set() if same_head else {"fc.weight", "fc.bias"}
    _check_fit(path, own, state, optional)
    model.load_state_dict(own | state)
    fresh = tuple(k for k in own if k not in state and not k.endswith("num_batches_tracked"))
    return Report(path, tuple(state), fresh, tuple(ignored), _about_head(classes, theirs, same_head), stem)


def _public_state(path: Path, arch: str) -> dict[str, Tensor]:
    content = files.read(path)
    state = content.get("state_dict", content)
    named = isinstance(state, dict) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    if not named:
        raise ReproError(f"{path} has no state_dict of tensors; give one of the public checkpoints")
    if str(content.get("arch", arch)) != arch:
        raise ReproError(f"{path} holds a {content['arch']!r}, but this network is a {arch!r}; choose another")
    return state


def _about_head(classes: int, theirs: int | None, taken: bool) -> str:
    if taken:
        return f"head taken: {classes} classes in both, but the file names none: check that they are the same"
    return f"head fresh: {classes} classes, " + (f"the file's {theirs} ignored" if theirs else "the file has none")


def cross_modality(weight: Tensor, channels: int) -> Tensor:
    """TSN's start of a flow stream from RGB: the mean of the kernel (O, 3, h, w) over its inputs, for each of `channels`."""
    return weight.mean(dim=1, keepdim=True).repeat(1, channels, 1, 1)  # (O, 1, h, w) -> (O, channels, h, w)


def _fit_stem(model: nn.Module, own: dict[str, Tensor], state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The file's tensors, the first 2-D convolution adapted to this network's input channels, and what was done, in words."""
    name = next((f"{n}.weight" for n, m in model.named_modules() if isinstance(m, nn.Conv2d)), "")
    channels = own[name].shape[1] if name else 3
    kernel = state.get(name)
    if (
        channels == 3
        or kernel is None
        or kernel.shape[1:2] != (3,)
        or kernel.dim() != 4
        or not kernel.is_floating_point()
    ):
        return state, ""
    said = f"stem by cross-modality: mean over the file's 3 input channels, repeated for {channels}"
    return state | {name: cross_modality(kernel, channels)}, said


def _under_own_names(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors by the network's names where it has them; BatchNorm's (1, C) of old files as (C,)."""
    names, renamed = {_plain(name): name for name in own}, {}
    for name, value in state.items():
        plain = _plain(name)
        name = names.get(plain, plain)
        old = name in own and own[name].dim() == 1 and value.dim() == 2 and len(value) == 1
        renamed[name] = value[0] if old else value
    return renamed


def _plain(name: str) -> str:
    """A tensor's name without what DataParallel's, TSN's and TSM's wrappers add; the head is always fc."""
    name = SHIFTED.sub("", name.removeprefix("module.").removeprefix("base_model."))
    for head in ("last_linear.", "new_fc."):
        name = f"fc.{name.removeprefix(head)}" if name.startswith(head) else name
    return name


def save_weights(path: str | Path, model: nn.Module, labels: Sequence[str], meta: dict[str, Any]) -> None:
    """Writes a network's tensors, its class names in the order of its outputs, and plain values, with a checksum; atomically."""
    content = {
        "format": FORMAT,
        "labels": list(labels),
        "meta": meta,
        "state_dict": {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()},
    }
    files.write(content, Path(path))


def load_weights(path: str | Path, model: nn.Module, labels: Sequence[str]) -> dict[str, Any]:
    """Loads what `save_weights` wrote into a network whose outputs are the classes `labels`; returns the stored `meta`.

    Raises ReproError naming the file if its classes or their order differ, even if their number agrees; if a tensor does
    not fit; and if the file is missing, damaged, unsafe or not written by `save_weights`.
    """
    path = Path(path)
    content = read_weights(path)
    theirs, labels = content["labels"], list(labels)
    if theirs != labels:
        at = next((i for i, (a, b) in enumerate(zip(theirs, labels, strict=False)) if a != b), None)
        what = (
            "one list continues the other" if at is None else f"class {at} is {theirs[at]!r} there, {labels[at]!r} here"
        )
        raise ReproError(
            f"{path} was trained on other classes ({len(theirs)}, here {len(labels)}: {what}); use it with its own"
        )
    load_state(path, model, content["state_dict"])
    return content["meta"]


def load_state(path: Path, model: nn.Module, state: dict[str, Tensor]) -> None:
    """Loads tensors by name, all of a network's and no others. ReproError naming their file, `path`, where one does not fit."""
    _check_fit(path, model.state_dict(), state, set())
    model.load_state_dict(state)


def read_weights(path: str | Path) -> dict[str, Any]:
    """What `save_weights` wrote: labels, meta, state_dict. Raises ReproError for any other file."""
    path = Path(path)
    content = files.read(path)
    if content.get("format") != FORMAT or not {"labels", "meta", "state_dict", files.CHECKSUM} <= content.keys():
        raise ReproError(f"{path} is no checkpoint of this version of the project; {files.REMEDY}")
    return content


def _check_fit(path: Path, own: dict[str, Tensor], state: dict[str, Tensor], optional: set[str]) -> None:
    missing = [k for k in own if k not in state and k not in optional]
    extra = [k for k in state if k not in own]
    for names, what in ((missing, "lacks"), (extra, "has, and this network has not,")):
        if names:
            some = ", ".join(names[:3]) + (", ..." if names[3:] else "")
            raise ReproError(f"{path} {what} {len(names)} tensors ({some}): it holds another network")
    for name, value in state.items():
        if value.shape != own[name].shape:
            hint = "; RGB networks take 3 input channels, flow networks 2" if name == "conv1.weight" else ""
            wanted = tuple(own[name].shape)
            raise ReproError(f"{path}: {name} is {tuple(value.shape)}, but {wanted} in this network{hint}")
        if (
            value.is_floating_point() != own[name].is_floating_point()
            or value.is_complex()
            or not value.isfinite().all()
        ):
            raise ReproError(
                f"{path}: {name} ({value.dtype}) has values that are not finite or of another kind; {files.REMEDY}"
            )
