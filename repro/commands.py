"""The commands of the command line. Each imports what it needs, so that help and errors are instant."""

import json
import time
from pathlib import Path
from typing import Annotated

import tyro

from repro import damaged
from repro.elsewhere import HERE, Elsewhere
from repro.errors import ReproError
from repro.single import commands as single

DESCRIPTION = "The companion to five action-recognition papers: notebooks, runs, tables and the page that shows them."
Place = tyro.conf.OmitArgPrefixes[Elsewhere]
PairsOfText = Annotated[tuple[tuple[str, str], ...], tyro.conf.UseAppendAction, tyro.conf.arg(aliases=["-p"], name="p")]


def list_() -> None:
    """List the notebooks, the tables they show, and what their recorded runs cost; last, what all runs cost.

    For example:

        python -m repro list
    """
    from repro import notebooks

    costs = notebooks.costs()
    for name, notebook in notebooks.NOTEBOOKS.items():
        shows = ", ".join(table.__name__ for table in notebook.tables)
        print(f"{name:26} {notebook.title}\n{'':26} {f'{shows}; {costs[name]}' if shows else 'no table of runs'}")
    print(f"{notebooks.EVERYTHING:26} {costs[notebooks.EVERYTHING]}")


def run(notebook: tyro.conf.Positional[str], /, parameter: PairsOfText = ()) -> None:
    """Execute one notebook; -p name value (repeatable) sets a parameter.

    For example:

        python -m repro run ablation_lambda
        python -m repro run ablation_lambda -p profile smoke -p seeds 0,1

    Args:
        notebook: its name, as `list` shows it.
        parameter: a parameter's name and value.
    """
    from repro import notebooks, parameters, paths

    name = notebooks.path_of(notebook).stem
    given = {key: parameters.value_of(value) for key, value in parameter}
    profile = notebooks.parameters_of(name, given).profile
    print(f"executed notebook: {notebooks.execute(name, given, paths.data() / 'executed' / profile)}")


def reproduce(
    profile: str = "small",
    only: tuple[str, ...] = (),
    jobs: int = -1,
    fresh: bool = False,
    elsewhere: Place = HERE,
) -> None:
    """Rebuild everything from the committed records, make one run of each system again, and compare both.

    Exit code 1 if a rebuilt file differs from the committed one, or a run is outside the spread of its seeds. With --fresh
    or --only, and for a profile without committed records (smoke), it instead makes the runs that have no record, then
    executes the notebooks, which write results/ and figures/ in data/out/, or in the folder that REPRO_OUT names.

    For example:

        python -m repro reproduce
        python -m repro reproduce --profile smoke --fresh
        python -m repro reproduce --only streams ablation_lambda

    Args:
        profile: smoke, small, gpu or paper.
        only: names of notebooks to execute.
        jobs: processes at once, -1 for one per core.
        fresh: train everything on this machine and execute all notebooks; committed records do not count.
        elsewhere: where runs are made, other than by processes here.
    """
    from repro import paths, records
    from repro.parameters import Parameters

    start = time.perf_counter()
    Parameters(profile=profile, jobs=jobs)
    if not (fresh or only) and any((paths.committed() / profile / "records").glob(f"*{records.ENDING}")):
        if elsewhere != HERE:
            raise ReproError("a cluster helps to train: give --fresh or --only too")
        from repro.verify import verify

        verify(profile, jobs)
        said = f"Read {paths.committed() / 'index.html'}"
    else:
        from repro.reproduce import reproduce as make

        page = make(profile, only, jobs, fresh, elsewhere)
        said = (
            f"Read {page}; tables: {paths.out() / 'results' / profile}; figures: {paths.out() / 'figures' / profile}; "
            f"executed notebooks: {paths.data() / 'executed' / profile}"
        )
    print(f"done in {(time.perf_counter() - start) / 60:.1f} minutes. {said}")


def rerun(
    what: tyro.conf.Positional[tuple[str, ...]] = (),
    /,
    sample: int = 0,
    profile: str = "small",
    seed: int = 0,
    jobs: int = -1,
    data_root: str = "",
    record: bool = False,
) -> None:
    """Make committed runs again from scratch, and say whether each is within the spread of its seeds.

    The runs go to data/again/, where finished ones count when the command is called again. Exit code 1 if a run failed, or
    is neither equal to its record nor within the spread.

    For example:

        python -m repro rerun imrs_table3:CE
        python -m repro rerun --sample 3 --seed 1

    Args:
        what: ids of runs, or their first characters; or rows of tables, such as imrs_table3:CE, with all their seeds.
        sample: as many runs drawn at random, each system at least once as far as they go.
        profile: smoke, small, gpu or paper.
        seed: of the drawing.
        jobs: processes at once, -1 for one per core.
        data_root: the folder of videos, for runs on one.
        record: list the runs in results/PROFILE/again/ in data/out/, or in the folder that REPRO_OUT names.
    """
    from repro import records, rerun
    from repro.again import choose, compare
    from repro.parameters import Parameters

    Parameters(profile=profile, jobs=jobs)
    if bool(what) == bool(sample):
        raise ReproError("name runs or rows of tables, or give --sample with a number: one of the two")
    recorded = records.committed(profile)
    if not recorded:
        raise ReproError(f"profile {profile!r} has no committed records to compare with")
    drawn = choose.sample(sample, seed, recorded, data_root) if sample else ()
    ids = drawn or [id for each in what for id in choose.named(each, recorded, profile)]
    found, failed = rerun.rerun(list(dict.fromkeys(ids)), recorded, profile, jobs, data_root, record)
    print(rerun.words(found))
    wrong = [*failed, *filter(None, [compare.outside(found)])]
    if wrong:
        raise ReproError("; ".join(wrong))


