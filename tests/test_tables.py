"""Tables from records made by hand: fused streams, weighted splits, and gains that a paper states without accuracies."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from repro import execute, records
from repro.config import Data, Model, Objective, Optimisation, Run
from repro.errors import ReproError
from repro.evidence import tables
from repro.evidence.tables import Row, Table
from repro.parameters import Parameters
from repro.records import Record


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that records a run with these scores (N, 2) and the label 0 everywhere."""
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))

    def make(scores: np.ndarray, seed: int = 0, split: int = 1, lr: float = 0.1) -> Run:
        data = Data("synthetic", "x", split=split, flip=False)
        run = Run("small", seed, data, Model("resnext3d"), Objective(), Optimisation(lr=lr))
        n = len(scores)
        record = Record(
            run.id, {}, [], {}, np.asarray(scores, np.float16), [0] * n, [str(i) for i in range(n)], ["a", "b"], [], {}
        )
        records.write(record, execute.record_path(run))
        return run

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
    table = Table("t", "T.", "C.", "a", (), pd.DataFrame(), "smnet", protocol="TSM")
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


def test_a_stated_gain_or_order_is_judged_without_accuracies(made):
    rows = [("base", 0.5, 0.1), ("gains", 0.9, 0.2), ("ordered", 0.9, 0.3), ("worse", 0.9, 0.4), ("silent", 0.9, 0.5)]
    rows = tuple(Row(name, tuple((made(right(share), s, lr=lr),) for s in (0, 1))) for name, share, lr in rows)
    paper = pd.DataFrame(
        [("gains", "gain", 1.3), ("ordered", "order", 1), ("worse", "order", -1)], columns=["row", "metric", "value"]
    ).assign(tag="stated", source="text", dataset="hmdb51")
    table = Table("t", "title", "claim", "base", rows, paper, "tstam")
    frame = tables.build(table, Parameters(seeds=(0, 1))).set_index("row")
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


def test_streams_of_different_clips_are_not_fused(made):
    one, other = made(right(1.0, 4)), made(right(1.0, 5), lr=0.2)
    with pytest.raises(ReproError, match="different clips"):
        tables.probabilities([one, other])
