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
import hashlib
import json
import re
from pathlib import Path

import cv2
import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor

from repro.checked import Count, checked
from repro.config import DOSES, dose
from repro.data.embedded.person import PROGRAMS, SUPERSAMPLING, backdrop, clothes, colour, draw, poses, thing
from repro.errors import ReproError, require, unknown
from repro.paths import atomic

CLASSES = (
    "clap", "crouch", "lean_left", "lean_right", "lower_arms", "raise_arms",
    "rise", "sit_clap", "sit_wave", "step_left", "step_right", "wave",
)  # fmt: skip
TIME_PAIRS = (
    ("crouch", "rise"),
    ("lean_right", "lean_left"),
    ("raise_arms", "lower_arms"),
    ("step_right", "step_left"),
)  # the second is the first with its frames reversed
POSE_PAIRS = (("clap", "sit_clap"), ("wave", "sit_wave"))  # the same movement in another pose
PRETEXT = (  # other movements, for pretraining
    "arms_close", "arms_open", "drop_left", "drop_right", "hop", "jack", "kick_left", "kick_right", "lift_left", "lift_right",
    "squat", "wave_left", "wave_right",
)  # fmt: skip
PRETEXT_PAIRS = (("arms_open", "arms_close"), ("lift_left", "drop_left"), ("lift_right", "drop_right"))
POOLS = ("train", "test")
SPLITS = (1, 2, 3)

_FORWARD = {backward: forward for forward, backward in TIME_PAIRS + PRETEXT_PAIRS}
_ALL = CLASSES + PRETEXT
_VERSION = 2  # of the drawing; increase it when the same options draw other frames
# HMDB51's style: full body (f), camera moves (cm), one person (np1), from the front (fr), quality good (goo)
_NAME = re.compile(r"(train|test)(\d+)_([a-z_]+)_f_cm_np1_fr_goo_(\d+)\.avi")
_QUALITY = 98


@checked
class Synthetic:
    """What to draw. The defaults give each split 576 training and 1,152 test clips of 12 classes."""

    seed: int = 0
    classes: tuple[str, ...] = CLASSES
    sources: Count = 24  # in each pool; a split trains on two thirds of one pool and tests on a third of the other
    train: Count = 72  # clips per class in the training pool
    test: Count = 288  # clips per class in the test pool
    frames: Count = 18  # in the shortest clip; the longest have a quarter more
    side: Count = 48  # short side in pixels; the long one is 4/3 of it
    bias: float = 0.7  # probability that a training clip has its class's palette and object
    action: float = 0.6  # least share of the frames in which the person moves
    smallest: float = 0.7  # stature of the smallest person, of the short side; the largest has 0.92
    distractors: float = 0.3  # probability of a second, smaller person who does something else
    pan: float = 0.005  # fastest pan of the camera, of the short side per frame

    def __post_init__(self):
        for name in self.classes:
            if name not in _ALL:
                raise unknown("synthetic class", name, _ALL)
        ordered = self.classes == tuple(sorted(set(self.classes))) and len(self.classes) >= 2
        require(ordered, "Synthetic.classes", self.classes, "at least two, in alphabetical order, each once")
        rules = (
            ("seed", self.seed >= 0, "zero or positive"),
            ("sources", self.sources % 3 == 0, "a multiple of 3, one third for each split"),
            ("train", self.train % self.sources == 0, f"a multiple of sources, {self.sources}"),
            ("test", self.test % self.sources == 0, f"a multiple of sources, {self.sources}"),
            ("frames", self.frames >= 8, "at least 8"),
            ("side", self.side >= 24 and self.side % 6 == 0, "a multiple of 6 from 24 up"),
            ("bias", 0 <= self.bias <= 1, "a probability"),
            ("action", 0.3 <= self.action <= 1, "from 0.3 to 1"),
            ("smallest", 0.3 <= self.smallest <= 0.92, "from 0.3 to 0.92"),
            ("distractors", 0 <= self.distractors <= 1, "a probability"),
            ("pan", 0 <= self.pan <= 0.05, "from 0 to 0.05"),
        )
        for name, holds, rule in rules:
            require(holds, f"Synthetic.{name}", getattr(self, name), rule)


EDITIONS = {  # by `Data.source`
    "smoke": Synthetic(sources=6, train=6, test=6, frames=10),
    "small-2": Synthetic(seed=2),
    "development": Synthetic(seed=1),  # recipes and difficulty are settled here; its numbers are not shown as results
    "pretext": Synthetic(seed=3, classes=PRETEXT, train=144, test=24, bias=0.0),
    "large": Synthetic(seed=2, frames=40, side=96),  # for networks that take 16 frames of 112 pixels
}
EDITIONS |= {  # the same with one option changed
    dose(base, option, value): dataclasses.replace(EDITIONS[base], **{option: value})
    for base in ("smoke", "small-2")
    for option, values in DOSES.items()
    for value in values
}


