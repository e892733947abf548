"""The table of overlaps: constructed shares that must come out each way, and the committed ones."""

import numpy as np
import pytest

from repro import paths
from repro.evidence import results
from repro.evidence.statistics import Outcome
from repro.maps import measurements, shares
from repro.maps.measurements import Measured, Overlap
from repro.parameters import Parameters


def measured(share: float, usual: float, chance: float, noise: float = 0.0, right: float = 0.5) -> Measured:
    rng = np.random.default_rng(0)
    shape = (3, 60)
    values = share + noise * rng.standard_normal(shape)
    return Measured(values, np.full(shape, usual), np.full(shape, chance), rng.random(shape) < right)


def overlap(trained: Measured, untrained: Measured) -> Overlap:
    return Overlap(("a", "b", "c"), "gradcam of x", 1, trained, untrained, {})


def table(found: Overlap) -> results.Result:
    return shares.table({"net": found}, Parameters(), "name", "imrs", "gradcam of x", "cam", "make it")


@pytest.mark.parametrize(
    ("trained", "untrained", "outcome", "against"),
    [
        (measured(0.5, 0.3, 0.2, 0.01), measured(0.4, 0.3, 0.2), Outcome.SUPPORTED, "random weights"),
        (measured(0.5, 0.3, 0.2), measured(0.6, 0.3, 0.2), Outcome.CONTRADICTED, "random weights"),
        (measured(0.5, 0.6, 0.2), measured(0.3, 0.3, 0.2), Outcome.CONTRADICTED, "the average person"),
        (measured(0.5, 0.3, 0.2, 0.5), measured(0.45, 0.3, 0.2), Outcome.NOT_RESOLVED, "random weights"),
    ],
)
def test_the_table_and_the_sentence_can_come_out_each_way(trained, untrained, outcome, against):
    found = overlap(trained, untrained)
    result = table(found)
    frame, verdict = result.frame, result.lines[0].verdict
    assert (verdict.outcome, verdict.against, verdict.seeds) == (outcome, against, 3)
    assert frame["verdict"].iloc[0] == str(outcome)
    assert frame["test clips"].str.startswith(("all, 60", "right, ")).all()
    points = 100 * (trained.share - untrained.share).mean()
    assert frame["over random weights [95 %]"].iloc[0].startswith(f"{points:+.1f}")
    text = shares.sentence({"net": found}, "gradcam of x")
    assert ("all three baselines: net." in text) == (outcome is Outcome.SUPPORTED)
    assert ("all three baselines: none." in text) == (outcome is not Outcome.SUPPORTED)
    assert f"{100 * (trained.share - trained.usual).mean():+.1f} [" in text
    assert "on a person who fills 20 % of the clip (" in text


def test_empty_maps_and_no_right_answer_are_reported():
    trained = measured(0.5, 0.3, 0.2, right=0.0)
    trained.share[0, :7] = np.nan
    frame = table(overlap(trained, trained)).frame
    assert frame["empty maps"].tolist() == ["7", "0"]
    assert frame["on the person, %"].tolist() == ["50.0", "not available"]
    assert frame["over chance [95 %]"].iloc[1] == "not available"
    assert frame["verdict"].iloc[1] == "not resolved"
    trained.share[:] = np.nan
    assert table(overlap(trained, trained)).frame["times chance"].iloc[0] == "not available"
    assert "net: every map is empty" in shares.sentence({"net": overlap(trained, trained)}, "x")


def test_saving_a_table_keeps_its_measurements(home):
    found = overlap(measured(0.5, 0.3, 0.2), measured(0.3, 0.3, 0.2))
    shares.save(table(found), {"net": found}, Parameters(), [])
    kept = home / "out" / "results" / "small" / "maps" / f"{found.id}.json"
    np.testing.assert_array_equal(measurements.read(kept).trained.share, found.trained.share)
    assert (home / "out" / "results" / "small" / "synthetic" / "name.csv").exists()


COMMITTED = {  # table: the map of a row, by the row's label
    "imrs_cam": lambda label: "gradcam of excite2",
    "cam_2d": lambda label: f"gradcam of {label.rpartition('(')[2].rstrip(')')}",
    "tstam_attention_flow": lambda label: label,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMITTED)
def test_the_committed_tables_come_from_the_committed_measurements(name):
    folder = paths.ROOT / "results" / "small"
    result, found = results.read(folder / "synthetic" / f"{name}.json"), {}
    for line in result.lines:
        label = line.cells["system"]
        keys = [measurements.key(line.runs, COMMITTED[name](label), step) for step in (3, 6, 15)]
        (found[label],) = (measurements.read(path) for k in keys if (path := folder / "maps" / f"{k}.json").exists())
    made = shares.table(found, Parameters(), name, result.paper, "x", result.notebook, result.command)
    assert made.lines == result.lines
