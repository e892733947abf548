"""The claims as a forest plot."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from repro.evidence.claims import Finding
from repro.evidence.statistics import Outcome
from repro.figures import results as plots
from repro.parameters import Parameters

LOOKS = {  # colour and marker
    Outcome.SUPPORTED: (plots.OURS, "o"),
    Outcome.CONTRADICTED: ("#d55e00", "X"),
    Outcome.NOT_RESOLVED: ("#777777", "s"),
}


def figure(findings: Sequence[Finding], parameters: Parameters) -> Figure:
    """A forest plot: the deciding gain of every claim with its interval, its other pairs as dots, the paper's gain."""
    labels = [textwrap.fill(f.claim.statement, 74) for f in findings]
    result = Figure(figsize=(10.5, 0.4 * len(findings) + 1.7), layout="constrained")
    axes = result.subplots()
    axes.axvline(0, color=plots.INK, lw=1)
    for place, finding in enumerate(findings):
        if finding.published.gain is not None:
            axes.plot(finding.published.gain, place, "D", ms=6, mfc="white", mec=plots.PAPER, mew=1.6, zorder=4)
        if not finding.gains:
            axes.annotate(Outcome.NOT_RUN, (0, place), (-6, 0), textcoords="offset points", ha="right", va="center")
            continue
        colour, marker = LOOKS[finding.verdict.outcome]
        gain = finding.gains[finding.decisive]
        others = [100 * g.mean for i, g in enumerate(finding.gains) if i != finding.decisive]
        axes.plot(others, np.full(len(others), place), ".", ms=8, color=plots.INK, alpha=0.5)
        axes.plot([100 * gain.low, 100 * gain.high], [place, place], color=colour, lw=2.2, solid_capstyle="round")
        axes.plot(100 * gain.mean, place, marker, ms=8, color=colour, zorder=3)
    axes.set_yticks(range(len(findings)), labels, fontsize=9)
    axes.set_ylim(len(findings) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    papers = [finding.claim.paper for finding in findings]
    for start in (i for i, paper in enumerate(papers) if i == 0 or paper != papers[i - 1]):
        axes.axhline(start - 0.5, color=plots.INK, lw=0.6)
        axes.text(1.01, start, papers[start], transform=axes.get_yaxis_transform(), va="center", fontweight="bold")
    for kind, (colour, marker) in LOOKS.items():
        axes.plot([], [], marker, ms=8, color=colour, label=kind)
    axes.plot(
        [], [], "D", ms=6, mfc="white", mec=plots.PAPER, mew=1.6, ls="none", label="the paper's gain, on its data"
    )
    axes.plot([], [], ".", ms=8, color=plots.INK, alpha=0.5, label="the claim's other pairs")
    axes.set_xlabel(f"gain in points of top-1, with its 95 % interval ({parameters.where})")
    result.legend(loc="outside lower center", ncols=5)
    result.suptitle("The papers' claims: is the better row better?", x=0.01, ha="left", fontweight="bold")
    return result
