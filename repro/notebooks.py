"""The notebooks, the tables that each of them shows, and how they are executed: one process per notebook."""

import ast
import contextlib
import csv
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro import paths
from repro.checked import shown
from repro.config import Run
from repro.errors import ReproError, unknown
from repro.papers import controls, convergence, doses, imrs, overview, smnet, stddcn, stme, stmsa, time_order, tstam
from repro.papers.table import Table
from repro.parameters import NO_LITERAL, Parameters

FOLDER = paths.ROOT / "notebooks"
EVERYTHING = "reproduce --fresh"  # the line of the costs that is for all runs


@dataclass(frozen=True)
class Notebook:
    """A notebook: its title, the functions that plan the tables of runs it shows, and their usual splits."""

    title: str
    tables: tuple[Callable[[Parameters], Table], ...] = ()
    splits: str = "1"


NOTEBOOKS = {  # by file name, in reading order
    "00_quickstart": Notebook("Quickstart: a clip, its flow, and a network that was taught to see motion"),
    "01_data": Notebook("The data: from video files to training clips"),
    "train": Notebook("Training one IMRS"),
    "evaluate": Notebook("Evaluating: what one accuracy hides"),
    "ablation_ce_position": Notebook("IMRS, Table 2: where to put channel excitation", (imrs.table2,)),
    "ablation_ce_se": Notebook("IMRS, Table 3: channel excitation against squeeze-and-excitation", (imrs.table3,)),
    "ablation_lambda": Notebook("IMRS, Table 4: how much distillation?", (imrs.table4,)),
    "streams": Notebook("IMRS, Figure 4: RGB, flow, and the student that needs no flow", (imrs.streams,)),
    "ablation_segments": Notebook("T-STAM, Figure 6: how many segments?", (tstam.segments,)),
    "ablation_attention_heads": Notebook(
        "T-STAM, Figure 7: how many spatial attention models?", (tstam.attention_heads,)
    ),
    "ablation_fusion_weights": Notebook(
        "T-STAM, section 4.3.3: the weights of the two streams", (tstam.fusion_weights,)
    ),
    "ablation_channel_attention": Notebook(
        "T-STAM, section 4.3.4: squeeze-and-excitation in TSN", (tstam.channel_attention,)
    ),
    "tstam": Notebook("T-STAM: two streams, their parts, and TSN", (tstam.systems,)),
    "attention": Notebook("T-STAM: where the network looks"),
    "cam": Notebook("Where the networks look: class activation maps"),
    "your_video": Notebook("Your own video"),
    "smnet": Notebook("SMNet: spatio-temporal excitation, motion excitation, and where to put them", (smnet.ablation,)),
    "stme": Notebook("STME: shift, excitations and enhancement, one after the other", (stme.ablation,)),
    "stmsa": Notebook("STMSA: multi-scale convolution and self-attention", (stmsa.ablation,)),
    "stddcn": Notebook(
        "STDDCN: dense connections between two streams, and distillation from their fusion", (stddcn.ablation,)
    ),
    "temporal_order": Notebook("Which networks know the direction of time?", (time_order.table,)),
    "overview": Notebook("Every system on one data set", (overview.table,)),
    "controls": Notebook("Controls: what the design finds where the answer is known", (controls.table,)),
    "convergence": Notebook("Are the networks trained, and on how many videos?", (controls.curve, convergence.table)),
    "doses": Notebook("What makes the embedded videos hard?", (doses.bias, doses.distractors, doses.pan, doses.action)),
    "efficiency": Notebook("What the networks cost"),
    "sota_comparison": Notebook("The papers' comparisons, like with like"),
    "claims": Notebook("What the papers claim, and what our runs say"),
}


def path_of(name: str) -> Path:
    """The file of a notebook named with or without folder and ending."""
    stem = Path(name).stem
    if stem not in NOTEBOOKS:
        raise unknown("notebook", stem, NOTEBOOKS)
    return FOLDER / f"{stem}.ipynb"


