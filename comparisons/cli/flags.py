"""Flags of the command: their types and help from annotations, where NAME is among them, errors in their terms.

Constraints are checked later, as for Python and TOML.
"""

from __future__ import annotations

import argparse
import itertools
import re
import typing
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from comparisons.kit.settings import help_of
from comparisons.kit.values import choices, constraints, hints_of
from comparisons.runs.options import NAMES, RunOptions
from comparisons.runs.presets import as_flags
from comparisons.runs.registry import is_file
from lab.errors import LabError, spelling

#: A value behind the name of an argument, as messages write it.
_VALUE = r"""'[^']*'|"[^"]*"|\([^)]*\)|\[[^]]*\]|\w(?:[\w.+-]*\w)?"""


def refuse_blank_paths(arguments: Sequence[str]) -> None:
    """Refuse ``--out ""``, which an unset variable in a script gives: as a path it would mean the current folder."""
    joined_by_equals = (argument.partition("=")[::2] for argument in arguments if "=" in argument)
    for name, value in [*itertools.pairwise(arguments), *joined_by_equals]:
        if name in ("--out", "--config") and not value.strip():
            fix = f"name one, or leave {name} out; `{name} .` is the current folder"
            raise LabError(name.lstrip("-"), "an empty path", "a path", fix)


def refuse_unknown(arguments: Sequence[str], names: Collection[str], shown_by: str) -> None:
    """Refuse a flag of another setting or option than ``names``; ``shown_by`` is the command that shows them."""
    for argument in arguments:
        if argument.startswith("--") and not _names_of(argument) & {"help", *names}:
            flag, known = argument.partition("=")[0], as_flags({name: [] for name in sorted(names)})
            raise LabError("flag", repr(flag), f"those that `{shown_by} --help` shows", spelling(flag, known))


def given(arguments: Sequence[str]) -> set[str]:
    """Names of the settings and options that some arguments set, also to what they are anyway."""
    return set().union(*(_names_of(argument) for argument in arguments if argument.startswith("--")))


def _names_of(flag: str) -> set[str]:
    """What a flag may set: ``{"dry_run"}`` for ``--dry-run=True``, ``{"no_log", "log"}`` for ``--no-log``."""
    name = flag.partition("=")[0].removeprefix("--").replace("-", "_")
    return {name, name.removeprefix("no_")}


def name_first(arguments: list[str], known: Collection[str]) -> list[str]:
    """The arguments of `run` with NAME right behind it, if one of them is no flag and no value of a flag.

    That is one of the ``known`` names or a file. Without any it is the last argument that cannot be a flag's value, a
    misspelt name: settings take several values, and which ones they are is not known before NAME.
    """
    if not arguments[1:] or not arguments[1].startswith("-"):
        return arguments
    free = list(_free(arguments))
    named = [place for place in free if arguments[place] in known or is_file(arguments[place])]
    guessed = [place for place in free if not _may_take_it(arguments[place - 1])]
    place = next(iter([*named, *reversed(guessed)]), None)
    if place is None:
        return arguments
    return [arguments[0], arguments[place], *arguments[1:place], *arguments[place + 1 :]]


def _free(arguments: Sequence[str]) -> Iterator[int]:
    """Places of the arguments that are no flags, and no values of run options."""
    valued = as_flags({name: [] for name, value in asdict(RunOptions()).items() if not isinstance(value, bool)})
    for place, (before, argument) in enumerate(itertools.pairwise(arguments), 1):
        if not argument.startswith("-") and before.replace("_", "-") not in valued:
            yield place


def _may_take_it(before: str) -> bool:
    """Whether what stands before an argument is a setting, whose value it may be."""
    return before.startswith("--") and "=" not in before and not _names_of(before) & set(NAMES)


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
    base, _ = constraints(hint)
    inner = typing.get_args(base)
    if texts := choices(hint):
        return f"{{{','.join(texts)}}}"
    if typing.get_origin(base) is tuple:
        return f"{_takes(inner[0])} [...]"
    if inner:
        return "|".join(sorted(map(_takes, inner), key="None".__eq__))  # None last
    return "None" if base is type(None) else str(base.__name__).upper()


def options_of(flags: Any) -> RunOptions:
    """Run options from their flags."""
    return RunOptions(**{entry.name: getattr(flags, entry.name) for entry in fields(RunOptions)})


def _bare(hint: Any) -> Any:
    """The type in an annotation, without constraints: choices are plain texts here."""
    base, _ = constraints(hint)
    options = typing.get_args(base)
    if choices(hint):
        return str
    if not options:
        return base
    if typing.get_origin(base) is tuple:
        return tuple[tuple(each if each is ... else _bare(each) for each in options)]  # type: ignore[misc]
    return typing.Union[tuple(_bare(each) for each in options)]  # noqa: UP007 (built from a list)


def in_flags(error: LabError, names: Collection[str]) -> str:
    """The message of an error with settings and options (``names``) written as the flags of the command.

    Examples
    --------
    >>> error = LabError("trained", "('A',) with network='gru'", "nothing", "leave `trained` out, or see data_seed")
    >>> in_flags(error, {"trained", "network", "data_seed"})
    "--trained: got ('A',) with --network gru; allowed: nothing. Fix: leave --trained out, or see --data-seed."
    """
    no_name = "(?!)"
    any_of = "|".join(names) or no_name
    long = "|".join(name for name in names if "_" in name) or no_name  # these are no words of the language
    found = re.compile(rf"`({any_of})`|\b({any_of})=({_VALUE})|\b({long})\b")
    texts = [found.sub(_as_flag, text) for text in (error.came, error.allowed, error.fix)]
    return str(LabError(*as_flags({error.argument: []}) if error.argument in names else [error.argument], *texts))


def _as_flag(match: re.Match[str]) -> str:
    quoted, assigned, value, long = match.groups()
    words = re.findall(r"[^\s,'\"()\[\]]+", value or "")
    setting: Any = {("True",): True, ("False",): False}.get(tuple(words), words)
    return " ".join(as_flags({quoted or assigned or long: setting}))
