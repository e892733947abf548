"""Groups guessed from file names, on the names that real data sets have, and on names that show none."""

import re
from pathlib import Path

import pytest

from repro.data import groups
from repro.data.annotations import folder
from repro.data.annotations.small import Clip


def clips(*files: str) -> list[Clip]:
    return [Clip(file, Path(file), file.split("/")[0], file, "train") for file in files]


def of(form: str, who, classes=("hug", "kick")) -> list[Clip]:
    return clips(*(form.format(cls=cls, who=each) for each in who for cls in classes))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (of("{cls}/seq0{who}_1{who}_{cls}.avi", "123"), ["seq01", "seq02", "seq03"]),
        (of("{cls}/person{who}_{cls}_d1.mp4", ("01", "02", "11")), ["person01", "person02", "person11"]),
        (of("{cls}/{who}_{cls}.avi", ("daria", "eli", "ido")), ["daria", "eli", "ido"]),
        (
            of("{cls}/v_x_g0{who}_c01.mp4", "123") + of("{cls}/v_x_g0{who}_c02.mp4", "123"),
            ["v_x_g01", "v_x_g02", "v_x_g03"],
        ),
        (
            of("{cls}/roof{who}.avi", "123") + of("{cls}/lawn{who}.avi", "12") + of("{cls}/park{who}.avi", "12"),
            ["lawn", "park", "roof"],
        ),
        (of("{cls}/{who}.avi", "123"), []),  # numbers alone
        (of("{cls}/{cls}_{who}.avi", "123"), []),  # the class is no person
        (of("{cls}/IMG_{who}.avi", ("0001", "0002", "0003")), []),  # a camera's counter
    ],
)
def test_groups_are_guessed_where_they_can_be_left_out(given, names):
    pattern, found = groups.likely(given)
    assert found == names
    assert bool(pattern) == bool(names)


def test_the_warning_names_an_option_that_works():
    given = of("{cls}/seq0{who}_1{who}_{cls}.avi", "12345")
    said = groups.warning(given)
    (pattern,) = re.findall("--group '(.+)'", said)
    assert {re.search(pattern, clip.path.name)["group"] for clip in given} == {f"seq0{i}" for i in range(1, 6)}
    assert said.endswith("(5 groups: seq01, seq02, seq03, ...)")
    assert "each of 10 clips is a group of its own" in said
    assert "show no groups: list them in a CSV file" in groups.warning(of("{cls}/{who}.avi", "123"))


def test_of_real_names(real_data):
    for name, count in (("ut_interaction", 10), ("weizmann", 6)):
        assert len(groups.likely(folder.read(real_data / name)[1])[1]) == count
