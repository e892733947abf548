"""Decoding: RGB frames of a video file, read in order and never by seeking, or of a folder of images.

The videos of this field have about one key frame, so a seek would decode from the start anyway, and may give a frame
next to the one asked for. One thread and no hardware decoder give the same bytes on every machine; the callers run one
process per core. The rotation flag of a file is applied. If the frame size changes within a stream, OpenCV scales to
the first size, so all frames of a file have one shape. A frame folder, the form in which Something-Something V1 is
published, contains nothing but images 00001.jpg, 00002.jpg, ... of one size.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from repro.errors import ReproError
from repro.paths import is_lfs_pointer

# Quiet, because FFmpeg's remarks name no file and the errors below do. Read when the first file is opened.
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
    ends early: more than 2 frames and more than 5 % below the container's count. A fault at the end of a file shows only
    after its last good frame, so write nothing final before the iterator is exhausted. In a frame folder, an image
    that is missing between others, cannot be decoded or has another size is an error that names it.
    """
    path = Path(path)
    yield from _images(path) if os.path.isdir(path) else _decode(path)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Names the clip where the system refuses to read it: no permission, a failing disk, a file that is gone."""
    try:
        yield
    except OSError as error:
        raise ReproError(
            f"{path}: cannot be read ({error.strerror or error}); put the file back, make it readable, or leave it out"
        ) from None


def files(path: Path) -> list[Path]:
    """What a clip is read from: the video file itself, or the images of a frame folder in the order of their numbers.

    Raises ReproError where a folder holds anything else that is not hidden, or its numbers, from 0 or 1, have a gap.
    """
    if not os.path.isdir(path):
        if not os.path.isfile(path):
            raise ReproError(f"{path}: no such video file")
        return [path]
    with readable(path):
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
            raise ReproError(f"{path / name}: expected frame {wanted} here; a frame is missing, or there are two of it")
    return [path / name for _, name in numbered]


def _open(path: Path) -> cv2.VideoCapture:
    if not os.path.isfile(path):
        raise ReproError(f"{path}: no such video file")
    name = str(path.absolute())  # FFmpeg takes "concat:x.avi" for a protocol
    try:
        name.encode()
    except UnicodeEncodeError:  # it would end the process in OpenCV
        raise ReproError(
            f"{os.fsencode(path)!r}: not UTF-8, which OpenCV needs; rename the file or its folder"
        ) from None
    with readable(path):
        if is_lfs_pointer(path):
            raise ReproError(
                f"{path}: a pointer of Git LFS, not the video itself; run `git lfs pull` in its repository"
            )
        size = path.stat().st_size
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)  # its warning names no file
    try:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, PARAMETERS)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened():
        raise ReproError(f"{path}: not a video that OpenCV can open ({size} bytes); fetch it again or convert it")
    return capture


def _decode(path: Path) -> Iterator[np.ndarray]:
    """The RGB frames of a video file; checks its end."""
    capture = _open(path)
    try:
        stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)  # negative where the container does not know
        count = 0
        while capture.grab():
            ok, frame = capture.retrieve()
            if not ok:
                raise ReproError(f"{path}: frame {count} cannot be converted; fetch the file again or convert it")
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            count += 1
        _check_end(path, count, stated, broken=any(capture.grab() for _ in range(3)))
    finally:
        capture.release()


def _images(path: Path) -> Iterator[np.ndarray]:
    """The RGB frames of a frame folder."""
    shape = None
    for file in files(path):
        with readable(file):
            data = np.frombuffer(file.read_bytes(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if len(data) else None
        if image is None and is_lfs_pointer(file):
            raise ReproError(
                f"{file}: a pointer of Git LFS, not the image itself; run `git lfs pull` in its repository"
            )
        if image is None:
            raise ReproError(f"{file}: not an image that OpenCV can decode ({len(data)} bytes); fetch it again")
        shape = shape or image.shape
        if image.shape != shape:
            sizes = " and ".join(f"{w}x{h}" for h, w, _ in (image.shape, shape))
            raise ReproError(f"{file}: the images of a clip have one size, but these are {sizes}; fetch it again")
        yield image


def _container(stated: float) -> str:
    return f"the container says {stated:.0f}" if stated > 0 else "the container gives no count"


def _check_end(path: Path, count: int, stated: float, broken: bool) -> None:
    """Errors of a file that did not decode to its end; broken: frames could be read behind the one that failed."""
    if count == 0:
        raise ReproError(
            f"{path}: 0 frames decode ({_container(stated)}); the file is empty or damaged, or this OpenCV lacks its "
            "codec: fetch it again or convert it to H.264"
        )
    if broken or (stated > 0 and stated - count > max(SLACK, SLACK_SHARE * stated)):
        raise ReproError(
            f"{path}: decoding stops after {count} frames ({_container(stated)}); fetch the file again or leave it out"
        )
