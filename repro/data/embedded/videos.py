"""The embedded data set: a drawn person doing exercises, written as real video files in HMDB51's layout.

Twelve classes. Four pairs differ only in the direction of time: the second of a pair is drawn as the first and its frames
are reversed, so neither one frame nor an unordered set of frames can tell them apart. Two pairs have one movement in two
poses that do not move (seated or standing): frames show them, flow hardly does. A network that is blind to the order of
frames is right in at most 8 of 12 cases.

Appearance misleads: in the training pool a clip has its class's own palette and object with probability `bias`. Otherwise,
and always in the test pool, it has one of all palettes at random. The movement fills a part of the clip; a second, smaller
person may do something else; the camera shakes and pans. The n-th clips of all classes share the texture of the scene,
skin, hair and sleeves, and come from one source, the first part of their file names. A source, like a film in HMDB51, has
several such scenes and belongs to one pool.

`step_left` and `step_right`, `lean_left` and `lean_right` are mirror images: train without horizontal flips.

The pretext edition has thirteen other movements. Small networks are pretrained on it, as the papers' are on public data.
"""

import dataclasses
import functools
import hashlib
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
from joblib.externals.loky import get_reusable_executor

from repro import processes
from repro.data.embedded import drawing, files
from repro.data.embedded.options import EDITIONS, POOLS, SPLITS, Synthetic
from repro.errors import ReproError, unknown
from repro.paths import atomic, writing

_VERSION = 2  # of the drawing; increase it when the same options draw other frames
# HMDB51's style: full body (f), camera moves (cm), one person (np1), from the front (fr), quality good (goo)
_NAME = re.compile(r"(train|test)(\d+)_([a-z_]+)_f_cm_np1_fr_goo_(\d+)\.avi")
_CHUNK = 48  # clips that a process draws at a time


def render(class_name: str, options: Synthetic, index: int, pool: str) -> tuple[np.ndarray, np.ndarray]:
    """One clip as `write` draws it, before compression: RGB uint8 (T, H, W, 3) and the person's mask, bool (T, H, W).

    `index` counts the clips of the class in the pool ("train" or "test"), from 0.
    """
    if class_name not in options.classes:
        raise unknown("synthetic class", class_name, options.classes)
    if pool not in POOLS:
        raise unknown("pool", pool, POOLS)
    if not 0 <= index < getattr(options, pool):
        raise ReproError(f"clip {index} of {class_name}: the {pool} pool has {getattr(options, pool)} clips per class")
    return drawing.clip(class_name, options, index, pool, masked=True)


