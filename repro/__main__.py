"""The command line: python -m repro --help."""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Annotated

import joblib
import pandas as pd
import tyro

from repro import notebooks, paths, records
from repro.errors import ReproError, Unavailable
from repro.progress import Progress

Parameters = Annotated[tuple[tuple[str, str], ...], tyro.conf.UseAppendAction, tyro.conf.arg(aliases=["-p"], name="p")]


def list_() -> None:
    """Notebooks, the tables they make, and what each cost when it was last run here or where results/ came from."""
    from repro.report import cost

    for name, tables in notebooks.NOTEBOOKS.items():
        makes = ", ".join(table.__name__ for table in tables) or "no table"
        print(f"{name:22} {notebooks.title(name)}\n{'':22} {makes}; {cost(name)}")


def run(notebook: tyro.conf.Positional[str], /, parameter: Parameters = ()) -> None:
    """Execute one notebook; -p name value (repeatable) sets a parameter.

    Args:
        notebook: its name, as `list` shows it.
        parameter: a parameter's name and value.
    """
    given = {name: notebooks.value_of(value) for name, value in parameter}
    name = notebooks.path_of(notebook).stem
    profile = given.get("profile", notebooks.parameters(name)["profile"])
    print(f"executed notebook: {notebooks.execute(name, given, paths.data() / 'executed' / str(profile))}")


def reproduce(profile: str = "small", only: tuple[str, ...] = (), jobs: int = -1) -> None:
    """Make all runs that are missing, then execute the notebooks, which write results/ and figures/.

    Args:
        profile: smoke, small, gpu or paper.
        only: names of notebooks; all by default.
        jobs: processes at once, -1 for one a core.
    """
    from repro import execute, report

    start = time.perf_counter()
    given = {"profile": profile, "jobs": jobs}
    names = notebooks.reproduce_order(only)
    wanted, unplanned = [], []
    for name in list(names):
        try:
            wanted += notebooks.runs_of(name, given)
        except Unavailable as error:  # one paper's protocol may want a file that another's does not
            unplanned.append(f"{name}: {error}")
            names.remove(name)
    try:
        execute.execute(wanted, jobs)
        if int(os.environ.get("RANK", "0")) > 0:
            return  # under torchrun the first process alone goes on to the notebooks
        folder = paths.data() / "executed" / profile
        failed = _execute_all(names, {**given, "jobs": 1}, folder, joblib.cpu_count() if jobs == -1 else jobs)
    except KeyboardInterrupt:
        sys.exit("\nstopped; nothing finished is lost: the same command goes on from here")
    page = report.write(profile)
    failed += unplanned
    if failed:
        raise ReproError(f"{len(failed)} notebooks failed, the others are done: " + "; ".join(failed))
    print(f"done in {(time.perf_counter() - start) / 60:.1f} minutes. Read {page}; tables: {paths.out() / 'results' / profile}; "
          f"figures: {paths.out() / 'figures' / profile}; executed notebooks: {folder}")  # fmt: skip


