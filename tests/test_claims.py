"""Verdicts on claims, from records written for the purpose: each verdict can come out, and noise resolves nothing."""

import zlib

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repro import notebooks
from repro.config import CrossEntropy, Data, Model, Optimisation, Run
from repro.errors import ReproError
from repro.evidence import claims as findings
from repro.evidence import results, tables
from repro.evidence.statistics import Outcome, holm
from repro.figures import claims as figures
from repro.figures import style
from repro.papers import imrs
from repro.papers.table import Claim, Row, Table, beats, each_beats, ladder
from repro.parameters import Parameters

SUPPORTED, CONTRADICTED, NOT_RESOLVED = Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.NOT_RESOLVED
NOT_TESTABLE = Outcome.NOT_TESTABLE
CLIPS = 200
WEAK, STRONG = 0.55, 0.75  # shares of clips that a system gets right: far apart for three seeds of 200 clips
NUMBERS = "made up", "table", "1"
PUBLISHED = tables.published


def run(label: str, split: int, seed: int) -> Run:
    data = Data("synthetic", label, split, val_fraction=0.0)  # the source tells the systems apart
    optimisation = Optimisation(select="last", schedule="onecycle")
    return Run("smoke", seed, data, Model("resnext3d"), CrossEntropy(), optimisation)


def planner(*labels: str, against: str = ""):
    """A function from parameters to a table with these rows, as the papers' modules have them."""

    def table(parameters: Parameters) -> Table:
        rows = tuple(
            Row(k, tuple((run(k, s, n),) for s in parameters.splits for n in parameters.seeds)) for k in labels
        )
        numbers = (*NUMBERS[:2], ",".join(map(str, parameters.splits)))
        return Table("made_up", "", "Made up.", "?", against or labels[0], rows, numbers, "streams")

    return table


@pytest.fixture(autouse=True)
def prints(monkeypatch):
    """A function that says what the made-up paper prints for some splits: rows, metrics, values, tags."""
    printed = {}

    def published(numbers: tuple[str, str, str], dataset: str) -> pd.DataFrame:
        if numbers[:2] != NUMBERS[:2]:
            return PUBLISHED(numbers, dataset)
        return pd.DataFrame(printed.get(numbers[2], ()), columns=["row", "metric", "value", "tag"])

    monkeypatch.setattr(tables, "published", published)
    return lambda *rows, splits="1": printed.update({splits: rows})


@pytest.fixture
def record(recorded):
    """A function that records a system that gets a share of the test clips right; which ones is drawn for every run.

    sd: the standard deviation of that share over seeds.
    """

    def write(label: str, share: float, seeds=(0, 1, 2), splits=(1,), noise: int = 0, sd: float = 0.0) -> None:
        for split, seed in ((split, seed) for split in splits for seed in seeds):
            rng = np.random.default_rng(zlib.crc32(f"{label}, {split}, {seed}, {noise}".encode()))
            right = (
                rng.random(CLIPS) < share + sd * rng.normal() if sd else rng.permutation(CLIPS) < round(share * CLIPS)
            )
            clips = [f"{split}-{i}" for i in range(CLIPS)]  # every label is class 0
            recorded(
                run(label, split, seed), np.stack([right, ~right], axis=1), [0] * CLIPS, ["yes", "no"], clips=clips
            )

    return write


def evaluate(pairs, *labels: str, parameters: Parameters | None = None, **given) -> findings.Finding:
    claim = Claim("One is better.", "A paper", "section 0", planner(*labels, **given), pairs)
    return findings.evaluate(parameters or Parameters(profile="smoke", seeds=(0, 1, 2)), [claim])[0]


def test_a_claim_of_one_pair_comes_out_each_way(record):
    record("weak", WEAK)
    record("strong", STRONG)
    record("even", STRONG, noise=1)
    assert evaluate(beats("strong", "weak"), "weak", "strong").verdict.outcome == SUPPORTED
    assert evaluate(beats("weak", "strong"), "weak", "strong").verdict.outcome == CONTRADICTED
    assert evaluate(beats("even", "strong"), "even", "strong").verdict.outcome == NOT_TESTABLE