def _camera(count: int, unit: float, pan: float, rng: np.random.Generator) -> np.ndarray:
    """(count, 2, 3) affine maps: a steady pan of at most `pan` pixels per frame, shake in units of `unit` pixels, a little
    roll and zoom."""
    t = np.arange(count) - (count - 1) / 2
    x, y, roll, zoom = (
        sum(a * np.sin(2 * np.pi * (t / rng.uniform(5, 20) + rng.random())) for a in rng.uniform(0.1, 0.6, 2))
        for _ in range(4)
    )
    x, y = (unit * shake + share * pan * rng.uniform(-1, 1) * t for shake, share in ((x, 1), (y, 0.5)))
    cos, sin = (1 + 0.01 * zoom) * np.cos(0.012 * roll), (1 + 0.01 * zoom) * np.sin(0.012 * roll)
    return np.stack([np.stack([cos, -sin, x], 1), np.stack([sin, cos, y], 1)], 1)


def palette_of(class_name: str, options: Synthetic, index: int, pool: str) -> int:
    """The palette of a clip, 0 to 11; palette k belongs to class k."""
    own = _ALL.index(class_name)
    rng = np.random.default_rng((options.seed, POOLS.index(pool), 2, own, index))
    biased = rng.random() < options.bias and pool == "train"
    return own % len(CLASSES) if biased else int(rng.integers(len(CLASSES)))


@dataclasses.dataclass(frozen=True)
class _Scene:
    """What a clip shows, before the camera. Places are in canvas pixels from the centre of the scene."""

    picture: np.ndarray  # (H', W', 3), larger than the canvas
    corner: np.ndarray  # of the picture, from the centre
    people: tuple[tuple[list[dict], dict, float, np.ndarray], ...]  # poses, clothes, stature, pelvis; the last acts


