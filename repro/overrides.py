"""Any field of a run from the command line: `optimisation.epochs=30`. The dataclasses check each value as always."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from repro.config import Run
from repro.errors import ReproError, unknown
from repro.parameters import value_of

RUNS = ("teacher", "start")  # fields of a run that are runs themselves


def parsed(texts: Iterable[str]) -> dict[str, str]:
    """{dotted name: value} of texts such as "optimisation.epochs=30". ReproError for another form, or a name given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ReproError(f"--set {text!r}: give a field and its value, such as optimisation.epochs=30")
        if name in found:
            raise ReproError(f"--set {name}: given twice, with {found[name]!r} and {value!r}")
        found[name] = value
    return found


def changed(run: Run, changes: Mapping[str, str]) -> Run:
    """The run with other values in fields that are named with dots: "seed", "data.size", "teacher.optimisation.lr".

    A change of `data` also changes the data of the teacher, who has to see the same clips. `modality`, which tells them apart,
    is the exception. `model.arguments.NAME` may be any argument; the network checks it.
    Raises ReproError for an unknown name, offering the nearest, and for a value that does not fit its field or the others.
    """
    known = names(run)
    for name in changes:
        if name not in known and not _argument(name):
            raise unknown("field of the run", name, _near(name, known))
    taught = {f"teacher.{name}": value for name, value in changes.items() if run.teacher and _shared(name)}
    return _replaced(run, taught | dict(changes))


def names(config: Any) -> list[str]:
    """The dotted names of all fields of a configuration that have values of their own."""
    found = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found += [f"{field.name}.{name}" for name in names(value)]
        elif field.name not in RUNS:
            found.append(field.name)
    return found


def _argument(name: str) -> bool:
    *_, room, field, argument = ("", "", *name.split("."))
    return (room, field) == ("model", "arguments") and bool(argument)


def _shared(name: str) -> bool:
    return name.startswith("data.") and name != "data.modality"


def _near(name: str, known: list[str]) -> list[str]:
    """The names that one may have meant: those of the same part, or with the same end; else all."""
    part, _, end = name.rpartition(".")
    same = [each for each in known if each.rpartition(".")[0] == part] if part else []
    return same or [each for each in known if each.rpartition(".")[2] == end] or known


def _replaced(config: Any, changes: Mapping[str, str]) -> Any:
    """All changes of a dataclass at once, because rules between its fields hold before and after, not on the way."""
    inner: dict[str, dict[str, str]] = {}
    values: dict[str, Any] = {}
    for name, text in changes.items():
        field, _, rest = name.partition(".")
        before = getattr(config, field)
        if rest:
            inner.setdefault(field, {})[rest] = text
        else:
            values[field] = _value(text, before)
    for field, given in inner.items():
        before = getattr(config, field)
        if isinstance(before, Mapping):
            values[field] = {**before, **{name: _value(text, before.get(name)) for name, text in given.items()}}
        else:
            values[field] = _replaced(before, given)
    return dataclasses.replace(config, **values)


def _value(text: str, before: Any) -> Any:
    """A value from its text: a literal, true or false; as it is where the field holds text; a tuple where it holds one."""
    if isinstance(before, str):
        return text
    if isinstance(before, tuple):
        return tuple(_value(part.strip(), None) for part in text.strip("()[], ").split(",") if part.strip())
    return value_of(text)
