"""Training and inference of the papers' networks on the CPU: as this project runs them, against contiguous float32.

    python benchmarks/networks.py [--network resnext3d|bn_inception|small] [--rounds 5] [--threads 2] [--json FILE]

Fast: channels last, bf16 autocast where the processor has it, for inference BatchNorm folded and weights in bf16
("unfolded": autocast alone). Baseline: the same network, contiguous, in float32, which is how the papers' reference code
runs. Both alternate in one process; medians. Wanted, on a processor with bf16: at least 2.5 for 3D ResNeXt-101; for
BN-Inception 2 in training and 3 in inference. Where other programs use the cores, measure with --threads 1:
two threads that wait for each other on busy cores measure the waiting.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from repro.models import build
from repro.models.tools.inference import bf16_supported, channels_last, for_inference
from repro.paths import atomic

CASES = {
    "resnext3d": {
        "title": "3D ResNeXt-101 + CE", "model": "resnext3d", "arguments": {"num_classes": 51, "excitation": "ce"},
        "clip": (16, 112, 112), "train": (4,), "infer": (1, 8),
    },
    "bn_inception": {  # a TSN clip is three frames in training; a test clip has 25, one crop of ten
        "title": "TSN on BN-Inception", "model": "tsn", "arguments": {"num_classes": 101},
        "clip": (3, 224, 224), "train": (4,), "infer": (1, 8),
    },
    "small": {
        "title": "small", "model": "resnext3d",
        "arguments": {
            "num_classes": 8, "excitation": "ce", "depths": (1, 1, 1, 1), "width": 16, "cardinality": 8,
            "stem_kernel": (3, 5, 5), "std": 60.0,
        },
        "clip": (8, 32, 32), "train": (32,), "infer": (1, 64),
    },
}  # fmt: skip


def clips(batch: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """Random uint8 clips (B, 3, T, H, W), as a loader of frames delivers them: channels last in memory."""
    frames = torch.randint(0, 256, (batch, *shape, 3), dtype=torch.uint8)  # (B, T, H, W, C)
    return frames.permute(0, 4, 1, 2, 3)


def training_step(model, x, bf16: bool):
    labels = torch.zeros(len(x), dtype=torch.long)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(x).logits
        F.cross_entropy(logits.float(), labels).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def inference_step(model, x, bf16: bool):
    @torch.inference_mode()
    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            model(x)

    return step


def medians(steps: dict, rounds: int) -> dict[str, float]:
    """Milliseconds of each step; one of each a round, in turn, after one unmeasured round."""
    times = {name: [] for name in steps}
    for i in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if i:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def compare(case: dict, rounds: int) -> list[dict]:
    bf16 = bf16_supported()
    baseline = build(case["model"], **case["arguments"])
    fast = channels_last(build(case["model"], **case["arguments"]))
    rows = []
    for batch in case["train"]:
        x = clips(batch, case["clip"])
        steps = {
            "fast": training_step(fast.train(), x, bf16),
            "baseline": training_step(baseline.train(), x.contiguous(), False),
        }
        rows.append({"what": "training step", "batch": batch, **medians(steps, rounds)})
    folded = for_inference(fast, bf16)
    for batch in case["infer"]:
        x = clips(batch, case["clip"])
        steps = {
            "fast": inference_step(folded, x, False),
            "unfolded": inference_step(fast.eval(), x, bf16),
            "baseline": inference_step(baseline.eval(), x.contiguous(), False),
        }
        rows.append({"what": "inference", "batch": batch, **medians(steps, rounds)})
    for row in rows:
        row["ratio"] = row["baseline"] / row["fast"]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=CASES, default="resnext3d", help="small: that of the small profile")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    case = CASES[options.network]
    about = {
        "network": case["title"],
        "clip": case["clip"],
        "threads": options.threads,
        "bf16": bf16_supported(),
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
    }
    rows = compare(case, options.rounds)
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    for row in rows:
        unfolded = f" (unfolded {row['unfolded']:.1f})" if "unfolded" in row else ""
        print(
            f"{row['what']:14s} batch {row['batch']:2d}: contiguous float32 {row['baseline']:8.1f} ms, "
            f"ours {row['fast']:8.1f} ms{unfolded}, {row['ratio']:.2f}x"
        )
    if options.json:
        with atomic(options.json) as part:
            part.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
