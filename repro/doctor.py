"""What this machine has, for the command `doctor` and for a report of a problem."""

import shutil

import cv2
import joblib
import torch

from repro import config, machine, paths
from repro.models.tools.inference import bf16_supported


def facts() -> dict[str, str]:
    """Names and values, as text."""
    folder = paths.data() if paths.data().exists() else paths.ROOT
    backends = [cv2.videoio_registry.getBackendName(b) for b in cv2.videoio_registry.getBackends()]
    found = [name for name in config.DATASETS if name != "folder" and (paths.data() / name).is_dir()]
    here = machine.environment("")
    return here["versions"] | {
        "processor": f"{machine.in_words(here)}, {joblib.cpu_count()} cores",
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "bf16": "yes" if bf16_supported() else "no",
        "OpenCV reads video with": ", ".join(backends),
        "data folder": f"{paths.data()} ({shutil.disk_usage(folder).free / 1e9:.0f} GB free)",
        "data sets found": ", ".join(found) or "none yet; the embedded one is made on first use",
    }
