"""Small JSON files with a checksum, one line per field, long lists packed. Reading one is bounded, whatever it holds.

A file whose name ends in .gz is the same, compressed with gzip.
"""

import base64
import gzip
import hashlib
import json
import lzma
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from repro import paths

LARGEST = 2**26  # bytes of a file, and of what is packed in it: 64 MiB; the scores of Kinetics-400 take 32
XZ = {"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 2**18}  # the preset's own takes 64 MiB
MEMORY = 2**22  # bytes that the decompressor may take beside its output
CHECKSUM = "sha256"
Size = Annotated[int, Field(ge=0, le=LARGEST)]


@dataclass(frozen=True)
class Texts:
    """A list of texts, packed. bytes: of their JSON."""

    bytes: Size
    data: str


@dataclass(frozen=True)
class Numbers:
    """An array of whole numbers, packed."""

    shape: tuple[Size, ...]
    data: str


def write(fields: Mapping[str, Any], path: Path) -> None:
    """Writes plain values and their checksum, atomically."""
    whole = {**fields, CHECKSUM: checksum(fields)}
    lines = ",\n".join(f"{_text(name)}: {_text(value)}" for name, value in sorted(whole.items()))
    with paths.atomic(path) as part:
        text = f"{{\n{lines}\n}}\n".encode()
        part.write_bytes(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def read(path: Path) -> dict[str, Any]:
    """The fields that `write` wrote. ValueError for any other file, OSError for one that cannot be read."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > LARGEST:
            raise ValueError(f"{size} bytes, but {LARGEST} are the most")
        data = file.read(size)
    fields = parsed(_inflated(data) if path.suffix == ".gz" else data)
    if not isinstance(fields, dict) or CHECKSUM not in fields:
        raise ValueError("no checksum in it")
    if fields.pop(CHECKSUM) != checksum(fields):
        raise ValueError("its content does not have its checksum")
    return fields


def _inflated(data: bytes) -> bytes:
    """What gzip compressed. ValueError for anything else, and for more than `LARGEST` bytes, of which no more are ever made."""
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16: with gzip's header and checksum
    try:
        text = inflate.decompress(data, LARGEST + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if len(text) > LARGEST:
        raise ValueError(f"more than {LARGEST} bytes when decompressed")
    if not inflate.eof or inflate.unused_data:
        raise ValueError("cut, or followed by something else")
    return text


def parsed(data: bytes) -> Any:
    """JSON as plain values. ValueError for anything else."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def checksum(fields: Mapping[str, Any]) -> str:
    """sha256 of plain values, whatever their order and spacing in a file."""
    return hashlib.sha256(_text(fields).encode()).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def pack_texts(texts: Sequence[str]) -> dict[str, Any]:
    """`Texts` as plain values. Names of clips are alike, and would be half of a record."""
    data = json.dumps(texts, separators=(",", ":")).encode()
    return {"bytes": len(data), "data": pack(data)}


def unpack_texts(stored: Texts) -> list[str]:
    """The texts that `pack_texts` stored. ValueError for anything else."""
    texts = parsed(unpack(stored.data, stored.bytes))
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("no list of texts")
    return texts


def pack_numbers(numbers: np.ndarray) -> dict[str, Any]:
    """`Numbers` as plain values: 32 bits each, the lowest byte of all of them, then the next. ValueError if they do not fit."""
    with np.errstate(invalid="ignore"):
        whole = np.ascontiguousarray(numbers, "<i4")
    if not np.array_equal(whole, numbers):
        raise ValueError("not whole numbers of 32 bits")
    planes = whole.view(np.uint8).reshape(-1, 4).T
    return {"shape": list(numbers.shape), "data": pack(planes.tobytes())}


def unpack_numbers(stored: Numbers) -> np.ndarray:
    """The array that `pack_numbers` stored, int32. ValueError for anything else."""
    planes = np.frombuffer(unpack(stored.data, 4 * math.prod(stored.shape)), np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).view("<i4").reshape(stored.shape)


def pack(data: bytes) -> str:
    """Bytes as base64 of their xz: base85 is 6 % smaller, and takes longer to read than all the rest of a record."""
    return base64.b64encode(lzma.compress(data, filters=[XZ])).decode()


def unpack(text: str, size: int) -> bytes:
    """The `size` bytes that `pack` stored. ValueError for any other text, of which no more than these are ever made."""
    if size > LARGEST:
        raise ValueError(f"{size} bytes packed, but {LARGEST} are the most")
    inflate = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
    try:
        data = inflate.decompress(base64.b64decode(text, validate=True), size + 1)
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from None
    if len(data) != size or not inflate.eof:
        raise ValueError(f"not the {size} bytes that were packed")
    return data
