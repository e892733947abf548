"""Fixtures shared by the tests."""

import os
import signal
from pathlib import Path

import cv2
import finished
import numpy as np
import pytest
import torch

from repro import damaged, metrics, paths, records
from repro.config import Run

cv2.setNumThreads(1)
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real clips and official split files: $REPRO_REAL_DATA or ../shared/data; skips where neither exists."""
    folder = Path(os.environ.get("REPRO_REAL_DATA") or paths.ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real clips at {folder}; set REPRO_REAL_DATA to a folder that has them")
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A private data and output folder for one test."""
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPRO_OUT", str(tmp_path / "out"))
    monkeypatch.delenv("REPRO_RUNS", raising=False)
    return tmp_path


@pytest.fixture(autouse=True)
def none_damaged(monkeypatch):
    """No file is named as damaged yet."""
    monkeypatch.setattr(damaged, "named", set())


@pytest.fixture(autouse=True)
def same_signals():
    """The handlers of this process: a command that a test calls changes them."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.fixture
def recorded(home):
    """A function that records a run on this machine: scores (N, K), labels (N,), and what else a record holds."""

    def write(run: Run, scores: np.ndarray, labels, classes, **given) -> Run:
        scores = np.rint(np.asarray(scores, float) * metrics.STEPS) / metrics.STEPS
        record = finished.record(run, scores, labels, classes, **given)
        records.write(record, records.path_here(run.id))
        return run

    return write