def test_the_power_for_the_papers_gain_says_what_could_be_tested(record, prints):
    record("a", STRONG)
    record("b", STRONG, noise=1)
    found = evaluate(beats("a", "b"), "a", "b")
    assert found.verdict.outcome == NOT_TESTABLE
    assert found.verdict.power == found.gains[0].power(0.02) < 0.5
    prints(("a", "top1", 70.0, "stated"), ("b", "top1", 50.0, "stated"))
    found = evaluate(beats("a", "b"), "a", "b")
    assert found.verdict.outcome == NOT_RESOLVED
    assert found.verdict.power == found.gains[0].power(0.2) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("pairs", [beats("a", "b", "c", "d"), ladder("a", "b", "c", "d")])
def test_noise_between_seeds_decides_no_more_than_5_percent(record, pairs):
    outcomes = []
    for i in range(80):
        for label in "abcd":
            record(label, STRONG, noise=i, sd=0.05)
        outcomes.append(evaluate(pairs, *"abcd").verdict.outcome)
    decided = outcomes.count(SUPPORTED) + outcomes.count(CONTRADICTED)
    assert decided <= stats.binom.isf(0.001, 80, 0.05)
    assert outcomes.count(NOT_TESTABLE) > 60


def test_the_claims_of_a_paper_are_a_family(record):
    for label, share in (("weak", WEAK), ("strong", STRONG), ("even", STRONG - 0.08)):
        record(label, share, sd=0.02)
    table = planner("weak", "strong", "even")
    pairs = [("strong", "weak"), ("strong", "even"), ("even", "weak"), ("weak", "even")]
    papers = "one", "one", "one", "other"
    claims = [Claim(paper, paper, "", table, beats(*pair)) for paper, pair in zip(papers, pairs, strict=True)]
    found = findings.evaluate(Parameters(profile="smoke", seeds=(0, 1, 2)), claims)
    alone = [finding.test.p for finding in found]
    assert [finding.verdict.p for finding in found] == [*holm(alone[:3]), alone[3]]
    assert all(found[i].verdict.p > alone[i] for i in (0, 2)), "the correction is seen"


def test_a_claim_of_being_not_worse_is_one_of_non_inferiority(record):
    record("weak", WEAK)
    record("strong", STRONG)
    record("same", STRONG)
    table = planner("weak", "strong", "same")
    claims = [
        Claim(f"{a} keeps up with {b}.", a + b, "", table, beats(a, b), "not worse")
        for a, b in (("strong", "weak"), ("weak", "strong"), ("same", "strong"))
    ]
    found = findings.evaluate(Parameters(profile="smoke", seeds=(0, 1, 2)), claims)
    assert [finding.verdict.outcome for finding in found] == [SUPPORTED, CONTRADICTED, NOT_TESTABLE]
    assert all(finding.test.not_worse for finding in found)
    (committed,) = (claim for claim in findings.CLAIMS if claim.relation == "not worse")
    assert "keeps up with two streams" in committed.statement


def test_one_pair_decides_a_claim_of_several(record):
    for label, share in (("best", 0.9), ("good", 0.75), ("also good", 0.75), ("weak", 0.5)):
        record(label, share)
    names = ("best", "good", "also good", "weak")
    whole = evaluate(beats("best", "good", "weak"), *names)
    assert (whole.verdict.outcome, whole.over) == (SUPPORTED, "over good")  # all hold: the smallest gain is shown
    open_ = evaluate(beats("good", "also good", "weak"), *names)
    assert (open_.verdict.outcome, open_.over) == (NOT_TESTABLE, "over also good")
    against = evaluate(beats("good", "also good", "best", "weak"), *names)
    assert (against.verdict.outcome, against.over) == (
        CONTRADICTED,
        "over best",
    )  # though one pair holds and one is open
    chain = evaluate(ladder("weak", "good", "best"), *names)
    assert chain.verdict.outcome == SUPPORTED
    assert chain.claim.pairs == (("good", "weak"), ("best", "good"))
    assert chain.over == "best over good"


