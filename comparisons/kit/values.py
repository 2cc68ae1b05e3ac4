"""Typed values from plain ones: one reader of annotations for settings from Python, TOML and flags, and for cells.

An annotation names a type and, in `typing.Annotated`, constraints of `annotated_types` (`Ge`, `Gt`, `Le`, `Lt`,
`Interval`, `MultipleOf`) and the two below. `fit` returns the value as that type, or refuses it by a `LabError`.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import operator
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import BaseMetadata, Ge, GroupedMetadata, Gt, Interval, Le, Lt, MultipleOf

from lab.data.files import is_file_name
from lab.errors import LabError, refuse, spelling


@dataclass(frozen=True)
class OneOf(BaseMetadata):
    """The value is one of these texts."""

    options: tuple[str, ...]

    def __init__(self, *options: str) -> None:
        object.__setattr__(self, "options", options)


@dataclass(frozen=True)
class Distinct(BaseMetadata):
    """A list without repeated values, with ``least`` values or more."""

    least: int = 1


Count = Annotated[int, Ge(1)]
Seed = Annotated[int, Interval(ge=0, lt=2**32)]
Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Interval(gt=0, lt=1)]
Momentum = Annotated[float, Interval(ge=0, lt=1)]
Precision = Annotated[str, OneOf("float32", "float64")]

_BOUNDS = {
    Ge: ("ge", "at least", operator.ge),
    Gt: ("gt", "above", operator.gt),
    Le: ("le", "at most", operator.le),
    Lt: ("lt", "below", operator.lt),
    MultipleOf: ("multiple_of", "a multiple of", lambda value, unit: value % unit == 0),
}


_NOUNS: dict[Any, str] = {int: "an integer", float: "a finite number", bool: "true or false", str: "text"}
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+(e[-+]?[0-9]+)?", re.IGNORECASE)


def constraints(hint: Any) -> tuple[Any, list[object]]:
    """The type inside an annotation, and its metadata; intervals are taken apart."""
    if typing.get_origin(hint) is not Annotated:
        return hint, []
    base, *metadata = typing.get_args(hint)
    inner, before = constraints(base)
    for each in metadata:
        before.extend(each if isinstance(each, GroupedMetadata) else [each])
    return inner, before


def choices(hint: Any) -> tuple[str, ...]:
    """The texts that an annotation allows, in their order; none where it does not list them."""
    base, metadata = constraints(hint)
    if typing.get_origin(base) is typing.Literal:
        return typing.get_args(base)
    return next((each.options for each in metadata if isinstance(each, OneOf)), ())


def fit(argument: str, value: Any, hint: Any) -> Any:
    """``value`` converted to the type of the annotation ``hint``.

    Lists become tuples, whole numbers become floats where the type is float, NumPy numbers become Python numbers, and
    mappings become dataclasses.

    Raises
    ------
    LabError
        A value of another type or outside the constraints; ``argument`` is named.
    """
    base, metadata = constraints(hint)
    origin, options = typing.get_origin(base), typing.get_args(base)
    if origin in (typing.Union, types.UnionType):
        return _fit_union(argument, value, options, hint)
    if origin is tuple:
        return _distinct(argument, _fit_tuple(argument, value, options, hint), metadata)
    if origin is typing.Literal:
        return value if value in options else _refuse(argument, value, hint)
    if dataclasses.is_dataclass(base) and isinstance(base, type):
        return _fit_fields(argument, value, base)
    return _fit_scalar(argument, value, base, metadata, hint)


def _fit_union(argument: str, value: Any, options: Sequence[Any], hint: Any) -> Any:
    if value is None and type(None) in options:
        return None
    kinds = [option for option in options if option is not type(None)]
    if len(kinds) == 1 and value is not None:
        return _fit_optional(argument, value, kinds[0], options)
    for kind in kinds:
        try:
            return fit(argument, value, kind)
        except LabError:
            continue
    return _refuse(argument, value, hint)


def _fit_optional(argument: str, value: Any, kind: Any, options: Sequence[Any]) -> Any:
    try:
        return fit(argument, value, kind)
    except LabError as error:
        if type(None) not in options or error.argument != argument:
            raise
        raise LabError(argument, error.came, f"{error.allowed} or None", f"{error.fix}, or None") from None


def _fit_tuple(argument: str, value: Any, options: Sequence[Any], hint: Any) -> tuple[Any, ...]:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, (Sequence, range)):
        value = value.tolist() if hasattr(value, "tolist") and getattr(value, "ndim", 0) == 1 else value
    if not isinstance(value, (list, tuple, range)):
        _refuse(argument, value, hint)
    hints = [options[0]] * len(value) if options[-1] is ... else options
    if len(hints) != len(value):
        _refuse(argument, value, hint)
    return tuple(fit(argument, entry, kind) for entry, kind in zip(value, hints, strict=True))


def _distinct(argument: str, value: tuple[Any, ...], metadata: Sequence[object]) -> tuple[Any, ...]:
    for each in metadata:
        if isinstance(each, Distinct) and (len(value) < each.least or len(set(value)) < len(value)):
            least = {0: "", 1: "one or more "}.get(each.least, f"{each.least} or more ")
            fix = "name each value once" if len(value) >= each.least else f"give {least}values"
            refuse(argument, str(value), f"{least}different values", fix)
    return value


def _fit_fields(argument: str, value: Any, kind: type[Any]) -> Any:
    """A dataclass from a mapping that has its fields and no others; a default stands in for a missing one."""
    if isinstance(value, kind):
        return value
    hints = hints_of(kind)
    if not isinstance(value, Mapping) or not set(value) <= set(hints):
        refuse(argument, repr(value), f"the fields of {kind.__qualname__}: {', '.join(hints)}", "name these alone")
    try:
        return kind(**{name: fit(name, entry, hints[name]) for name, entry in value.items()})
    except TypeError as error:
        raise LabError(argument, str(error), f"every field of {kind.__qualname__}", "add what is missing") from None


def _fit_scalar(argument: str, value: Any, base: Any, metadata: Sequence[object], hint: Any) -> Any:
    typed, options = _typed(value, base), choices(hint)
    if typed is None or (options and typed not in options):
        _refuse(argument, value, hint)
    for each in _bounds(metadata):
        name, _, holds = _BOUNDS[type(each)]
        if not holds(typed, getattr(each, name)):
            _refuse(argument, value, hint)
    return typed


def _typed(value: Any, base: Any) -> Any:
    """The value as bool, int, finite float or text; None if it is no such thing."""
    try:
        if base is int and not isinstance(value, bool):
            return operator.index(value)
        if base is float and not isinstance(value, (bool, str)):
            number = float(value)
            return number if math.isfinite(number) else None
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None
    return value if isinstance(base, type) and base not in (int, float) and isinstance(value, base) else None


def _refuse(argument: str, value: Any, hint: Any) -> typing.NoReturn:
    refuse(argument, repr(value), describe(hint), _fix(value, hint))


def _fix(value: Any, hint: Any) -> str:
    """What to do about a value that does not fit; also about one value of a list."""
    base, metadata = constraints(hint)
    least = [each.ge for each in metadata if isinstance(each, Ge)]
    if options := choices(hint):
        is_file = isinstance(value, str) and is_file_name(value)
        return "choose one of these: this setting takes no file" if is_file else spelling(value, options)
    if typing.get_origin(base) is tuple:
        return f"write a list, such as [{value}]" if isinstance(value, (str, int, float)) else "write a list"
    if _typed(value, base) is not None:
        too_small = base is int and least and value < least[0]
        return f"use {least[0]} or more" if too_small else "stay within the bounds"
    if base in (int, float) and isinstance(value, str) and _NUMBER.fullmatch(value):
        return f"write {value} as a number, without quotes"
    if base is int:
        return f"give a whole number{f', such as {least[0]}' if least else ''}"
    return f"give {_NOUNS.get(base, 'a value of that type')}"


def describe(hint: Any) -> str:
    """What an annotation allows, in words, such as "an integer of at least 1"."""
    base, metadata = constraints(hint)
    origin, options = typing.get_origin(base), typing.get_args(base)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("None" if each is type(None) else describe(each) for each in options)
    if origin is tuple:
        return f"a list of values, each {describe(options[0])}"
    if texts := choices(hint):
        return "one of " + ", ".join(sorted(texts))
    found = [(*_BOUNDS[type(each)][:2], each) for each in _bounds(metadata)]
    bounds = [f"{word} {getattr(each, name):g}" for name, word, each in found]
    joined = " and ".join(bounds).replace("at least", "of at least" if base is int else "at least", 1)
    return f"{_NOUNS.get(base, getattr(base, '__name__', str(base)))} {joined}".rstrip()


def _bounds(metadata: Sequence[object]) -> list[object]:
    return [each for each in metadata if type(each) in _BOUNDS]


def hints_of(kind: type[Any]) -> dict[str, Any]:
    """Annotations of a dataclass's fields, constraints included, in the order of the fields.

    A field that a subclass declares again with a bare type, to change its default, keeps the annotation of its base.
    """
    own = {base: typing.get_type_hints(base, include_extras=True) for base in kind.__mro__ if base is not object}
    found = {}
    for field in dataclasses.fields(kind):
        declared = [hints[field.name] for base, hints in own.items() if field.name in inspect.get_annotations(base)]
        found[field.name] = next((hint for hint in declared if _is_constrained(hint)), declared[0])
    return found


def _is_constrained(hint: Any) -> bool:
    base, metadata = constraints(hint)
    return bool(metadata) or any(_is_constrained(option) for option in typing.get_args(base))