def costs() -> dict[str, str]:
    """What the runs behind each notebook cost, from the committed table that `repro.report.run_times` makes."""
    file = paths.committed() / "small" / "synthetic" / "run_times.csv"
    try:
        lines = {line["notebook"]: line for line in csv.DictReader(file.read_text(encoding="utf-8").splitlines())}
        return {name: _cost(lines[name]) for name in (*NOTEBOOKS, EVERYTHING)}
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise ReproError(f"{file}: not a table that repro wrote ({error!r}); take it back from git") from None


def _cost(line: dict[str, str]) -> str:
    some = "" if line["recorded"] == line["runs"] else f"{line['recorded']} of them are recorded and took "
    return f"{line['runs']} runs; {some}{line['minutes']} minutes of one processor core"


def command(name: str, profile: str) -> str:
    """The command that executes a notebook in a profile, with its other parameters as they are."""
    given = "" if profile == "small" else f" -p profile {profile}"
    return f"python -m repro run {name}{given}"


def parameters(name: str) -> dict[str, Any]:
    """The values in a notebook's parameters cell."""
    import papermill  # takes two seconds

    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = papermill.inspect_notebook(str(path_of(name)))
    except Exception as error:  # nbformat raises whatever a damaged file makes it stumble over
        raise ReproError(f"{path_of(name)}: not a notebook ({error}); take it back from git") from None
    return {key: _literal(name, key, each["default"]) for key, each in found.items()}


def _literal(name: str, key: str, text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except NO_LITERAL:
        rule = 'a literal, such as 3, (0, 1) or "text"; give another with -p'
        raise ReproError(f"{path_of(name)}: the value of {key} is {shown(text)}, but must be {rule}") from None


def parameters_of(name: str, given: dict[str, Any]) -> Parameters:
    """What a notebook runs with: its own values and `given` ones. An unknown name is an error."""
    values = parameters(name)
    for key in given:
        if key not in values:
            raise unknown(f"parameter of {name}", key, values)
    fields = Parameters.__dataclass_fields__
    return Parameters(**{key: value for key, value in {**values, **given}.items() if key in fields})


def runs_of(name: str, given: dict[str, Any]) -> list[Run]:
    """The runs behind a notebook's tables."""
    asked = parameters_of(name, given)
    return [run for table in NOTEBOOKS[name].tables for run in table(asked).runs()]


def stamp(name: str, given: dict[str, Any]) -> str:
    """A hash of what an executed notebook was made from: its source, its parameters, the package, where results go."""
    digest = hashlib.sha256(json.dumps([given, str(paths.out()), str(paths.data())], sort_keys=True).encode())
    package = paths.ROOT / "repro"
    sources = (p for p in sorted(package.rglob("*")) if p.suffix in (".py", ".csv", ".html", ".css", ".js"))
    for file in (path_of(name), *sources):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def execute(name: str, given: dict[str, Any], folder: Path, quiet: bool = False) -> Path:
    """Executes a notebook with papermill, in a kernel of its own, and returns the executed copy in `folder`.

    quiet: does not pass on what the kernel writes to stderr.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError
    from traitlets.config import Config

    encrypted = Config({"KernelManager": {"transport_encryption": "required"}})  # else the kernel warns of plain TCP
    parameters_of(name, given)  # a wrong parameter fails here, before a kernel starts
    target = folder / f"{Path(name).stem}.ipynb"
    lines = contextlib.nullcontext() if quiet else paths.moved(REPRO_PROGRESS="text")
    try:
        with lines, paths.writing(target), open(os.devnull, "w") as nowhere:
            target.unlink(missing_ok=True)
            papermill.execute_notebook(
                str(path_of(name)), str(target), parameters=given, progress_bar=False,
                stdout_file=nowhere, stderr_file=nowhere if quiet else sys.stderr, config=encrypted,
            )  # fmt: skip
    except PapermillExecutionError as error:
        raise ReproError(f"{name}: {error.ename}: {error.evalue}; see {target}") from None
    except RuntimeError as error:  # nbclient's, for a kernel that died: for want of memory, or killed
        raise ReproError(f"{name}: {error}; what was executed is in {target}") from None
    return target


def chosen(only: Sequence[str]) -> list[str]:
    """All notebooks, or those named in `only`."""
    return [path_of(name).stem for name in only] if only else list(NOTEBOOKS)