def test_without_records_a_claim_is_not_run_and_has_its_command(record):
    record("weak", WEAK)  # the other row has none
    parameters = Parameters(profile="smoke", splits=(1,), seeds=(0, 1, 2))
    finding = evaluate(beats("strong", "weak"), "weak", "strong", parameters=parameters)
    assert (finding.verdict.outcome, finding.verdict.seeds, finding.runs) == (Outcome.NOT_RUN, 0, ())
    assert finding.verdict.gain is None
    assert finding.command == "python -m repro run streams -p profile smoke -p splits 1 -p seeds 0,1,2"


def test_a_claim_that_is_not_run_shows_the_papers_smallest_gain(home, prints):
    prints(*((row, "top1", value, "stated") for row, value in (("a", 70.0), ("b", 68.0), ("c", 69.4))))
    finding = evaluate(beats("a", "b", "c"), *"abc")
    assert (finding.verdict.outcome, str(finding.published)) == (Outcome.NOT_RUN, "+0.6")
    assert finding.published.gain == pytest.approx(0.6)


def test_only_what_all_rows_have_counts(record):
    record("weak", WEAK, seeds=(0, 1, 2, 3), splits=(1, 2))
    record("strong", STRONG, seeds=(1, 2, 3), splits=(1,))
    finding = evaluate(
        beats("strong", "weak"),
        "weak",
        "strong",
        parameters=Parameters(profile="smoke", splits=(1, 2, 3), seeds=(0, 1, 2, 3)),
    )
    assert (finding.verdict.outcome, finding.verdict.seeds) == (SUPPORTED, 3)
    assert {(r.data.split, r.seed) for r in finding.runs} == {(1, 1), (1, 2), (1, 3)}
    assert "-p splits 1" in finding.command
    assert "-p seeds 1,2,3" in finding.command
    assert finding.gains[0].mean == pytest.approx(STRONG - WEAK)
    assert finding.verdict.gain == finding.gains[0]


def test_the_paper_s_numbers_are_those_of_the_splits_that_are_recorded(record, prints):
    prints(("a", "top1", 70.0, "stated"), ("b", "top1", 60.0, "stated"), splits="1,2,3")
    prints(("a", "top1", 50.0, "stated"), ("b", "top1", 49.0, "stated"), splits="1")
    record("a", STRONG)
    record("b", WEAK)
    three = Parameters(profile="smoke", splits=(1, 2, 3))
    assert str(evaluate(beats("a", "b"), "a", "b", parameters=three).published) == "+1.0"


def test_one_seed_is_said(record):
    record("weak", WEAK, seeds=(0,))
    record("strong", STRONG, seeds=(0,))
    found = evaluate(beats("strong", "weak"), "weak", "strong")
    assert str(found.verdict) == "not resolved (one seed)"
    line = findings.result([found], Parameters(profile="smoke")).lines[0].cells
    assert (line["smallest gain seen"], line["our gain [95 %]"]) == ("", f"{100 * found.gains[0].mean:+.1f}")


def test_what_no_sentence_says_is_implied(home, prints):
    prints(("a", "order", 1.0, "stated"))
    claim = Claim("One is better.", "A paper", "abstract, implied", planner("a", "b"), beats("a", "b"))
    (found,) = findings.evaluate(Parameters(profile="smoke"), [claim])
    assert str(found.published) == "implied without a number"


@pytest.mark.parametrize(
    ("rows", "expected", "gain"),
    [
        ([("a", "top1", 70.0, "stated"), ("b", "top1", 68.5, "stated")], "+1.5", 1.5),
        ([("a", "top1", 70.0, "stated"), ("b", "top1", 68.5, "derived")], "+1.5 (derived)", 1.5),
        ([("a", "gain", 2.5, "stated"), ("a", "top1", 71.9, "derived"), ("b", "top1", 69.4, "stated")], "+2.5", 2.5),
        ([("a", "order", -1.0, "stated")], "stated without a number", None),
        ([("a", "top1", 70.0, "stated")], "stated without a number", None),
        ([], "not available", None),
    ],
)
def test_what_the_paper_gives(home, prints, rows, expected, gain):
    prints(*rows)
    found = evaluate(beats("a", "b"), "a", "b", against="b").published
    assert (str(found), found.gain) == (expected, gain)


