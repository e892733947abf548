"""Verdicts on claims, from records written for the purpose: each verdict can come out, and noise resolves nothing."""

import dataclasses
import zlib

import numpy as np
import pandas as pd
import pytest

from repro import execute, notebooks, records
from repro.config import Data, Model, Objective, Optimisation, Run
from repro.errors import ReproError
from repro.evidence import claims as findings
from repro.evidence import tables
from repro.evidence.statistics import CONTRADICTED, NOT_RESOLVED, SUPPORTED, Gain
from repro.evidence.tables import ONE_SEED, Row, Table
from repro.figures import results as plots
from repro.papers import imrs
from repro.papers.claims import CLAIMS, Claim, beats, ladder
from repro.parameters import Parameters

CLIPS = 200
WEAK, STRONG = 0.55, 0.75  # shares of clips that a system gets right: far apart for three seeds of 200 clips
NUMBERS = pd.DataFrame(columns=["row", "metric", "value", "tag", "dataset"])


def run(label: str, split: int, seed: int) -> Run:
    data = Data("synthetic", label, split, val_fraction=0.0)  # the catalog's id tells the systems apart
    optimisation = Optimisation(select="last", schedule="onecycle")
    return Run("smoke", seed, data, Model("resnext3d"), Objective(), optimisation)


def planner(*labels: str, paper: pd.DataFrame = NUMBERS, against: str = ""):
    """A function from a parameters to a table with these rows, as the papers' modules have them."""

    def table(parameters: Parameters) -> Table:
        rows = tuple(
            Row(k, tuple((run(k, s, n),) for s in parameters.splits for n in parameters.seeds)) for k in labels
        )
        return Table("made_up", "Made up.", "?", against or labels[0], rows, paper, "streams")

    return table


def record(label: str, share: float, seeds=(0, 1, 2), splits=(1,), noise: int = 0) -> None:
    """Writes records of a system that gets `share` of the test clips right; which ones is drawn for every run."""
    for split, seed in ((split, seed) for split in splits for seed in seeds):
        key = zlib.crc32(f"{label}, {split}, {seed}, {noise}".encode())
        right = np.random.default_rng(key).permutation(CLIPS) < round(share * CLIPS)
        scores = np.stack([right, ~right], axis=1).astype(float)  # every label is class 0
        one = run(label, split, seed)
        clips = [f"{split}-{i}" for i in range(CLIPS)]
        made = records.Record(one.id, {}, [], {}, scores, [0] * CLIPS, clips, ["yes", "no"], [], {})
        records.write(made, execute.record_path(one))


def evaluate(pairs, *labels: str, parameters: Parameters | None = None, **given) -> findings.Finding:
    claim = Claim("One is better.", "A paper", "section 0", planner(*labels, **given), pairs)
    return findings.evaluate(parameters or Parameters(profile="smoke"), [claim])[0]


def test_a_claim_of_one_pair_comes_out_each_way(home):
    record("weak", WEAK)
    record("strong", STRONG)
    record("even", STRONG, noise=1)
    assert evaluate(beats("strong", "weak"), "weak", "strong").verdict == SUPPORTED
    assert evaluate(beats("weak", "strong"), "weak", "strong").verdict == CONTRADICTED
    assert evaluate(beats("even", "strong"), "even", "strong").verdict == NOT_RESOLVED


def test_noise_is_not_resolved(home):
    outcomes = []
    for i in range(8):
        for label in "abcd":
            record(label, STRONG, noise=i)
        outcomes.append(evaluate(beats("a", "b", "c", "d"), *"abcd").verdict)
        outcomes.append(evaluate(ladder("a", "b", "c", "d"), *"abcd").verdict)
    assert SUPPORTED not in outcomes
    assert outcomes.count(NOT_RESOLVED) >= 13  # of 16; each of three pairs is contradicted by chance in 2.5 %


def test_one_pair_decides_a_claim_of_several(home):
    for label, share in (("best", 0.9), ("good", 0.75), ("also good", 0.75), ("weak", 0.5)):
        record(label, share)
    names = ("best", "good", "also good", "weak")
    whole = evaluate(beats("best", "good", "weak"), *names)
    assert (whole.verdict, whole.over) == (SUPPORTED, "over good")  # all hold: the smallest gain is shown
    open_ = evaluate(beats("good", "also good", "weak"), *names)
    assert (open_.verdict, open_.over) == (NOT_RESOLVED, "over also good")
    against = evaluate(beats("good", "also good", "best", "weak"), *names)
    assert (against.verdict, against.over) == (CONTRADICTED, "over best")  # though one pair holds and one is open
    chain = evaluate(ladder("weak", "good", "best"), *names)
    assert chain.verdict == SUPPORTED
    assert chain.claim.pairs == (("good", "weak"), ("best", "good"))
    assert chain.over == "best over good"


