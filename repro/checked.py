"""Frozen dataclasses that check their own values. One error names the field, the value and the rule."""

import dataclasses
import functools
import os
import typing
from typing import Annotated, Any, Literal, TypeVar, dataclass_transform

import pydantic
import pydantic.dataclasses
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from repro.errors import ReproError, unknown

LONGEST = 200  # characters of a value in a message
LONGEST_TEXT = 1000
MOST = 10**6  # frames, pixels, epochs, clips: a number beyond is a slip, and would take all memory or time


def _text(value: str) -> str:
    """Text that a file, a table and a command line can hold."""
    control = any(ord(character) < 32 for character in value)
    if control or len(value) > LONGEST_TEXT or value.encode(errors="ignore").decode() != value:
        rule = f"Input should be one line of text of at most {LONGEST_TEXT} characters, in UTF-8"
        raise PydanticCustomError("text", rule)
    return value


def _place(value: str) -> str:
    """A path that a file system can have; whether it is there is not asked."""
    name = max((len(os.fsencode(part)) for part in value.split(os.sep)), default=0)
    if "\0" in value or name > 255 or len(os.fsencode(value)) > 4095:
        raise PydanticCustomError(
            "path", "Input should be a path: at most 255 bytes a name and 4095 in all, without NUL"
        )
    return value


Count = Annotated[int, Field(ge=1, le=MOST)]
CountOrZero = Annotated[int, Field(ge=0, le=MOST)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]  # torch takes 64 bits, of which a run makes a seed for each epoch
Text = Annotated[str, AfterValidator(_text)]
Place = Annotated[str, AfterValidator(_place)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
STRICT = pydantic.ConfigDict(strict=True, extra="forbid")  # no text for a number; an int may stand for a float
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
        value = shown(error["input"])
        return ReproError(f"{cls.__name__} has {len(names)} fields, but a value too many was given: {value}")
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
        value = error["input"] if isinstance(error["input"], str) else shown(error["input"])
        return unknown(f"value of {where}", value[:LONGEST], typing.get_args(hint))
    rule = error["msg"].removeprefix("Input should be ")
    return ReproError(f"{where} is {shown(error['input'])}, but must be {rule}")
