"""What notebooks and the command line let in."""

import pytest

from repro import notebooks, parameters
from repro.config import PROFILES
from repro.errors import ReproError
from repro.papers import imrs
from repro.parameters import Parameters

MINE = {"dataset": "folder", "data_root": "/videos/mine"}


@pytest.mark.parametrize("value", [3, [3], (3,), "3", "[3]", " 3 "])
def test_numbers_come_in_every_form_papermill_hands_over(value):
    assert Parameters(seeds=value).seeds == (3,)


def test_several_numbers():
    assert Parameters(splits="1,2, 3").splits == Parameters(splits=[1, 2, 3]).splits == (1, 2, 3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"profile": "smal"}, "unknown value of Parameters.profile 'smal'; did you mean 'small'"),
        ({"dataset": "hmdb"}, "unknown dataset 'hmdb'; did you mean 'hmdb51'"),
        ({"profile": None}, "unknown value of Parameters.profile 'None'"),
        ({"sedes": 1}, "unknown field of Parameters 'sedes'; did you mean 'seeds'"),
        ({"device": "gpu"}, "unknown value of Parameters.device 'gpu'; did you mean 'cpu'"),
        ({"splits": 0}, "splits is 0, but must be whole numbers from 1"),
        ({"seeds": "one"}, "seeds is 'one'"),
        ({"seeds": "1,1"}, "each once"),
        ({"seeds": ""}, "seeds is ''"),
        ({"seeds": True}, "seeds is True"),
        ({"seeds": 1.5}, "seeds is 1.5"),
        ({"jobs": 0}, "jobs is 0"),
        ({"allow_missing": "true"}, "Parameters.allow_missing is 'true', but must be a valid boolean"),
        ({"fresh": 1}, "Parameters.fresh is 1, but must be a valid boolean"),
        ({"data_root": 3}, "Parameters.data_root is 3, but must be a valid string"),
        ({"data_root": "/x"}, "leave it empty"),
        ({"dataset": "folder"}, "data_root is empty: name the folder"),
        ({**MINE, "folds": 1}, "folds is 1, but must be a number from 2, or 'all'"),
        ({**MINE, "folds": True}, "folds is True, but must be a number from 2"),
        ({**MINE, "folds": "2,3"}, "folds is '2,3', but must be a number from 2"),
        ({**MINE, "test_groups": "a,,b"}, "test_groups is 'a,,b', but must be names"),
        ({**MINE, "test_groups": [1.5]}, r"test_groups is \[1.5\], but must be names"),
        ({"splits": "all"}, "splits is 'all', which only a folder's folds have"),
        (
            {**MINE, "splits": "all", "folds": "all"},
            "`python -m repro folds /videos/mine`, with --group, prints the numbers",
        ),
        ({"jobs": -2}, "jobs is -2, but must be a number of processes up to 1000, or -1"),
        ({"jobs": 10**6}, "jobs is 1000000, but must be a number of processes up to 1000"),
        ({"seeds": 10**20}, "seeds is 1" + "0" * 20 + ", but must be whole numbers from 0 to 2147483647"),
        ({"seeds": 10**5000}, "seeds is a value of type int that is too large to show, but must be"),
        ({"seeds": {1: 2}}, r"seeds is \{1: 2\}, but must be whole numbers"),
        ({"seeds": b"x"}, "seeds is b'x', but must be whole numbers"),
        ({"seeds": {1, 2}}, r"seeds is \{1, 2\}, but must be whole numbers"),
        (
            {"seeds": list(range(10**6))},
            r"seeds is \[0, 1, 2, .*\.\.\. \(\d,\d+,\d+ characters\), but must be .* at most 1000",
        ),
        ({"seeds": "[" * 10**5 + "]" * 10**5}, "seeds is .* characters"),
        ({"splits": 10**7}, "splits is 10000000, but must be whole numbers from 1 to 1000000"),
        ({"dataset": []}, r"Parameters.dataset is \[\], but must be a valid string"),
        ({"dataset": "x" * 5000}, "Parameters.dataset is 'x.* must be one line of text of at most 1000 characters"),
        ({**MINE, "group": "\ud800"}, r"Parameters.group is .*, in UTF-8"),
        ({"profile": []}, r"unknown value of Parameters.profile '\[\]'"),
        (
            {"pretrained_rgb": "x" * 5000},
            "Parameters.pretrained_rgb is .*, but must be a path: at most 255 bytes a name",
        ),
        ({"pretrained_flow": "x/" * 2500}, "Parameters.pretrained_flow is .* and 4095 in all"),
        ({"dataset": "folder", "data_root": "a\0b"}, r"Parameters.data_root is 'a\\x00b', but must be a path"),
        ({**MINE, "group": "a\0b"}, "Parameters.group is .*, but must be one line of text"),
        ({**MINE, "folds": 10**20}, "folds is 1.* but must be a number from 2"),
        ({**MINE, "folds": "9" * 5000}, "folds is '9.* characters"),
        ({**MINE, "test_groups": "a\0b"}, "test_groups is .* but must be names"),
        ({**MINE, "test_groups": {"a": 1}}, r"test_groups is \{'a': 1\}, but must be names"),
        ({**MINE, "test_groups": ["x" * 300]}, r"test_groups is .* \(304 characters\), but must be names"),
        ({**MINE, "test_groups": list(range(1001))}, "test_groups is .* at most 1000"),
    ],
)
def test_a_bad_parameter_is_one_error_that_names_it(given, words):
    with pytest.raises(ReproError, match=words):
        Parameters(**given)


