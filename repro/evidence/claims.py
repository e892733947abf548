"""What our records say of each claim: a verdict, an interval, the paper's number and the command that makes it again.

The claim is the unit. A claim of several pairs has one p-value (`statistics.Test`), and the p-values of one paper's claims
are adjusted by Holm's method. An adjusted p below 0.05 decides. The intervals are each pair's own, 95 %, unadjusted.
Nothing here trains: a claim without records is "not run".
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from repro.config import Run
from repro.errors import Unavailable, unknown
from repro.evidence import tables
from repro.evidence.intervals import Gain
from repro.evidence.results import NOT_AVAILABLE, Line, Result
from repro.evidence.statistics import DECIDED, Outcome, Test, Verdict, holm, power_for
from repro.papers import imrs, smnet, stddcn, stme, stmsa, tstam
from repro.papers.table import Claim, Row, Table, unique
from repro.parameters import Parameters

CLAIMS = (*imrs.CLAIMS, *tstam.CLAIMS, *smnet.CLAIMS, *stddcn.CLAIMS, *stme.CLAIMS, *stmsa.CLAIMS)
SMALLEST, P = "smallest gain seen", "p (Holm)"  # columns: in points, with 80 % power; adjusted over the paper's claims


@dataclass(frozen=True)
class Published:
    """What the paper says of a gain: a number of points, or words alone."""

    gain: float | None
    words: str

    def __str__(self) -> str:
        return self.words if self.gain is None else f"{self.gain:+.1f}{self.words}"


@dataclass(frozen=True)
class Finding:
    """A claim and what the records say.

    verdict: its p is adjusted for the claims of the same paper, its gain and power are those of the deciding pair, its
    seeds those that every split has. test: None where nothing is recorded. published: of the deciding pair. better: each
    system of the row that all pairs call better, as (run id, its share) in turn; empty where they call several rows so.
    """

    claim: Claim
    verdict: Verdict
    test: Test | None
    published: Published
    runs: tuple[Run, ...]
    tier: str
    command: str
    better: frozenset[tuple[tuple[str, float], ...]] = frozenset()

    @property
    def gains(self) -> tuple[Gain, ...]:
        """One per pair of the claim; none where nothing is recorded."""
        return () if self.test is None else self.test.gains

    @property
    def decisive(self) -> int:
        """The index of the pair that decides, the one with the least support; 0 where nothing is recorded."""
        return 0 if self.test is None else self.test.decisive

    @property
    def over(self) -> str:
        """Which pair of several the gain is of: "over Res3", or "4 over 3" where the better rows differ."""
        better, worse = self.claim.pairs[self.decisive]
        several = len({b for b, _ in self.claim.pairs}) > 1
        return "" if len(self.claim.pairs) == 1 else f"{better} over {worse}" if several else f"over {worse}"


def evaluate(parameters: Parameters, claims: Sequence[Claim] = CLAIMS) -> list[Finding]:
    """One finding per claim, on those splits and seeds of the parameters that all rows of the claim have records of.

    The p-values are adjusted over the claims of one paper that have records.
    """
    found = [_evaluate(claim, parameters) for claim in claims]
    for paper in dict.fromkeys(claim.paper for claim in claims):
        family = [i for i, each in enumerate(found) if each.claim.paper == paper and each.test is not None]
        for i, p in zip(family, holm([found[i].test.p for i in family]), strict=True):
            verdict = _verdict(found[i].claim, found[i].test, p, found[i].verdict.seeds)
            found[i] = dataclasses.replace(found[i], verdict=verdict)
    return found


def shared(findings: Sequence[Finding]) -> list[str]:
    """For each claim the row that it and other claims call better, by its first label; empty where no other claim does.

    Rows are the same where they have a system in common, whatever table they stand in: such claims stand and fall together.
    """
    labels = []
    for each in findings:
        same = [other.claim.pairs[0][0] for other in findings if each.better & other.better]
        labels.append(same[0] if len(same) > 1 else "")
    return labels


def _verdict(claim: Claim, test: Test, p: float, seeds: int) -> Verdict:
    return test.verdict(p, seeds, [worse for _, worse in claim.pairs])


def _evaluate(claim: Claim, parameters: Parameters) -> Finding:
    try:
        table = claim.table(parameters)
    except Unavailable as error:  # one paper's protocol may want a file that another's does not
        nothing = Published(None, NOT_AVAILABLE)
        return Finding(claim, Verdict(Outcome.NOT_RUN), None, nothing, (), parameters.tier, str(error))
    places = {tables.place(s) for s in tables.recorded(_rows(table, claim))[0].systems}
    if not places:
        paper = _all_published(table, parameters.dataset, claim)
        least = min(paper, key=lambda p: math.inf if p.gain is None else p.gain)
        command = tables.command(table, parameters)
        return Finding(claim, Verdict(Outcome.NOT_RUN), None, least, (), table.tier(parameters), command)
    splits, seeds = (tuple(sorted(set(numbers))) for numbers in zip(*places, strict=True))
    here = dataclasses.replace(parameters, splits=splits, seeds=seeds)
    table = claim.table(here)  # of these splits alone: the paper's numbers may be others for them
    rows = {row.label: row for row in tables.recorded(_rows(table, claim))}
    gains = tuple(tables.gain_over(rows[better], rows[worse]) for better, worse in claim.pairs)
    paper, not_worse = _all_published(table, parameters.dataset, claim), claim.relation == "not worse"
    expected = [None if each.gain is None else each.gain / 100 for each in paper]
    powers = tuple(power_for(gain, each, not_worse) for gain, each in zip(gains, expected, strict=True))
    test = Test(gains, powers, not_worse)
    least = min(sum(split == s for split, _ in places) for s in splits)
    return Finding(
        claim,
        _verdict(claim, test, test.p, least),
        test,
        paper[test.decisive],
        tuple(unique(run for row in rows.values() for run in row.runs)),
        table.tier(parameters),
        tables.command(table, here),
        _better(rows, claim),
    )


def _better(rows: Mapping[str, Row], claim: Claim) -> frozenset[tuple[tuple[str, float], ...]]:
    labels = {better for better, _ in claim.pairs}
    if len(labels) > 1:
        return frozenset()
    row = rows[labels.pop()]
    return frozenset(tuple(zip((run.id for run in s), row.shares or [1.0] * len(s), strict=True)) for s in row.systems)


def _all_published(table: Table, dataset: str, claim: Claim) -> list[Published]:
    """The paper's gain of every pair."""
    return [_published(table, dataset, *pair, claim.source) for pair in claim.pairs]


