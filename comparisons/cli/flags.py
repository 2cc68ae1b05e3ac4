"""Flags of the command from annotations: types and help. Constraints are checked later, as for Python and TOML."""

from __future__ import annotations

import argparse
import itertools
import typing
from collections.abc import Sequence
from dataclasses import field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from comparisons.kit.settings import help_of
from comparisons.kit.values import OneOf, constraints, hints_of
from comparisons.runs.options import RunOptions
from lab.errors import LabError


def refuse_blank_paths(arguments: Sequence[str]) -> None:
    """Refuse ``--out ""``, which an unset variable in a script gives: as a path it would mean the current folder."""
    joined_by_equals = (argument.partition("=")[::2] for argument in arguments if "=" in argument)
    for name, value in [*itertools.pairwise(arguments), *joined_by_equals]:
        if name in ("--out", "--config") and not value.strip():
            fix = f"name one, or leave {name} out; `{name} .` is the current folder"
            raise LabError(name.lstrip("-"), "an empty path", "a path", fix)


def early_options(arguments: list[str]) -> RunOptions:
    """Preset and configuration file, which decide the defaults of all other flags."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--config", type=Path, default=None)
    try:
        found, _ = parser.parse_known_args(arguments[2:])
    except argparse.ArgumentError:  # a flag without its value: the parser explains it
        return RunOptions()
    return RunOptions(preset=found.preset, config=found.config)


def flags(values: Any) -> tuple[type[Any], Any]:
    """A dataclass of flags for the fields of another one, and its default."""
    kind = type(values)
    entries = [
        (name, Annotated[_bare(hint), _described(hint)], field(default=getattr(values, name)))
        for name, hint in hints_of(kind).items()
    ]
    made = make_dataclass(kind.__name__, entries, frozen=True)
    made.__doc__ = (kind.__doc__ or "").partition("\n")[0]
    return made, field(default=made())


def _described(hint: Any) -> Any:
    """Help of a flag, and what it takes; a switch such as --dry-run takes nothing."""
    return tyro.conf.arg(help=help_of(hint), metavar=None if constraints(hint)[0] is bool else _takes(hint))


def _takes(hint: Any) -> str:
    """What a flag takes, such as ``INT``, ``INT|None``, ``{relu,erf}``, or ``INT [...]`` for one or more."""
    base, metadata = constraints(hint)
    origin, inner = typing.get_origin(base), typing.get_args(base)
    options = [each.options for each in metadata if isinstance(each, OneOf)]
    if options or origin is typing.Literal:
        return f"{{{','.join([*options, inner][0])}}}"
    if origin is tuple:
        return f"{_takes(inner[0])} [...]"
    if inner:
        return "|".join(sorted(map(_takes, inner), key="None".__eq__))  # None last
    return "None" if base is type(None) else str(base.__name__).upper()


def options_of(flags: Any) -> RunOptions:
    """Run options from their flags."""
    return RunOptions(**{entry.name: getattr(flags, entry.name) for entry in fields(RunOptions)})


def _bare(hint: Any) -> Any:
    """The type in an annotation, without constraints."""
    base, _ = constraints(hint)
    options = typing.get_args(base)
    if not options or typing.get_origin(base) is typing.Literal:
        return base
    if typing.get_origin(base) is tuple:
        return tuple[tuple(each if each is ... else _bare(each) for each in options)]  # type: ignore[misc]
    return typing.Union[tuple(_bare(each) for each in options)]  # noqa: UP007 (built from a list)
