"""Does this machine give what is committed? Everything rebuilt from records, and one run of each system made again."""

import sys
from collections.abc import Callable

from repro import rebuild, records
from repro.errors import ReproError
from repro.papers import systems
from repro.parameters import Parameters
from repro.rerun import rerun, words


def verify(profile: str, jobs: int, say: Callable[[str], None] = print) -> None:
    """Says what was compared. Raises one ReproError, at the end, for files that differ, runs outside, and runs that failed."""
    print("rebuilding all tables, figures and the page from the committed records", file=sys.stderr)
    compared, different = rebuild.differences(profile)
    say(f"{compared} files rebuilt from the committed records, {len(different)} differ from the committed ones")
    recorded = records.committed(profile)
    each = systems.one_run_each(Parameters(profile=profile), recorded)
    wrong = [f"{name} differs" for name in different]
    wrong += [f"{name} has no committed run" for name, run in each.items() if run is None]
    found, failed = rerun([run.id for run in each.values() if run], recorded, profile, jobs)
    say(words(found))
    wrong += failed + [f"run {each.run} is outside the spread of its seeds" for each in found if each.outside]
    if wrong:
        raise ReproError(f"{len(wrong)} things are not as committed: " + "; ".join(wrong))
