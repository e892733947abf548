"""The store: one packed file for each clip, made by one recipe.

The header of a packed file (`repro.data.packed`) records the source (size and hash) and the recipe (short side, quality,
flow method with all its parameters, bound). A folder contains one recipe; a file of another recipe in it is an error.
"""

import functools
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from repro.checked import Positive, checked
from repro.data import jpeg, packed, untouched, video
from repro.data.flow import methods as optical_flow
from repro.data.flow.parameters import MIN_SIDE, identity
from repro.data.packed import Packed
from repro.errors import ReproError, require
from repro.paths import atomic

RANGES = {"side": (MIN_SIDE, 4096), "quality": (90, 100), "bound": (0.01, 1000)}  # of a recipe
GROUP = 8  # frames that are decoded, and flows that are quantised, one after another
ENDING = ".clip"
LONGEST = 140  # bytes of a file's name: encrypted folders (eCryptfs) take 143, most disks 255
STRANGE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # \ud800-\udfff: bytes that are not UTF-8


class OtherRecipe(ReproError):
    """A packed file made in another way than is asked for."""


@checked
class Recipe:
    """How frames and flow are made. `flow` is a method of `repro.data.flow.methods.METHODS` with its default parameters."""

    side: int = 256  # short side of the stored frames in pixels, aspect kept; frames are made smaller or larger to fit
    quality: int = 95  # of the JPEGs: low quality alone cost MARS 11 points on HMDB51
    flow: str = "tvl1"
    bound: Positive = 20.0  # pixels: flow is clipped to [-bound, bound] and mapped to 0..255 (IMRS, section 4.2.1)

    def __post_init__(self):
        for name, (least, most) in RANGES.items():
            require(least <= (value := getattr(self, name)) <= most, f"Recipe.{name}", value, f"from {least} to {most}")
        identity(self.flow, None)  # an unknown method fails here

    def identity(self) -> dict:
        """Everything but the source that determines the stored bytes, as plain JSON values."""
        method = identity(self.flow, None)
        return {"side": self.side, "quality": self.quality, "bound": self.bound, "flow": method}


def source_identity(path: Path) -> dict:
    """Size in bytes and sha256 of a source file, or of the images of a frame folder, one after another in order."""
    size, digest = 0, hashlib.sha256()
    for file in video.files(path):
        with video.readable(file), open(file, "rb") as opened:
            while data := opened.read(1 << 16):
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


def pack(source: Path, target: Path, recipe: Recipe, device: str = "cpu") -> int:
    """Decodes `source`, computes its flow and writes its packed file, atomically. Returns the number of frames, T.

    Flow comes from the resized frames before their JPEG compression. A few frames are in memory at a time, so a clip may
    be of any length. device: see `optical_flow.stream`.
    A video of one frame is an error, because it has no flow. The errors of `video.frames` and `paths.atomic` pass through.
    """
    before = _state(source)
    with atomic(target) as part:
        with packed.create(part) as writer:
            frames = _written(video.frames(source), source, recipe, writer)
            for flows in _grouped(optical_flow.stream(frames, recipe.flow, device=device)):
                for flow in optical_flow.quantise(np.stack(flows), recipe.bound):  # (H, W, 2)
                    for c in (0, 1):
                        writer.add(_encode(source, np.ascontiguousarray(flow[..., c]), recipe.quality), flow=True)
            count = len(writer.sizes[0])
            if count < 2:
                raise ReproError(f"{source}: one frame only, so there is no flow; remove the clip or give another file")
            height, width = flow.shape[:2]
            made_from = {"recipe": recipe.identity(), "source": source_identity(source)}
            writer.finish({**made_from, "height": height, "width": width})
        if _state(source) != before:
            raise ReproError(f"{source}: changed while it was read; prepare again once it is complete")
        untouched.seal(part)
    return count


def _state(source: Path) -> list[tuple[int, int]]:
    """Size and time of change of each file of a source."""
    with video.readable(source):
        return [(found.st_size, found.st_mtime_ns) for found in map(os.stat, video.files(source))]


def _written(frames: Iterable[np.ndarray], source: Path, recipe: Recipe, writer: packed.Writer) -> Iterator[np.ndarray]:
    """Frames at the recipe's size, each appended to a packed file on its way to the flow."""
    for group in _grouped(resize_short_side(frame, recipe.side) for frame in frames):
        for frame in group:
            writer.add(_encode(source, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), recipe.quality), flow=False)
        yield from group


def _grouped(arrays: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Lists of `GROUP` arrays: one step for several in turn is faster than all steps for each, by a twelfth at 48 pixels."""
    while group := list(itertools.islice(arrays, GROUP)):
        yield group


def _encode(source: Path, image: np.ndarray, quality: int) -> bytes:
    data = jpeg.encode(image, quality)
    if data is None:
        raise ReproError(f"{source}: a frame of {image.shape[1]}x{image.shape[0]} pixels cannot be written as JPEG")
    return data


def open_packed(path: Path, recipe: Recipe) -> Packed:
    """Reads a packed clip's table of contents and checks that it was made with `recipe` and is whole."""
    found = packed.read(path)
    if found.header.get("recipe") != recipe.identity():
        raise OtherRecipe(
            f"{path}: stored with {found.header.get('recipe')}, but {recipe.identity()} was asked for: "
            "methods are never mixed; prepare into another folder, or delete this one"
        )
    return found


@functools.lru_cache(maxsize=8192)
def decoded(path: Path, recipe: Recipe, modality: str) -> tuple[np.ndarray, ...]:
    """All frames or flows of a clip, kept in memory by the process: for small sets only, see `clips.ClipDataset`."""
    clip = open_packed(path, recipe)
    return tuple(clip.rgb(range(clip.frames)) if modality == "rgb" else clip.flow(range(clip.frames - 1)))


def folder(dataset: str, root: Path, recipe: Recipe, base: Path) -> Path:
    """The folder of packed clips: one below `base` for each data set, root, side, flow and bound."""
    where = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:8]
    return base / "store" / f"{dataset}-{where}" / f"{recipe.side}-{recipe.flow}-{recipe.bound:g}"


def packed_path(store: Path, clip: str) -> Path:
    """The packed file of a clip, named as in the catalog; a name too long for a disk is replaced by its hash.

    ReproError for a name that does not work everywhere a clip is named: in files, records and on the terminal.
    """
    *folders, name = clip.split("/")
    if STRANGE.search(clip) or {".", ".."} & {*folders, name}:
        raise ReproError(
            f"{clip!r} cannot name a clip: a name is text in UTF-8 without line breaks and control characters, because "
            "records list clips by line; rename the file or its folder"
        )
    return Path(store, *map(_short, folders), _short(name) + ENDING)


def _short(name: str) -> str:
    data = name.encode()
    return name if len(data) + len(ENDING) <= LONGEST else hashlib.sha256(data).hexdigest()
