"""What a notebook or the command line asks for, checked at the door. Nothing is read here: parameters only describe."""

import ast
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from repro import config
from repro.checked import MOST, Place, Text, checked, shown
from repro.errors import ReproError, unknown

LONGEST = 1000  # seeds, splits, folds, groups, processes: more are a slip
NO_LITERAL = ValueError, TypeError, SyntaxError, MemoryError, RecursionError  # all that ast.literal_eval documents
DEVICES = ("auto", "cpu", "cuda", "mps")


@checked
class Parameters:
    """The parameters that all notebooks share."""

    profile: Literal["smoke", "small", "gpu", "paper"] = "small"  # how much to compute
    dataset: Text = "synthetic"  # a name in `config.DATASETS`
    data_root: Place = ""  # folder of the data set's files; empty: the embedded set, or data/<dataset>
    splits: Any = (1,)  # a number, a list of numbers, or text such as "1,2,3"; becomes a tuple. "all": of `folds` folds
    seeds: Any = (0, 1, 2, 3, 4, 5)  # the same; all that are recorded of the embedded videos
    jobs: int = -1  # processes at once; -1: one per core
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    group: Text = ""  # folder data: an expression with (?P<group>...), or a CSV there, for who stays in one part
    folds: Any = 3  # folder data: a number of folds, or "all": each group is left out once
    test_groups: Any = ()  # folder data, in place of folds: the groups of the test part, such as "lyova,moshe"; a tuple
    allow_missing: bool = False  # leaves out clips whose files are absent, and records which
    fresh: bool = False  # trains what has no record on this machine; else committed records count too
    pretrained_rgb: Place = ""  # path of a public checkpoint to fine-tune from
    pretrained_flow: Place = ""  # the same for the flow stream

    def __post_init__(self):
        if self.dataset not in config.DATASETS:
            raise unknown("dataset", self.dataset, config.DATASETS)
        object.__setattr__(self, "folds", folds(self.folds))
        object.__setattr__(self, "test_groups", names("test_groups", self.test_groups))
        if self.splits == "all":
            object.__setattr__(self, "splits", self._all_splits())
        for name, least, most in (("splits", 1, MOST), ("seeds", 0, 2**31 - 1)):
            object.__setattr__(self, name, whole_numbers(name, getattr(self, name), least, most))
        if not (1 <= self.jobs <= LONGEST or self.jobs == -1):
            rule = f"a number of processes up to {LONGEST}, or -1 for one per core"
            raise ReproError(f"jobs is {shown(self.jobs)}, but must be {rule}")
        if self.dataset == "synthetic" and self.data_root:
            raise ReproError(
                f"data_root is {self.data_root!r}, but the embedded set makes its own files: leave it empty"
            )
        if self.dataset == "folder" and not self.data_root:
            raise ReproError("dataset is 'folder', but data_root is empty: name the folder of your videos")

    def _all_splits(self) -> tuple[int, ...]:
        """The splits of a number of folds. How many folds "all" makes stands in the files, which no plan reads."""
        if self.dataset != "folder":
            raise ReproError("splits is 'all', which only a folder's folds have: give numbers, such as '1,2,3'")
        if self.folds == "all":
            raise ReproError(
                "splits and folds are both 'all', but only the files say how many groups there are: `python -m repro folds "
                f"{self.data_root or 'DIR'}`, with --group, prints the numbers to give as splits"
            )
        return tuple(range(1, self.folds + 1))

    @classmethod
    def from_notebook(cls, namespace: Mapping[str, Any], *options: str) -> "Parameters":
        """The parameters in a notebook's parameters cell; `namespace` is its `globals()`.

        options: names of that notebook's further parameters. Any other name in the parameters cell, or in what papermill
        injected after it, is an error that offers the nearest: papermill itself only warns.
        """
        fields = [f.name for f in dataclasses.fields(cls)]
        for name in assigned(namespace.get("In", ()), fields):
            if name not in fields and name not in options:
                raise unknown("parameter", name, [*fields, *options])
        return cls(**{name: namespace[name] for name in fields if name in namespace})

    @property
    def root(self) -> str:
        """Absolute path of the data set's folder where one is given, else empty."""
        return os.path.abspath(os.path.expanduser(self.data_root)) if self.data_root else ""

    @property
    def source(self) -> str:
        """What tells two data sets of one kind apart: the folder's name, or the edition of the embedded set."""
        if self.dataset == "folder":
            return Path(self.root).name
        return config.EMBEDDED[self.profile] if self.dataset == "synthetic" else ""

    @property
    def name(self) -> str:
        """The data set's name in results/ and figures/: a folder's data carry the folder's name."""
        return f"folder-{self.source}" if self.dataset == "folder" else self.dataset

    @property
    def tier(self) -> str:
        """Where a number comes from: synthetic, small real, or paper."""
        if self.dataset == "synthetic":
            return "synthetic"
        published = self.profile == "paper" and self.dataset != "folder" and not self.allow_missing
        return "paper" if published else "small real"

    @property
    def where(self) -> str:
        """Data set and tier, for titles."""
        return f"{self.name}, {self.tier} tier" if self.name != self.tier else f"{self.tier} tier"

    @property
    def execution(self) -> dict[str, Any]:
        """How to execute runs, as arguments of `execute.execute`; no result depends on them."""
        return {"jobs": self.jobs, "device": self.device, "fresh": self.fresh}

    def changed(self) -> dict[str, Any]:
        """The values that differ from the defaults, for a command line."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if getattr(self, f.name) != f.default}


def value_of(text: str) -> Any:
    """A value from the command line: a Python literal, true, false, or else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except NO_LITERAL:
        return text