ODD = (
    None, True, -1, 0, 10**20, 1.5, float("nan"), float("inf"), "", "x", "a\0b", "\ud800", "<b>|`$\\", "é" * 300, b"x", [], [[]],
    [1, [2]], ["a", None], {}, {1: 2}, {"a": []}, {1}, range(3), object(), 10**5000,
)  # fmt: skip


def test_an_odd_value_of_any_parameter_is_taken_or_one_error():
    """From a notebook as from the command line, where text is read as a value."""
    errors, taken = [], 0
    for name in Parameters.__dataclass_fields__:
        for value in (*ODD, *(parameters.value_of(str(each)) for each in ODD[:-1])):
            given = {**MINE, name: value} if name in ("group", "folds", "test_groups") else {name: value}
            try:
                taken += isinstance(hash(Parameters(**given)), int)
            except ReproError as error:
                errors.append(str(error))
    assert taken > 50
    assert len(errors) > 200
    assert max(map(len, errors)) < 700


@pytest.mark.parametrize("text", ["{[]: 1}", "[" * 5000, "9" * 5000, "a\0b", "(" * 300 + ")" * 300, "{1: 2}", "b'x'"])
def test_an_odd_value_on_the_command_line_is_read_or_stays_text(text):
    assert parameters.value_of(text) in (text, {1: 2}, b"x")


def test_a_damaged_notebook_is_one_error(monkeypatch, tmp_path):
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    for text in ("", "[", "{}", "[]", '{"cells": 3}', "[" * 100_000, '{"cells": [], "metadata": {}, "nbformat": 4}'):
        (tmp_path / "streams.ipynb").write_text(text)
        with pytest.raises(ReproError, match=r"streams\.ipynb: not a notebook \(.*\); take it back from git"):
            notebooks.parameters("streams")


def test_a_misspelt_name_in_the_parameters_or_injected_after_them_is_an_error():
    cell = 'profile: str = "small"\nseeds = "0"'
    names = {"profile": "small", "seeds": "0", "pairs": "1:1"}
    assert Parameters.from_notebook({**names, "In": ["", cell]}).seeds == (0,)
    assert Parameters.from_notebook({**names, "In": ["", cell, "# Parameters\npairs = 3"]}, "pairs").seeds == (0,)
    with pytest.raises(ReproError, match="unknown parameter 'sedes'; did you mean 'seeds'"):
        Parameters.from_notebook({**names, "In": ["", cell, '# Parameters\nsedes = "1"']})
    with pytest.raises(ReproError, match="unknown parameter 'porfile'; did you mean 'profile'"):
        Parameters.from_notebook({**names, "In": ["", 'porfile = "small"\nseeds = "0"']})
    own = ["", cell, "x = 3", "%time 1", "import os\nseeds_of_mine = 4"]
    assert Parameters.from_notebook({**names, "In": own}).profile == "small"  # a reader's own cells are no parameters


