"""The notebooks, the tables each of them draws, and how they are executed: one process a notebook."""

import ast
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from repro import paths
from repro.config import Run
from repro.errors import ReproError, unknown
from repro.evidence.tables import Table
from repro.papers import imrs, smnet, stddcn, stme, stmsa, tstam
from repro.papers import time_order as temporal_order
from repro.parameters import Parameters

FOLDER = paths.ROOT / "notebooks"
NOTEBOOKS: dict[str, tuple[Callable[[Parameters], Table], ...]] = {
    "00_quickstart": (),
    "01_data": (),
    "train": (),
    "evaluate": (),
    "ablation_ce_position": (imrs.table2,),
    "ablation_ce_se": (imrs.table3,),
    "ablation_lambda": (imrs.table4,),
    "streams": (imrs.streams,),
    "ablation_segments": (tstam.segments,),
    "ablation_attention_heads": (tstam.attention_heads,),
    "ablation_fusion_weights": (tstam.fusion_weights,),
    "ablation_channel_attention": (tstam.channel_attention,),
    "tstam": (tstam.systems,),
    "attention": (),
    "cam": (),
    "your_video": (),
    "smnet": (smnet.ablation,),
    "stme": (stme.ablation,),
    "stmsa": (stmsa.ablation,),
    "stddcn": (stddcn.ablation,),
    "temporal_order": (temporal_order.table,),
    "efficiency": (),
    "sota_comparison": (),
    "claims": (),
}


def path_of(name: str) -> Path:
    """The file of a notebook named with or without folder and ending."""
    stem = Path(name).stem
    if stem not in NOTEBOOKS:
        raise unknown("notebook", stem, NOTEBOOKS)
    return FOLDER / f"{stem}.ipynb"


def title(name: str) -> str:
    """The heading of a notebook."""
    cells = json.loads(path_of(name).read_text())["cells"]
    return "".join(cells[0]["source"]).splitlines()[0].lstrip("# ")


def parameters(name: str) -> dict[str, Any]:
    """The values in a notebook's parameters cell."""
    cells = json.loads(path_of(name).read_text())["cells"]
    source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    return {node.target.id: ast.literal_eval(node.value) for node in ast.parse(source).body}  # all are annotated


def parameters_of(name: str, given: dict[str, Any]) -> Parameters:
    """The parameters that a notebook runs with its own parameters and `given` ones; an unknown name is an error."""
    values = parameters(name)
    for key in given:
        if key not in values:
            raise unknown(f"parameter of {name}", key, values)
    fields = Parameters.__dataclass_fields__
    return Parameters(**{key: value for key, value in {**values, **given}.items() if key in fields})


def runs_of(name: str, given: dict[str, Any]) -> list[Run]:
    """The runs behind a notebook's tables."""
    parameters = parameters_of(name, given)
    return [run for table in NOTEBOOKS[name] for run in table(parameters).runs()]


def stamp(name: str, given: dict[str, Any]) -> str:
    """What an executed notebook was made from, as a hash: its source, its parameters, the package, where results go."""
    told = hashlib.sha256(json.dumps([given, str(paths.out()), str(paths.data())], sort_keys=True).encode())
    package = paths.ROOT / "repro"
    sources = (p for p in sorted(package.rglob("*")) if p.suffix in (".py", ".csv", ".html", ".css", ".js"))
    for file in (path_of(name), *sources):
        told.update(file.read_bytes())
    return told.hexdigest()


def value_of(text: str) -> Any:
    """A value from the command line: a Python literal, true, false, or else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def execute(name: str, given: dict[str, Any], folder: Path, quiet: bool = False, threads: int = 0) -> Path:
    """Executes a notebook with papermill in a process of its own and returns the executed copy in `folder`.

    threads: how many its numerical libraries may use; 0 leaves it to them.
    """
    parameters_of(name, given)  # a wrong parameter fails here, before a kernel starts
    target = folder / f"{Path(name).stem}.ipynb"
    folder.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    arguments = [s for k, v in given.items() for s in ("-r" if isinstance(v, str) else "-p", k, str(v))]
    done = subprocess.run(
        [sys.executable, "-m", "papermill", str(path_of(name)), str(target), "--no-progress-bar", *arguments]
        + (["--stdout-file", os.devnull, "--stderr-file", "/dev/stderr"] if not quiet else []),
        env={**os.environ, "OMP_NUM_THREADS": str(threads)} if threads else None,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE if quiet else None, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise ReproError(
            f"{name}: {failure(target) or (done.stderr or 'see above').strip().splitlines()[-1]}; see {target}"
        )
    return target


def failure(executed: Path) -> str:
    """The error that stopped an executed notebook, or nothing."""
    if not executed.exists():
        return ""
    outputs = [o for cell in json.loads(executed.read_text())["cells"] for o in cell.get("outputs", ())]
    return next((f"{o['ename']}: {o['evalue']}" for o in outputs if o["output_type"] == "error"), "")


def reproduce_order(only: Sequence[str]) -> list[str]:
    """All notebooks, or those named in `only`."""
    return [path_of(name).stem for name in only] if only else list(NOTEBOOKS)
