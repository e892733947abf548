"""What the embedded data set shows: its classes, their pairs, and the options of an edition."""

import dataclasses

from repro.checked import Count, checked
from repro.config import DOSES, dose
from repro.errors import require, unknown

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
ALL = CLASSES + PRETEXT


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
            if name not in ALL:
                raise unknown("synthetic class", name, ALL)
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
