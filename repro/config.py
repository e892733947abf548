"""What a run is: frozen dataclasses whose content is the run's identity.

A variant is `dataclasses.replace(run, ...)`. A value that makes no sense fails here, at construction. The id of a run is
a hash of every field that can change its result, the teacher's run included. It depends neither on the machine nor on
any file: which clips a run saw is written into its record and compared when the data are at hand (`repro.execute`).
"""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from repro.checked import Count, CountOrZero, Fraction, NotNegative, Place, Positive, Seed, Text, checked
from repro.errors import ReproError, require, unknown

PROFILES = ("smoke", "small", "gpu", "paper")
EMBEDDED = {
    "smoke": "smoke",
    "small": "small-2",
    "gpu": "large",
    "paper": "large",
}  # profile: edition of the embedded set
PRETEXT = "pretext"  # the edition that small networks are pretrained on
DOSES = {  # options of the embedded set, and the other values at which their effect is measured
    "bias": (0.0, 0.35, 1.0),
    "distractors": (0.0, 0.9),
    "pan": (0.0, 0.02),
    "action": (0.3, 1.0),
}
DATASETS = (
    "synthetic", "ucf101", "hmdb51", "something_v1", "something_v2", "diving48", "kinetics400", "folder",
)  # fmt: skip
# Classes that a horizontal flip turns into each other, or that name left and right: these clips are never flipped.
DIRECTED = ("synthetic", "something_v1", "something_v2")
PLACE = {"identity": False}  # a field that only says where a file is
LATER = {"identity": "changed"}  # a field added later: its default is no part of the identity, so older ids stay


def dose(edition: str, option: str, value: float) -> str:
    """The name of an edition of the embedded set with one option changed."""
    return f"{edition}-{option}-{value:g}"


@checked
class Data:
    """Which clips, in which form."""

    dataset: Text  # a name in `DATASETS`
    source: Text = ""  # name of the folder (folder), or the edition (synthetic); empty: the official lists
    split: Count = 1
    modality: Literal["rgb", "flow", "rgb+flow"] = "rgb"  # the last: one clip of both, for two-stream networks
    frames: Count = 16  # T: consecutive frames, or the segments of sparse sampling
    size: Count = 112  # side of the square crop, H and W, in pixels
    side: Count = 256  # short side of the stored frames, in pixels
    flow: Text = "tvl1"  # method of the stored flow
    bound: Positive = 20.0  # pixels: stored flow is clipped to [-bound, bound] and mapped to 0..255
    crop: Literal["random", "multiscale", "tsn"] = "multiscale"  # MARS's corner crop; "random" is IMRS's wording
    smallest_scale: Positive = 0.5  # of the short side, the smallest multi-scale crop (MARS: 1/2; TSN: .66, flow .75)
    flip: bool = True  # off where left and right are different classes
    views: Literal["windows", "centre"] = "windows"  # test clips of a video: all non-overlapping windows, or the centre
    val_fraction: Fraction = 0.1  # of the training clips, carved out by group
    train_per_class: CountOrZero = 0  # training videos of each class, spread over the groups; 0: all
    sampling: Literal["consecutive", "segments"] = "consecutive"  # segments: as TSN
    stack: Count = 1  # flows at each place, as channels x1, y1, x2, ... (TSN: 5)
    test_frames: CountOrZero = 0  # T in testing (TSN: 25); 0: as in training
    crops: Literal["centre", "ten"] = "centre"  # of each test view; ten: as TSN
    average: Literal["logits", "probabilities"] = "logits"  # over a video's test views
    group: Text = ""  # folder data: the expression that finds the group of a clip, or a CSV file in the folder
    allow_missing: bool = False  # clips without a file are left out; the record names them
    root: Place = field(default="", metadata=PLACE)  # the folder of the files; empty: data/<dataset>
    folds: Count | Text = field(default=3, metadata=LATER)  # folder data: their number; "all": one for each group
    test_groups: tuple[Text, ...] = field(default=(), metadata=LATER)  # folder data: the test part by name
    parts: Text = field(default="", metadata=LATER)  # folder data, in place of groups: a CSV file that lists all parts
    parts_file: Place = field(default="", metadata=PLACE)  # path of that file; empty: below the root

    def __post_init__(self):
        if self.dataset not in DATASETS:
            raise unknown("dataset", self.dataset, DATASETS)
        require(self.size <= self.side, "Data.size", self.size, f"at most the stored short side, {self.side}")
        require(self.smallest_scale <= 1, "Data.smallest_scale", self.smallest_scale, "in (0, 1]")
        self._check_folds()
        if self.sampling == "consecutive":
            require(self.stack == 1, "Data.stack", self.stack, "1 for consecutive frames")
            require(self.test_frames == 0, "Data.test_frames", self.test_frames, "0 for consecutive frames: use views")
        else:
            require(self.views == "centre", "Data.views", self.views, "'centre' for segments, which span the video")

    def _check_folds(self) -> None:
        """What only a folder of videos has: groups in a file, folds, and a test part by name."""
        number = isinstance(self.folds, int) and self.folds >= 2
        require(number or self.folds == "all", "Data.folds", self.folds, "a number from 2, or 'all'")
        in_order = list(self.test_groups) == sorted(set(self.test_groups))
        require(in_order, "Data.test_groups", self.test_groups, "names in order, each once")
        if self.dataset != "folder" and (self.folds != 3 or self.test_groups):
            raise ReproError(
                f"folds is {self.folds!r} and test_groups {self.test_groups!r}, but only dataset 'folder' takes them: "
                f"{self.dataset} brings its own splits"
            )
        if self.test_groups and (self.split, self.folds) != (1, 3):
            raise ReproError(
                f"test_groups names the one test part, so split is 1 and folds 3, not {self.split} and {self.folds!r}"
            )
        for name, file in (("group", self.group), ("parts", self.parts)):
            if file.endswith(".csv"):
                plain = not {"/", "\\"} & set(file)
                require(plain, f"Data.{name}", file, "the name of a CSV file in the folder of the videos")
        require(not self.parts or self.parts.endswith(".csv"), "Data.parts", self.parts, "the name of a CSV file")
        require(bool(self.parts) or not self.parts_file, "Data.parts_file", self.parts_file, "empty without parts")
        others = self.dataset, self.group, self.folds, self.test_groups, self.split
        if self.parts and others != ("folder", "", 3, (), 1):
            raise ReproError(
                f"parts is {self.parts!r}, which lists every clip of a folder with its part: group, folds, test_groups and "
                "split say the same in other ways, so give none of them"
            )

    @property
    def channels(self) -> int:
        """Channels of a clip: 3 of RGB, 2 per flow of the stack."""
        return sum({"rgb": 3, "flow": 2 * self.stack}[part] for part in self.modality.split("+"))