def _rows(table: Table, claim: Claim) -> list[Row]:
    rows = {row.label: row for row in table.rows}
    labels = list(dict.fromkeys(label for pair in claim.pairs for label in pair))
    for label in labels:
        if label not in rows:
            raise unknown(f"row of {table.name}", label, rows)
    return [rows[label] for label in labels]


def _published(table: Table, dataset: str, better: str, worse: str, source: str) -> Published:
    """The paper's gain for this data set (HMDB51's for others): as stated, or from two accuracies, or without a number."""
    paper = tables.published(table.numbers, dataset)
    if paper.empty:
        return Published(None, NOT_AVAILABLE)
    stated = paper[(paper["metric"] == "gain") & (paper["row"] == better)]
    if worse == table.against and len(stated):
        return Published(stated["value"].iloc[0], "")
    top1 = paper[paper["metric"] == "top1"].set_index("row")
    if not {better, worse} <= set(top1.index):
        return Published(None, f"{'implied' if 'implied' in source else 'stated'} without a number")
    derived = "derived" in set(top1.loc[[better, worse], "tag"])
    return Published(top1.loc[better, "value"] - top1.loc[worse, "value"], " (derived)" if derived else "")


def result(findings: Sequence[Finding], parameters: Parameters) -> Result:
    """The table of all claims: one line per claim, with the command that makes its runs and its table again."""
    return Result(
        name="claims",
        paper="",
        title="The papers' claims.",
        claim="Each sentence is tested on our runs. Of a claim with several pairs the deciding one is shown. Intervals are "
        "those of one pair, unadjusted; p is adjusted for all claims of the paper and decides.",
        tier=parameters.tier,
        notebook="claims",
        command=tables.notebook_command("claims", parameters),
        lines=tuple(map(_line, findings, shared(findings))),
        numeric=("seeds", SMALLEST, P),
    )


def _line(finding: Finding, rests_on: str) -> Line:
    ours = "" if finding.verdict.gain is None else str(finding.verdict.gain)
    cells = {
        "claim": finding.claim.statement, "paper": finding.claim.paper, "source": finding.claim.source,
        "paper's gain": str(finding.published), "our gain [95 %]": ours + (f" ({finding.over})" if ours and finding.over else ""),
        SMALLEST: finding.verdict.smallest_gain_text, P: finding.verdict.p_text,
        "seeds": str(finding.verdict.seeds), "verdict": str(finding.verdict), "rests on": rests_on, "tier": finding.tier,
        "command": finding.command,
    }  # fmt: skip
    return Line(cells, tuple(run.id for run in finding.runs), finding.verdict)


def power(findings: Sequence[Finding], parameters: Parameters) -> Result:
    """The table of what these runs could have found: per paper, the true gain that they would have seen with 80 % power."""
    lines = []
    for paper in dict.fromkeys(each.claim.paper for each in findings):
        own = [each.verdict for each in findings if each.claim.paper == paper and each.verdict.smallest_gain_text]
        seen = [each.smallest_gain_text for each in sorted(own, key=lambda verdict: verdict.gain.smallest_gain)]
        cells = {
            "paper": paper, "claims": str(len(own)), "least": "".join(seen[:1]), "largest": "".join(seen[-1:]),
            str(Outcome.NOT_TESTABLE): str(sum(each.outcome is Outcome.NOT_TESTABLE for each in own)),
        }  # fmt: skip
        lines.append(Line(cells))
    return Result(
        name="power",
        paper="",
        title="What these runs could have found.",
        claim="The true gain, in points, that the runs behind a claim would have resolved with 80 % power: the least and the "
        "largest over the claims of each paper.",
        tier=parameters.tier,
        notebook="claims",
        command=tables.notebook_command("claims", parameters),
        lines=tuple(lines),
        numeric=("claims", "least", "largest", str(Outcome.NOT_TESTABLE)),
    )


def sentence(findings: Sequence[Finding]) -> str:
    """How many claims came out which way."""
    counts = Counter(finding.verdict.outcome for finding in findings)
    judged = *DECIDED, Outcome.NOT_RUN
    return f"Of {len(findings)} claims: {', '.join(f'{counts[k]} {k}' for k in judged if counts[k])}."