def test_a_row_that_the_table_lacks_is_an_error(home):
    with pytest.raises(ReproError, match="unknown row of made_up 'stong'; did you mean 'strong'"):
        evaluate(beats("stong", "weak"), "weak", "strong")


def test_pairs():
    assert beats("a", "b", "c") == (("a", "b"), ("a", "c"))
    assert each_beats("a", "b", "c") == (("b", "a"), ("c", "a"))
    assert ladder("a", "b", "c") == (("b", "a"), ("c", "b"))


def test_every_claim_names_rows_of_its_table_and_a_notebook_that_makes_them():
    parameters = Parameters()
    planned = {function: function(parameters) for function in {claim.table for claim in findings.CLAIMS}}
    for claim in findings.CLAIMS:
        table = planned[claim.table]
        labels = {row.label for row in table.rows}
        assert {label for pair in claim.pairs for label in pair} <= labels, claim.statement
        assert claim.table in notebooks.NOTEBOOKS[table.notebook].tables
        assert claim.statement.endswith(".")
        assert claim.source
    assert len({claim.statement for claim in findings.CLAIMS}) == len(findings.CLAIMS)  # the page finds runs by it
    assert {claim.paper for claim in findings.CLAIMS} == {"IMRS", "T-STAM", "SMNet", "STME", "STMSA", "STDDCN"}


def test_the_papers_gains_are_those_of_its_text():
    def gain(dataset: str, splits, better: str, worse: str) -> str:
        table = imrs.streams(Parameters(profile="small", dataset=dataset, splits=splits))
        return str(findings._published(table, dataset, better, worse, "abstract"))

    assert gain("hmdb51", (1,), "IMRS", "RGB") == "+6.5"  # section 4.4
    assert gain("hmdb51", (1,), "IMRS", "Flow") == "+3.9"
    assert gain("ucf101", (1,), "IMRS", "RGB") == "+3.6 (derived)"
    assert gain("ucf101", (1,), "IMRS", "Flow") == "+2.8 (derived)"
    assert gain("hmdb51", (1, 2, 3), "IMRS", "Flow") == "+4.4"  # abstract: 73.5 and 69.1


def test_table_sentence_figure_and_files(record, home):
    record("weak", WEAK)
    record("strong", STRONG)
    parameters = Parameters(profile="smoke", seeds=(0, 1, 2))
    table = planner("weak", "strong", "none")
    claims = [
        Claim("Strong is better.", "A", "section 1", table, beats("strong", "weak")),
        Claim("Weak is better.", "A", "section 2", table, beats("weak", "strong")),
        Claim("None is better.", "B", "section 3", table, beats("none", "strong", "weak")),
    ]
    found = findings.evaluate(parameters, claims)
    result = findings.result(found, parameters)
    assert result.outcomes == [SUPPORTED, CONTRADICTED, Outcome.NOT_RUN]
    assert [line.cells["verdict"] for line in result.lines] == ["supported", "contradicted", "not run"]
    assert [line.verdict.gain for line in result.lines] == [found[0].gains[0], found[1].gains[0], None]
    frame = result.frame
    assert frame["tier"].unique().tolist() == ["synthetic"]
    assert frame["our gain [95 %]"].str.startswith(("+", "-")).tolist() == [True, True, False]
    first = result.lines[0]
    assert first.cells["p (Holm)"] == first.verdict.p_text == "< 0.001"
    assert first.cells["smallest gain seen"] == f"{100 * found[0].gains[0].smallest_gain:.1f}"
    assert findings.sentence(found) == "Of 3 claims: 1 supported, 1 contradicted, 1 not run."
    results.save(result, parameters)
    folder = home / "out" / "results" / "smoke" / "synthetic"
    saved = pd.read_csv(folder / "claims.csv", keep_default_na=False)
    assert saved["runs"].str.split().str.len().tolist() == [6, 6, 0]
    assert saved["command"].tolist() == [finding.command for finding in found]  # each claim has its own
    assert {path.suffix for path in folder.glob("claims.*")} == {".json", ".csv", ".md", ".html", ".tex"}
    assert results.read(folder / "claims.json") == result
    drawn = style.save(figures.figure(found, parameters), "claims", parameters, "claims")
    assert drawn.stat().st_size > 5000


