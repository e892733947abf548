"""What a notebook asks for, checked at the door, and the clips that follow from it."""

import ast
import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import paths
from repro.config import PROFILES
from repro.data import catalog, prepare
from repro.data.catalog import Catalog
from repro.data.embedded import videos as synthetic
from repro.data.store import Recipe
from repro.errors import ReproError, unknown
from repro.execute import DEVICES

LARGE = synthetic.Synthetic(frames=20, side=96)  # for networks that want 16 frames of 112 pixels
EMBEDDED = {  # the embedded set of each profile
    "smoke": synthetic.Synthetic(sources=6, train=6, test=6),
    "small": synthetic.Synthetic(),
    "gpu": LARGE,
    "paper": LARGE,
}


@dataclass(frozen=True)
class Parameters:
    """The common parameters of all notebooks.

    profile: how much to compute, one of `config.PROFILES`. dataset: one of `catalog.DATASETS`. data_root: the folder
    of its files; empty for the embedded set, or for data/NAME. splits, seeds: numbers, lists of them, or text such as
    "1,2,3". jobs: processes at once, -1 for one a core. device: auto, cpu, cuda, mps. group: for folder data, a regular
    expression with a named group that finds who or what must not be in training and test at once. allow_missing: go on
    without absent files, and store which. pretrained_rgb, pretrained_flow: public checkpoints to fine-tune from.
    """

    profile: str = "small"
    dataset: str = "synthetic"
    data_root: str = ""
    splits: tuple[int, ...] = (1,)
    seeds: tuple[int, ...] = (0, 1, 2)
    jobs: int = -1
    device: str = "auto"
    group: str = ""
    allow_missing: bool = False
    pretrained_rgb: str = ""
    pretrained_flow: str = ""

    def __post_init__(self):
        for name, known in (("profile", PROFILES), ("dataset", catalog.DATASETS), ("device", DEVICES)):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        for name, least in (("splits", 1), ("seeds", 0)):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name), least))
        for name in ("data_root", "group", "pretrained_rgb", "pretrained_flow"):
            if not isinstance(getattr(self, name), str):
                raise ReproError(f"{name} is {getattr(self, name)!r}, but must be text")
        if isinstance(self.jobs, bool) or not isinstance(self.jobs, int) or (self.jobs < 1 and self.jobs != -1):
            raise ReproError(f"jobs is {self.jobs!r}, but must be a number of processes, or -1 for one a core")
        if not isinstance(self.allow_missing, bool):
            raise ReproError(f"allow_missing is {self.allow_missing!r}, but must be True or False")
        if self.dataset == "synthetic" and self.data_root:
            raise ReproError(
                f"data_root is {self.data_root!r}, but the embedded set makes its own files: leave it empty"
            )
        for name in ("pretrained_rgb", "pretrained_flow"):
            if getattr(self, name) and not Path(getattr(self, name)).expanduser().is_file():
                raise ReproError(f"{name} is {getattr(self, name)!r}, but there is no such file")

    @classmethod
    def from_notebook(cls, namespace: Mapping[str, Any], *options: str) -> "Parameters":
        """The parameters that a notebook's parameters cell describes; `namespace` is its `globals()`.

        options: names of that notebook's further parameters. A name that is neither, in the parameters cell or in what
        papermill injected after it, is an error that offers the nearest.
        """
        fields = [f.name for f in dataclasses.fields(cls)]
        for name in assigned(namespace.get("In", ()), fields):
            if name not in fields and name not in options:
                raise unknown("parameter", name, [*fields, *options])
        return cls(**{name: namespace[name] for name in fields if name in namespace})

    @property
    def root(self) -> Path:
        """The folder of the data set's files."""
        if self.dataset == "synthetic":
            return paths.data() / ("synthetic" if self.profile == "small" else f"synthetic-{self.profile}")
        return Path(self.data_root).expanduser().resolve() if self.data_root else paths.data() / self.dataset

    @property
    def name(self) -> str:
        """The data set's name in results/ and figures/: folder data carries its folder's name."""
        return f"folder-{self.root.name}" if self.dataset == "folder" else self.dataset

    @property
    def tier(self) -> str:
        """Where a number of this parameters comes from: synthetic, small real, or paper."""
        if self.dataset == "synthetic":
            return "synthetic"
        published = self.profile == "paper" and self.dataset != "folder" and not self.allow_missing
        return "paper" if published else "small real"

    @property
    def where(self) -> str:
        """Data set and tier, for titles."""
        return f"{self.name}, {self.tier} tier" if self.name != self.tier else f"{self.tier} tier"

    def catalog(self, split: int, val_fraction: float) -> Catalog:
        """The table of clips of a split; the embedded set is written first where it is missing."""
        if self.dataset == "synthetic":
            synthetic.write(self.root, EMBEDDED[self.profile], self.jobs)
        return _catalog(self, split, val_fraction)

    @functools.lru_cache(maxsize=16)  # noqa: B019 - a parameters is a few small values
    def prepare(self, split: int, val_fraction: float, recipe: Recipe) -> Catalog:
        """The catalog of a split, all its clips packed; clips that cannot be are one error."""
        found = self.catalog(split, val_fraction)
        prepare.require_all(prepare.prepare(found.table, self.dataset, self.root, recipe, self.jobs))
        return found

    def parameters(self) -> dict[str, Any]:
        """The values that differ from the defaults, for a command line."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}


@functools.lru_cache(maxsize=16)
def _catalog(parameters: Parameters, split: int, val_fraction: float) -> Catalog:
    return catalog.load(
        parameters.dataset, parameters.root, split,
        group=parameters.group or None, val_fraction=val_fraction, allow_missing=parameters.allow_missing,
    )  # fmt: skip


def whole_numbers(name: str, value: Any, least: int) -> tuple[int, ...]:
    """A number, a list of numbers, or text with commas, as a tuple without repeats; what papermill may hand over."""
    try:
        numbers = json.loads(f"[{value.strip('[]() ,')}]") if isinstance(value, str) else value
        numbers = (numbers,) if isinstance(numbers, int) else tuple(numbers)
    except (TypeError, ValueError):
        numbers = ()
    right = all(isinstance(n, int) and not isinstance(n, bool) and n >= least for n in numbers)
    if not numbers or not right or len(set(numbers)) != len(numbers):
        raise ReproError(f"{name} is {value!r}, but must be whole numbers from {least}, each once, such as '1,2,3'")
    return numbers


def assigned(cells: Sequence[str], fields: Sequence[str]) -> list[str]:
    """Names assigned in those notebook cells that only assign, and assign one of `fields` or were injected."""
    names = []
    for cell in cells:
        try:
            statements = ast.parse(cell).body
        except SyntaxError:  # magics and shell lines are no parameters
            continue
        targets = [t for s in statements for t in getattr(s, "targets", [getattr(s, "target", None)])]
        here = [t.id for t in targets if isinstance(t, ast.Name)]
        literal = all(isinstance(s, ast.Assign | ast.AnnAssign) for s in statements)
        if literal and (set(here) & set(fields) or cell.startswith("# Parameters")):
            names += here
    return list(dict.fromkeys(names))
