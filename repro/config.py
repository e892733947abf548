"""What a run is: frozen dataclasses whose content is the run's identity.

A variant is `dataclasses.replace(run, ...)`. A value that makes no sense fails here, at construction, with the value
and the rule. The id of a run is a hash of everything that can change its result, the teacher's run included; where the
files lie (`root`) is not part of it, what the files are (`catalog`, the content id of the table of clips) is.
"""

import dataclasses
import hashlib
import inspect
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from repro.errors import ReproError, unknown
from repro.models import MODELS

PROFILES = ("smoke", "small", "gpu", "paper")


def require(holds: bool, what: str, value: object, rule: str) -> None:
    """Raises one error naming the value and the rule it breaks."""
    if not holds:
        raise ReproError(f"{what} is {value!r}, but must be {rule}")


def check_types(config: object) -> None:
    """Checks every field of a dataclass against its annotation; ints are welcome where floats are asked for."""
    hints = typing.get_type_hints(type(config))
    for f in dataclasses.fields(config):
        value, hint = getattr(config, f.name), hints[f.name]
        where = f"{type(config).__name__}.{f.name}"
        if typing.get_origin(hint) is Literal:
            if value not in typing.get_args(hint):
                raise unknown(f"value of {where}", value, typing.get_args(hint))
        elif hint is float:
            require(isinstance(value, int | float) and not isinstance(value, bool), where, value, "a number")
            object.__setattr__(config, f.name, float(value))
        elif hint is int:
            require(isinstance(value, int) and not isinstance(value, bool), where, value, "a whole number")
        elif isinstance(hint, type) and not isinstance(hint, types.GenericAlias):
            require(isinstance(value, hint), where, value, f"of type {hint.__name__}")


LATER = {"later": True}  # a field that came after the first records: at its default it is no part of a run's id


@dataclass(frozen=True)
class Data:
    """Which clips, in which form."""

    dataset: str
    catalog: str  # content id of the table of clips, so that two folders or two versions never share a run
    split: int = 1
    modality: Literal["rgb", "flow", "rgb+flow"] = "rgb"  # the last: one clip of both, for networks with two streams
    frames: int = 16  # places of a clip, T: consecutive frames, or the segments of sparse sampling
    size: int = 112  # side of the square crop, H and W
    side: int = 256  # short side of the stored frames
    flow: str = "tvl1"  # method of the stored flow
    bound: float = 20.0  # pixels: stored flow is clipped to [-bound, bound] and mapped to 0..255
    crop: Literal["random", "multiscale", "tsn"] = "multiscale"  # MARS's corner crop; "random" is IMRS's wording
    smallest_scale: float = 0.5  # of the short side, the smallest multi-scale crop (MARS: 1/2; TSN: .66, flow .75)
    flip: bool = True  # off where left and right are different classes
    views: Literal["windows", "centre"] = "windows"  # test clips of a video: all non-overlapping windows, or the centre
    val_fraction: float = 0.1  # of the training clips, carved out by group; the catalog's id depends on it
    excluded: tuple[str, ...] = ()  # clips left out because their files are missing
    sampling: Literal["consecutive", "segments"] = field(default="consecutive", metadata=LATER)  # segments: as TSN
    stack: int = field(default=1, metadata=LATER)  # flows at each place, as channels x1, y1, x2, ... (TSN: 5)
    test_frames: int = field(default=0, metadata=LATER)  # T in testing (TSN: 25); 0: as in training
    crops: Literal["centre", "ten"] = field(default="centre", metadata=LATER)  # of each test view; ten: as TSN
    average: Literal["logits", "probabilities"] = field(default="logits", metadata=LATER)  # over a video's test views
    root: str = field(default="", metadata={"identity": False})  # where the files lie
    group: str = field(default="", metadata={"identity": False})  # folder data: the expression that finds the group

    def __post_init__(self):
        check_types(self)
        for name in ("split", "frames", "size", "side"):
            require(getattr(self, name) >= 1, f"Data.{name}", getattr(self, name), "at least 1")
        require(self.size <= self.side, "Data.size", self.size, f"at most the stored short side, {self.side}")
        require(self.bound > 0, "Data.bound", self.bound, "positive")
        require(0 < self.smallest_scale <= 1, "Data.smallest_scale", self.smallest_scale, "in (0, 1]")
        require(0 <= self.val_fraction < 1, "Data.val_fraction", self.val_fraction, "in [0, 1)")
        require(self.stack >= 1, "Data.stack", self.stack, "at least 1")
        require(self.test_frames >= 0, "Data.test_frames", self.test_frames, "zero (as in training) or positive")
        if self.sampling == "consecutive":
            require(self.stack == 1, "Data.stack", self.stack, "1 for consecutive frames")
            require(self.test_frames == 0, "Data.test_frames", self.test_frames, "0 for consecutive frames: use views")
        else:
            require(self.views == "centre", "Data.views", self.views, "'centre' for segments, which span the video")


