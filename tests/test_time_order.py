"""The direction of time: right or reversed, from scores made by hand."""

import dataclasses

import numpy as np
import pytest

from repro.config import CrossEntropy, Data, Model, Optimisation, Run
from repro.data.embedded.options import CLASSES, TIME_PAIRS
from repro.errors import ReproError, Unavailable
from repro.evidence import time_order as order
from repro.evidence.statistics import Outcome
from repro.papers import time_order as plan
from repro.papers.table import Row, Table
from repro.parameters import Parameters

PARAMETERS = Parameters(profile="small", seeds=(0, 1, 2))
LABELS = [k for k in range(len(CLASSES)) for _ in range(20)]


@pytest.fixture
def made(recorded):
    """A function that records a run whose scores prefer the right direction in a share of the clips."""

    def make(share: float, seed: int, lr: float, classes=CLASSES) -> Run:
        data = Data("synthetic", "small", flip=False)
        run = Run("small", seed, data, Model("resnext3d"), CrossEntropy(), Optimisation(lr=lr))
        rng = np.random.default_rng((seed, int(1000 * lr)))
        scores = rng.normal(0, 0.1, (len(LABELS), len(CLASSES)))
        partner = {CLASSES.index(a): CLASSES.index(b) for pair in TIME_PAIRS for a, b in (pair, pair[::-1])}
        for i, k in enumerate(LABELS):
            wrong = k in partner and rng.random() >= share
            scores[i, partner[k] if wrong else k] += 5
        return recorded(run, scores, LABELS, classes)

    return make


def test_only_the_pairs_count(made):
    run = made(1.0, 0, 0.1)
    assert order.preferred(run).shape == (2 * len(TIME_PAIRS) * 20,)
    assert order.preferred(run).all()
    assert not order.preferred(made(0.0, 0, 0.2)).any()


def test_verdicts_come_out_each_way(made):
    shares = {"blind": 0.5, "sighted": 0.9, "claims to see": 0.5, "claims to be blind": 0.9, "backwards": 0.1}
    rows = tuple(
        Row(label, tuple((made(share, seed, 0.1 + 0.01 * i),) for seed in PARAMETERS.seeds))
        for i, (label, share) in enumerate(shares.items())
    )
    table = Table("temporal_order", "", "title", "claim", "blind", rows, ("", "", ""), "temporal_order")
    result = order.build(table, PARAMETERS, blind=("blind", "claims to be blind"))
    assert {line.cells["row"]: line.verdict.outcome for line in result.lines} == {
        "blind": Outcome.AT_CHANCE,
        "sighted": Outcome.SUPPORTED,
        "claims to see": Outcome.NOT_RESOLVED,
        "claims to be blind": Outcome.CONTRADICTED,
        "backwards": Outcome.CONTRADICTED,
    }
    sighted = result.lines[1]
    assert sighted.runs == tuple(system[0].id for system in rows[1].systems)
    assert sighted.verdict.against == "blind"
    right = np.mean([order.preferred(system[0]) for system in rows[1].systems])
    assert sighted.cells["right direction, % [95 %]"].startswith(f"{100 * right:.1f} [")
    assert sighted.cells["seeds"] == "3"
    assert result.lines[0].cells["over blind [95 %]"] == ""


def test_the_plan_names_its_blind_rows_and_wants_the_embedded_set():
    assert {row.label for row in plan.rows(PARAMETERS)} > set(plan.BLIND)
    with pytest.raises(Unavailable, match="use 'synthetic'"):
        plan.table(Parameters(dataset="ucf101"))


def test_other_data_have_no_pairs(made):
    run = made(1.0, 0, 0.1, classes=[f"class {i}" for i in range(12)])
    with pytest.raises(ReproError, match="use the embedded set"):
        order.preferred(run)


def test_a_missing_record_is_named(made):
    run = dataclasses.replace(made(1.0, 0, 0.1), seed=9)
    with pytest.raises(ReproError, match=run.id):
        order.preferred(run)
