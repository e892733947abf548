"""Decoding: RGB frames of a video file, read through in order and never by seeking, or of a folder of images.

The files of this field have about one key frame, so a seek decodes from the start anyway and may land beside the frame
that was asked for. `grab` walks, `retrieve` converts what is wanted. One thread and no hardware decoder: the same bytes
on every machine, and the callers run a process a core. The rotation flag of a file is honoured. A stream whose frame
size changes on the way is scaled by OpenCV to its first size, so the frames of a file always share one shape.
A frame folder, as Something-Something V1 is published, holds nothing but images 00001.jpg, 00002.jpg, ... of one size.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from repro.errors import ReproError

# Quiet, for FFmpeg's remarks name no file and the errors below do. Read when the first file is opened.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
PARAMETERS = (cv2.CAP_PROP_N_THREADS, 1, cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_NONE)
# How far below the container's count a whole file may end. MPEG-4 in AVI counts empty packets (2 in every clip of
# UT-Interaction, 1 in HMDB51; libav decodes no more either). WebM and Matroska store no count: OpenCV takes duration
# times rate, and the duration is that of the longest track, sound included.
SLACK = 2  # frames
SLACK_SHARE = 0.05
IMAGE = re.compile(r"([0-9]{1,9})\.(jpg|jpeg|png)", re.IGNORECASE)  # a frame in a frame folder


def frames(path: Path | str) -> Iterator[np.ndarray]:
    """The frames of a video one at a time, each (H, W, 3) uint8 RGB; the number that decodes is the true count.

    Raises ReproError, naming the file, where it is missing, is no video, decodes nothing, breaks off on the way, or
    ends short: more than 2 frames and more than 5 % below the container's count. What is wrong with the end of a file
    shows after its last good frame, so write nothing final before the iterator is exhausted. Of a frame folder, an
    image that is missing between others, cannot be decoded or has another size is an error that names it.
    """
    for _, frame in _decode(Path(path), None):
        yield frame


def read(path: Path | str, indices: Iterable[int] | None = None) -> np.ndarray:
    """Frames of a video, (T, H, W, 3) uint8 RGB: all, or those at `indices` (from 0, any order, repeats allowed).

    With `indices`, decoding stops after the last one wanted, and one beyond the end is a ReproError with both counts.
    Other errors as in `frames`.
    """
    if indices is None:
        return np.stack(list(frames(path)))
    wanted = [int(i) for i in indices]
    if not wanted or min(wanted) < 0:
        raise ReproError(f"{path}: frame indices {wanted} asked for; give at least one, none below 0")
    found = dict(_decode(Path(path), frozenset(wanted)))
    return np.stack([found[i] for i in wanted])


def files(path: Path) -> list[Path]:
    """What a clip is read from: the video file itself, or the images of a frame folder in the order of their numbers.

    Raises ReproError where a folder holds anything else that is not hidden, or its numbers, from 0 or 1, have a gap.
    """
    if not path.is_dir():
        return [path]
    names = [name for name in os.listdir(path) if not name.startswith(".")]
    numbered = sorted((int(match[1]), name) for name in names if (match := IMAGE.fullmatch(name)))
    if not numbered:
        raise ReproError(f"{path}: no such video file, but a folder without numbered images (00001.jpg, ...)")
    if len(numbered) < len(names):
        strange = min(set(names) - {name for _, name in numbered})
        raise ReproError(f"{path / strange}: not a numbered image (00001.jpg, ...) in a frame folder; move it away")
    first = min(numbered[0][0], 1)
    for wanted, (number, name) in enumerate(numbered, first):
        if number != wanted:
            raise ReproError(f"{path / name}: frame {wanted} should stand here; a frame is missing, or is there twice")
    return [path / name for _, name in numbered]


def _open(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise ReproError(f"{path}: no such video file")
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # its warning names no file
    try:
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, PARAMETERS)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise ReproError(
            f"{path}: not a video that OpenCV can open ({path.stat().st_size} bytes); fetch it again or convert it"
        )
    return capture


def _decode(path: Path, wanted: frozenset[int] | None) -> Iterator[tuple[int, np.ndarray]]:
    """(index, RGB frame) of the wanted frames; None walks through all of them and checks the end."""
    if path.is_dir():
        yield from _images(path, wanted)
        return
    capture = _open(path)
    try:
        said = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # negative where the container does not know
        count, last = 0, None if wanted is None else max(wanted)
        while capture.grab():
            if wanted is None or count in wanted:
                ok, frame = capture.retrieve()
                if not ok:
                    raise ReproError(f"{path}: frame {count} cannot be converted; fetch the file again or convert it")
                yield count, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            if count == last:
                return
            count += 1
        _check_end(path, count, said, broken=any(capture.grab() for _ in range(3)))
        if last is not None:
            raise ReproError(f"{path}: frame {last} asked for, but {count} frames decode ({_container(said)})")
    finally:
        capture.release()


def _images(path: Path, wanted: frozenset[int] | None) -> Iterator[tuple[int, np.ndarray]]:
    """(index, RGB frame) of the wanted frames of a frame folder, all of them with None."""
    found, shape = files(path), None
    if wanted and max(wanted) >= len(found):
        raise ReproError(f"{path}: frame {max(wanted)} asked for, but the folder holds {len(found)} images")
    for i, file in enumerate(found):
        if wanted is None or i in wanted:
            try:
                data = np.frombuffer(file.read_bytes(), np.uint8)
            except OSError as error:
                raise ReproError(f"{file}: cannot be read ({error.strerror}); fetch the frame folder again") from None
            image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if len(data) else None
            if image is None:
                raise ReproError(f"{file}: not an image that OpenCV can decode ({len(data)} bytes); fetch it again")
            shape = shape or image.shape
            if image.shape != shape:
                sizes = " and ".join(f"{w}x{h}" for h, w, _ in (image.shape, shape))
                raise ReproError(f"{file}: the images of a clip have one size, but these are {sizes}; fetch it again")
            yield i, image


def _container(said: float) -> str:
    return f"the container says {said:.0f}" if said > 0 else "the container gives no count"


def _check_end(path: Path, count: int, said: float, broken: bool) -> None:
    """Errors of a file that did not decode to its end; broken: frames could be read behind the one that failed."""
    if count == 0:
        raise ReproError(
            f"{path}: 0 frames decode ({_container(said)}); the file is empty or damaged, or this OpenCV lacks its "
            "codec: fetch it again or convert it to H.264"
        )
    if broken or (said > 0 and said - count > max(SLACK, SLACK_SHARE * said)):
        raise ReproError(
            f"{path}: decoding stops after {count} frames ({_container(said)}); fetch the file again or leave it out"
        )
