"""The files of a written embedded set: videos that are checked when they are written, and the list of what is whole."""

import errno
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from repro.data import untouched
from repro.errors import ReproError
from repro.paths import atomic

MARKER = "synthetic.json"
LONGEST = 10_000_000  # bytes of the marker; the largest edition has 0.5 million
QUALITY = 98


class Damaged(ReproError):
    """A marker that cannot be read."""


def read(root: Path) -> dict | None:
    """What the marker of a set says: version, options, sha256 (None until the set is complete), files. None without one.

    Damaged where it is not what `write` wrote.
    """
    marker = root / MARKER
    try:
        found = json.loads(marker.read_text()) if marker.stat().st_size < LONGEST else None
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        found = None
    except OSError as error:
        raise ReproError(f"{marker}: cannot be read ({error.strerror}); make it readable, or delete {root}") from None
    kinds = {"version": int, "options": dict, "sha256": str | None, "files": dict}
    right = isinstance(found, dict) and all(key in found and isinstance(found[key], kinds[key]) for key in kinds)
    if not right or not isinstance(found["options"].get("classes"), list):
        raise Damaged(
            f"{marker}: damaged, or of an older version; the next run draws the embedded videos in {root} again"
        )
    return found


def write(root: Path, stated: Mapping[str, object]) -> None:
    """Writes the marker of a set."""
    with atomic(root / MARKER) as part:
        part.write_text(json.dumps(stated, indent=1))


def described(path: Path) -> str:
    """A file as the marker lists it: size in bytes and sha256."""
    data = path.read_bytes()
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


def are_whole(root: Path, names: Sequence[str], listed: Mapping[str, object]) -> bool:
    """Whether all files of a finished set are as the marker lists them. Damaged ones are named and removed."""
    return all([_is_whole(root / name, listed.get(name)) for name in names])  # a list: looks at all of them


def _is_whole(path: Path, listed: object) -> bool:
    """Compares the size, and the content of a file that something has touched since it was written."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    if untouched.is_sealed(found) and str(listed).startswith(f"{found.st_size} "):
        return True
    if described(path) == listed:
        untouched.seal(path)
        return True
    print(f"drawn once more: {path}: damaged", file=sys.stderr)
    path.unlink()
    return False


def is_checked(path: Path) -> bool:
    """Whether a file of a set that is not finished was written to its end, and not touched since."""
    return path.exists() and untouched.is_sealed(path.stat())


def write_movie(path: Path, frames: np.ndarray) -> None:
    """(T, H, W, 3) RGB as motion JPEG, by OpenCV's own writer, which takes a quality and needs names in .avi.

    An OSError where the file is shorter than its header says: the writer itself reports no failed write, such as on a full
    disk.
    """
    movie = path.with_suffix(".avi")
    try:
        motion_jpeg = cv2.VideoWriter_fourcc(*"MJPG")
        writer = cv2.VideoWriter(str(movie), cv2.CAP_OPENCV_MJPEG, motion_jpeg, 25, frames.shape[2:0:-1])
        opened = writer.isOpened() and writer.set(cv2.VIDEOWRITER_PROP_QUALITY, QUALITY)
        for frame in frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        if not opened or movie.stat().st_size != _stated_size(movie):
            raise OSError(errno.EIO, "OpenCV wrote only a part of the video")
        untouched.seal(movie)
        movie.replace(path)
    finally:
        movie.unlink(missing_ok=True)


def _stated_size(movie: Path) -> int:
    """Bytes of an AVI file by its first chunk, RIFF, which is the whole file; its length is the chunk's without the head."""
    with open(movie, "rb") as file:
        return int.from_bytes(file.read(8)[4:], "little") + 8


def write_text(path: Path, text: str) -> None:
    """A text file of the set."""
    with atomic(path, sync=False) as part:
        part.write_text(text)
        untouched.seal(part)