@checked
class Model:
    """A name in `repro.models.MODELS` and its arguments, number of classes and input channels excepted.

    Or "module:function", a network of the user's own. Neither is checked here, since that imports torch:
    `repro.models.check` does, before anything trains.
    """

    name: Text
    arguments: Mapping[str, Any] = field(default_factory=dict)
    code: Text = field(default="", metadata=LATER)  # of a user's own network: hash of its file, `tools.own.code`


@checked
class CrossEntropy:
    """Cross-entropy of the class scores: `repro.losses.cross_entropy`."""

    kind: Literal["cross_entropy"] = "cross_entropy"


@checked
class Distillation:
    """IMRS eq. (8): `repro.losses.distillation`, which argues the open choices. MARS is lambda2 = 0."""

    lambda1: NotNegative = 50.0
    lambda2: NotNegative = 200.0
    on: Literal["features", "logits"] = "features"
    norm: Literal["mse", "l2", "l2sq"] = "mse"
    direction: Literal["student||teacher", "teacher||student"] = "student||teacher"
    reduction: Literal["batchmean", "mean"] = "batchmean"
    kind: Literal["distillation"] = "distillation"


@checked
class MutualDistillation:
    """STDDCN's loss of two students and their fusion: `repro.losses.mutual_distillation`. Weight 0: three cross-entropies."""

    weight: NotNegative = 1.0
    temperature: Positive = 1.0
    kind: Literal["mutual_distillation"] = "mutual_distillation"


Objective = CrossEntropy | Distillation | MutualDistillation


@checked
class Optimisation:
    """SGD, as in every paper here."""

    epochs: CountOrZero = 80  # 0: the public checkpoint of `init` is tested as it is
    batch: Count = 32  # clips of one update, of all processes together: the rate `lr` is for this number
    lr: Positive = 0.1
    momentum: Fraction = 0.9
    dampening: Fraction = 0.0  # MARS's code has 0.9; the paper does not mention it
    weight_decay: NotNegative = 5e-4
    schedule: Literal["plateau", "onecycle", "steps"] = "plateau"  # onecycle also moves the momentum, 0.95 to 0.85
    patience: Count = 10  # the rate drops tenfold after one more epoch than these without a better validation loss
    select: Literal["last", "best"] = "best"  # which epoch is tested: the last, or the best on the validation part
    clip_gradient: NotNegative = 0.0  # largest norm of the gradient; 0 leaves gradients alone
    trained: tuple[Text, ...] = ()  # parts that train, all others frozen; empty: everything trains
    init: Text = ""  # file name of the public checkpoint that training starts from; empty: from scratch
    steps: tuple[Count, ...] = ()  # schedule "steps": epochs where the rate drops tenfold
    partial_batchnorm: bool = False  # TSN: all BatchNorm layers but the first keep their statistics
    init_file: Place = field(default="", metadata=PLACE)  # path of that checkpoint
    rates: Literal["one", "tsn", "tsm"] = field(default="one", metadata=LATER)  # of groups: `tools.groups.multiples`
    # clips that pass the network, and its BatchNorm, together; 0: the batch. Fewer take less memory
    micro_batch: CountOrZero = field(default=0, metadata=LATER)

    def __post_init__(self):
        require(
            bool(self.epochs or self.init),
            "Optimisation.epochs",
            self.epochs,
            "at least 1 without a checkpoint in init",
        )
        require(bool(self.init) or not self.init_file, "Optimisation.init_file", self.init_file, "empty without init")
        whole = not self.micro_batch or self.batch % self.micro_batch == 0
        require(whole, "Optimisation.micro_batch", self.micro_batch, f"0 or a divisor of the batch, {self.batch}")
        stepped = (self.schedule == "steps") == bool(self.steps) and list(self.steps) == sorted(set(self.steps))
        require(stepped, "Optimisation.steps", self.steps, "growing epochs with schedule 'steps', else empty")


