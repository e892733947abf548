"""The papers' claims as a forest plot."""

import textwrap
from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.evidence.claims import Finding
from repro.evidence.statistics import DECIDED, Outcome
from repro.figures.style import INK, PAPER, plain, titled
from repro.parameters import Parameters

LOOKS = {  # colour, marker and its face: of each outcome, told apart without colour too
    Outcome.SUPPORTED: ("#0072b2", "o", "#0072b2"),
    Outcome.CONTRADICTED: ("#d55e00", "X", "#d55e00"),
    Outcome.EQUIVALENT: ("#117733", "P", "#117733"),
    Outcome.NOT_RESOLVED: ("#555555", "s", "#555555"),
    Outcome.NOT_TESTABLE: ("#8a8a8a", "s", "white"),
}


def figure(findings: Sequence[Finding], parameters: Parameters) -> Figure:
    """The deciding gain of every claim with its 95 % interval, the gains of its other pairs, and the paper's gain.

    Claims that the design could test come first, then those that it could not. Claims without records are not drawn; the
    label of the axis counts them.
    """
    groups = grouped(findings)
    height = sum(len(group) + 1 for group in groups.values())
    result = titled(10.5, 0.4 * height + 1.9, "The papers' claims: is the better row better?")
    axes = result.subplots()
    axes.axvline(0, color=INK, lw=1)
    labels, place = [], 0
    for heading, group in groups.items():
        labels.append(heading)
        axes.axhline(place, color=INK, lw=0.6, alpha=0.5)
        for i, finding in enumerate(group, place + 1):
            labels.append(textwrap.fill(finding.claim.statement, 74))
            _finding(axes, i, finding)
            if i == place + 1 or finding.claim.paper != group[i - place - 2].claim.paper:
                name = {"transform": axes.get_yaxis_transform(), "va": "center", "fontweight": "bold"}
                axes.text(1.01, i, finding.claim.paper, **name)
        place += len(group) + 1
    axes.set_yticks(range(len(labels)), labels, fontsize=9)
    for label in axes.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in groups else "normal")
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    for kind, (colour, marker, face) in LOOKS.items():
        axes.plot([], [], marker, ms=8, color=colour, mfc=face, label=str(kind))
    axes.plot([], [], "D", ms=6, mfc="white", mec=PAPER, mew=1.6, ls="none", label="the paper's gain, on its data")
    axes.plot([], [], ".", ms=8, color=INK, alpha=0.5, label="the claim's other pairs")
    left_out = len(findings) - sum(map(len, groups.values()))
    absent = f"; without records, not drawn: {left_out}" if left_out else ""
    axes.set_xlabel(f"gain in points of top-1, with its 95 % interval, unadjusted ({plain(parameters.where)}{absent})")
    result.legend(loc="outside lower center", ncols=4)
    return result


def grouped(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """{heading with its counts: findings}: of the claims with records, those that could be tested, then the others."""
    shown = [finding for finding in findings if finding.gains]
    testable = [finding for finding in shown if finding.verdict.outcome is not Outcome.NOT_TESTABLE]
    others = [finding for finding in shown if finding.verdict.outcome is Outcome.NOT_TESTABLE]
    counts = Counter(finding.verdict.outcome for finding in testable)
    words = ", ".join(f"{counts[kind]} {kind}" for kind in DECIDED if counts[kind])
    headings = {f"Testable here, {len(testable)} of {len(shown)}: {words}": testable}
    headings[f"Not testable here, {len(others)} of {len(shown)}: power under 50 % for the paper's gain"] = others
    return {heading: group for heading, group in headings.items() if group}


def _finding(axes: Axes, place: int, finding: Finding) -> None:
    """One claim on its line."""
    if finding.published.gain is not None:
        axes.plot(finding.published.gain, place, "D", ms=6, mfc="white", mec=PAPER, mew=1.6, zorder=4)
    colour, marker, face = LOOKS[finding.verdict.outcome]
    gain = finding.gains[finding.decisive]
    others = [100 * g.mean for i, g in enumerate(finding.gains) if i != finding.decisive]
    axes.plot(others, np.full(len(others), place), ".", ms=8, color=INK, alpha=0.5)
    if gain.se is not None:
        axes.plot([100 * gain.low, 100 * gain.high], [place, place], color=colour, lw=2.2, solid_capstyle="round")
    axes.plot(100 * gain.mean, place, marker, ms=8, color=colour, mfc=face, zorder=3)