def test_tiers_and_names():
    assert Parameters().tier == "synthetic"
    assert Parameters(dataset="folder", data_root="/videos/mine").tier == "small real"
    assert Parameters(dataset="folder", data_root="/videos/mine").name == "folder-mine"
    assert Parameters(dataset="hmdb51", profile="paper").tier == "paper"
    assert Parameters(dataset="hmdb51").tier == "small real"

    assert Parameters(dataset="hmdb51", profile="paper", allow_missing=True).tier == "small real"
    assert [Parameters(profile=profile).source for profile in PROFILES] == ["smoke", "small-2", "large", "large"]
    assert Parameters(dataset="ucf101", profile="paper").source == ""


@pytest.mark.parametrize(("value", "folds"), [("3", 3), (3, 3), (" 9 ", 9), ("all", "all")])
def test_folds_are_a_number_or_all(value, folds):
    assert Parameters(**MINE, folds=value).folds == folds


def test_all_splits_of_a_number_of_folds_are_known_without_the_files():
    assert Parameters(**MINE, folds=5, splits="all").splits == (1, 2, 3, 4, 5)
    assert Parameters(**MINE, splits="all").splits == (1, 2, 3)
    assert Parameters(**MINE, folds="all", splits="1,2,3,4").splits == (1, 2, 3, 4)


@pytest.mark.parametrize("value", ["moshe, lyova", ["lyova", "moshe"], ("moshe", "lyova", "moshe")])
def test_test_groups_come_in_every_form_papermill_hands_over(value):
    found = Parameters(**MINE, test_groups=value)
    assert found.test_groups == ("lyova", "moshe")
    assert found.changed()["test_groups"] == ("lyova", "moshe")
    assert imrs.single(found, 1, 0).data.test_groups == ("lyova", "moshe")


def test_groups_may_be_named_by_numbers():
    assert Parameters(**MINE, test_groups=3).test_groups == ("3",)
    assert Parameters(**MINE, test_groups=(1, 2)).test_groups == ("1", "2")
    assert Parameters(**MINE, test_groups="").test_groups == Parameters(**MINE).test_groups == ()


def test_execution_is_what_no_result_depends_on():
    one, other = Parameters(), Parameters(jobs=3, device="cpu", fresh=True)
    assert other.execution == {"jobs": 3, "device": "cpu", "fresh": True}
    ids = [[run.id for run in imrs.table4(each).runs()] for each in (one, other)]
    assert ids[0] == ids[1]
    assert other.changed() == other.execution
    assert Parameters(profile="smoke", seeds="1,2").changed() == {"profile": "smoke", "seeds": (1, 2)}


def test_a_root_is_absolute_and_keeps_the_folder_s_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    found = Parameters(dataset="folder", data_root="videos/mine/")
    assert (found.root, found.source) == (str(tmp_path / "videos" / "mine"), "mine")
    assert Parameters().root == ""


def test_pairs_of_lambdas():
    assert imrs.pairs_of("1:1, 50:200") == imrs.pairs_of([[1, 1], [50, 200]]) == ((1, 1), (50, 200))
    for bad in ("1-1", "1:2:3", 5, "a:b", [[1]]):
        with pytest.raises(ReproError, match="pairs is"):
            imrs.pairs_of(bad)


def test_values_from_the_command_line():
    assert [parameters.value_of(t) for t in ("3", "1e-3", "true", "[1, 2]", "cpu", "1,2")] == [
        3, 1e-3, True, [1, 2], "cpu", (1, 2),
    ]  # fmt: skip


def test_unknown_notebooks_and_parameters_offer_the_nearest():
    with pytest.raises(ReproError, match="did you mean 'ablation_lambda'"):
        notebooks.path_of("ablation_lamda")
    with pytest.raises(ReproError, match="did you mean 'seeds'"):
        notebooks.parameters_of("streams", {"sedes": 1})
