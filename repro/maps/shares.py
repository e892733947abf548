"""The table of overlaps and its sentence: do maps follow the person more than each baseline does?"""

from collections.abc import Mapping, Sequence

import numpy as np

from repro.config import Run
from repro.evidence import results
from repro.evidence.intervals import Gain, crossed
from repro.evidence.results import NOT_AVAILABLE, Line, Result
from repro.evidence.statistics import Outcome, Test, Verdict, holm
from repro.maps import measurements
from repro.maps.measurements import Overlap
from repro.parameters import Parameters

BASELINES = "chance", "the average person", "random weights"


def table(
    found: Mapping[str, Overlap], parameters: Parameters, name: str, paper: str, what: str, notebook: str, command: str
) -> Result:
    """Two lines per system: over all test clips, and over those it classified correctly.

    Shares in percent, differences in points with a 95 % interval over seeds and clips, unadjusted. The p-values of the
    verdicts are adjusted over the systems. what: names the maps, in the title. name, paper, notebook, command: as in
    `Result`.
    """
    judged = {clips: verdicts(found, clips) for clips in ("all", "right")}
    lines = [_line(k, overlap, c, judged[c][k], parameters) for k, overlap in found.items() for c in judged]
    return Result(
        name, paper, f"How much of the map lies on the person ({what}).",
        "Ours: a trained network looks at the person, more than chance, than on the average person, than untrained.",
        parameters.tier, notebook, command, tuple(lines),
        tuple(column for column in lines[0].cells if column not in ("system", "test clips", "verdict", "tier")),
    )  # fmt: skip


def _line(label: str, overlap: Overlap, clips: str, judged: Verdict, parameters: Parameters) -> Line:
    trained, chosen = overlap.trained, _chosen(overlap, clips)
    mean = crossed([np.where(chosen, trained.share, np.nan)]).mean
    over = gains(overlap, clips)
    cells = {
        "system": label,
        "test clips": f"{clips}, {chosen.sum(axis=1).mean():.0f}",
        "on the person, %": _number(100 * mean),
        "times chance": _number(mean / trained.chance[chosen].mean() if chosen.any() else np.nan, 2),
        **{f"over {name} [95 %]": _points(gain) for name, gain in over.items()},
        "empty maps": str(np.isnan(trained.share[chosen]).sum()),
        "p (Holm)": judged.p_text,
        "verdict": str(judged),
        "tier": parameters.tier,
    }
    return Line(cells, overlap.runs, judged)


def _chosen(overlap: Overlap, clips: str) -> np.ndarray:
    """(S, N) bool: all clips, or those that the network classified correctly."""
    return overlap.trained.right if clips == "right" else np.ones_like(overlap.trained.right)


def gains(overlap: Overlap, clips: str = "all") -> dict[str, Gain]:
    """{baseline: the share minus the baseline's}, over all clips, or over those classified correctly ("right")."""
    trained, chosen = overlap.trained, _chosen(overlap, clips)
    share = np.where(chosen, trained.share, np.nan)
    others = zip(BASELINES, (trained.chance, trained.usual, overlap.untrained.share), strict=True)
    return {name: crossed([share - other]) for name, other in others}


def verdicts(found: Mapping[str, Overlap], clips: str = "all") -> dict[str, Verdict]:
    """{system: verdict} on the claim that its share is above all of its baselines; p-values adjusted over the systems."""
    tests = {label: Test(tuple(gains(overlap, clips).values())) for label, overlap in found.items()}
    adjusted = holm([test.p for test in tests.values()])
    seeds = [len(overlap.trained.share) for overlap in found.values()]
    return {k: test.verdict(p, n, BASELINES) for (k, test), p, n in zip(tests.items(), adjusted, seeds, strict=True)}


def save(result: Result, found: Mapping[str, Overlap], parameters: Parameters, runs: Sequence[Run]) -> Result:
    """Writes a table of overlaps as `results.save` does, and the measurements that it was made from beside it."""
    measurements.commit(found.values(), parameters.profile)
    return results.save(result, parameters, runs)


def _number(value: float, digits: int = 1) -> str:
    return NOT_AVAILABLE if np.isnan(value) else f"{value:.{digits}f}"


def _points(gain: Gain) -> str:
    return NOT_AVAILABLE if np.isnan(gain.mean) else str(gain)


def sentence(found: Mapping[str, Overlap], what: str) -> str:
    """What the table shows over all test clips, as Markdown."""
    lines, clear, judged = [], [], verdicts(found)
    for label, overlap in found.items():
        share, area = 100 * crossed([overlap.trained.share]).mean, 100 * overlap.trained.chance.mean()
        if np.isnan(share):
            lines.append(f"- {label}: every map is empty")
            continue
        over = gains(overlap)
        points = ", ".join(f"{gain} over {name}" for name, gain in over.items())
        lines.append(f"- {label}: {share:.0f} % of the map on a person who fills {area:.0f} % of the clip ({points})")
        clear += [label] * (judged[label].outcome is Outcome.SUPPORTED)
    return "\n".join(
        [
            f"**What it shows** ({what}). Clearly above all three baselines: {', '.join(clear) or 'none'}. A share above "
            "that of random weights is a sign of learning, if only of where persons usually appear. A share above that on "
            "the average person is a sign that the map follows this person.\n",
            *lines,
        ]
    )