def clip_name(class_name: str, options: Synthetic, index: int, pool: str) -> str:
    """File name in HMDB51's style, <source>_<class>_..._<n>.avi."""
    source, n = divmod(index, getattr(options, pool) // options.sources)
    return f"{pool}{source:02d}_{class_name}_f_cm_np1_fr_goo_{n}.avi"


def mask_of(where: Path | str | Synthetic, clip: str) -> np.ndarray:
    """The person's mask in the clip of this file name, bool (T, H, W). `where`: the written folder, or its options."""
    options = where if isinstance(where, Synthetic) else read_options(Path(where))
    match = _NAME.fullmatch(Path(clip).name)
    if match is None:
        raise ReproError(f"{clip!r} is not the name of a synthetic clip, such as train00_clap_f_cm_np1_fr_goo_0.avi")
    pool, source, class_name, n = match.groups()
    each = getattr(options, pool) // options.sources
    if int(n) >= each:
        raise ReproError(f"{clip!r}: a source of the {pool} pool has {each} clips per class")
    return render(class_name, options, int(source) * each + int(n), pool)[1]


def read_options(root: Path) -> Synthetic:
    """The options that `write` was called with for this folder."""
    stated = files.read(root)
    if stated is None:
        raise ReproError(f"no {files.MARKER} in {root}: write the embedded data set there first")
    return Synthetic(**{**stated["options"], "classes": tuple(stated["options"]["classes"])})


def is_complete(root: Path) -> bool:
    """Whether the folder holds an embedded set that was drawn to its end."""
    try:
        stated = files.read(root)
    except files.Damaged:
        return False
    return stated is not None and bool(stated["sha256"])


def write(root: Path | str, options: Synthetic = EDITIONS["small-2"], jobs: int = 1) -> Path:
    """Writes HMDB51's layout below `root`, which it returns.

    Files: hmdb51_org/<class>/*.avi, testTrainMulti_7030_splits/<class>_test_split{1,2,3}.txt, and synthetic.json with
    the options and, once all is written, size and hash of each file. The same options give the same bytes, about 90 MB in
    10 s on one core by default; `jobs` processes share the drawing. After a kill, the next call draws the missing
    files. Of a finished set it draws those that are missing or damaged. ReproError if the folder contains the set with
    other options, Unwritable if it takes no file.
    """
    root = Path(root)
    with writing(root / files.MARKER):
        _write(root, options, jobs)
    return root


def _write(root: Path, options: Synthetic, jobs: int) -> None:
    stated = {"version": _VERSION, "options": json.loads(json.dumps(dataclasses.asdict(options)))}
    clips = [(c, i, pool) for c in options.classes for pool in POOLS for i in range(getattr(options, pool))]
    videos = [_place(options, clip) for clip in clips]
    splits = {f"testTrainMulti_7030_splits/{name}": text for name, text in _split_files(options).items()}
    found = _begun(root, videos)
    other = {key: found[key] for key in stated if found and found[key] != stated[key]}
    if other:
        raise ReproError(f"{root} holds another embedded set ({other}): delete it, or give another root")
    if found and found["sha256"] and files.are_whole(root, [*videos, *splits], found["files"]):
        return
    files.write(root, {**stated, "sha256": None, "files": {}})  # from here the folder belongs to these options
    listed = _drawn(root, options, clips, jobs)
    digest = hashlib.sha256("".join(listed[name].split()[1] for name in videos).encode())
    for name, text in splits.items():
        digest.update(text.encode())
        files.write_text(root / name, text)
        listed[name] = files.described(root / name)
    os.sync()  # thousands of files at once: to sync each would take longer than to draw it
    files.write(root, {**stated, "sha256": digest.hexdigest(), "files": listed})


def _begun(root: Path, videos: list[str]) -> dict | None:
    """The marker of the folder, None without one. Where it is damaged, the videos are removed: whose they are is unknown."""
    try:
        return files.read(root)
    except files.Damaged as error:
        print(f"drawn once more: {error}", file=sys.stderr)
    for name in videos:
        (root / name).unlink(missing_ok=True)
    return None


def _drawn(root: Path, options: Synthetic, clips: list[tuple[str, int, str]], jobs: int) -> dict[str, str]:
    """Draws the clips that are not there yet. {name of a video: its line in the marker}."""
    chunks = [clips[i : i + _CHUNK] for i in range(0, len(clips), _CHUNK)]
    listed = {}
    for chunk, lines in processes.each(
        functools.partial(_draw, root, options), chunks, processes.count(jobs, len(chunks))
    ):
        if lines is None:
            raise ReproError(f"{root}: the process that drew {chunk[0]} and on died; free memory, then start again")
        listed |= lines
    # these workers have no torch; they would grow when later work loads it, and joblib would report a leak
    get_reusable_executor().shutdown()
    return listed


def _draw(root: Path, options: Synthetic, clips: list[tuple[str, int, str]]) -> dict[str, str]:
    listed = {}
    for clip in clips:
        name = _place(options, clip)
        if not files.is_checked(root / name):
            class_name, index, pool = clip
            frames, _ = drawing.clip(class_name, options, index, pool, masked=False)
            with atomic(root / name, sync=False) as part:
                files.write_movie(part, frames)
        listed[name] = files.described(root / name)
    return listed


def _place(options: Synthetic, clip: tuple[str, int, str]) -> str:
    """The file of a clip (class, index, pool), below the root of the set."""
    class_name, index, pool = clip
    return f"hmdb51_org/{class_name}/{clip_name(class_name, options, index, pool)}"


def _split_files(options: Synthetic) -> dict[str, str]:
    """HMDB51's split files: 1 is training, 2 test, 0 neither. Sources are assigned to the splits in turn. A split tests
    on its own sources in the test pool and trains on the other splits' sources in the training pool.
    """
    files = {}
    for split in SPLITS:
        for name in options.classes:
            lines = []
            for pool in POOLS:
                for index in range(getattr(options, pool)):
                    held_out = index // (getattr(options, pool) // options.sources) % 3 == split - 1
                    part = (0 if held_out else 1) if pool == "train" else (2 if held_out else 0)
                    lines.append(f"{clip_name(name, options, index, pool)} {part} \n")
            files[f"{name}_test_split{split}.txt"] = "".join(lines)
    return files
