"""Fixtures shared by the tests."""

import os
from pathlib import Path

import cv2
import pytest
import torch

from repro import paths

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
    return tmp_path