@checked
class Run:
    """One network, trained once and tested once. A run with a teacher names the teacher's run."""

    profile: Literal["smoke", "small", "gpu", "paper"]
    seed: Seed
    data: Data
    model: Model
    objective: Objective
    optimisation: Optimisation
    precision: Literal["float32", "mixed"] = "float32"  # mixed: bfloat16 where the device computes in it, else float32
    teacher: "Run | None" = None
    start: "Run | None" = None  # training starts from this run's network; its head and what it lacks stay fresh

    def __post_init__(self):
        reads_val = self.optimisation.select == "best" or self.optimisation.schedule == "plateau"
        if reads_val and self.data.val_fraction == 0:
            raise ReproError(
                "select='best' and schedule='plateau' read the validation loss, but val_fraction is 0: "
                "give a validation part, or use select='last' with schedule='onecycle'"
            )
        if isinstance(self.objective, MutualDistillation):
            require(self.data.modality == "rgb+flow", "the input of two streams", self.data.modality, "'rgb+flow'")
        self._check_teacher()
        if self.start is not None:
            require(
                not self.optimisation.init,
                "Optimisation.init",
                self.optimisation.init,
                "empty where a run is the start",
            )
            inputs = self.data.modality.split("+")
            require(
                self.start.data.modality in inputs, "the start's input", self.start.data.modality, f"one of {inputs}"
            )

    def _check_teacher(self) -> None:
        if isinstance(self.objective, Distillation) != (self.teacher is not None):
            raise ReproError(
                f"objective {self.objective.kind!r} with {'no' if self.teacher is None else 'a'} teacher: "
                "distillation needs a teacher, and no other objective has one"
            )
        if self.teacher is not None:
            taught_by = self.teacher.data.modality
            require(taught_by in ("flow", "rgb"), "the teacher's input", taught_by, "'flow', or 'rgb' for a control")
            require(self.data.modality == "rgb", "the student's input", self.data.modality, "'rgb'")
            same = dataclasses.replace(self.teacher.data, modality=self.data.modality)
            if same != self.data:
                raise ReproError("teacher and student must see the same clips: their Data differ in more than modality")

    @property
    def needs(self) -> tuple["Run", ...]:
        """The runs whose networks this one needs: its start and its teacher."""
        return tuple(run for run in (self.start, self.teacher) if run is not None)

    @property
    def title(self) -> str:
        """What is trained on what, in a few words for people; two runs may share it."""
        o = self.objective
        taught = f", taught ({o.lambda1:g}, {o.lambda2:g})" if isinstance(o, Distillation) else ""
        of = ", pretext" if self.data.source == PRETEXT else ""
        return f"{self.model.name} on {self.data.modality}{of}{taught}, split {self.data.split}, seed {self.seed}"

    @functools.cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that change with anything that can change the result."""
        text = json.dumps(content(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def content(config: Any) -> Any:
    """A configuration as plain JSON values, without the fields that only say where a file is, or were added since."""
    if isinstance(config, str | int | float):
        return config
    if (fields := _fields(type(config))) is not None:
        values = [(name, getattr(config, name), rule, default) for name, rule, default in fields]
        return {
            name: content(value)
            for name, value, rule, default in values
            if (value != default if rule == "changed" else rule)
        }
    if isinstance(config, Mapping):
        return {str(k): content(v) for k, v in config.items()}
    if isinstance(config, tuple | list):
        return [content(v) for v in config]
    return config


@functools.cache
def _fields(kind: type) -> list[tuple[str, Any, Any]] | None:
    """(name, rule, default) of the fields of a dataclass: the rule says whether a value is part of the identity.

    True or False, or "changed": where it is not the default; see `PLACE` and `LATER`. None for another type.
    """
    if not dataclasses.is_dataclass(kind):
        return None
    return [(f.name, f.metadata.get("identity", True), f.default) for f in dataclasses.fields(kind)]
