"""Frozen dataclasses that check their own values. One error names the field, the value and the rule."""

import dataclasses
import functools
import typing
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

import pydantic
import pydantic.dataclasses
from pydantic import Field

from repro.errors import ReproError, unknown

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
STRICT = pydantic.ConfigDict(strict=True, extra="forbid")  # no text for a number; an int may stand for a float
LONGEST = 200  # characters of a value in a message
T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def checked(cls: type[T]) -> type[T]:
    """Makes a class a frozen dataclass that compares every value with its annotation.

    The constructor raises a `ReproError` for the first value that does not fit. Rules between fields go into
    `__post_init__`, as in any dataclass.
    """
    made = pydantic.dataclasses.dataclass(frozen=True, config=STRICT)(cls)
    init = made.__init__

    @functools.wraps(init)
    def __init__(self, *args: Any, **given: Any) -> None:
        try:
            init(self, *args, **given)
        except pydantic.ValidationError as error:
            raise _readable(made, error.errors()[0]) from None

    made.__init__ = __init__
    return made


def complaint(error: pydantic.ValidationError) -> str:
    """pydantic's first complaint about stored values, in one line."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}, not {shown(first['input'])}"


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list thousands deep
        return f"a value of type {type(value).__name__} that is too large to show"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} characters)"


def _readable(cls: type, error: Any) -> ReproError:
    """pydantic's first complaint in the words of this project."""
    names = [f.name for f in dataclasses.fields(cls)]
    if error["type"] == "unexpected_positional_argument":
        return ReproError(f"{cls.__name__} has {len(names)} fields, but a value too many was given: {error['input']!r}")
    path = [names[part] if isinstance(part, int) else part for part in error["loc"][:1]]  # a number: given by position
    where = f"{cls.__name__}.{path[0]}" if path else cls.__name__
    if error["type"] == "unexpected_keyword_argument":
        return unknown(f"field of {cls.__name__}", path[0], names)
    if error["type"] == "missing":
        return ReproError(f"{where} is missing")
    if error["type"] == "multiple_argument_values":
        return ReproError(f"{where} is given twice, by position and by name")
    hint = typing.get_type_hints(cls).get(path[0])
    if typing.get_origin(hint) is Literal:
        return unknown(f"value of {where}", error["input"], typing.get_args(hint))
    rule = error["msg"].removeprefix("Input should be ")
    return ReproError(f"{where} is {error['input']!r}, but must be {rule}")