@pytest.mark.parametrize(
    ("gains", "verdict", "shown"),
    [
        ([(0.03, 0.01, 0.05), (0.02, 0.01, 0.03)], SUPPORTED, 1),
        ([(0.03, 0.01, 0.05), (0.02, -0.01, 0.05), (0.2, -0.1, 0.5)], NOT_RESOLVED, 1),
        ([(-0.05, -0.2, 0.1), (-0.03, -0.04, -0.02), (0.03, 0.01, 0.05)], CONTRADICTED, 1),  # not the open one below it
        ([(-0.03, -0.04, -0.02), (-0.05, -0.07, -0.03)], CONTRADICTED, 1),
        ([(0.0, 0.0, 0.0)], NOT_RESOLVED, 0),  # equal on every clip
    ],
)
def test_the_pair_that_is_shown_shares_the_claims_verdict(gains, verdict, shown):
    assert findings.judge([Gain(*gain) for gain in gains]) == (verdict, shown)


def test_without_records_a_claim_is_not_run_and_has_its_command(home):
    record("weak", WEAK)  # the other row has none
    finding = evaluate(beats("strong", "weak"), "weak", "strong", parameters=Parameters(profile="smoke", splits=(1,)))
    assert (finding.verdict, finding.seeds, finding.runs) == (findings.NOT_RUN, 0, ())
    assert finding.command == "python -m repro run streams -p profile smoke -p splits 1 -p seeds 0,1,2"


def test_a_claim_that_is_not_run_shows_the_papers_smallest_gain(home):
    numbers = pd.DataFrame({"row": list("abc"), "metric": "top1", "value": [70.0, 68.0, 69.4], "tag": "stated"})
    finding = evaluate(beats("a", "b", "c"), *"abc", paper=numbers)
    assert (finding.verdict, finding.published) == (findings.NOT_RUN, "+0.6")


def test_only_what_all_rows_have_counts(home):
    record("weak", WEAK, seeds=(0, 1, 2), splits=(1, 2))
    record("strong", STRONG, seeds=(1, 2), splits=(1,))
    finding = evaluate(
        beats("strong", "weak"), "weak", "strong", parameters=Parameters(profile="smoke", splits=(1, 2, 3))
    )
    assert (finding.verdict, finding.seeds) == (SUPPORTED, 2)
    assert {(r.data.split, r.seed) for r in finding.runs} == {(1, 1), (1, 2)}
    assert "-p splits 1" in finding.command
    assert "-p seeds 1,2" in finding.command
    shares = finding.gains[0]
    assert shares.mean == pytest.approx(STRONG - WEAK)


def test_the_paper_s_numbers_are_those_of_the_splits_that_are_recorded(home):
    def table(parameters: Parameters) -> Table:
        value = [70.0, 60.0] if len(parameters.splits) == 3 else [50.0, 49.0]
        numbers = pd.DataFrame({"row": ["a", "b"], "metric": "top1", "value": value, "tag": "stated"})
        return planner("a", "b", paper=numbers)(parameters)

    record("a", STRONG)
    record("b", WEAK)
    claim = Claim("One is better.", "A paper", "section 0", table, beats("a", "b"))
    assert findings.evaluate(Parameters(profile="smoke", splits=(1, 2, 3)), [claim])[0].published == "+1.0"


def test_one_seed_is_said(home):
    record("weak", WEAK, seeds=(0,))
    record("strong", STRONG, seeds=(0,))
    assert evaluate(beats("strong", "weak"), "weak", "strong").verdict == SUPPORTED + ONE_SEED


def test_what_no_sentence_says_is_implied(home):
    numbers = pd.DataFrame([("a", "order", 1.0, "stated")], columns=["row", "metric", "value", "tag"])
    claim = Claim("One is better.", "A paper", "abstract, implied", planner("a", "b", paper=numbers), beats("a", "b"))
    assert findings.evaluate(Parameters(profile="smoke"), [claim])[0].published == "implied without a number"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", "top1", 70.0, "stated"), ("b", "top1", 68.5, "stated")], "+1.5"),
        ([("a", "top1", 70.0, "stated"), ("b", "top1", 68.5, "derived")], "+1.5 (derived)"),
        ([("a", "gain", 2.5, "stated"), ("a", "top1", 71.9, "derived"), ("b", "top1", 69.4, "stated")], "+2.5"),
        ([("a", "order", -1.0, "stated")], "stated without a number"),
        ([("a", "top1", 70.0, "stated")], "stated without a number"),
        ([], "not available"),
    ],
)
def test_what_the_paper_gives(home, rows, expected):
    numbers = pd.DataFrame(rows, columns=["row", "metric", "value", "tag"])
    assert evaluate(beats("a", "b"), "a", "b", paper=numbers, against="b").published == expected


