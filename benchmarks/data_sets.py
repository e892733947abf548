"""What the published protocols would cost on the papers' data sets: arithmetic on what other benchmarks measured.

    python benchmarks/data_sets.py

reads full_size.json, prepare_real.json and rehearsals.json in results/benchmarks/ and writes the tables of docs/scale.md and
docs/real-data.md beside them: data_sets_measured.csv, _cores, _gpus, _disk, and rehearsals.csv. It measures nothing.
"""

import json
from pathlib import Path

import full_size
import pandas as pd

from repro import paths
from repro.data.catalog import OFFICIAL
from repro.papers import systems
from repro.parameters import Parameters

RESULTS = paths.ROOT / "results" / "benchmarks"
TITLES = {
    "hmdb51": "HMDB51", "ucf101": "UCF101", "diving48": "Diving48", "something_v1": "Something V1",
    "something_v2": "Something V2", "kinetics400": "Kinetics-400",
}  # fmt: skip
KINETICS = {"train": 246_535, "test": 19_907}  # of one of the lists in circulation: `annotations.large.kinetics400`
FRAMES = {  # of all videos: by the data set's own text, or the mean of a list
    "hmdb51": 6_766 * 93, "ucf101": 2_400_000, "diving48": 2_682_071, "something_v1": 108_499 * 48,
    "something_v2": 220_847 * 48, "kinetics400": sum(KINETICS.values()) * 268,
}  # fmt: skip
# One A100 trains ResNet-50 v1.5 on 2,470 images a second in mixed precision (NVIDIA DeepLearningExamples, its README for
# PyTorch); 4.09 G multiply-adds an image, three times for forward and backward
GPU = 2470 * 4.09e9 * 3  # multiply-adds a second
UNITS = {"years": 365.25 * 86_400, "days": 86_400, "h": 3600, "min": 60}


def span(seconds: float) -> str:
    """Two digits and the largest unit of which there are at least 1.5, "h" for example."""
    unit = next((unit for unit, length in UNITS.items() if seconds >= 1.5 * length), "min")
    return f"{float(f'{seconds / UNITS[unit]:.2g}'):,g} {unit}"


def training_clips(network: str, dataset: str) -> float:
    """Clips that a network sees in the published number of epochs; a tenth of the training videos is for validation."""
    system, modality = full_size.NETWORKS[network]
    parameters = Parameters("paper", dataset, seeds=0, pretrained_rgb="none", pretrained_flow="none")
    run = systems.run_of(system, parameters, 1, 0, modality)
    videos = KINETICS if dataset == "kinetics400" else OFFICIAL[dataset][1]
    return run.optimisation.epochs * (1 - run.data.val_fraction) * videos["train"]


def multiply_adds(row: dict, rows: list[dict]) -> float:
    """Of a training clip: forward, and twice that for backward; a student's clip also passes its teacher, forward."""
    taught = [each for each in rows if each["network"] == "IMRS, flow teacher" and row["network"] == "IMRS, student"]
    return 1e9 * (3 * row["G multiply-adds"] + sum(each["G multiply-adds"] for each in taught))


def times(rows: list[dict], second: dict[str, float], many: int) -> pd.DataFrame:
    """For each network and data set the time on one device and on `many`; second: seconds a training clip on one."""
    columns = {
        title: [
            " / ".join(span(training_clips(name, dataset) * seconds / n) for n in (1, many))
            for name, seconds in second.items()
        ]
        for dataset, title in TITLES.items()
    }
    return pd.DataFrame({"network": [row["network"] for row in rows], **columns})


def cores(rows: list[dict], batch: int) -> pd.DataFrame:
    """From the measured processor time of a step: 1 core / 16 cores."""
    return times(rows, {row["network"]: row["processor s a step"] / batch for row in rows}, 16)


def gpus(rows: list[dict]) -> pd.DataFrame:
    """From multiply-adds and an assumed throughput: 1 GPU / 8 GPUs."""
    return times(rows, {row["network"]: multiply_adds(row, rows) / GPU for row in rows}, 8)


def measured(rows: list[dict]) -> pd.DataFrame:
    """What `full_size.py` measured, as text."""
    shown = {
        "clips an epoch": "d", "s a step": ".1f", "processor s a step": ".1f", "training clips/s": ".2f",
        "s a test video": ".1f", "peak GB": ".1f",
    }  # fmt: skip
    columns = {name: [format(row[name], form) for row in rows] for name, form in shown.items()}
    right = [f"{row['top-1'] * row['test videos']:.0f} of {row['test videos']}" for row in rows]
    names = {name: [row[name] for row in rows] for name in ("network", "clip")}
    return pd.DataFrame({**names, **columns, "right": right})


def disk(stored: list[dict]) -> pd.DataFrame:
    """Frames and flow as `prepare` packs them, and the processor time of that, by the means over the frames of real clips."""
    frames = sum(row["frames"] for row in stored)
    size = sum(row["packed MB"] for row in stored) * 1e6 / frames
    second = sum(row["frames"] / row["pairs per CPU second"] for row in stored) / frames
    lines = [
        {
            "data set": title,
            "frames": f"{FRAMES[name] / 1e6:,.2g} M" if FRAMES[name] < 1e7 else f"{FRAMES[name] / 1e6:,.0f} M",
            "disk": f"{FRAMES[name] * size / 1e9:,.0f} GB",
            "prepare, 1 core / 16 cores": " / ".join(span(FRAMES[name] * second / n) for n in (1, 16)),
        }
        for name, title in TITLES.items()
    ]
    return pd.DataFrame(lines)


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """All tables, by the name of their file, from the records in a folder."""
    names = ("full_size", "prepare_real", "rehearsals")
    full, real, rehearsals = (json.loads((folder / f"{name}.json").read_text()) for name in names)
    rows = full["rows"]
    return {
        "data_sets_measured": measured(rows), "data_sets_cores": cores(rows, full["batch"]), "data_sets_gpus": gpus(rows),
        "data_sets_disk": disk(real["rows"]), "rehearsals": pd.DataFrame(rehearsals["rows"]),
    }  # fmt: skip


def main() -> None:
    for name, frame in tables(RESULTS).items():
        with paths.atomic(RESULTS / f"{name}.csv") as part:
            frame.to_csv(part, index=False)


if __name__ == "__main__":
    main()
