"""What this machine has, what of it works, and the remedy for what does not: the command `doctor`."""

import importlib.util
import os
import shutil
from dataclasses import dataclass
from typing import Literal

import cv2
import joblib
import torch

from repro import config, machine, paths, records
from repro.models.tools.inference import bf16_supported

LEAST = 2e9  # bytes of disk: the drawn videos, their flow and a few runs
EXTRAS = {
    "cluster": ("dask", "distributed", "dask_jobqueue", "asyncssh"),
    "export": ("safetensors", "onnx", "onnxscript", "onnxruntime"),
    "tensorboard": ("tensorboard",),
}


@dataclass(frozen=True)
class Check:
    """One thing that commands need. missing: they fail without it. optional: one option of a command fails without it."""

    state: Literal["works", "slow", "optional", "missing"]
    what: str
    words: str


def facts() -> dict[str, str]:
    """Names and values, as text."""
    folder = paths.data() if paths.data().exists() else paths.ROOT
    found = [name for name in config.DATASETS if name != "folder" and (paths.data() / name).is_dir()]
    here = machine.environment("")
    return here["versions"] | {
        "processor": f"{machine.in_words(here)}, {joblib.cpu_count()} cores",
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "bf16": "yes" if bf16_supported() else "no",
        "OpenCV reads video with": ", ".join(_backends()),
        "data folder": f"{paths.data()} ({shutil.disk_usage(folder).free / 1e9:.0f} GB free)",
        "data sets found": ", ".join(found) or "none yet; the embedded one is made on first use",
    }


def checks() -> list[Check]:
    """What works, what is slow and what is missing on this machine, each with its remedy."""
    return [_video(), _disk(), _records(), _device(), *(_extra(name, packages) for name, packages in EXTRAS.items())]


def verdict(found: list[Check]) -> str:
    """One sentence on all checks."""
    count = {state: [each.what for each in found if each.state == state] for state in ("missing", "slow", "optional")}
    if count["missing"]:
        return f"not ready: {', '.join(count['missing'])}; see above"
    rest = [f"{state}: {', '.join(names)}" for state, names in count.items() if names]
    return f"ready{'; ' if rest else ''}{'; '.join(rest)}"


def _backends() -> list[str]:
    return [cv2.videoio_registry.getBackendName(each) for each in cv2.videoio_registry.getBackends()]


def _video() -> Check:
    if "FFMPEG" in _backends():
        return Check("works", "video", "OpenCV decodes with FFmpeg")
    remedy = "pip install --force-reinstall opencv-python-headless"
    return Check("missing", "video", f"OpenCV has no FFmpeg, so no video can be read: {remedy}")


def _disk() -> Check:
    place = paths.data()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return Check("missing", "data folder", f"{place} takes no file: name another folder as REPRO_DATA")
    if free < LEAST:
        return Check("missing", "data folder", f"{free / 1e9:.1f} GB free in {place}: name another disk as REPRO_DATA")
    return Check("works", "data folder", f"{paths.data()}, {free / 1e9:.0f} GB free")


def _records() -> Check:
    count = len(list(paths.committed().glob(f"*/records/*{records.ENDING}")))
    if count:
        return Check("works", "committed records", f"{count}: notebooks show their tables without training")
    return Check("missing", "committed records", f"none in {paths.committed()}: take the folder back from git")


def _device() -> Check:
    if torch.cuda.is_available():
        return Check("works", "full-size networks", f"on {torch.cuda.get_device_name()}")
    if torch.backends.mps.is_available():
        return Check("slow", "full-size networks", "on Apple's GPU, in float32; the profiles gpu and paper want CUDA")
    bf16 = "" if bf16_supported() else ", and this processor has no bf16"
    cores = joblib.cpu_count()
    return Check(
        "slow", "full-size networks", f"no GPU{bf16}: keep to the profile small, on {cores} core{'s' * (cores > 1)}"
    )


def _extra(name: str, packages: tuple[str, ...]) -> Check:
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    if absent:
        return Check("optional", name, f"{', '.join(absent)} not installed: pip install -e '.[{name}]'")
    return Check("works", name, ", ".join(packages))