@dataclass(frozen=True)
class Model:
    """A name in `repro.models.MODELS` and its arguments, number of classes and input channels excepted."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        check_types(self)
        if self.name not in MODELS:
            raise unknown("model", self.name, MODELS)
        known = set(inspect.signature(MODELS[self.name]).parameters) - {"num_classes", "in_channels"}
        for name in self.arguments:
            if name not in known:
                raise unknown(f"argument of {self.name}", name, sorted(known))


@dataclass(frozen=True)
class Objective:
    """IMRS eq. (8), or STDDCN's mutual distillation. The open choices are argued in `repro.losses`; with lambda1 =
    lambda2 = mutual = 0 it is plain cross-entropy, of every head that a network has."""

    lambda1: float = 0.0
    lambda2: float = 0.0
    on: Literal["features", "logits"] = "features"
    norm: Literal["mse", "l2", "l2sq"] = "mse"
    direction: Literal["student||teacher", "teacher||student"] = "student||teacher"
    reduction: Literal["batchmean", "mean"] = "batchmean"
    mutual: float = field(default=0.0, metadata=LATER)  # weight of the distillation of a fusion into its two streams
    temperature: float = field(default=1.0, metadata=LATER)  # of that distillation

    def __post_init__(self):
        check_types(self)
        for name in ("lambda1", "lambda2", "mutual"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "zero or positive")
        require(self.temperature > 0, "temperature", self.temperature, "positive")


@dataclass(frozen=True)
class Optimisation:
    """SGD, as in every paper here."""

    epochs: int = 80
    batch: int = 32
    lr: float = 0.1
    momentum: float = 0.9
    dampening: float = 0.0  # MARS's code has 0.9; the paper does not mention it
    weight_decay: float = 5e-4
    schedule: Literal["plateau", "onecycle", "steps"] = "plateau"  # onecycle also moves the momentum, 0.95 to 0.85
    patience: int = 10  # epochs without a better validation loss before the rate drops tenfold
    select: Literal["last", "best"] = "best"  # which epoch is tested: the last, or the best on the validation part
    clip_gradient: float = 0.0  # norm; 0 leaves gradients alone
    trained: tuple[str, ...] = ()  # parts that train, all others frozen; empty: everything trains
    init: str = ""  # sha256 of the checkpoint that training starts from; empty: from scratch
    init_file: str = field(default="", metadata={"identity": False})  # where that checkpoint lies
    steps: tuple[int, ...] = field(default=(), metadata=LATER)  # schedule "steps": epochs where the rate drops tenfold
    partial_batchnorm: bool = field(default=False, metadata=LATER)  # TSN: all but the first keep their statistics

    def __post_init__(self):
        check_types(self)
        for name in ("epochs", "batch", "patience"):
            require(getattr(self, name) >= 1, f"Optimisation.{name}", getattr(self, name), "at least 1")
        require(self.lr > 0, "Optimisation.lr", self.lr, "positive")
        for name in ("momentum", "dampening"):
            require(0 <= getattr(self, name) < 1, f"Optimisation.{name}", getattr(self, name), "in [0, 1)")
        for name in ("weight_decay", "clip_gradient"):
            require(getattr(self, name) >= 0, f"Optimisation.{name}", getattr(self, name), "zero or positive")
        require(bool(self.init) == bool(self.init_file), "Optimisation.init_file", self.init_file, "given with init")
        stepped = (self.schedule == "steps") == bool(self.steps) and list(self.steps) == sorted(set(self.steps))
        require(stepped, "Optimisation.steps", self.steps, "growing epochs with schedule 'steps', else empty")


@dataclass(frozen=True)
class Run:
    """One network, trained once and tested once. A run with a teacher names the teacher's run."""

    profile: Literal["smoke", "small", "gpu", "paper"]
    seed: int
    data: Data
    model: Model
    objective: Objective
    optimisation: Optimisation
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    teacher: "Run | None" = None

    def __post_init__(self):
        require(isinstance(self.seed, int) and self.seed >= 0, "Run.seed", self.seed, "a whole number from 0")
        if self.profile not in PROFILES:
            raise unknown("profile", self.profile, PROFILES)
        reads_val = self.optimisation.select == "best" or self.optimisation.schedule == "plateau"
        if reads_val and self.data.val_fraction == 0:
            raise ReproError(
                "select='best' and schedule='plateau' read the validation loss, but val_fraction is 0: "
                "give a validation part, or use select='last' with schedule='onecycle'"
            )
        if self.objective.mutual > 0:
            require(self.data.modality == "rgb+flow", "the input under mutual > 0", self.data.modality, "'rgb+flow'")
        distilled = self.objective.lambda1 > 0 or self.objective.lambda2 > 0
        if distilled != (self.teacher is not None):
            raise ReproError(
                f"lambda1 = {self.objective.lambda1:g}, lambda2 = {self.objective.lambda2:g} with "
                f"{'no' if self.teacher is None else 'a'} teacher: distillation needs both or neither"
            )
        if self.teacher is not None:
            require(self.teacher.data.modality == "flow", "the teacher's input", self.teacher.data.modality, "'flow'")
            require(self.data.modality == "rgb", "the student's input", self.data.modality, "'rgb'")
            same = dataclasses.replace(self.teacher.data, modality=self.data.modality)
            if same != self.data:
                raise ReproError("teacher and student must see the same clips: their Data differ in more than modality")

    @property
    def title(self) -> str:
        """What is trained on what, in a few words for people; two runs may share it."""
        taught = f", taught ({self.objective.lambda1:g}, {self.objective.lambda2:g})" if self.teacher else ""
        return f"{self.model.name} on {self.data.modality}{taught}, split {self.data.split}, seed {self.seed}"

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits that change with anything that can change the result."""
        text = json.dumps(content(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def content(config: object) -> Any:
    """The configuration as plain JSON values, without the fields that only say where files lie."""
    if dataclasses.is_dataclass(config):
        return {
            f.name: content(getattr(config, f.name))
            for f in dataclasses.fields(config)
            if f.metadata.get("identity", True)
            and not (f.metadata.get("later") and getattr(config, f.name) == f.default)
        }
    if isinstance(config, Mapping):
        return {str(k): content(v) for k, v in config.items()}
    if isinstance(config, tuple | list):
        return [content(v) for v in config]
    return config


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