def whole_numbers(name: str, value: Any, least: int, most: int = MOST) -> tuple[int, ...]:
    """A number, a list of numbers, or text with commas, as a tuple without repeats: what papermill may hand over."""
    try:
        numbers = json.loads(f"[{value.strip('[]() ,')}]") if isinstance(value, str) else value
    except (ValueError, RecursionError):
        numbers = ()
    numbers = (numbers,) if isinstance(numbers, int) else numbers
    if not (
        isinstance(numbers, list | tuple | range)
        and 1 <= len(numbers) <= LONGEST
        and all(isinstance(n, int) and not isinstance(n, bool) and least <= n <= most for n in numbers)
        and len(set(numbers)) == len(numbers)
    ):
        rule = f"whole numbers from {least} to {most}, each once and at most {LONGEST} of them, such as '1,2,3'"
        raise ReproError(f"{name} is {shown(value)}, but must be {rule}")
    return tuple(numbers)


def folds(value: Any) -> int | str:
    """A number of folds from 2, or 'all', in the forms that papermill may hand over."""
    text = value.strip() if isinstance(value, str) else value
    if text == "all":
        return text
    if isinstance(text, str) and text.isdecimal() and len(text) <= len(str(LONGEST)):
        text = int(text)
    if not (isinstance(text, int) and 2 <= text <= LONGEST):
        rule = f"a number from 2, or 'all' to leave each group out once; {LONGEST} are the most"
        raise ReproError(f"folds is {shown(value)}, but must be {rule}")
    return text


def names(name: str, value: Any) -> tuple[str, ...]:
    """Names in order, each once, from text with commas, a list, or a single number: what papermill may hand over."""
    parts = [] if value == "" else value.split(",") if isinstance(value, str) else value
    parts = parts if isinstance(parts, list | tuple) else [parts]
    found = {_name(part) for part in parts[: LONGEST + 1]}
    if "" in found or len(parts) > LONGEST:
        rule = f"names with commas between them, at most {LONGEST}, such as 'lyova,moshe'"
        raise ReproError(f"{name} is {shown(value)}, but must be {rule}")
    return tuple(sorted(found))


def _name(part: Any) -> str:
    """One name as text; empty where it can be none."""
    text = str(part).strip() if isinstance(part, str) or (isinstance(part, int) and abs(part) <= MOST) else ""
    return text if len(text) <= 255 and "\0" not in text else ""


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
