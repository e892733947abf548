"""Frames and flow of one clip in one packed file of JPEGs with offsets.

A file is: magic, length of the header, header (JSON: identity, counts, size), offsets (uint64), images. Its identity
records the source (size and hash) and the recipe (short side, quality, flow method with all its parameters,
bound). A folder contains one recipe; a file of another recipe in it is an error. One file per clip is read with few
system calls, and only the part of each image that a crop needs is decoded (`repro.data.jpeg`).
"""

import functools
import hashlib
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from repro.checked import Positive, checked
from repro.data import jpeg, video
from repro.data.flow import methods as optical_flow
from repro.data.flow.parameters import identity
from repro.data.transforms import Crop
from repro.errors import ReproError, require
from repro.paths import atomic

MAGIC = b"reproclip2\n"
LENGTH = struct.Struct("<I")


class Damaged(ReproError):
    """A packed file that cannot be read; it has to be made again."""


class OtherRecipe(ReproError):
    """A packed file made in another way than is asked for."""


@checked
class Recipe:
    """How frames and flow are made. `flow` is a method of `repro.data.flow.methods.METHODS` with its default parameters."""

    side: int = 256  # short side of the stored frames, aspect kept; frames are made smaller or larger to fit
    quality: int = 95  # of the JPEGs: low quality alone cost MARS 11 points on HMDB51
    flow: str = "tvl1"
    bound: Positive = 20.0  # flow is clipped to [-bound, bound] pixels and mapped to 0..255 (IMRS, section 4.2.1)

    def __post_init__(self):
        require(self.side >= 8, "Recipe.side", self.side, "at least 8 pixels")
        require(90 <= self.quality <= 100, "Recipe.quality", self.quality, "from 90 to 100")
        identity(self.flow, None)  # an unknown method fails here

    def identity(self) -> dict:
        """Everything but the source that determines the stored bytes, as plain JSON values."""
        method = identity(self.flow, None)
        return {"side": self.side, "quality": self.quality, "bound": self.bound, "flow": method}


def source_identity(path: Path) -> dict:
    """Size in bytes and sha256 of a source file, or of the images of a frame folder, one after another in order."""
    size, digest = 0, hashlib.sha256()
    for file in video.files(path):
        data = file.read_bytes()
        size += len(data)
        digest.update(data)
    return {"bytes": size, "sha256": digest.hexdigest()}


def resize_short_side(frame: np.ndarray, side: int) -> np.ndarray:
    """(H, W, 3) uint8 to a short side of `side` pixels, aspect kept."""
    h, w = frame.shape[:2]
    if min(h, w) == side:
        return frame
    scale = side / min(h, w)
    size = max(side, round(w * scale)), max(side, round(h * scale))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def read_frames(source: Path, recipe: Recipe) -> np.ndarray:
    """All frames of a video at the recipe's size, (T, H, W, 3) uint8 RGB.

    A video of one frame is an error, because it has no flow. The errors of `video.frames` pass through.
    """
    frames = np.stack([resize_short_side(frame, recipe.side) for frame in video.frames(source)])
    if len(frames) < 2:
        raise ReproError(f"{source}: one frame only, so there is no flow; remove the clip or give another file")
    return frames


def pack(source: Path, target: Path, recipe: Recipe) -> int:
    """Decodes `source` and writes its packed file. Returns the number of frames, T. Errors: see `read_frames`."""
    frames = read_frames(source, recipe)
    write(target, source, frames, recipe)
    return len(frames)


def write(target: Path, source: Path, frames: np.ndarray, recipe: Recipe, device: str = "cpu") -> None:
    """Computes the flow of `frames`, which `read_frames` read from `source`, and writes the packed file, atomically.

    Flow comes from the resized frames before their JPEG compression; device: see `optical_flow.extract`.
    """
    flow = optical_flow.extract(frames, recipe.flow, device=device)
    flow = optical_flow.quantise(flow, recipe.bound)  # (T-1, H, W, 2)
    images = [_encode(source, cv2.cvtColor(f, cv2.COLOR_RGB2BGR), recipe.quality) for f in frames]
    images += [_encode(source, np.ascontiguousarray(f[..., c]), recipe.quality) for f in flow for c in (0, 1)]
    header = {
        "recipe": recipe.identity(),
        "source": source_identity(source),
        "frames": len(frames),
        "height": frames.shape[1],
        "width": frames.shape[2],
    }
    text = json.dumps(header, sort_keys=True).encode()
    offsets = np.concatenate([[0], np.cumsum([len(image) for image in images])]).astype("<u8")
    with atomic(target) as part, open(part, "wb") as file:
        file.write(MAGIC + LENGTH.pack(len(text)) + text + offsets.tobytes())
        file.writelines(images)