def test_claims_that_rest_on_the_same_runs_are_named(record):
    for label in ("a", "b", "c"):
        record(label, STRONG, splits=(1, 2))
    both, one = (Parameters(profile="smoke", splits=splits, seeds=(0, 1, 2)) for splits in ((1, 2), (1,)))

    def made(parameters: Parameters, pairs) -> findings.Finding:
        claim = Claim(str(pairs), "A", "", planner("a", "b", "c"), pairs)
        return findings.evaluate(parameters, [claim])[0]

    found = [
        made(both, beats("b", "c")), made(both, beats("a", "b")), made(one, beats("a", "b", "c")),
        made(one, each_beats("c", "a", "b")),
    ]  # fmt: skip
    assert findings.shared(found) == ["", "a", "a", ""]
    assert found[0].better == {((run("b", split, seed).id, 1.0),) for split in (1, 2) for seed in (0, 1, 2)}
    lines = findings.result(found, both).lines
    assert [line.cells["rests on"] for line in lines] == ["", "a", "a", ""]


def test_the_figure_draws_what_could_be_tested_first_and_counts(record):
    record("weak", WEAK)
    record("strong", STRONG)
    record("even", STRONG, noise=1)
    record("once", STRONG, seeds=(0,))
    table = planner("weak", "strong", "even", "none")
    pairs = [("even", "strong"), ("strong", "weak"), ("weak", "strong"), ("none", "weak")]
    claims = [Claim(f"{a} is better than {b}.", "A", "", table, beats(a, b)) for a, b in pairs]
    claims.append(Claim("One seed.", "B", "", planner("once", "weak"), beats("once", "weak")))
    found = findings.evaluate(Parameters(profile="smoke", seeds=(0, 1, 2)), claims)
    groups = figures.grouped(found)
    assert {heading: [f.claim.statement for f in group] for heading, group in groups.items()} == {
        "Testable here, 3 of 4: 1 supported, 1 contradicted, 1 not resolved": [
            "strong is better than weak.", "weak is better than strong.", "One seed.",
        ],
        "Not testable here, 1 of 4: power under 50 % for the paper's gain": ["even is better than strong."],
    }  # fmt: skip
    (axes,) = figures.figure(found, Parameters(profile="smoke")).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert [label in groups for label in labels] == [True, False, False, False, True, False]
    assert "without records, not drawn: 1" in axes.get_xlabel()
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] != line.get_xdata()[1]]
    intervals = [tuple(np.divide(line.get_xdata(), 100)) for line in lines if line.get_linewidth() > 2]
    gains = [f.gains[0] for group in groups.values() for f in group if f.gains[0].se is not None]
    assert intervals == [pytest.approx((gain.low, gain.high)) for gain in gains]
    looks = [(marker, face == "white") for _, marker, face in figures.LOOKS.values()]
    assert len(set(looks)) == len(figures.LOOKS), "outcomes must be told apart without colour"


def test_claims_of_an_absent_data_set_are_not_run(tmp_path, home):
    parameters = Parameters(profile="smoke", dataset="ucf101", data_root=str(tmp_path / "nowhere"))
    found = findings.evaluate(parameters)
    assert {finding.verdict.outcome for finding in found} == {Outcome.NOT_RUN}
    assert not list(tmp_path.iterdir()), "looking at claims wrote a file"


def test_a_protocol_without_its_file_leaves_the_other_claims_alone(home):
    found = findings.evaluate(Parameters(profile="paper"))
    assert {f.verdict.outcome for f in found} == {Outcome.NOT_RUN}
    assert {f.tier for f in found} == {"synthetic"}
    reasons = {f.claim.paper: f.command for f in found}
    assert "pretrained_rgb" in reasons["T-STAM"]
    assert "ResNet-50" in reasons["STME"]
    assert "Kinetics-400" in reasons["IMRS"]
