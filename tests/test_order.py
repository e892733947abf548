"""The direction of time: right or reversed, from scores made by hand."""

import dataclasses

import numpy as np
import pytest

from repro import execute, records
from repro.config import Data, Model, Objective, Optimisation, Run
from repro.data.embedded.videos import CLASSES, TIME_PAIRS
from repro.errors import ReproError
from repro.evidence import time_order as order
from repro.evidence.tables import Row, Table, published
from repro.parameters import Parameters
from repro.records import Record

STUDY = Parameters(profile="small", seeds=(0, 1, 2))
LABELS = [k for k in range(len(CLASSES)) for _ in range(20)]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A function that records a run whose scores prefer the right direction in a share of the clips."""
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))

    def make(share: float, seed: int, lr: float, classes=CLASSES) -> Run:
        data = Data("synthetic", "x", flip=False)
        run = Run("small", seed, data, Model("resnext3d"), Objective(), Optimisation(lr=lr))
        rng = np.random.default_rng((seed, int(1000 * lr)))
        scores = rng.normal(0, 0.1, (len(LABELS), len(CLASSES)))
        partner = {CLASSES.index(a): CLASSES.index(b) for pair in TIME_PAIRS for a, b in (pair, pair[::-1])}
        for i, k in enumerate(LABELS):
            wrong = k in partner and rng.random() >= share
            scores[i, partner[k] if wrong else k] += 5
        record = Record(
            run.id, {}, [], {}, scores.astype(np.float16), LABELS, [str(i) for i in range(len(LABELS))],
            list(classes), [], {},
        )  # fmt: skip
        records.write(record, execute.record_path(run))
        return run

    return make


def test_only_the_pairs_count(made):
    run = made(1.0, 0, 0.1)
    assert order.preferred(run).shape == (2 * len(TIME_PAIRS) * 20,)
    assert order.preferred(run).all()
    assert not order.preferred(made(0.0, 0, 0.2)).any()


def test_verdicts_come_out_each_way(made):
    shares = {"blind": 0.5, "sighted": 0.9, "claims to see": 0.5, "claims to be blind": 0.9, "backwards": 0.1}
    rows = tuple(
        Row(label, tuple((made(share, seed, 0.1 + 0.01 * i),) for seed in STUDY.seeds))
        for i, (label, share) in enumerate(shares.items())
    )
    empty = published("resnets", "no such table", "synthetic", "1")
    table = Table("temporal_order", "title", "claim", "blind", rows, empty, "temporal_order")
    frame = order.frame(table, STUDY, blind=("blind", "claims to be blind")).set_index("row")
    assert frame["verdict"].to_dict() == {
        "blind": order.AS_EXPECTED,
        "sighted": "supported",
        "claims to see": "not resolved",
        "claims to be blind": "contradicted",
        "backwards": "contradicted",
    }


def test_other_data_have_no_pairs(made):
    run = made(1.0, 0, 0.1, classes=[f"class {i}" for i in range(12)])
    with pytest.raises(ReproError, match="use the embedded set"):
        order.preferred(run)


def test_a_missing_record_is_named(made):
    run = dataclasses.replace(made(1.0, 0, 0.1), seed=9)
    with pytest.raises(ReproError, match=run.id):
        order.preferred(run)
