"""The file of a packed clip: JPEGs of its frames and its flow, with their places and checksums.

    head    magic, start and end of the table, bytes of its text, CRC-32 of the table, CRC-32 of the head so far
    images  all frames, then x and y of each flow
    table   text (JSON: what the caller wants to keep, and the number of frames), offsets (uint64), CRC-32s (uint32)

The table comes last, so a clip of any length is written while it is decoded. A reader checks the CRC-32 of head, table
and every image that it reads, so damage never passes for a picture. One file per clip is read with few system calls, and
only the part of each image that a crop needs is decoded (`repro.data.jpeg`).
"""

import json
import os
import shutil
import struct
import tempfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from repro.data import jpeg, untouched
from repro.data.transforms import Crop
from repro.errors import ReproError

MAGIC = b"reproclip3\n"
HEAD = struct.Struct(f"<{len(MAGIC)}sQQII")
CRC = struct.Struct("<I")
IMAGES = HEAD.size + CRC.size  # where they begin
COPIED = 1 << 16  # bytes at a time
VERIFIED = 64  # images at a time


class Damaged(ReproError):
    """A packed file that cannot be read; it has to be made again."""


class Writer:
    """Appends images to a packed clip; see `create`."""

    def __init__(self, file: BinaryIO, flow: BinaryIO):
        self.file, self.flow = file, flow
        self.sizes, self.checksums = (array("Q"), array("Q")), (array("Q"), array("Q"))  # of frames, of flow

    def add(self, image: bytes, flow: bool) -> None:
        """Appends a frame, or the x or y of a flow: x of the first, y of the first, x of the second, ..."""
        (self.flow if flow else self.file).write(image)
        self.sizes[flow].append(len(image))
        self.checksums[flow].append(zlib.crc32(image))

    def finish(self, header: dict) -> None:
        """Completes the file. header: what to keep of the clip, plain JSON values; the number of frames is added."""
        self.flow.seek(0)
        shutil.copyfileobj(self.flow, self.file, COPIED)
        start = self.file.tell()
        text = json.dumps({**header, "frames": len(self.sizes[0])}, sort_keys=True).encode()
        sizes, checksums = (np.concatenate(pair) for pair in (self.sizes, self.checksums))
        offsets = IMAGES + np.concatenate([[0], np.cumsum(sizes)])
        table = text + offsets.astype("<u8").tobytes() + checksums.astype("<u4").tobytes()
        self.file.write(table)
        head = HEAD.pack(MAGIC, start, start + len(table), len(text), zlib.crc32(table))
        self.file.seek(0)
        self.file.write(head + CRC.pack(zlib.crc32(head)))


@contextmanager
def create(path: Path) -> Iterator[Writer]:
    """A new packed clip to add images to, whole once `Writer.finish` was called."""
    with (
        open(path, "wb") as file,
        tempfile.TemporaryFile(dir=path.parent) as flow,
    ):  # flow, until the frames are written
        file.seek(IMAGES)
        yield Writer(file, flow)


@dataclass(frozen=True)
class Packed:
    """The table of a packed clip; `rgb` and `flow` read and decode only the images asked for."""

    path: Path
    header: dict
    offsets: np.ndarray  # (T + 2 (T - 1) + 1,) positions in the file
    checksums: np.ndarray  # (T + 2 (T - 1),)
    frames: int  # T

    def rgb(self, indices: Sequence[int], crop: Crop | None = None) -> list[np.ndarray]:
        """Frames `indices`, each 0 <= i < T, as (H, W, 3) uint8 RGB: whole, or only the crop."""
        return self._decoded(indices, cv2.IMREAD_COLOR_RGB, crop)

    def flow(self, indices: Sequence[int], crop: Crop | None = None) -> list[np.ndarray]:
        """Flows from frame i to i + 1, each 0 <= i < T - 1, as (H, W, 2) uint8: x and y, 127.5 is no motion."""
        wanted = [self.frames + 2 * i + c for i in indices for c in (0, 1)]
        images = self._decoded(wanted, cv2.IMREAD_GRAYSCALE, crop)
        return [cv2.merge(images[i : i + 2]) for i in range(0, len(images), 2)]

    def verify(self) -> None:
        """Reads all images; Damaged where one has changed."""
        for start in range(0, len(self.checksums), VERIFIED):
            self._images(range(start, min(start + VERIFIED, len(self.checksums))))

    def _decoded(self, wanted: Sequence[int], flag: int, crop: Crop | None) -> list[np.ndarray]:
        if crop is None:
            return [cv2.imdecode(data, flag) for data in self._images(wanted)]
        box = crop.top, crop.left, crop.height, crop.width
        return [jpeg.decode(data, flag, *box) for data in self._images(wanted)]

    def _images(self, wanted: Sequence[int]) -> list[np.ndarray]:
        """The bytes of images by number, uint8; Damaged where one has changed."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                return [self._image(file.fileno(), i) for i in wanted]
        except OSError as error:
            raise ReproError(f"{self.path}: cannot be read ({error.strerror}); prepare the data set again") from None

    def _image(self, descriptor: int, i: int) -> np.ndarray:
        start, end = int(self.offsets[i]), int(self.offsets[i + 1])
        data = os.pread(descriptor, end - start, start)
        if zlib.crc32(data) != self.checksums[i]:
            untouched.unseal(self.path)  # so that the next `prepare` reads it and packs it anew
            raise _damaged(self.path, f"image {i} of {len(self.checksums)} has changed")
        return np.frombuffer(data, np.uint8)


def read(path: Path) -> Packed:
    """The table of a packed clip. Damaged, naming the file, where it is of another format, not whole, or has changed."""
    try:
        with open(path, "rb", buffering=0) as file:
            whole, head = os.fstat(file.fileno()).st_size, file.read(IMAGES)
            if head[: len(MAGIC)] != MAGIC:
                raise Damaged(f"{path}: not a packed clip, or one of an older version; prepare again")
            if len(head) < IMAGES or CRC.pack(zlib.crc32(head[: HEAD.size])) != head[HEAD.size :]:
                raise _damaged(path, "its head has changed")
            _, start, end, length, checksum = HEAD.unpack(head[: HEAD.size])
            if not IMAGES <= start <= end == whole:  # nothing larger than the file is read
                raise _damaged(path, "not whole")
            table = os.pread(file.fileno(), end - start, start)
    except FileNotFoundError:
        raise ReproError(f"{path}: the clip is not prepared; run `python -m repro prepare` on its data set") from None
    except OSError as error:
        raise ReproError(f"{path}: cannot be read ({error.strerror}); prepare the data set again") from None
    if zlib.crc32(table) != checksum:
        raise _damaged(path, "its table has changed")
    header = _header(table[:length])
    frames = header.get("frames")
    count = (
        3 * frames - 2 if type(frames) is int and frames > 1 else 0
    )  # images: a flow less than frames, two images each
    if not count or len(table) != length + 8 * (count + 1) + 4 * count:
        raise _damaged(path, "its table cannot be read")
    offsets = np.frombuffer(table, "<u8", count + 1, length)
    return Packed(path, header, offsets, np.frombuffer(table, "<u4", count, length + offsets.nbytes), frames)


def _header(text: bytes) -> dict:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}


def _damaged(path: Path, what: str) -> Damaged:
    return Damaged(f"{path}: damaged packed clip ({what}); run `python -m repro prepare` on its data set again")
