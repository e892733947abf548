"""Checked dataclasses: one bad value is one error that names the field, the value and the rule."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from repro.checked import Count, Fraction, NotNegative, Positive, checked
from repro.errors import ReproError


@checked
class Inner:
    size: Count


@checked
class Outer:
    name: str
    count: Count = 1
    share: Fraction = 0.5
    rate: Positive = 1.0
    decay: NotNegative = 0.0
    kind: Literal["apple", "pear"] = "apple"
    on: bool = True
    steps: tuple[int, ...] = ()
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    inner: Inner | None = None


BAD = [
    ("name", 3, "Outer.name is 3, but must be a valid string"),
    ("count", 0, "Outer.count is 0, but must be greater than or equal to 1"),
    ("count", True, "Outer.count is True, but must be a valid integer"),
    ("count", 1.5, "Outer.count is 1.5, but must be a valid integer"),
    ("count", "3", "Outer.count is '3', but must be a valid integer"),
    ("count", None, "Outer.count is None, but must be a valid integer"),
    ("share", 1.0, "Outer.share is 1.0, but must be less than 1"),
    ("share", -0.1, "Outer.share is -0.1, but must be greater than or equal to 0"),
    ("rate", "fast", "Outer.rate is 'fast', but must be a valid number"),
    ("rate", 0, "Outer.rate is 0, but must be greater than 0"),
    ("rate", float("nan"), "Outer.rate is nan, but must be a finite number"),
    ("rate", float("inf"), "Outer.rate is inf, but must be a finite number"),
    ("decay", -1, "Outer.decay is -1, but must be greater than or equal to 0"),
    ("decay", float("inf"), "Outer.decay is inf, but must be a finite number"),
    ("kind", "aple", "unknown value of Outer.kind 'aple'; did you mean 'apple'? (known: apple, pear)"),
    ("kind", 3, "unknown value of Outer.kind '3' (known: apple, pear)"),
    ("on", "true", "Outer.on is 'true', but must be a valid boolean"),
    ("on", 1, "Outer.on is 1, but must be a valid boolean"),
    ("steps", [1], "Outer.steps is [1], but must be a valid tuple"),
    ("steps", (1, "two"), "Outer.steps is 'two', but must be a valid integer"),
    ("arguments", 3, "Outer.arguments is 3, but must be a valid dictionary"),
    ("inner", 3, "Outer.inner is 3, but must be an instance of Inner"),
]
GOOD = {"name": "n", **{f.name: f.default for f in dataclasses.fields(Outer)[1:8]}, "arguments": {}, "inner": None}


@pytest.mark.parametrize(("field", "value", "message"), BAD)
def test_a_bad_value_is_one_error_by_name_by_position_and_when_replaced(field, value, message):
    for make in (
        lambda: Outer(**{**GOOD, field: value}),
        lambda: Outer(*{**GOOD, field: value}.values()),
        lambda: dataclasses.replace(Outer("n"), **{field: value}),
    ):
        with pytest.raises(ReproError) as caught:
            make()
        assert str(caught.value) == message
        assert caught.value.__cause__ is None  # pydantic's own error is not shown


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Outer(), "Outer.name is missing"),
        (lambda: Outer("n", cuont=3), "unknown field of Outer 'cuont'; did you mean 'count'?"),
        (lambda: Outer("n", name="m"), "Outer.name is given twice, by position and by name"),
        (lambda: Outer(*GOOD.values(), 7), "Outer has 10 fields, but a value too many was given: 7"),
        (lambda: Outer("n", inner=Inner(0)), "Inner.size is 0, but must be greater than or equal to 1"),
    ],
)
def test_missing_unknown_and_superfluous_fields(make, message):
    with pytest.raises(ReproError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_good_values_are_kept_and_an_int_stands_for_a_float():
    made = Outer("n", rate=2, steps=(1, 2), arguments={"stages": (2, 3)}, inner=Inner(3))
    assert (made.rate, type(made.rate), made.steps, made.arguments["stages"]) == (2.0, float, (1, 2), (2, 3))
    assert made.inner == Inner(3)
    assert Outer(*GOOD.values()) == Outer(**GOOD) == Outer("n")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.rate = 3.0
