"""What the networks cost: exact counts, and the measured latency of one clip."""

import json
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import pandas as pd
import torch

from repro import paths
from repro.data.flow import methods as flow
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


def exact_table() -> pd.DataFrame:
    """Parameters and multiply-adds of every published variant beside the paper's figures."""
    frame = pd.DataFrame(cost.published_models("IMRS"))
    claim = "CE adds hardly a parameter; 95.23 M and 18.04 G are student and teacher together."
    frame.attrs = {"title": "IMRS, Tables 3 and 5: cost.", "claim": claim, "tier": "exact", "command": COMMAND}
    return frame


def latency(profile: str, repeats: int = 5) -> pd.DataFrame:
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
    student = _median(lambda: network(3), repeats)
    both = student + _median(lambda: network(2), repeats)
    flows = _median(lambda: flow.quantise(flow.extract(frames)), 1 if profile == "smoke" else 3)
    rows = {
        "IMRS: the RGB student": (student, "measured"),
        "two streams, networks only": (both, "measured"),
        "two streams with our TV-L1": (both + flows, "measured"),
    }
    record = paths.ROOT / "results" / "benchmarks" / "flow.json"
    if record.exists():
        pairs = json.loads(record.read_text())["one_thread"]
        ratio = statistics.median(pair["ratio"] for pair in pairs if pair["size"] == "256x256")
        rows["two streams with OpenCV's TV-L1"] = (both + ratio * flows, f"derived: our flow x {ratio:.1f}")
    lines = [
        {"system": name, "ms a clip": f"{ms:.0f}", "times the student": f"{ms / student:.1f}", "origin": origin}
        for name, (ms, origin) in rows.items()
    ]
    frame = pd.DataFrame(lines)
    claim = "The student avoids the latency of optical flow."
    frame.attrs = {
        "title": "Latency of one clip, end to end.",
        "claim": claim,
        "tier": "measured here",
        "command": COMMAND,
    }
    return frame


def _median(work: Callable[[], object], repeats: int) -> float:
    """Median milliseconds of `work` after one call to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def sentence(exact: pd.DataFrame, measured: pd.DataFrame) -> str:
    """What the two tables show."""
    last, printed = measured.iloc[-1], exact["match"].dropna()
    return (
        f"{int(printed.sum())} of the paper's {len(printed)} rows are reproduced to the last printed digit by the counts named "
        f"beside them. On this machine, {last['system']} take {last['times the student']} times as long as the student "
        f"({last['origin']})."
    )


def claims_table() -> pd.DataFrame:
    """What the papers say of cost, decided by our counts of the full-size networks."""
    counted = {row["model"]: row for row in cost.published_models()}
    lines = []
    for statement, source, ours, other, figure, more in CLAIMS:
        a, b = counted[ours][figure], counted[other][figure]
        unit = "parameters" if figure == "parameters" else "G multiply-adds"
        lines.append(
            {
                "claim": statement,
                "source": source,
                "counted": f"{ours}: {a:,} {unit}",
                "compared with": f"{other}: {b:,}",
                "difference": f"{100 * (a / b - 1):+.4f} %",
                "verdict": "holds" if a < b * (1 + more) else "does not hold",
            }
        )
    frame = pd.DataFrame(lines)
    claim = f"As the papers say it; 'hardly more' is read as at most {HARDLY:.0%}."
    frame.attrs = {"title": "What the papers say of cost.", "claim": claim, "tier": "exact", "command": COMMAND}
    return frame
