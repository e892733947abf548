"""The published numbers: every one has an origin, derived ones add up, and a few are checked by hand against the papers."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from repro import networks, notebooks
from repro.evidence import published as comparison
from repro.evidence import tables
from repro.figures import published as comparison_figure
from repro.models.tools import cost
from repro.papers import imrs, tstam
from repro.parameters import Parameters

TAGS = {"stated", "derived", "recalled", "not available", "implied"}  # implied: an order that an abstract suggests
FILES = sorted(tables.NUMBERS.glob("*.csv"))
SUM = re.compile(r"\d+(?:\.\d+)?(?: [+-] \d+(?:\.\d+)?)+")


def read(file: Path) -> pd.DataFrame:
    return pd.read_csv(file, dtype={"split": str, "splits": str, "frames": str})


def numbers(frame: pd.DataFrame) -> pd.Series:
    """True for the rows that have a number."""
    return frame[[c for c in ("value", "ucf101", "hmdb51", "top1") if c in frame]].notna().any(axis=1)


def added(text: str) -> float:
    """The value of a sum such as "91.8 + 3.6 - 2.8"."""
    return sum(float(term) for term in re.findall(r"[+-]?\d+(?:\.\d+)?", text.replace(" ", "")))


def test_all_papers_files_are_here():
    assert {"imrs.csv", "imrs_table5.csv", "tstam.csv", "family2d.csv", "resnet50.csv"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_number_has_a_known_origin(file):
    frame = read(file)
    assert set(frame["tag"]) <= TAGS
    has, source = numbers(frame), frame["source"].fillna("") != ""
    nameless = frame[has & ~source & (frame["tag"] != "recalled")]
    assert nameless.empty, nameless
    assert not has[frame["tag"] == "not available"].any()
    assert has[frame["tag"] != "not available"].all()
    implied = frame[frame["tag"] == "implied"]
    assert implied.empty or set(implied["metric"]) == {"order"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_derived_numbers_are_the_sums_that_their_source_shows(file):
    frame = read(file)
    for row in frame[frame["tag"] == "derived"].itertuples():
        sums = SUM.findall(row.source)
        assert sums, f"no arithmetic in {row.source!r}"
        for text in sums:
            assert added(text) == pytest.approx(row.value), (row.row, text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_accuracies_are_percentages(file):
    frame = read(file)
    for column in ("ucf101", "hmdb51", "top1"):
        if column in frame:
            assert frame[column].dropna().between(30, 100).all()
    if "value" in frame:
        assert frame.loc[frame["metric"] == "top1", "value"].dropna().between(30, 100).all()


def test_added():
    assert added("91.8 + 3.6 - 2.8") == pytest.approx(92.6)
    assert SUM.findall("TSN 69.4 + 2.5; fusion 65.4 + 6.5 = 71.9") == ["69.4 + 2.5", "65.4 + 6.5"]


def test_numbers_quoted_from_table5_are_table5s():
    table5 = read(tables.NUMBERS / "imrs_table5.csv").set_index("method")
    names = {"MARS": "MARS", "IMRS": "IMRS", "TSN": "TSN (3 modalities)", "TSM (8 frames)": "TSM",
             "Two-Stream": "Two-stream", "TSN (3 modalities)": "TSN (3 modalities)"}  # fmt: skip
    quoted = pd.concat([read(tables.NUMBERS / f"{name}.csv") for name in ("imrs", "tstam")])
    quoted = quoted[quoted["source"].fillna("").str.contains("Table 5")]
    assert len(quoted) == 9
    for row in quoted.itertuples():
        assert row.value == table5.loc[names[row.row], row.dataset], row


def test_table5_by_hand():
    """What the text of section 4.5 says of it."""
    table5 = read(tables.NUMBERS / "imrs_table5.csv").set_index("method")
    assert len(table5) == 17
    ours = table5.loc["IMRS"]
    assert table5.loc["S3D-G", ["ucf101", "hmdb51"]].tolist() == pytest.approx([ours.ucf101 + 1.1, ours.hmdb51 + 2.4])
    assert table5.loc["RGB-I3D", "hmdb51"] == pytest.approx(ours.hmdb51 + 1.3)
    assert table5.loc["STM", "hmdb51"] == pytest.approx(ours.hmdb51 - 1.3)
    assert (ours.gflops, table5.loc["S3D-G", "gflops"]) == (18.04, 71.38)
    assert table5.loc["MARS", "splits"] == "1"
    assert table5["params_m"].isna().sum() == 4
    assert table5["gflops"].isna().sum() == 6


def test_tables_2_to_4_by_hand():
    streams = tables.published(("imrs", "streams", "mean"), "hmdb51").set_index("row")["value"]
    assert streams.to_dict() == {"RGB": 65.6, "Flow": 69.1, "IMRS": 73.5}  # abstract
    table2 = tables.published(("imrs", "table2", "1"), "synthetic").set_index("row")["value"]
    assert table2.tolist() == [65.9, 65.8, 67.0, 66.2, 67.6]
    assert tables.published(("imrs", "table3", "1"), "ucf101")["value"].tolist() == [90.7, 91.0, 91.8]
    assert tables.published(("imrs", "table4", "1"), "hmdb51")["value"].tolist()[:6] == [
        73.1,
        73.3,
        72.1,
        73.3,
        74.1,
        73.0,
    ]


def test_the_2d_family_by_hand():
    frame = comparison.family2d(Parameters(profile="smoke")).frame.set_index(["method", "frames", "views"])
    assert frame.loc[("TSM", "8", "1 clip, centre crop"), "Something-Something V1"].tolist() == ["45.6", "46.9"]
    ours = frame.loc[["SMNet", "STME", "STMSA"]]
    assert set(ours.filter(regex="Something|Kinetics|Diving").to_numpy().ravel()) == {"", "not available"}
    assert (
        len(read(tables.NUMBERS / "family2d.csv"))
        == (frame.filter(regex="Something|Kinetics|Diving") != "").sum().sum()
    )


def test_like_with_like_stands_in_table5():
    shown = comparison.imrs_numbers().set_index("method")
    assert shown.loc[["MARS", "IMRS, split 1"], "hmdb51"].tolist() == [72.3, 74.1]
    assert shown.loc[["MARS", "IMRS, split 1"], "ucf101"].tolist() == [94.6, 95.4]
    assert set(shown.loc[["MARS", "IMRS, split 1"], "splits"]) == {"1"}
    assert shown.loc["IMRS at test", ["params_m", "gflops"]].tolist() == [47.63, 9.57]
    said = comparison.sentence(comparison.imrs_numbers())
    assert "0.8 points (UCF101, derived) and 1.8 (HMDB51) above MARS" in said
    assert "RGB-I3D and S3D-G have more than its 73.5" in said


def test_counted_cost_is_what_the_notes_say():
    rows = {row["model"]: row for row in cost.published_models("IMRS") if row["source"] == "Table 5"}
    assert [rows[name]["match"] for name in ("3D ResNeXt-101", "MARS", "IMRS")] == [True, True, True]
    assert (rows["IMRS"]["classes"], rows["3D ResNeXt-101"]["classes"], rows["TSN"]["classes"]) == (51, 400, 101)
    frame = comparison.counted()
    assert frame.set_index("model").loc["IMRS", "printed"] == "95.23 M, 18.04 G"


def test_methods_that_no_panel_shows_are_named():
    table5 = comparison.imrs_numbers()
    words = comparison_figure.without_cost(table5)
    for name in table5.loc[table5["gflops"].isna() | table5["params_m"].isna(), "method"]:
        assert name in words
    texts = [t.get_text() for axes in comparison_figure.figure(table5).axes for t in axes.texts]
    for name in table5.loc[table5["gflops"].notna() | table5["params_m"].notna(), "method"]:
        assert name in texts


OURS = "ours (synthetic tier)"


def test_without_records_no_row_is_ours(home):
    parameters = Parameters(profile="smoke")
    for result in (comparison.imrs_table5(parameters), comparison.tstam_comparison(parameters)):
        frame = result.frame
        assert (frame[OURS] == "").all()
        assert not frame["method"].str.startswith("ours").any()
        assert not any(line.runs for line in result.lines)


def test_ours_stand_apart_with_the_cost_of_the_networks_that_ran(recorded):
    parameters = Parameters(profile="smoke", seeds=(0, 1))
    rows = {row.label: row for row in imrs.streams(parameters).rows}
    rgb, student = rows["RGB"], rows["IMRS"]
    for seed, right in ((0, [0, 0]), (1, [0, 1])):
        scores = np.eye(12)[right]
        for row in (rgb, student):
            recorded(row.systems[seed][0], scores, [0, 0], [str(k) for k in range(12)])
    recorded(tstam.stream(parameters, 1, 0), np.eye(12)[[0, 1]], [0, 0], [str(k) for k in range(12)])

    result = comparison.imrs_table5(parameters)
    frame, ours = result.frame, result.frame["method"].str.startswith("ours")
    assert frame.loc[ours, "method"].tolist() == [
        "ours: RGB",
        "ours: IMRS",
    ]  # flow, and with it two streams, has no record
    assert frame.loc[ours, OURS].tolist() == ["75.0 ± 35.4 (2 seeds)"] * 2  # 100 and 50
    assert (frame.loc[~ours, OURS] == "").all()
    assert (frame.loc[ours, ["UCF101", "HMDB51"]] == "").all(axis=None)  # never beside a paper's number
    assert [len(line.runs) for line in result.lines][-2:] == [2, 2]
    network = networks.build(rgb.systems[0][0], range(12), initialise=False)
    assert set(frame.loc[ours, "params M"]) == {f"{sum(p.numel() for p in network.parameters()) / 1e6:.3g}"}

    frame = comparison.tstam_comparison(parameters).frame
    ours = frame["method"].str.startswith("ours")
    assert frame.loc[ours, ["method", OURS]].to_numpy().tolist() == [["ours: RGB", "50.0 (one seed)"]]


def test_tstam_s_differences(home):
    frame = comparison.tstam_comparison(Parameters(profile="smoke")).frame.set_index("method")
    above = frame[["T-STAM above it, UCF101", "T-STAM above it, HMDB51"]]
    assert above.loc["Two-Stream Fusion"].tolist() == ["+3.2", "+6.5"]  # section 4.3.5
    assert above.loc["TSN (7 segments)"].tolist()[0] == "+0.8"
    assert above.loc["TSN (3 modalities)"].tolist()[1] == "+2.5"
    assert above.loc["TSM (8 frames)"].tolist() == ["-0.2", "-1.6"]  # against the text, which says better
    assert above.loc["CHAM"].tolist() == ["", ""]
    assert (frame["list"] == "attention").sum() == len(comparison.ATTENTION)


def test_the_paper_profile_lists_the_published_methods_alone(home):
    result = comparison.tstam_comparison(Parameters(profile="paper"))  # its own runs need a public file
    assert not result.frame["method"].str.startswith("ours").any()


def test_numbers_of_an_unknown_data_set_are_hmdb51s_and_no_file_gives_none():
    key = ("imrs", "table3", "1")
    assert tables.published(key, "synthetic")["value"].tolist() == tables.published(key, "hmdb51")["value"].tolist()
    assert tables.published(("", "", ""), "hmdb51").empty


def test_every_table_of_a_paper_finds_its_numbers():
    """A misspelt key or label would leave a column empty without an error."""
    for name, notebook in notebooks.NOTEBOOKS.items():
        for plan in notebook.tables:
            table = plan(Parameters(splits=notebook.splits))
            found = tables.published(table.numbers, "hmdb51")
            ours = not table.numbers[0]
            assert not ours or name in ("temporal_order", "overview", "convergence", "doses")
            assert found.empty == ours, name
            assert set(found["row"]) <= {row.label for row in table.rows}, name
