"""What the papers say of cost, decided by counts."""

import pytest

from repro.evidence import cost as efficiency

CE, PLAIN = "3D ResNeXt-101 + CE", "3D ResNeXt-101"


def test_what_the_papers_say_of_cost_holds():
    frame = efficiency.claims_table()
    assert frame["verdict"].eq("holds").all()
    assert frame["counted"].iloc[0] == f"{CE}: 48,340,828 parameters"
    assert frame["compared with"].iloc[0] == f"{PLAIN}: 48,340,816"
    assert frame["difference"].iloc[3] == "+1.2783 %"  # 33.1179 over 32.6999 G


@pytest.mark.parametrize(
    ("ours", "other", "more", "verdict"),
    [(CE, PLAIN, 0.0, "does not hold"), (PLAIN, CE, 0.0, "holds"), (PLAIN, PLAIN, 0.0, "does not hold")],
)
def test_it_can_come_out_each_way(monkeypatch, ours, other, more, verdict):
    monkeypatch.setattr(efficiency, "CLAIMS", (("fewer", "nowhere", ours, other, "parameters", more),))
    assert efficiency.claims_table()["verdict"].tolist() == [verdict]
