"""The frames of a clip: random in training, named views in testing. A video too short for a clip is repeated."""

import numpy as np

from repro.errors import unknown

VIEWS = ("windows", "centre")


def clip_indices(start: int, length: int, count: int) -> np.ndarray:
    """(length,) frame numbers from `start`, starting again from 0 where the video has only `count` frames."""
    return np.arange(start, start + length) % count


def random_start(count: int, length: int, rng: np.random.Generator) -> int:
    """A uniform start in [0, count - length], or 0 where the video is too short and repeats."""
    return int(rng.integers(0, max(count - length, 0) + 1))


def segment_starts(count: int, length: int, segments: int, rng: np.random.Generator | None) -> np.ndarray:
    """TSN's sparse sampling: (segments,) starts of snippets of `length` frames, one in each of equal intervals.

    A random place in each interval, or its middle where `rng` is None (in testing). Where there are fewer places than
    segments, some repeat.
    """
    places = max(count - length, 0) + 1
    within = np.full(segments, 0.5) if rng is None else rng.random(segments)
    return ((np.arange(segments) + within) * places / segments).astype(int)


def view_starts(views: str, count: int, length: int) -> list[int]:
    """Starts of the test clips of a video of `count` frames.

    windows: all non-overlapping windows of `length` frames from the first, the tail dropped (MARS's test); of a
    shorter video one window, which repeats its frames. centre: the middle window alone.
    """
    if views == "windows":
        return list(range(0, max(count - length, 0) + 1, length))
    if views == "centre":
        return [max(count - length, 0) // 2]
    raise unknown("view protocol", views, VIEWS)
