"""The command ``lazylab``. Help, version and list work without torch, so imports that need it stay inside functions."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import typing
import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, make_dataclass
from typing import Annotated, Any

import tyro

from comparisons.cli.commands import COMMANDS, EVERY, Run, RunAll
from comparisons.cli.execution import DONE, INTERRUPTED, REFUSED
from comparisons.cli.flags import (
    early_options,
    flags,
    given,
    in_flags,
    name_first,
    options_of,
    refuse_blank_paths,
    refuse_unknown,
)
from comparisons.kit.settings import Settings, with_values
from comparisons.kit.values import constraints, hints_of
from comparisons.runs import plan
from comparisons.runs.options import NAMES, RunOptions
from comparisons.runs.registry import find, names
from lab.errors import LabError, check_choice, refuse
from lab.sweeps import termination_interrupts, versions

FLAT = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)
DESCRIPTION = "Full recurrent network, its linearization and its tangent-kernel regressor, side by side."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process if None.

    Returns
    -------
    int
        0 done, 1 some cells failed (or some directories could not be read), 2 refused input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a question mark for a minus sign in the C locale
    warnings.filterwarnings("ignore", "A worker was restarted", UserWarning)  # by loky, where memory grows
    if arguments[:1] == ["run"]:
        arguments = name_first(arguments, [EVERY, *names()])
    try:
        with termination_interrupts():
            return understand(arguments)()
    except LabError as error:
        print(f"lazylab: {_message(error, arguments)}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("lazylab: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader has left, as in `lazylab list | head`: nothing is lost
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or 'files'} (check the run directory)"
        print(f"lazylab: {reason}", file=sys.stderr)
        return REFUSED
    except SystemExit as stop:  # help, or a usage error that the parser explained
        return stop.code if isinstance(stop.code, int) else DONE if stop.code is None else REFUSED


def understand(arguments: list[str]) -> Callable[[], int]:
    """The command that the arguments ask for, ready to be called; NAME stands right behind `run`."""
    refuse_blank_paths(arguments)
    first, name = (*arguments, "")[0], _name(arguments)
    if first == "--version":
        return _print_version
    if first and not first.startswith("-"):
        check_choice("command", first, COMMANDS)
        if first == "run" and not name and not {"-h", "--help"} & set(arguments):
            refuse("NAME", "no comparison", f"one of {_listed()}", "write it, as in `lazylab run width`")
        if name or first != "run":  # without NAME the settings are not known
            refuse_unknown(arguments, _flag_names(arguments), " ".join(["lazylab", first, name]).rstrip())
    if not name:
        return _parse(arguments)
    return _understand_all(arguments) if name == EVERY else _understand_run(arguments)


def _name(arguments: Sequence[str]) -> str:
    """The comparison behind `run`, if one is named."""
    first, name = (*arguments, "", "")[:2]
    return name if first == "run" and not name.startswith("-") else ""


def _flag_names(arguments: Sequence[str]) -> set[str]:
    """Settings and options that a command takes as flags."""
    first, name = (*arguments, "")[0], _name(arguments)
    if first == "run":
        return {*NAMES, *(hints_of(find(name).Settings) if name not in ("", EVERY) else ())}
    hints = hints_of(COMMANDS[first]) if first in COMMANDS else {}
    return {each for each, hint in hints.items() if tyro.conf.Positional not in constraints(hint)[1]}


def _message(error: LabError, arguments: Sequence[str]) -> str:
    """An error in terms of the flags that the command takes, where the arguments show which these are."""
    known: set[str] = set()
    with contextlib.suppress(LabError):
        known = _flag_names(arguments)
    return in_flags(error, known)


def _understand_run(arguments: list[str]) -> Run:
    """Flags override the settings that preset and configuration file give."""
    comparison = find(arguments[1])
    start = plan.settings_of(comparison, early_options(arguments), {})
    asked = _parse_flags(arguments, f"Run or resume a comparison: {comparison.question}", start)
    names = given(arguments)
    values = {each.name: getattr(asked.settings, each.name) for each in fields(asked.settings) if each.name in names}
    return Run(arguments[1], with_values(start, values, ""), options_of(asked.run))


def _understand_all(arguments: list[str]) -> RunAll:
    """Run options alone: settings belong to one comparison."""
    options = options_of(_parse_flags(arguments, RunAll.__doc__ or "").run)
    if options.config is not None:
        fix = "run that comparison by its name"
        raise LabError("config", f"{str(options.config)!r} for all comparisons", "a preset", fix)
    return RunAll(options)


def _parse(arguments: list[str]) -> Callable[[], int]:
    """One of the commands, but `run` for its help alone: see `_parse_flags`."""
    commands = {**COMMANDS, "run": _run_without_name()}
    choices = [Annotated[kind, tyro.conf.subcommand(name=name)] for name, kind in commands.items()]
    union: Any = typing.Union[tuple(choices)]  # noqa: UP007 (built from a list)
    found: Callable[[], int] = tyro.cli(union, prog="lazylab", description=DESCRIPTION, args=arguments, config=FLAT)
    return found


def _run_without_name() -> type[Any]:
    """Arguments of `run` where no comparison is named, for its help: the names there are, and run options."""
    name = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="NAME", help=f"One of {_listed()}.")]]
    made = make_dataclass("Run", [("name", name), ("run", *flags(RunOptions()))], frozen=True)
    made.__doc__ = Run.__doc__
    return made


def _listed() -> str:
    return ", ".join([EVERY, *names(), "FILE.py"])


def _parse_flags(arguments: list[str], description: str, settings: Settings | None = None) -> Any:
    """The flags of `run NAME`: run options, and the settings of one comparison. Its help and its errors name NAME."""
    entries: list[Any] = [] if settings is None else [("settings", *flags(settings))]
    entries.append(("run", *flags(RunOptions())))
    made = make_dataclass("Flags", entries, frozen=True)
    return tyro.cli(made, prog=f"lazylab run {arguments[1]}", description=description, args=arguments[2:], config=FLAT)


def _print_version() -> int:
    print(f"lazylab {versions()['lazylab'] or '(not installed)'}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())
