"""What the networks cost: exact counts, and the measured latency of one clip."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from repro import damaged, paths, progress
from repro.data.flow import methods as flow
from repro.errors import ReproError
from repro.evidence.results import Line, Result
from repro.evidence.statistics import Outcome, Verdict
from repro.machine import processor
from repro.models.resnext3d import resnext3d
from repro.models.tools import cost
from repro.models.tools import inference as fast

COMMAND = "python -m repro run efficiency"
HARDLY = 0.05  # our reading of "hardly more"
CLAIMS = (  # what papers say of cost: of which network, compared with which, by which count, how much more is allowed
    ("CE adds hardly a parameter.", "IMRS, section 4.3.1", "3D ResNeXt-101 + CE", "3D ResNeXt-101", "parameters", HARDLY),
    ("CE has fewer parameters than SE.", "IMRS, section 4.3.1", "3D ResNeXt-101 + CE", "3D ResNeXt-101 + SE", "parameters", 0.0),
    ("IMRS computes hardly more than MARS.", "IMRS, section 4.5", "IMRS", "MARS", "gmacs_with_excitation", HARDLY),
    ("SMNet keeps the complexity of a 2-D network.", "SMNet, abstract", "SMNet", "TSN, ResNet-50", "gmacs", HARDLY),
)  # fmt: skip


def exact_table() -> Result:
    """Parameters and multiply-adds of every published variant beside the paper's figures."""
    lines = tuple(
        Line({k: "" if v is None else str(v) for k, v in row.items()}) for row in cost.published_models("IMRS")
    )
    claim = "CE adds hardly a parameter; 95.23 M and 18.04 G are student and teacher together."
    return _result("imrs_efficiency", "imrs", "IMRS, Tables 3 and 5: cost.", claim, "exact", lines)


def _result(name: str, paper: str, title: str, claim: str, tier: str, lines: tuple[Line, ...]) -> Result:
    return Result(name, paper, title, claim, tier, "efficiency", COMMAND, lines)


def latency(profile: str, repeats: int = 5) -> Result:
    """Milliseconds from 17 RGB frames of 340x256 in memory to a score: the median of `repeats`, one clip at a time.

    The networks are full-size (the small ones in the smoke profile), with BatchNorm folded, channels last, and bf16
    where the processor has it; the flow is of the 16 pairs of frames, on one core, as one process would compute it.
    OpenCV's own TV-L1 is not in this environment: its row scales our flow's time by the ratio that `benchmarks/flow.py`
    measured beside it, and says so.
    """
    rng = np.random.default_rng(0)
    texture = cv2.GaussianBlur(rng.integers(0, 256, (300, 400, 3)).astype(np.float32), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    frames = np.stack([texture[i : i + 256, 2 * i : 2 * i + 340] for i in range(17)])  # (17, 256, 340, 3), moving
    rgb = torch.from_numpy(np.stack([cv2.resize(f[:, 42:298], (112, 112)) for f in frames[:16]]))
    rgb = rgb.permute(3, 0, 1, 2)[None]  # (1, 3, 16, 112, 112)
    small = {"depths": (1, 1, 1, 1), "width": 16, "cardinality": 8} if profile == "smoke" else {}
    networks = {c: fast.for_inference(resnext3d(51, c, excitation="ce", **small), bf16=False) for c in (3, 2)}
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=fast.bf16_supported())

    def network(channels: int) -> None:
        with torch.inference_mode(), autocast:
            networks[channels](rgb[:, :channels])

    cv2.setNumThreads(1)
    flow.extract(frames[:2])  # compiles
    fewer = 1 if profile == "smoke" else 3
    with progress.bar("measuring", 2 * repeats + fewer, "clip") as bar:
        student = _median(lambda: network(3), repeats, bar.update)
        both = student + _median(lambda: network(2), repeats, bar.update)
        flows = _median(lambda: flow.quantise(flow.extract(frames)), fewer, bar.update)
    rows = {
        "IMRS: the RGB student": (student, "measured"),
        "two streams, networks only": (both, "measured"),
        "two streams with our TV-L1": (both + flows, "measured"),
    }
    record = paths.ROOT / "results" / "benchmarks" / "flow.json"
    ratio = damaged.read(_flow_ratio, record) if record.exists() else None
    if ratio is not None:
        rows["two streams with OpenCV's TV-L1"] = (both + ratio * flows, f"derived: our flow x {ratio:.1f}")
    lines = tuple(
        Line({"system": name, "ms a clip": f"{ms:.0f}", "times the student": f"{ms / student:.1f}", "origin": origin})
        for name, (ms, origin) in rows.items()
    )
    claim = f"The student avoids the latency of optical flow. Measured on: {processor()}."
    return _result("imrs_latency", "imrs", "Latency of one clip, end to end.", claim, "measured here", lines)


def _flow_ratio(record: Path) -> float:
    """OpenCV's time for the flow of frames of the clip's size, over ours."""
    try:
        pairs = json.loads(record.read_text())["one_thread"]
        return statistics.median(pair["ratio"] for pair in pairs if pair["size"] == "256x256")
    except (ValueError, TypeError, KeyError, RecursionError, OSError) as error:
        raise ReproError(f"{record}: not what benchmarks/flow.py writes ({error}); run it again") from None


def _median(work: Callable[[], object], repeats: int, done: Callable[[], object]) -> float:
    """Median milliseconds of `work` after one call to warm up; calls `done` after each measurement."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
        done()
    return statistics.median(times)


def sentence(exact: Result, measured: Result) -> str:
    """What the two tables show."""
    last, printed = measured.lines[-1].cells, [line.cells["match"] for line in exact.lines if line.cells["match"]]
    return (
        f"{printed.count('True')} of the paper's {len(printed)} rows are reproduced to the last printed digit by the counts "
        f"named beside them. On the machine of the table, {last['system']} take {last['times the student']} times as long as "
        f"the student ({last['origin']})."
    )


def claims_table() -> Result:
    """What the papers say of cost, decided by our counts of the full-size networks."""
    counted = {row["model"]: row for row in cost.published_models()}
    lines = []
    for statement, source, ours, other, figure, more in CLAIMS:
        a, b = counted[ours][figure], counted[other][figure]
        unit = "parameters" if figure == "parameters" else "G multiply-adds"
        verdict = Verdict(Outcome.HOLDS if a < b * (1 + more) else Outcome.FAILS, against=other)
        cells = {
            "claim": statement, "source": source, "counted": f"{ours}: {a:,} {unit}", "compared with": f"{other}: {b:,}",
            "difference": f"{100 * (a / b - 1):+.4f} %", "verdict": str(verdict),
        }  # fmt: skip
        lines.append(Line(cells, (), verdict))
    claim = f"As the papers say it; 'hardly more' is read as at most {HARDLY:.0%}."
    return _result("cost_claims", "", "What the papers say of cost.", claim, "exact", tuple(lines))