def _execute_all(names: list[str], given: dict, folder: Path, workers: int) -> list[str]:
    """Executes notebooks side by side, a process each; returns the errors of those that failed.

    One that was executed before, from the same source with the same package, is left alone while results/ and figures/ are there.
    """
    drawn = all((paths.out() / where / given["profile"]).is_dir() for where in ("results", "figures"))
    stamps = {name: notebooks.stamp(name, given) for name in names}
    marks = {name: folder / f"{name}.made-from" for name in names}
    left = [n for n in names if not (drawn and marks[n].exists() and marks[n].read_text() == stamps[n])]
    progress, errors = Progress(len(left), "notebooks"), []

    def attempt(name: str, threads: int) -> None:
        progress.starts(name)
        try:
            marks[name].unlink(missing_ok=True)
            notebooks.execute(name, given, folder, quiet=True, threads=threads)
            marks[name].write_text(stamps[name])
        except ReproError as error:
            errors.append(str(error))
            print(f"failed: {error}", file=sys.stderr)
        progress.done += 1

    # side by side they share the cores: with more threads than cores, small networks take five times as long
    threads = max(joblib.cpu_count() // workers, 1)
    together = [name for name in left if name != "efficiency"]  # which measures time, and goes alone
    joblib.Parallel(n_jobs=workers, prefer="threads")(joblib.delayed(attempt)(name, threads) for name in together)
    for name in left:
        if name not in together:
            attempt(name, 0)
    return errors


def prepare(
    dataset: tyro.conf.Positional[str],
    /,
    root: Path | None = None,
    side: int = 256,
    flow: str = "tvl1",
    bound: float = 20.0,
    group: str = "",
    allow_missing: bool = False,
    jobs: int = -1,
) -> None:
    """Decode every clip of a data set, compute its optical flow and store both; can be killed and started again.

    Args:
        dataset: ucf101, hmdb51, something_v1, something_v2, diving48, kinetics400, folder or synthetic.
        root: the folder of its files.
        side: short side of the stored frames, in pixels.
        flow: tvl1, dis or farneback.
        bound: stored flow is clipped to this many pixels and mapped to 0..255.
        group: for folder data, a regular expression with a named group (?P<group>...) on the file names.
        allow_missing: go on without the files that are absent.
        jobs: processes at once, -1 for one a core.
    """
    from repro.data.prepare import prepare as pack
    from repro.data.prepare import require_all
    from repro.data.store import Recipe
    from repro.parameters import Parameters

    recipe = Recipe(side=side, flow=flow, bound=bound)
    parameters = Parameters(
        dataset=dataset, data_root=str(root or ""), group=group, allow_missing=allow_missing, jobs=jobs
    )
    splits = (1, 2, 3) if dataset in ("ucf101", "hmdb51", "synthetic") else (1,)
    tables = [parameters.catalog(split, val_fraction=0.0).table for split in splits]
    clips = pd.concat(tables).drop_duplicates("clip")
    prepared = pack(clips, dataset, parameters.root, recipe, jobs)
    print(prepared.summary())
    require_all(prepared)


def models(as_json: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Parameters and multiply-adds of every network, beside the papers' figures.

    Args:
        as_json: print JSON.
    """
    from repro.models.tools.cost import published_models

    rows = published_models()
    print(json.dumps(rows, indent=1) if as_json else pd.DataFrame(rows).to_string(index=False))


def report() -> None:
    """Write results/index.html from the tables, figures and records that lie in results/ and figures/."""
    from repro.report import write

    print(write())


def doctor() -> None:
    """What this machine has: versions, devices, bf16, OpenCV, disk space, data found."""
    import cv2
    import torch

    from repro.data.catalog import DATASETS
    from repro.models.tools.inference import bf16_supported

    for name, value in records.environment("")["versions"].items():
        print(f"{name:24} {value}")
    folder = paths.data() if paths.data().exists() else paths.ROOT
    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    backends = [cv2.videoio_registry.getBackendName(b) for b in cv2.videoio_registry.getBackends()]
    found = [name for name in DATASETS if name != "folder" and (paths.data() / name).is_dir()]
    facts = {
        "processor": f"{records.processor()}, {joblib.cpu_count()} cores",
        "GPU": cuda,
        "bf16": "yes" if bf16_supported() else "no",
        "OpenCV reads video with": ", ".join(backends),
        "data folder": f"{paths.data()} ({shutil.disk_usage(folder).free / 1e9:.0f} GB free)",
        "data sets found": ", ".join(found) or "none yet; the embedded one is made on first use",
    }
    for name, value in facts.items():
        print(f"{name:24} {value}")


def main() -> None:
    """Runs a subcommand; a `ReproError` is one line on stderr and exit code 1."""
    commands = {
        "list": list_, "run": run, "reproduce": reproduce, "prepare": prepare, "models": models,
        "report": report, "doctor": doctor,
    }  # fmt: skip
    try:
        tyro.extras.subcommand_cli_from_dict(commands, prog="python -m repro", description=__doc__)
    except ReproError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