def test_a_row_that_the_table_lacks_is_an_error(home):
    with pytest.raises(ReproError, match="unknown row of made_up 'stong'; did you mean 'strong'"):
        evaluate(beats("stong", "weak"), "weak", "strong")


def test_every_claim_names_rows_of_its_table_and_a_notebook_that_makes_them(monkeypatch):
    monkeypatch.setattr(
        Parameters, "prepare", lambda *_: dataclasses.make_dataclass("Clips", ["id", "excluded"])("x", ())
    )
    parameters = Parameters()
    planned = {function: function(parameters) for function in {claim.table for claim in CLAIMS}}
    for claim in CLAIMS:
        table = planned[claim.table]
        labels = {row.label for row in table.rows}
        assert {label for pair in claim.pairs for label in pair} <= labels, claim.statement
        assert claim.table in notebooks.NOTEBOOKS[table.notebook]
        assert claim.statement.endswith(".")
        assert claim.source
    assert len({claim.statement for claim in CLAIMS}) == len(CLAIMS)  # the page finds a row's runs by it


def test_the_papers_gains_are_those_of_its_text(monkeypatch):
    monkeypatch.setattr(
        Parameters, "prepare", lambda *_: dataclasses.make_dataclass("Clips", ["id", "excluded"])("x", ())
    )

    def gain(dataset: str, splits, better: str, worse: str) -> str:
        table = imrs.streams(Parameters(profile="small", dataset=dataset, splits=splits))
        return findings._published(table, better, worse, "abstract")

    assert gain("hmdb51", (1,), "IMRS", "RGB") == "+6.5"  # section 4.4
    assert gain("hmdb51", (1,), "IMRS", "Flow") == "+3.9"
    assert gain("ucf101", (1,), "IMRS", "RGB") == "+3.6 (derived)"
    assert gain("ucf101", (1,), "IMRS", "Flow") == "+2.8 (derived)"
    assert gain("hmdb51", (1, 2, 3), "IMRS", "Flow") == "+4.4"  # abstract: 73.5 and 69.1


def test_frame_sentence_figure_and_files(home):
    record("weak", WEAK)
    record("strong", STRONG)
    parameters = Parameters(profile="smoke")
    table = planner("weak", "strong", "none")
    claims = [
        Claim("Strong is better.", "A", "section 1", table, beats("strong", "weak")),
        Claim("Weak is better.", "A", "section 2", table, beats("weak", "strong")),
        Claim("None is better.", "B", "section 3", table, beats("none", "strong", "weak")),
    ]
    found = findings.evaluate(parameters, claims)
    frame = findings.frame(found, parameters)
    assert frame["verdict"].tolist() == [SUPPORTED, CONTRADICTED, findings.NOT_RUN]
    assert frame["tier"].unique().tolist() == ["synthetic"]
    assert frame["our gain [95 %]"].str.startswith(("+", "-")).tolist() == [True, True, False]
    assert findings.sentence(found) == "Of 3 claims: 1 supported, 1 contradicted, 1 not run."
    folder = tables.save(frame, "claims", parameters, found[0].runs)
    saved = pd.read_csv(folder / "claims.csv", keep_default_na=False)
    assert saved["runs"].str.split().str.len().tolist() == [6, 6, 0]
    assert saved["command"].tolist() == frame["command"].tolist()  # each claim has its own
    assert {path.suffix for path in folder.glob("claims.*")} == {".csv", ".md", ".html", ".tex"}
    assert plots.save(findings.figure(found, parameters), "claims", parameters).stat().st_size > 5000


def test_a_missing_data_root_is_an_error_and_not_a_claim_that_was_not_run(tmp_path):
    parameters = Parameters(profile="smoke", dataset="ucf101", data_root=str(tmp_path / "nowhere"))
    with pytest.raises(ReproError, match="there is no such folder"):
        findings.evaluate(parameters)


def test_a_protocol_without_its_file_leaves_the_other_claims_alone(monkeypatch):
    monkeypatch.setattr(Parameters, "prepare", lambda *_: type("Clips", (), {"id": "x", "excluded": ()}))
    found = findings.evaluate(Parameters(profile="paper"))
    assert {f.verdict for f in found} == {findings.NOT_RUN}
    tiers = {f.claim.paper: f.tier for f in found}
    assert set(tiers.values()) == {"synthetic"}
    reasons = {f.claim.paper: f.command for f in found}
    assert "pretrained_rgb" in reasons["T-STAM"]
    assert "ResNet-50" in reasons["STME"]
    assert reasons["IMRS"].startswith("python -m repro run")
