"""The papers' claims as a forest plot."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.evidence.claims import Finding
from repro.evidence.statistics import Outcome
from repro.figures.style import INK, PAPER, titled
from repro.parameters import Parameters

LOOKS = {  # colour and marker of each outcome
    Outcome.SUPPORTED: ("#0072b2", "o"),
    Outcome.CONTRADICTED: ("#d55e00", "X"),
    Outcome.NOT_RESOLVED: ("#777777", "s"),
}


def figure(findings: Sequence[Finding], parameters: Parameters) -> Figure:
    """The deciding gain of every claim with its 95 % interval, the gains of its other pairs, and the paper's gain.

    Claims without records are not drawn; the label of the axis counts them.
    """
    shown = [finding for finding in findings if finding.gains]
    result = titled(10.5, 0.4 * len(shown) + 1.9, "The papers' claims: is the better row better?")
    axes = result.subplots()
    axes.axvline(0, color=INK, lw=1)
    for place, finding in enumerate(shown):
        _finding(axes, place, finding)
    axes.set_yticks(range(len(shown)), [textwrap.fill(f.claim.statement, 74) for f in shown], fontsize=9)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    papers = [finding.claim.paper for finding in shown]
    for start in (i for i, paper in enumerate(papers) if i == 0 or paper != papers[i - 1]):
        axes.axhline(start - 0.5, color=INK, lw=0.6)
        axes.text(1.01, start, papers[start], transform=axes.get_yaxis_transform(), va="center", fontweight="bold")
    for kind, (colour, marker) in LOOKS.items():
        axes.plot([], [], marker, ms=8, color=colour, label=str(kind))
    axes.plot([], [], "D", ms=6, mfc="white", mec=PAPER, mew=1.6, ls="none", label="the paper's gain, on its data")
    axes.plot([], [], ".", ms=8, color=INK, alpha=0.5, label="the claim's other pairs")
    left_out = len(findings) - len(shown)
    absent = f"; {left_out} claims without records are not drawn" if left_out else ""
    axes.set_xlabel(f"gain in points of top-1, with its 95 % interval ({parameters.where}{absent})")
    result.legend(loc="outside lower center", ncols=5)
    return result


def _finding(axes: Axes, place: int, finding: Finding) -> None:
    """One claim on its line."""
    if finding.published.gain is not None:
        axes.plot(finding.published.gain, place, "D", ms=6, mfc="white", mec=PAPER, mew=1.6, zorder=4)
    colour, marker = LOOKS[finding.verdict.outcome]
    gain = finding.gains[finding.decisive]
    others = [100 * g.mean for i, g in enumerate(finding.gains) if i != finding.decisive]
    axes.plot(others, np.full(len(others), place), ".", ms=8, color=INK, alpha=0.5)
    axes.plot([100 * gain.low, 100 * gain.high], [place, place], color=colour, lw=2.2, solid_capstyle="round")
    axes.plot(100 * gain.mean, place, marker, ms=8, color=colour, zorder=3)
