"""The exact side of the direction of time: networks that sum over frames cannot know their order."""

import pytest

from repro.evidence import reversal
from repro.papers import time_order
from repro.parameters import Parameters

SMOKE = Parameters(profile="smoke", seeds=(0,))
ROWS = {row.label: row.runs[0] for row in time_order.rows(SMOKE) if row.runs[0].data.modality == "rgb"}


@pytest.mark.parametrize("label", ROWS)
def test_only_networks_with_temporal_modules_change_their_scores(label):
    changed = reversal.change(ROWS[label])
    assert (changed < reversal.NOTHING) == (label in time_order.BLIND)
    if label not in time_order.BLIND:
        assert changed > 1e-4


def test_the_table_finds_what_is_expected():
    frame = reversal.table(SMOKE).frame
    assert list(frame["network"]) == list(ROWS)
    assert list(frame["can know the order"]) == list(frame["expected"])
    assert set(frame["expected"]) == {"yes", "no"}
