"""What the papers say of cost, decided by counts."""

import pytest

from repro.errors import ReproError
from repro.evidence import cost as efficiency
from repro.evidence.statistics import Outcome

CE, PLAIN = "3D ResNeXt-101 + CE", "3D ResNeXt-101"


@pytest.mark.slow
def test_what_the_papers_say_of_cost_holds():
    result = efficiency.claims_table()
    assert result.outcomes == [Outcome.HOLDS] * len(efficiency.CLAIMS)
    frame = result.frame
    assert frame["counted"].iloc[0] == f"{CE}: 48,340,828 parameters"
    assert frame["compared with"].iloc[0] == f"{PLAIN}: 48,340,816"
    assert frame["difference"].iloc[3] == "+1.3887 %"  # 33.154 over 32.6999 G
    assert [line.verdict.against for line in result.lines] == [claim[3] for claim in efficiency.CLAIMS]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "other", "more", "outcome"),
    [
        (CE, PLAIN, 0.0, Outcome.FAILS),
        (CE, PLAIN, 1e-6, Outcome.HOLDS),  # 12 of 48,340,816 are 2.5e-7
        (PLAIN, CE, 0.0, Outcome.HOLDS),
        (PLAIN, PLAIN, 0.0, Outcome.FAILS),
    ],
)
def test_it_can_come_out_each_way(monkeypatch, ours, other, more, outcome):
    monkeypatch.setattr(efficiency, "CLAIMS", (("fewer", "nowhere", ours, other, "parameters", more),))
    assert efficiency.claims_table().outcomes == [outcome]


@pytest.mark.slow
def test_the_exact_table_has_the_papers_figures_beside_the_counts():
    result = efficiency.exact_table()
    assert (result.tier, result.name) == ("exact", "imrs_efficiency")
    rows = {(line.cells["model"], line.cells["source"]): line.cells for line in result.lines}
    plain = rows[PLAIN, "Table 3"]
    assert (plain["parameters"], plain["paper_parameters_m"], plain["match"]) == ("48340816", "48.34", "True")
    assert rows["IMRS", "Table 5"]["match"] == "True"
    assert rows["TSN", "Table 5"]["match"] == "False"  # its 16.4 G is not reached: see the row's note
    assert rows["flow stream", "-"]["match"] == ""  # nothing is printed


@pytest.mark.slow
def test_latency_has_its_origin():
    result = efficiency.latency("smoke", repeats=1)
    cells = [line.cells for line in result.lines]
    assert [c["system"].split(",")[0].split(":")[0] for c in cells[:3]] == [
        "IMRS",
        "two streams",
        "two streams with our TV-L1",
    ]
    ms = [int(c["ms a clip"]) for c in cells]
    assert ms == sorted(ms), "each row adds work to the one before it"
    assert cells[0]["times the student"] == "1.0"
    assert [c["origin"] for c in cells[:3]] == ["measured"] * 3
    assert all(c["origin"].startswith("derived: our flow x ") for c in cells[3:])
    said = efficiency.sentence(efficiency.exact_table(), result)
    assert cells[-1]["times the student"] in said


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"one_thread": 3}', '{"one_thread": [{}]}', "[" * 100_000])
def test_a_damaged_benchmark_of_the_flow_is_one_error(tmp_path, text):
    (tmp_path / "flow.json").write_text(text)
    with pytest.raises(ReproError, match=r"flow\.json: not what benchmarks/flow\.py writes \(.*\); run it again"):
        efficiency._flow_ratio(tmp_path / "flow.json")