def _scene(name: str, options: Synthetic, index: int, pool: str, rng: np.random.Generator, count: int) -> _Scene:
    key = (options.seed, POOLS.index(pool))
    look = np.random.default_rng((*key, 0, index))  # not by class: each class has a clip with this scene and person
    large = SUPERSAMPLING * options.side
    size = np.array((large * 4 // 3, large))  # of the canvas: W, H
    palette = palette_of(name, options, index, pool)
    hue = palette / len(CLASSES) + rng.uniform(-0.03, 0.03)
    wears = clothes(hue, look)
    dark, bright = np.array(colour(hue, 0.6, 0.4)), np.array(colour(hue + 0.08, 0.35, 0.93))
    ramp = np.clip(rng.uniform(0.75, 1.1) * np.linspace(dark, bright, 256), 0, 255).astype(np.uint8)
    grey = backdrop(look, (round(1.35 * size[1]), round(1.35 * size[0])))[:, :: rng.choice((-1, 1))]
    picture = ramp[(255 * grey).astype(np.uint8)]
    middle = np.array(picture.shape[1::-1]) / 2
    thing(
        picture, palette, hue, middle + rng.uniform((-0.35, 0.05), (0.35, 0.3)) * size, rng.uniform(0.07, 0.12) * large
    )
    corner = rng.uniform(-0.1, 0.1, 2) * size - middle
    stature = rng.uniform(options.smallest, 0.92) * large
    pelvis = rng.uniform((-0.13, 0.03), (0.13, 0.09)) * size
    actor = (poses(_FORWARD.get(name, name), count, rng, options.action), wears, stature, pelvis)
    if rng.random() >= options.distractors:
        return _Scene(picture, corner, (actor,))
    aside = np.array((rng.choice((-1, 1)) * rng.uniform(0.25, 0.4), rng.uniform(-0.1, 0)))
    moves = poses(PROGRAMS[rng.integers(len(PROGRAMS))], count, rng, options.action)
    other = (moves, clothes(rng.random(), rng), rng.uniform(0.45, 0.65) * stature, pelvis + aside * size)
    return _Scene(picture, corner, (other, actor))


def _clip(name: str, options: Synthetic, index: int, pool: str, masked: bool) -> tuple[np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng((options.seed, POOLS.index(pool), 1, _ALL.index(name), index))
    count = int(rng.integers(options.frames, options.frames * 5 // 4 + 1))
    height, width, large = options.side, options.side * 4 // 3, SUPERSAMPLING * options.side
    size = (large * 4 // 3, large)  # of the canvas: W, H
    scene = _scene(name, options, index, pool, rng, count)
    frames = np.empty((count, height, width, 3), np.uint8)
    mask = np.empty((count, height, width), bool) if masked else None
    for t, view in enumerate(_camera(count, large / 48, options.pan * large, rng)):
        turn, origin = view[:, :2], view[:, 2] + np.array(size) / 2
        to_canvas = np.column_stack([turn, turn @ scene.corner + origin])
        canvas = cv2.warpAffine(scene.picture, to_canvas, size, borderMode=cv2.BORDER_REFLECT)
        for moves, wears, stature, pelvis in scene.people:
            body = np.column_stack([turn * stature, turn @ pelvis + origin])
            draw(canvas, moves[t], body, wears)
        frames[t] = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
        if masked:  # of the person who acts, drawn last
            silhouette = np.zeros_like(canvas)
            draw(silhouette, moves[t], body, None)
            mask[t] = cv2.resize(silhouette[..., 0], (width, height), interpolation=cv2.INTER_AREA) > 127
    if name in _FORWARD:
        frames, mask = frames[::-1], mask[::-1] if masked else None
    return frames, mask


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
    return _clip(class_name, options, index, pool, masked=True)


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
    try:
        stated = json.loads((root / "synthetic.json").read_text())["options"]
    except FileNotFoundError:
        raise ReproError(f"no synthetic.json in {root}: write the embedded data set there first") from None
    return Synthetic(**{**stated, "classes": tuple(stated["classes"])})


def is_complete(root: Path) -> bool:
    """Whether the folder holds an embedded set that was drawn to its end."""
    marker = root / "synthetic.json"
    return marker.exists() and bool(json.loads(marker.read_text())["sha256"])


def write(root: Path | str, options: Synthetic = EDITIONS["small-2"], jobs: int = 1) -> Path:
    """Writes HMDB51's layout below `root`, which it returns.

    Files: hmdb51_org/<class>/*.avi, testTrainMulti_7030_splits/<class>_test_split{1,2,3}.txt, and synthetic.json with
    the options and, once all is written, a hash of the content. The same options give the same bytes, about 90 MB in
    10 s on one core by default; `jobs` processes share the drawing. After a kill, the next call draws the missing
    files; a finished set is left as it is. ReproError if the folder contains the set with other options.
    """
    root = Path(root)
    marker = root / "synthetic.json"
    stated = {"version": _VERSION, "options": json.loads(json.dumps(dataclasses.asdict(options)))}
    if marker.exists():
        found = json.loads(marker.read_text())
        if {k: found.get(k) for k in stated} != stated:
            raise ReproError(f"{root} holds another embedded set ({found}): delete it, or give another root")
        if found["sha256"]:
            return root
    with atomic(marker) as part:  # not finished yet, but the folder now belongs to these options
        part.write_text(json.dumps({**stated, "sha256": None}, indent=1))
    todo = [(c, i, pool) for c in options.classes for pool in POOLS for i in range(getattr(options, pool))]
    chunks = [todo[i : i + 48] for i in range(0, len(todo), 48)]
    drawn = joblib.Parallel(n_jobs=jobs)(joblib.delayed(_write_clips)(root, options, chunk) for chunk in chunks)
    # these workers have no torch; they would grow when later work loads it, and joblib would report a leak
    get_reusable_executor().shutdown()
    digest = hashlib.sha256("".join(h for chunk in drawn for h in chunk).encode())
    for name, text in _split_files(options).items():
        digest.update(text.encode())
        with atomic(root / "testTrainMulti_7030_splits" / name) as part:
            part.write_text(text)
    with atomic(marker) as part:
        part.write_text(json.dumps({**stated, "sha256": digest.hexdigest()}, indent=1))
    return root


def _write_clips(root: Path, options: Synthetic, clips: list[tuple[str, int, str]]) -> list[str]:
    """Writes those of `clips` that are missing; returns the sha256 of each one's bytes."""
    hashes = []
    for class_name, index, pool in clips:
        path = root / "hmdb51_org" / class_name / clip_name(class_name, options, index, pool)
        if not path.exists():
            frames, _ = _clip(class_name, options, index, pool, masked=False)
            with atomic(path) as part:
                _write_video(part, frames)
        hashes.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return hashes


def _write_video(path: Path, frames: np.ndarray) -> None:
    """(T, H, W, 3) RGB as motion JPEG, by OpenCV's own writer, which takes a quality and needs names in .avi."""
    movie = path.with_suffix(".avi")
    motion_jpeg = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(movie), cv2.CAP_OPENCV_MJPEG, motion_jpeg, 25, frames.shape[2:0:-1])
    if not writer.isOpened() or not writer.set(cv2.VIDEOWRITER_PROP_QUALITY, _QUALITY):
        raise ReproError(f"OpenCV cannot write motion JPEG to {movie}: is the folder writable, and the disk not full?")
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    movie.replace(path)


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