def _encode(source: Path, image: np.ndarray, quality: int) -> bytes:
    data = jpeg.encode(image, quality)
    if data is None:
        raise ReproError(f"{source}: a frame of {image.shape[1]}x{image.shape[0]} pixels cannot be written as JPEG")
    return data


@dataclass(frozen=True)
class Packed:
    """The table of contents of a packed clip; `rgb` and `flow` decode only the images asked for."""

    path: Path
    header: dict
    offsets: np.ndarray  # (T + 2 (T - 1) + 1,) positions in the file
    frames: int  # T

    def _images(self, wanted: Sequence[int]) -> list[np.ndarray]:
        with open(self.path, "rb", buffering=0) as file:
            reads = [
                os.pread(file.fileno(), int(self.offsets[i + 1] - self.offsets[i]), int(self.offsets[i]))
                for i in wanted
            ]
        return [np.frombuffer(data, np.uint8) for data in reads]

    def rgb(self, indices: Sequence[int], crop: Crop | None = None) -> list[np.ndarray]:
        """Frames `indices`, each 0 <= i < T, as (H, W, 3) uint8 RGB: whole, or only the crop."""
        return self._decoded(indices, cv2.IMREAD_COLOR_RGB, crop)

    def flow(self, indices: Sequence[int], crop: Crop | None = None) -> list[np.ndarray]:
        """Flows from frame i to i + 1, each 0 <= i < T - 1, as (H, W, 2) uint8: x and y, 127.5 is no motion."""
        wanted = [self.frames + 2 * i + c for i in indices for c in (0, 1)]
        images = self._decoded(wanted, cv2.IMREAD_GRAYSCALE, crop)
        return [cv2.merge(images[i : i + 2]) for i in range(0, len(images), 2)]

    def _decoded(self, wanted: Sequence[int], flag: int, crop: Crop | None) -> list[np.ndarray]:
        try:
            if crop is None:
                return [cv2.imdecode(data, flag) for data in self._images(wanted)]
            box = crop.top, crop.left, crop.height, crop.width
            return [jpeg.decode(data, flag, *box) for data in self._images(wanted)]
        except (IndexError, ValueError, TypeError, cv2.error) as error:
            raise Damaged(f"{self.path}: damaged packed clip ({error}); prepare again") from None


def open_packed(path: Path, recipe: Recipe) -> Packed:
    """Reads a packed clip's table of contents and checks that it was made with `recipe` and is whole."""
    try:
        with open(path, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise Damaged(f"{path}: not a packed clip, or one of an older version; prepare again")
            text = file.read(LENGTH.unpack(file.read(LENGTH.size))[0])
            header = json.loads(text)
            count = header["frames"] + 2 * (header["frames"] - 1)
            offsets = np.frombuffer(file.read(8 * (count + 1)), "<u8") + file.tell()
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise ReproError(f"{path}: the clip is not prepared; run `python -m repro prepare` on its data set") from None
    except (struct.error, ValueError, KeyError) as error:
        raise Damaged(f"{path}: damaged packed clip ({error}); prepare again") from None
    if len(offsets) != count + 1 or offsets[-1] != size:
        raise Damaged(f"{path}: damaged packed clip (not whole); prepare again")
    if header["recipe"] != recipe.identity():
        raise OtherRecipe(
            f"{path}: stored with {header['recipe']}, but {recipe.identity()} was asked for: "
            "methods are never mixed; prepare into another folder, or delete this one"
        )
    return Packed(path, header, offsets, header["frames"])


@functools.lru_cache(maxsize=8192)
def decoded(path: Path, recipe: Recipe, modality: str) -> tuple[np.ndarray, ...]:
    """All frames or flows of a clip, kept in memory by the process: for small sets only, see `clips.ClipDataset`."""
    clip = open_packed(path, recipe)
    return tuple(clip.rgb(range(clip.frames)) if modality == "rgb" else clip.flow(range(clip.frames - 1)))


def folder(dataset: str, root: Path, recipe: Recipe, base: Path) -> Path:
    """The folder of packed clips: one below `base` for each data set, root, side, flow and bound."""
    where = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:8]
    return base / "store" / f"{dataset}-{where}" / f"{recipe.side}-{recipe.flow}-{recipe.bound:g}"


def packed_path(store: Path, clip: str) -> Path:
    """The packed file of a clip, named as in the catalog."""
    return store / f"{clip}.clip"
