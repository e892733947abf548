"""Tries to break the project, and counts what came of it: python tests/drills [--minutes 30] [--seed 0].

A third of the time goes to damaged files, the rest to full disks, signals, processes side by side, workers of a cluster that
are killed, and stops of `reproduce`, whose last round goes to its end. Exit code 1 where anything ended in a wrong value, a
traceback, a hang, or lost work.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path[0] = str(TESTS)  # this package and the toy networks of the tests

from drills import disks, files, signals, stops, workers  # noqa: E402
from drills.outcome import Tally  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    tally, rng, start = Tally(), random.Random(given.seed), time.monotonic()
    third, end = start + 20 * given.minutes, start + 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="drill-") as home:
        files.damage_files(tally, rng, Path(home) / "files", attempts=10**6, until=third)
        print(tally, flush=True)
        disks.full_disks(tally, Path(home) / "disks")
        signals.stop_commands(tally, rng, Path(home) / "signals", attempts=10)
        signals.side_by_side(tally, Path(home) / "together")
        workers.killed_workers(tally, rng, Path(home) / "workers")
        print(tally, flush=True)
        stops.stop_reproduce(tally, rng, Path(home) / "stops", until=end)
    print(tally)
    return tally.failed > 0


if __name__ == "__main__":
    sys.exit(main())
