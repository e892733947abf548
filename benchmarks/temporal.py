"""Training steps of ResNet-50 with time on the CPU: our form against contiguous float32, temporal modules against none.

    python benchmarks/temporal.py [--frames 8] [--size 224] [--batch 1] [--rounds 5] [--threads 1] [--json FILE]

Ours: channels last, and bf16 autocast where the processor has it. All networks take one step each a round, in turn in
one process. A ratio is the median over the rounds of the ratio to plain ResNet-50 of the same round, so that what slows
the machine down for a while slows both. Wanted: contiguous float32 at 2 or more, a temporal network at 1.35 or less.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from repro.models.resnet2d import tsm, tsn_resnet
from repro.models.smnet import smnet
from repro.models.stme import stme
from repro.models.stmsa import stmsa
from repro.models.tools.inference import bf16_supported, channels_last
from repro.paths import atomic

CLASSES = 174
NETWORKS = {"ResNet-50": tsn_resnet, "TSM": tsm, "SMNet": smnet, "STME": stme, "STMSA": stmsa}


def training_step(model: torch.nn.Module, x: torch.Tensor, bf16: bool):
    labels = torch.zeros(len(x), dtype=torch.long)
    optimiser = torch.optim.SGD(model.train().parameters(), lr=1e-3, momentum=0.9)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = model(x).logits
        F.cross_entropy(logits.float(), labels).backward()
        optimiser.step()
        optimiser.zero_grad()

    return step


def measure(steps: dict, rounds: int) -> list[dict]:
    """Median milliseconds of each step, and the median of its ratio to "ResNet-50"; after one unmeasured round."""
    times = {name: [] for name in steps}
    for i in range(rounds + 1):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if i:
                times[name].append(1000 * (time.perf_counter() - start))
    rows = []
    for name, values in times.items():
        ratios = [a / b for a, b in zip(values, times["ResNet-50"], strict=True)]
        rows.append({"network": name, "ms": statistics.median(values), "ratio": statistics.median(ratios)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("frames", 8), ("size", 224), ("batch", 1), ("rounds", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    bf16 = bf16_supported()
    shape = (options.batch, options.frames, options.size, options.size, 3)
    x = torch.randint(0, 256, shape, dtype=torch.uint8).permute(0, 4, 1, 2, 3)  # (B, C, T, H, W), as a loader has it
    steps = {"contiguous float32": training_step(tsn_resnet(CLASSES), x.contiguous(), False)}
    steps |= {name: training_step(channels_last(make(CLASSES)), x, bf16) for name, make in NETWORKS.items()}
    about = {
        "clips": (options.batch, 3, options.frames, options.size, options.size),
        "threads": options.threads,
        "bf16": bf16,
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
    }
    rows = measure(steps, options.rounds)
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    for row in rows:
        print(f"{row['network']:18s} {row['ms']:8.1f} ms, {row['ratio']:.2f}x ResNet-50")
    if options.json:
        with atomic(options.json) as part:
            part.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
