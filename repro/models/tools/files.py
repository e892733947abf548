"""Files of tensors, as torch writes them. Reading one runs no code, is bounded by the file's size, and notices damage.

Files are read with `weights_only=True`, which refuses a file that would run code. Ours carry a checksum of their content.
"""

import hashlib
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from repro.errors import ReproError
from repro.paths import atomic, is_lfs_pointer

CHECKSUM = "sha256"
REMEDY = "delete it: a public file can be fetched again, and what belongs to a run is made again with it"


def write(content: Mapping[str, Any], path: Path) -> None:
    """Writes plain values and tensors with their checksum, atomically."""
    with atomic(path) as part:
        torch.save({**content, CHECKSUM: checksum(content)}, part)


def read(path: Path) -> dict[str, Any]:
    """The dictionary in a file that torch wrote. Its tensors are dense, and take no more memory than the file.

    A file that `write` wrote comes with its checksum, which was compared with the content.
    Raises ReproError naming the file if it is missing, damaged or unsafe, or holds something else.
    """
    try:
        _refuse_other_formats(path)
        _require_whole(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # of old files, which are read all the same
            content = torch.load(path, map_location="cpu", weights_only=True)
        for name, tensor in tensors(content):
            _require_dense(path, name, tensor)
        if not isinstance(content, dict):
            raise ReproError(
                f"{path} holds a {type(content).__name__}, not a checkpoint: a dictionary with a state_dict"
            )
        if CHECKSUM in content and content[CHECKSUM] != checksum({k: v for k, v in content.items() if k != CHECKSUM}):
            raise ReproError(f"{path} is damaged: its content does not have its checksum; {REMEDY}")
    except ReproError:
        raise
    except pickle.UnpicklingError as error:  # its own message advises to read the file unsafely
        raise ReproError(
            f"{path} is not a checkpoint, or one that would run code when read: refused; {REMEDY}"
        ) from error
    except Exception as error:  # torch.load documents no list of what it raises for damaged files
        raise ReproError(f"{path} cannot be read as a checkpoint: damaged or cut short? {REMEDY}") from error
    return content


def checksum(content: Any) -> str:
    """sha256 of nested plain values and of the bytes of tensors, whatever device these are on."""
    digest = hashlib.sha256()
    for name, value in _leaves(content):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        else:
            digest.update(f"{name} {value!r}\n".encode())
    return digest.hexdigest()


def tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested dicts, lists and tuples, each with the keys that lead to it."""
    return ((name, value) for name, value in _leaves(content) if isinstance(value, Tensor))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping | list | tuple):
        yield name, f"{len(value)} values"
        for key, each in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _leaves(each, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def _refuse_other_formats(path: Path) -> None:
    if not path.is_file():
        raise ReproError(f"no checkpoint at {path}; give the path of a file")
    if is_lfs_pointer(path):
        raise ReproError(
            f"{path} is a pointer of Git LFS, not the checkpoint itself; run `git lfs pull` in its repository"
        )
    if tarfile.is_tarfile(path):
        _refuse_tar(path)


def _refuse_tar(path: Path) -> NoReturn:
    """The error for a tar: the first format of torch, or an archive."""
    try:
        with tarfile.open(path, "r:") as tar:  # uncompressed, as torch wrote it
            inside = set(tar.getnames())
    except tarfile.TarError:
        inside = set()
    if not inside >= {"pickle", "storages", "tensors"}:
        raise ReproError(f"{path} is a tar archive, not a checkpoint; unpack it and give the file in it")
    raise ReproError(
        f"{path} is in torch's first format, a tar, which cannot be read without running code from it. Take the newer "
        "file of the same weights (torchvision's ResNet-50: resnet50-0676ba61.pth); or, if you trust this one, write it "
        "anew: torch.save(torch.load(FILE, weights_only=False), NEW)"
    )


def _require_whole(path: Path) -> None:
    """Of torch's present format, a zip of stored files: that it is no larger inside, and that its checksums hold."""
    if not zipfile.is_zipfile(path):
        return
    size = path.stat().st_size
    with zipfile.ZipFile(path) as file:
        inside = sum(each.file_size for each in file.infolist())
        if inside > size:
            raise ReproError(
                f"{path} has {size:,} bytes and {inside:,} inside, so torch did not write it: refused; {REMEDY}"
            )
        if (wrong := file.testzip()) is not None:
            raise ReproError(f"{path} is damaged: {wrong} in it does not have its checksum; {REMEDY}")


def _require_dense(path: Path, name: str, tensor: Tensor) -> None:
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ReproError(
            f"{path}: {name} is no dense tensor with values of its own; give a checkpoint of plain tensors"
        )
