"""Tables from records made by hand: fused streams, weighted splits, and gains that a paper states without accuracies."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repro import paths
from repro.config import CrossEntropy, Data, Model, Optimisation, Run
from repro.errors import ReproError
from repro.evidence import results, tables
from repro.evidence.intervals import crossed
from repro.evidence.statistics import Outcome, holm
from repro.papers.table import Row, Table
from repro.parameters import Parameters


@pytest.fixture
def made(recorded):
    """A function that records a run with these scores (N, 2) and the label 0 everywhere."""

    def make(scores: np.ndarray, seed: int = 0, split: int = 1, lr: float = 0.1) -> Run:
        data = Data("synthetic", "small", split=split, flip=False)
        run = Run("small", seed, data, Model("resnext3d"), CrossEntropy(), Optimisation(lr=lr))
        return recorded(run, scores, [0] * len(scores), ["a", "b"])

    return make


@pytest.fixture
def fold(recorded):
    """A function that records a run on fold `split` of a folder of videos, of which a share of n is right."""

    def make(share: float, split: int, seed: int = 0, lr: float = 0.1, n: int = 20, folds: int | str = "all") -> Run:
        data = Data("folder", "mine", split=split, folds=folds)
        run = Run("small", seed, data, Model("resnext3d"), CrossEntropy(), Optimisation(lr=lr))
        return recorded(run, right(share, n), [0] * n, ["a", "b"])

    return make


def right(share: float, n: int = 100) -> np.ndarray:
    """(n, 2) scores of which the first share is right."""
    return np.where((np.arange(n) < share * n)[:, None], (4.0, 0.0), (0.0, 4.0))


def test_streams_are_fused_by_their_shares(made):
    sure = made(np.array([[4.0, 0.0]]), lr=0.1)
    against = made(np.array([[0.0, 4.0]]), lr=0.2)
    high = 1 / (1 + np.exp(-4))  # softmax of (4, 0)
    fused = tables.probabilities([sure, against], (3, 1))[0]
    np.testing.assert_allclose(fused, [[(3 * high + 1 - high) / 4, (3 * (1 - high) + high) / 4]])
    assert tables.accuracy(Row("3:1", ((sure, against),), (3.0, 1.0))).tolist() == [100]
    assert tables.accuracy(Row("1:3", ((sure, against),), (1.0, 3.0))).tolist() == [0]
    assert tables.accuracy(Row("0:1", ((sure, against),), (0.0, 1.0))).tolist() == [0]


def test_a_borrowed_protocol_is_never_the_papers_tier():
    table = Table("t", "smnet", "T.", "C.", "a", (), ("", "", ""), "smnet", protocol="TSM")
    published = Parameters(dataset="something_v1", data_root=".", profile="paper")
    assert table.tier(published) == "paper's data, TSM's protocol"
    assert dataclasses.replace(table, protocol="").tier(published) == "paper"
    assert table.tier(Parameters()) == "synthetic"


def test_weighted_splits_count_by_their_videos(made):
    systems = ((made(right(1.0, 100), split=1),), (made(right(0.0, 300), split=2),))
    assert tables.accuracy(Row("equal", systems)).tolist() == [50]
    assert tables.accuracy(Row("weighted", systems, weighted=True)).tolist() == [25]
    other = ((made(right(0.0, 100), split=1, lr=0.2),), (made(right(0.0, 300), split=2, lr=0.2),))
    gain = tables.gain_over(Row("a", systems, weighted=True), Row("b", other, weighted=True))
    assert gain.mean == pytest.approx(0.25)


@pytest.mark.parametrize("folds", [3, "all"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_from_three_folds_of_a_folder_the_fold_is_the_unit(fold, folds, seeds):
    ours, theirs = (0.9, 0.6, 0.7), (0.4, 0.5, 0.5)

    def row(shares: tuple[float, ...], lr: float) -> Row:
        runs = [fold(s, k, seed, lr, 10 * k, folds) for k, s in enumerate(shares, 1) for seed in seeds]
        return Row(str(lr), tuple((run,) for run in runs))

    gain = tables.gain_over(row(ours, 0.1), row(theirs, 0.2))
    plain = stats.ttest_rel(ours, theirs)
    assert (gain.low, gain.high, gain.df) == pytest.approx((*plain.confidence_interval(), 2))
    assert gain.p == pytest.approx(plain.pvalue)
    assert tables.gain_over(row(theirs, 0.2), row(ours, 0.1)).mean == pytest.approx(-gain.mean)


def test_two_folds_of_a_folder_and_splits_of_other_sets_keep_the_crossed_interval(made, fold):
    def gain(make, splits: tuple[int, ...]):
        rows = [[make(right(share) if make is made else share, split=k, seed=seed, lr=lr)
                 for k in splits for seed in (0, 1)] for share, lr in ((0.8, 0.1), (0.5, 0.2))]  # fmt: skip
        better, worse = (Row("r", tuple((run,) for run in runs)) for runs in rows)
        hits = [[h.astype(float) for h in tables.hits(each).values()] for each in (better, worse)]
        return tables.gain_over(better, worse), crossed([a - b for a, b in zip(*hits, strict=True)])

    for make, splits in ((fold, (1, 2)), (fold, (1,)), (made, (1, 2, 3))):
        found, expected = gain(make, splits)
        assert found == expected
    found, expected = gain(fold, (1, 2, 3))
    assert found.mean == pytest.approx(expected.mean)
    assert found.df == 2


def test_a_table_of_folds_names_them_in_its_command(fold, paper):
    paper(("better", "gain", 30.0))
    shares = {"base": (0.4, 0.5, 0.45, 0.5), "better": (0.8, 0.9, 0.8, 0.9)}
    rows = tuple(
        Row(name, tuple((fold(s, k, lr=lr),) for k, s in enumerate(each, 1)))
        for lr, (name, each) in zip((0.1, 0.2), shares.items(), strict=True)
    )
    table = Table("t", "tstam", "Title.", "Claim.", "base", rows, NUMBERS, "tstam")
    parameters = Parameters(dataset="folder", data_root="/videos/mine", folds="all", splits="1,2,3,4", seeds=0)
    result = tables.build(table, parameters)
    verdict = result.lines[1].verdict
    assert verdict.gain.df == 3
    assert verdict.outcome is Outcome.SUPPORTED
    for words in ("-p folds all", "-p seeds 0", "-p splits 1,2,3,4"):
        assert words in result.command


@pytest.mark.parametrize(("share", "turned"), [(0.0, 0), (0.02, 2), (0.024, 2), (0.026, 3), (0.5, 40), (1.0, 40)])
def test_planting_turns_a_share_of_all_videos_and_never_more_than_the_wrong_ones(share, turned):
    before = np.arange(100) % 5 < 3  # 60 of 100 right
    kept = before.copy()
    found = tables.planted(before, share, seed=7)
    assert np.array_equal(before, kept)
    assert found.dtype == bool
    assert found.sum() == 60 + turned
    assert found[before].all()
    assert np.array_equal(found, tables.planted(before, share, seed=7))


def test_another_seed_plants_elsewhere():
    wrong = np.zeros(1000, bool)
    one, other = (np.flatnonzero(tables.planted(wrong, 0.02, seed)) for seed in (0, 1))
    assert len(one) == len(other) == 20
    assert not np.array_equal(one, other)


def test_a_planted_row_is_that_much_better_and_its_records_stay(made):
    systems = tuple((made(right(0.5), seed),) for seed in (0, 1))
    plain, better = Row("a", systems), Row("b", systems, planted=0.03)
    assert tables.accuracy(plain).tolist() == [50, 50]
    assert tables.accuracy(better).tolist() == [53, 53]
    assert tables.gain_over(better, plain).mean == pytest.approx(0.03)
    assert tables.recorded([better])[0].planted == 0.03
    nearly = Row("c", ((made(right(0.99), lr=0.2),),), planted=0.03)
    assert tables.accuracy(nearly).tolist() == [100]
    assert tables.accuracy(plain).tolist() == [50, 50]


NUMBERS = ("made up", "table", "1")


def made_table(made, shares: dict[str, float], **given) -> Table:
    """A table of three seeds per row; its first row is the reference."""
    rows = tuple(
        Row(name, tuple((made(right(share), seed, lr=0.1 * (i + 1)),) for seed in (0, 1, 2)))
        for i, (name, share) in enumerate(shares.items())
    )
    return Table("t", "tstam", "Title.", "Claim.", next(iter(shares)), rows, NUMBERS, "tstam", **given)


@pytest.fixture
def paper(monkeypatch):
    """A function that says what the made-up paper prints."""

    def prints(*rows: tuple) -> None:
        frame = pd.DataFrame(rows, columns=["row", "metric", "value"])
        frame = frame.assign(tag="stated", source="text", dataset="hmdb51")
        monkeypatch.setattr(tables, "published", lambda numbers, dataset: frame if numbers == NUMBERS else None)

    return prints


def test_a_stated_gain_or_order_is_judged_without_accuracies(made, paper):
    shares = {"base": 0.5, "gains": 0.9, "ordered": 0.9, "worse": 0.9, "silent": 0.9}
    paper(("gains", "gain", 1.3), ("ordered", "order", 1), ("worse", "order", -1))
    result = tables.build(made_table(made, shares), Parameters(seeds=(0, 1, 2)))
    frame = result.frame.set_index("row")
    assert frame["paper's gain"].to_dict() == {
        "base": "", "gains": "+1.3", "ordered": "better", "worse": "worse", "silent": "not available",
    }  # fmt: skip
    assert frame["verdict"].to_dict() == {
        "base": "compared with base", "gains": "supported", "ordered": "supported", "worse": "contradicted",
        "silent": "nothing claimed",
    }  # fmt: skip
    assert frame.loc["gains", "difference"] == "+38.7"
    assert frame.loc["ordered", "difference"] == ""
    assert set(frame["paper"]) == {"not available"}
    assert result.outcomes == [
        Outcome.REFERENCE, Outcome.SUPPORTED, Outcome.SUPPORTED, Outcome.CONTRADICTED, Outcome.UNCLAIMED,
    ]  # fmt: skip
    assert result.lines[1].verdict.gain.mean == pytest.approx(0.4)
    assert tables.sentence(result) == "Of what is claimed here (synthetic tier): 2 supported, 1 contradicted."


def test_two_accuracies_of_the_paper_make_its_gain(made, paper):
    paper(("base", "top1", 70.0), ("better", "top1", 71.5), ("worse", "top1", 69.0))
    table = made_table(made, {"base": 0.5, "better": 0.9, "worse": 0.9})
    result = tables.build(table, Parameters(seeds=(0, 1, 2)))
    frame = result.frame.set_index("row")
    assert frame["paper"].tolist() == ["70.0", "71.5", "69.0"]
    assert frame["paper's gain"].tolist() == ["", "+1.5", "-1.0"]
    assert frame["difference"].tolist() == ["", "+38.5", "+41.0"]
    assert frame["ours"].tolist() == ["50.0 ± 0.0", "90.0 ± 0.0", "90.0 ± 0.0"]
    assert result.outcomes[1:] == [Outcome.SUPPORTED, Outcome.CONTRADICTED]
    assert frame["top-5"].unique().tolist() == ["not available"]  # of two classes
    assert [line.runs for line in result.lines] == [tuple(s[0].id for s in row.systems) for row in table.rows]


@pytest.mark.parametrize(
    ("trained", "r2", "cells"),
    [
        (0.8, 0.15, ["80", "0.15"]),
        (0.79, 0.14, ["79 (not trained)", "0.14 (no imitation)"]),
        (0.5, -1.0, ["50 (not trained)", "-1.00 (no imitation)"]),
    ],
)
def test_rows_that_are_not_trained_or_do_not_imitate_are_marked(recorded, paper, trained, r2, cells):
    """The last tenth of 20 epochs counts, that is two."""
    paper()
    data = Data("synthetic", "small", flip=False)
    run = Run("small", 0, data, Model("resnext3d"), CrossEntropy(), Optimisation())
    early = [{"clip_top1": 1.0, "imitation": 1.0}] * 18
    late = [{"clip_top1": trained + change, "imitation": r2 + change} for change in (-0.004, 0.004)]
    recorded(run, right(0.5), [0] * 100, ["a", "b"], history=early + late)
    table = Table("t", "tstam", "Title.", "Claim.", "a", (Row("a", ((run,),)),), NUMBERS, "tstam")
    (line,) = tables.build(table, Parameters(profile="smoke")).lines
    assert [line.cells[name] for name in ("training", "imitation")] == cells


def test_who_has_no_teacher_has_an_empty_cell_beside_a_student_s(recorded, paper):
    paper()
    data = Data("synthetic", "small", flip=False)
    runs = [Run("small", seed, data, Model("resnext3d"), CrossEntropy(), Optimisation()) for seed in (0, 1)]
    recorded(runs[0], right(0.5), [0] * 100, ["a", "b"], history=[{"clip_top1": 1.0}] * 20)
    recorded(runs[1], right(0.5), [0] * 100, ["a", "b"], history=[{"clip_top1": 1.0, "imitation": 0.5}] * 20)
    rows = Row("alone", ((runs[0],),)), Row("taught", ((runs[1],),))
    table = Table("t", "tstam", "Title.", "Claim.", "alone", rows, NUMBERS, "tstam")
    result = tables.build(table, Parameters(seeds="0"))
    assert list(result.frame["imitation"]) == ["", "0.50"]
    assert "nan" not in result._repr_html_()


def test_a_ladder_has_one_line_per_step(made, paper):
    paper(("low", "top1", 50.0), ("middle", "top1", 90.0), ("high", "gain", 40.0))
    table = made_table(made, {"low": 0.5, "middle": 0.7, "high": 0.6}, ladders=(("low", "middle", "high"),))
    result = tables.chain(table, Parameters(seeds=(0, 1, 2)))
    assert result.name == "t_claims"
    assert [line.cells["claim"] for line in result.lines] == ["middle is better than low", "high is better than middle"]
    assert result.outcomes == [Outcome.SUPPORTED, Outcome.CONTRADICTED]
    assert [line.verdict.against for line in result.lines] == ["low", "middle"]
    gains = [line.verdict.gain for line in result.lines]
    assert [line.verdict.p for line in result.lines] == holm([gain.p for gain in gains])
    # of the step that the paper prints two accuracies of; a stated gain is over the reference row
    assert [line.verdict.power for line in result.lines] == [gains[0].power(0.4), gains[1].power(0.02)]


def test_rows_of_which_something_is_claimed_are_a_family(made, paper):
    paper(("a", "gain", 1.0), ("b", "gain", -1.0), ("equal", "gain", 0.0), ("lower", "gain", 1.0))
    shares = {"base": 0.5, "a": 0.52, "silent": 0.9, "b": 0.53, "equal": 0.5, "lower": 0.5}
    result = tables.build(made_table(made, shares), Parameters(seeds=(0, 1)))
    verdicts = {line.cells["row"]: line.verdict for line in result.lines}
    claimed = [verdicts[k] for k in ("a", "b", "lower")]
    assert [verdict.p for verdict in claimed] == holm([verdict.gain.p for verdict in claimed])
    assert [verdict.outcome for verdict in claimed] == [
        Outcome.NOT_TESTABLE, Outcome.NOT_TESTABLE, Outcome.EQUIVALENT,
    ]  # fmt: skip
    assert claimed[1].gain.mean == pytest.approx(0.03)
    assert claimed[1].power == claimed[1].gain.power(0.01)
    assert (verdicts["equal"].outcome, verdicts["equal"].p) == (Outcome.EQUIVALENT, None)
    assert (verdicts["silent"].outcome, verdicts["silent"].p) == (Outcome.UNCLAIMED, None)
    cells = {line.cells["row"]: line.cells["p (Holm)"] for line in result.lines}
    assert {row for row, text in cells.items() if text} == {"a", "b", "lower"}


def test_the_spread_over_seeds_is_that_within_a_split(made):
    def row(*shares: tuple[int, int, float]) -> Row:
        return Row("a", tuple((made(right(share), seed, split),) for split, seed, share in shares))

    assert tables.seed_sd(row((1, 0, 0.5), (1, 1, 0.7))) == pytest.approx(100 * np.std([0.5, 0.7], ddof=1))
    two = row((1, 0, 0.5), (1, 1, 0.7), (2, 0, 0.1), (2, 1, 0.2))  # splits differ by much more than seeds
    assert tables.seed_sd(two) == pytest.approx(100 * np.sqrt((0.02 + 0.005) / 2))
    assert tables.seed_sd(row((1, 0, 0.5))) is None


def test_rows_keep_the_splits_and_seeds_that_all_of_them_have(made):
    one, two, other = made(right(0.5)), made(right(0.5), seed=1), made(right(0.5), seed=1, lr=0.2)
    absent = dataclasses.replace(other, seed=0)
    kept = tables.recorded([Row("a", ((one,), (two,))), Row("b", ((absent,), (other,)))])
    assert [row.systems for row in kept] == [((two,),), ((other,),)]
    assert tables.recorded([Row("b", ((absent,),))])[0].systems == ()


def test_the_command_names_neither_a_path_nor_how_to_execute():
    folder = Parameters(dataset="folder", data_root="/videos/mine", jobs=3, fresh=True, device="cpu", seeds=(4, 5))
    assert tables.notebook_command("streams", folder, (("pairs", "1:1, 50:200"),)) == (
        "python -m repro run streams -p dataset folder -p data_root mine -p splits 1 -p seeds 4,5 -p pairs '1:1, 50:200'"
    )


def test_every_format_holds_the_table(made, paper, home):
    paper(("better", "gain", 1.0))
    table = made_table(made, {"base": 0.5, "better_& <b>|": 0.9})
    parameters = Parameters(seeds=(0, 1))
    result = tables.build(table, parameters)
    assert results.save(result, parameters, table.runs()) is result
    folder = home / "out" / "results" / "small"
    assert results.read(folder / "synthetic" / "t.json") == result  # outcomes, gains and runs included
    texts = {p.suffix: p.read_text() for p in (folder / "synthetic").glob("t.*")}
    assert texts.keys() == {".json", ".csv", ".md", ".html", ".tex"}
    csv = pd.read_csv(folder / "synthetic" / "t.csv", keep_default_na=False, dtype=str)
    assert csv.drop(columns=["command", "runs"]).to_dict("records") == [dict(line.cells) for line in result.lines]
    assert csv["runs"].tolist() == [" ".join(line.runs) for line in result.lines]
    assert set(csv["command"]) == {result.command}
    for ending, label in {
        ".md": r"better\_&amp; &lt;b&gt;\|",
        ".html": "better_&amp; &lt;b&gt;|",
        ".tex": r"better\_\& \textless{}b\textgreater{}\textbar{}",
    }.items():
        assert label in texts[ending], ending
        assert "Tier: synthetic" in texts[ending]
        assert "python -m repro run tstam" in texts[ending]
    assert {p.name for p in (folder / "records").iterdir()} == {f"{run.id}.json.gz" for run in table.runs()}


def test_a_saved_table_is_found_in_the_output_folder_then_in_the_project(made, paper, home, monkeypatch):
    paper(("better", "gain", 1.0))
    parameters = Parameters(seeds=(0, 1))
    result = tables.build(made_table(made, {"base": 0.5, "better": 0.9}), parameters)
    monkeypatch.setattr(paths, "ROOT", home / "clone")
    (home / "clone" / "results").mkdir(parents=True)
    assert results.committed("t", parameters) is None
    with monkeypatch.context() as clone:
        clone.setenv("REPRO_OUT", str(home / "clone"))
        results.save(dataclasses.replace(result, title="Committed."), parameters)
    assert results.committed("t", parameters).title == "Committed."
    results.save(result, parameters)
    assert results.committed("t", parameters) == result


def test_a_file_that_is_no_table_is_one_error(tmp_path):
    (tmp_path / "a.json").write_text('{"name": 3}')
    with pytest.raises(ReproError, match=r"a\.json: not a table that repro wrote \(.*; delete it and run its notebook"):
        results.read(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("<html>")
    with pytest.raises(ReproError, match=r"b\.json: not a table"):
        results.read(tmp_path / "b.json")


def test_streams_of_different_clips_are_not_fused(made):
    one, other = made(right(1.0, 4)), made(right(1.0, 5), lr=0.2)
    with pytest.raises(ReproError, match="different clips"):
        tables.probabilities([one, other])