def rebuild(profile: str = "small") -> None:
    """Write every table, figure and the page from the records alone, without training or executing a notebook.

    They go to data/out/, or to the folder that REPRO_OUT names.

    For example:

        python -m repro rebuild

    Args:
        profile: smoke, small, gpu or paper.
    """
    from repro import report
    from repro.parameters import Parameters
    from repro.rebuild import rebuild_all

    start = time.perf_counter()
    Parameters(profile=profile)
    written = rebuild_all(profile)
    print(f"{len(written)} tables in {time.perf_counter() - start:.0f} s. Read {report.write(profile)}")


def prepare(
    dataset: tyro.conf.Positional[str],
    /,
    root: Path | None = None,
    side: int = 256,
    flow: str = "tvl1",
    bound: float = 20.0,
    allow_missing: bool = False,
    jobs: int = -1,
    device: str = "cpu",
    elsewhere: Place = HERE,
) -> None:
    """Decode every clip of a data set, compute its optical flow and store both; can be killed and started again.

    For example:

        python -m repro prepare hmdb51 --root DIR
        python -m repro prepare folder --root DIR --side 64 --bound 5

    Args:
        dataset: ucf101, hmdb51, something_v1, something_v2, diving48, kinetics400, folder or synthetic.
        root: the folder of its files.
        side: short side of the stored frames, in pixels.
        flow: tvl1, dis, farneback, or tvl1_torch: TV-L1 on torch tensors, for a GPU.
        bound: stored flow is clipped to this many pixels and mapped to 0..255.
        allow_missing: go on without the files that are absent.
        jobs: processes at once, -1 for one per core.
        device: cpu, or cuda for the flow tvl1_torch.
        elsewhere: where clips are packed, other than by processes here.
    """
    from repro.data import catalog
    from repro.data import prepare as packing
    from repro.data.store import Recipe
    from repro.papers import recipes
    from repro.parameters import Parameters

    given = Parameters(dataset=dataset, data_root=str(root or ""), allow_missing=allow_missing, jobs=jobs)
    recipe, data = Recipe(side=side, flow=flow, bound=bound), recipes.clips(given, 1, "rgb")
    table = catalog.every_clip(data, jobs)
    with elsewhere.connected() as cluster:
        prepared = packing.prepare(table, dataset, catalog.data_root(data), recipe, jobs, device, cluster)
    print(prepared.summary())
    packing.require_all(prepared)


def folds(root: tyro.conf.Positional[Path], /, group: str = "", number: str = "all") -> None:
    """List the folds of a folder of videos, whom each leaves out, and the parameters that ask for all of them.

    For example:

        python -m repro folds DIR --group '^(?P<group>[a-z]+)_'

    Args:
        root: the folder, with one subfolder per class.
        group: a regular expression with a named group (?P<group>...) on the file names, or a CSV file in the folder with
            the columns clip and group. Without it each clip is a group.
        number: of folds, or all: each group is left out once.
    """
    import shlex

    from repro import parameters
    from repro.data import catalog

    count = parameters.folds(number)
    parameters.Parameters(dataset="folder", data_root=str(root), group=group)
    table = catalog.folds(root, group, count)
    print(table.to_string(index=False))
    splits = table["split"][table["no training clip of"] == ""]
    given = {"data_root": root, "group": group, "folds": count, "splits": ",".join(map(str, splits))}
    print("-p dataset folder", *(f"-p {name} {shlex.quote(str(value))}" for name, value in given.items() if value))


def models(as_json: Annotated[bool, tyro.conf.arg(name="json")] = False) -> None:
    """Print parameters and multiply-adds of every network, beside the papers' figures.

    For example:

        python -m repro models --json

    Args:
        as_json: print JSON.
    """
    import pandas as pd

    from repro.models.tools.cost import published_models

    rows = published_models()
    print(json.dumps(rows, indent=1) if as_json else pd.DataFrame(rows).to_string(index=False))


def report(profile: str = "small") -> None:
    """Write results/index.html from the tables, figures and records in results/ and figures/ beside it.

    They are those of data/out/, or of the folder that REPRO_OUT names.

    For example:

        python -m repro report

    Args:
        profile: smoke has a page of its own; all others share one.
    """
    from repro import report as page

    print(page.write(profile))


def doctor() -> None:
    """Print what this machine has, what works, what is slow, what is missing and what to do about it.

    Exit code 1 where something is missing that commands need.

    For example:

        python -m repro doctor
    """
    from repro import doctor as examined

    for name, value in examined.facts().items():
        print(f"{name:24} {value}")
    found = examined.checks()
    for each in found:
        print(f"{each.state:9} {each.what:19} {each.words}")
    print(examined.verdict(found))
    if any(each.state == "missing" for each in found):
        raise ReproError("this machine is not ready")


def run_one() -> None:
    """Runs the subcommand that the command line names. A ReproError at the end counts the files that could not be read."""
    commands = {
        "list": list_, "run": run, "reproduce": reproduce, "rerun": rerun, "rebuild": rebuild, "folds": folds,
        "prepare": prepare, "models": models, "report": report, "doctor": doctor, "train": single.train,
        "evaluate": single.evaluate, "rehearse": single.rehearse, "predict": single.predict, "export": single.export,
    }  # fmt: skip
    tyro.extras.subcommand_cli_from_dict(commands, prog="python -m repro", description=DESCRIPTION)
    damaged.require_none()
