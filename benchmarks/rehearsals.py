"""What a rehearsal of each system takes: minutes by the clock, minutes of processor time, and peak memory.

    python benchmarks/rehearsals.py --lists DIR [--dataset hmdb51] [--only SYSTEM ...] [--json FILE]

Runs `python -m repro rehearse SYSTEM`, one system after another. FILE is written after each one; what it has of the same machine
is not measured again. DIR has the official lists of the data set.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

from repro import machine, paths
from repro.papers.systems import BOTH, ONE_STREAM

SYSTEMS = (*BOTH, *ONE_STREAM)


def rehearse(system: str, dataset: str, lists: Path) -> dict:
    """One rehearsal, whose words go on to the terminal at its end. Raises CalledProcessError where it fails."""
    before, start, load = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), os.getloadavg()[0]
    words = "-m", "repro", "rehearse", system, "--dataset", dataset, "--lists", lists, "--device", "cpu"
    done = subprocess.run((sys.executable, *words), stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, flush=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = sum(getattr(after, kind) - getattr(before, kind) for kind in ("ru_utime", "ru_stime"))
    return {
        "system": system,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "processor minutes": round(spent / 60, 1),
        "peak GB": max(float(size) for size in re.findall(r"  (\d+\.\d) GB  ", done.stdout)),
        "load average before": round(load, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument("--dataset", default="hmdb51")
    parser.add_argument("--only", nargs="+", choices=SYSTEMS, metavar="SYSTEM", default=SYSTEMS)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    about = {"dataset": given.dataset, **machine.environment("cpu x1")}
    found = json.loads(given.json.read_text()) if given.json and given.json.exists() else {"rows": []}
    same = all(found.get(name) == about[name] for name in ("dataset", "machine", "versions"))
    measured = {row["system"]: row for row in found["rows"]} if same else {}
    for system in given.only:
        if system not in measured:
            measured[system] = rehearse(system, given.dataset, given.lists)
            print(measured[system], flush=True)
        if given.json:
            rows = [measured[each] for each in SYSTEMS if each in measured]
            with paths.atomic(given.json) as part:
                part.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
