"""What a result was made with: versions, processor, instruction set, threads, git state."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from repro import paths

CPUINFO = Path("/proc/cpuinfo")  # Linux alone has it
PACKAGES = ("repro", "torch", "torchvision", "numpy", "opencv-python-headless", "numba", "lightning-fabric")


def environment(device: str) -> dict:
    """Versions, machine and git state of this process. Threads are those that torch uses now."""
    import torch  # takes a second, and reading records does without

    machine = {
        "system": platform.platform(), "processor": processor(), "instruction_set": torch.backends.cpu.get_cpu_capability(),
        "extensions": _extensions(), "threads": torch.get_num_threads(), "device": device,
    }  # fmt: skip
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": machine,
        "git": git_state(),
    }


def in_words(provenance: Mapping[str, Any]) -> str:
    """The machine of a record in words: processor, the instruction set that torch uses, extensions, threads."""
    machine = provenance["machine"]
    if not {"instruction_set", "extensions", "threads"} <= machine.keys():
        return f"{machine['processor']} (instruction set and threads not recorded)"
    sets = " ".join(each for each in (machine["instruction_set"], machine["extensions"]) if each)
    return f"{machine['processor']} ({sets}, {machine['threads']} thread{'s' * (machine['threads'] != 1)})"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # repro itself, where it is imported without being installed
        return "not installed"


def processor() -> str:
    """The processor's name, as the system tells it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _extensions() -> str:
    """Which of AMX and AVX512's bfloat16 the processor has, by the system's names; empty where it has, or names, none."""
    return " ".join(sorted(flag for flag in _cpuinfo("flags").split() if flag.startswith(("amx", "avx512_bf16"))))


def _cpuinfo(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo; empty without that file or field."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else ()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(field)), "")


def git_state() -> dict:
    """Commit and whether the checkout differs from it; 'not available' outside a git checkout."""
    try:
        commit, dirty = (
            subprocess.run(["git", *args], cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for args in (["rev-parse", "HEAD"], ["status", "--porcelain", "--", "repro", "pyproject.toml"])
        )
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "not available", "dirty": "not available"}
    return {"commit": commit, "dirty": bool(dirty)}
