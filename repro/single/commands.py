"""The commands train, evaluate, rehearse, predict and export. Each imports what it needs, so that help and errors are instant."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from repro.elsewhere import HERE, Elsewhere

Sets = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(name="set", metavar="FIELD=VALUE")]
Fuse = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="WEIGHTS")]
System = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="SYSTEM")]]
Weights = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="WEIGHTS")]]


def train(
    system: System,
    /,
    dataset: str = "folder",
    root: str = "",
    group: str = "",
    split: Path | None = None,
    sets: Sets = (),
    model: str = "",
    modality: Literal["", "rgb", "flow"] = "",
    profile: str = "small",
    seed: int = 0,
    log: Literal["", "csv", "tensorboard"] = "",
    jobs: int = -1,
    device: str = "auto",
    elsewhere: tyro.conf.OmitArgPrefixes[Elsewhere] = HERE,
) -> None:
    """Train one system on a folder of videos or a data set, and test it once.

    Its record and weights go to data/runs/ID. The same command again reads them; after a kill it goes on.

    For example:

        python -m repro train tstam --root DIR --group '^(?P<group>[a-z]+)_'
        python -m repro train imrs --root DIR --split parts.csv --set optimisation.epochs=30
        python -m repro train tsm --root DIR --split parts.csv --model mynet:MyNet --log csv
        python -m repro train tsn --dataset hmdb51 --root DIR --modality flow --profile gpu

    Args:
        system: imrs (student and flow teacher), mars, stddcn, resnext3d, resnext3d-ce, tstam, tsn, tsn-resnet, tsm, smnet,
            stme or stmsa.
        dataset: folder (one subfolder per class), synthetic, ucf101, hmdb51, something_v1, something_v2, diving48, kinetics400.
        root: the folder of the videos.
        group: who stays in one part: an expression with (?P<group>...) on the file names, or a CSV file in the folder.
        split: a CSV file with the columns path, label, part (train, val, test) in place of groups.
        sets: another value for any field of the run (repeatable), such as optimisation.epochs=30.
        model: a network of your own in place of the system's: module:function, the module in the current folder.
        modality: rgb or flow, of a network with one stream.
        profile: smoke (seconds), small, gpu or paper.
        seed: of weights and clips.
        log: also write the history epoch by epoch, for a spreadsheet or TensorBoard, into a folder of the run.
        jobs: processes at once, -1 for one per core.
        device: auto, cpu, cuda or mps.
        elsewhere: where runs are made, other than by processes here.
    """
    from repro.parameters import Parameters
    from repro.single import plan

    plan.check_log(log)
    given = Parameters(profile, dataset, root, seeds=seed, jobs=jobs, device=device, group=group)
    run = plan.plan(system, given, modality, split, model, sets)
    from repro.single import train as work  # torch takes seconds; what is wrong above is known without it

    with elsewhere.connected() as cluster:
        record = work.train(run, given, log, cluster)
    print("\n".join(work.sentences(run, record)))


def evaluate(
    system: System,
    checkpoint: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="CHECKPOINT")]],
    /,
    dataset: str = "folder",
    root: str = "",
    split: Path | None = None,
    sets: Sets = (),
    modality: Literal["", "rgb", "flow"] = "",
    profile: str = "paper",
    jobs: int = -1,
    device: str = "auto",
) -> None:
    """Test a public checkpoint of a system on the test part of a data set, by the system's own protocol, without training.

    The file must have every tensor of the network and as many classes as the data set. The test videos alone are prepared. The
    record goes to data/runs/ID.

    For example:

        python -m repro evaluate tsm TSM_something_RGB_resnet50_shift8_blockres.pth --dataset something_v1 --root DIR

    Args:
        system: as in `train`.
        checkpoint: a file of the system's authors, such as TSM's.
        dataset: folder (one subfolder per class), ucf101, hmdb51, something_v1, something_v2, diving48, kinetics400.
        root: the folder of the videos.
        split: a CSV file with the columns path, label, part (train, val, test), for a folder.
        sets: another value for any field of the run (repeatable), such as data.allow_missing=true.
        modality: rgb or flow, of a network with one stream.
        profile: paper, or another whose networks have the size of the file.
        jobs: processes at once, -1 for one per core.
        device: auto, cpu, cuda or mps.
    """
    from repro import overrides
    from repro.parameters import Parameters
    from repro.single import plan

    file = str(checkpoint)
    given = Parameters(
        profile, dataset, root, seeds=0, jobs=jobs, device=device, pretrained_rgb=file, pretrained_flow=file
    )
    run = plan.tested(plan.plan(system, given, modality, split, "", ()), checkpoint)
    run = overrides.changed(run, overrides.parsed(sets))
    from repro.single import train as work

    record = work.train(run, given)
    print("\n".join([*work.sentences(run, record), f"tier: {given.tier}"]))


def rehearse(
    system: System,
    /,
    dataset: str = "hmdb51",
    lists: Path | None = None,
    pretrained_rgb: str = "",
    pretrained_flow: str = "",
    batch: int = 0,
    jobs: int = -1,
    device: str = "auto",
) -> None:
    """Go through all phases of a system's published protocol in minutes, on a few drawn videos with the official names.

    Reads the lists, prepares, trains every stage with the full-size network, kills and resumes it, tests, fuses, and prints
    the time and the memory of each phase. What is smaller than in a full run is said line by line. Any system goes with any
    data set. All is written below data/rehearsals/ and removed at the end; nothing of it is a result.

    For example:

        python -m repro rehearse imrs --dataset hmdb51 --lists DIR
        python -m repro rehearse tstam --dataset ucf101 --pretrained-rgb bn_inception.pth --pretrained-flow bn_inception.pth

    Args:
        system: as in `train`. Of tstam and tsn both streams.
        dataset: ucf101, hmdb51, something_v1, something_v2, diving48 or kinetics400.
        lists: the folder that has the official lists, laid out as docs/real-data.md says; else data/DATASET. Videos in it are
            not looked at.
        pretrained_rgb: the public file that training starts from; else one of its form with random values is made.
        pretrained_flow: the same for a network of flow.
        batch: clips at a time; 0: as published, which shows the memory that a GPU needs, but 2 on a processor.
        jobs: processes at once that draw, decode and compute flow, -1 for one per core.
        device: auto, cpu, cuda or mps.
    """
    from repro import paths
    from repro.errors import require
    from repro.single import plan

    require(0 <= batch <= 1024, "--batch", batch, "from 1 to 1024, or 0")
    folder = paths.data() / "rehearsals" / f"{system}-{dataset}"
    given = plan.rehearsal(
        system,
        dataset,
        folder,
        jobs=jobs,
        device=device,
        pretrained_rgb=pretrained_rgb,
        pretrained_flow=pretrained_flow,
    )
    from repro.single.rehearse import rehearse as work  # torch takes seconds; what is wrong above is known without it

    work(system, given, paths.absolute(lists or paths.data() / dataset), folder, batch)


def predict(
    weights: Weights,
    videos: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="VIDEOS")]],
    /,
    root: Path | None = None,
    output: Path | None = None,
    fuse: Fuse = (),
    shares: tuple[float, ...] = (),
    model: str = "",
    jobs: int = -1,
    device: str = "auto",
) -> None:
    """Write the scores of a trained network for videos as CSV: path, prediction, none_of_these, and one column per class.

    Frames and flow are made as for the run's own videos, and kept in data/store/. Videos that cannot be read are named and
    counted, the others are predicted, and the exit code is 1.

    For example:

        python -m repro predict 3f2a clip.mp4
        python -m repro predict 3f2a new_videos/ --output scores.csv
        python -m repro predict data/runs/3f2a01234567/weights.pt list.csv --root videos/
        python -m repro predict 3f2a01234567.safetensors new_videos/
        python -m repro predict 3f2a new_videos/ --fuse 77b0 --shares 1 3

    Args:
        weights: the id of a run, or its first characters; its weights.pt; or an exported .safetensors file.
        videos: a video, a folder of videos, or a CSV file with the column path.
        root: the folder that the paths of the CSV file are relative to; else its own.
        output: the CSV file to write; else it is printed.
        fuse: another network, such as that of the other stream (repeatable); the probabilities are averaged.
        shares: the weight of each network in the average; else they are equal.
        model: module:function of a network of your own.
        jobs: processes at once that decode and compute flow, -1 for one per core.
        device: auto, cpu, cuda or mps.
    """
    from repro.single import fused
    from repro.single.predict import predict as work
    from repro.single.weights import load

    system = fused.fuse([load(each, model) for each in (weights, *fuse)], shares)
    if system.top1 is not None:
        print(f"fused: {system.top1:.1%} of the {system.tested} test videos of the runs", file=sys.stderr)
    work(system, videos, root, output, jobs, device)


def export(
    weights: Weights,
    /,
    format: Literal["safetensors", "onnx", "torch-export"] = "safetensors",
    output: Path | None = None,
    model: str = "",
) -> None:
    """Write a trained network for other programs, once its logits were compared with those of the network itself.

    Classes, input and the rule for none_of_these are in the file's metadata. Needs pip install -e '.[export]'.

    For example:

        python -m repro export 3f2a
        python -m repro export 3f2a --format onnx --output tstam.onnx

    Args:
        weights: the id of a run, or its first characters; its weights.pt; or an exported .safetensors file.
        format: safetensors (the tensors by name, for predict too), onnx, or torch-export (a .pt2 file).
        output: the file to write; else RUN.safetensors, RUN.onnx or RUN.pt2 in the current folder.
        model: module:function of a network of your own.
    """
    from repro.single.export import TOLERANCE
    from repro.single.export import export as work
    from repro.single.weights import load

    done = work(load(weights, model), format, output)
    print(
        f"{done.path}: logits of random clips differ by {done.difference:.2g} from the network's, whose largest is "
        f"{done.largest:.3g} (tolerance: {TOLERANCE:g} of it)"
    )
