"""A reproducible companion to five action-recognition papers: models, data, training, evidence."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["load_results"]


def __getattr__(name: str) -> Any:
    """`repro.load_results`, imported on first use: pandas takes a moment, and `repro.config` does not need it."""
    if name == "load_results":
        from repro.evidence.runs import load_results

        return load_results
    raise AttributeError(f"module 'repro' has no attribute {name!r}")
