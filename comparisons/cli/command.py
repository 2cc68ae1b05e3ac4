"""The command ``lazylab``. Help, version and list work without torch, so imports that need it stay inside functions."""

from __future__ import annotations

import io
import os
import sys
import typing
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from comparisons.cli import messages
from comparisons.cli.execution import DONE, INTERRUPTED, REFUSED, carry_out
from comparisons.cli.flags import early_options, flags, options_of, refuse_blank_paths
from comparisons.kit.settings import Settings
from comparisons.runs import plan
from comparisons.runs.options import RunOptions
from comparisons.runs.registry import find, names
from lab.errors import LabError
from lab.sweeps import Store, termination_interrupts, versions

EVERY = "all"  # stands for every comparison
FLAT = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)
DESCRIPTION = "Full recurrent network, its linearization and its tangent-kernel regressor, side by side."


@dataclass(frozen=True)
class List:
    """Every comparison, its question, its cost."""

    def __call__(self) -> int:
        """Print the list."""
        for name in names():
            print(messages.describe_comparison(name, find(name)))
        return DONE


@dataclass(frozen=True)
class Run:
    """Run or resume a comparison. NAME comes first; `lazylab run NAME --help` shows its settings."""

    name: str
    settings: Settings
    options: RunOptions

    def __call__(self) -> int:
        """Run, then write and print the conclusion."""
        return carry_out(plan.make(self.name, self.settings, self.options), self.options)


@dataclass(frozen=True)
class RunAll:
    """Every comparison in one preset, each in a directory of its own; what is there already is resumed."""

    options: RunOptions

    def __call__(self) -> int:
        """Refuse first, for all of them, then run one after the other; a failed cell does not stop the others."""
        plans = [self._plan(name) for name in names()]
        for each in plans:
            each.claim(write=False)
        statuses = []
        for each in plans:
            print(f"\n{each.name}: {each.comparison.question}", flush=True)
            statuses.append(carry_out(each, self.options))
            if statuses[-1] == INTERRUPTED:
                break
        if self.options.dry_run:
            print(messages.describe_total(plans))
        return max(statuses)

    def _plan(self, name: str) -> plan.Plan:
        options = self.options if self.options.out is None else replace(self.options, out=self.options.out / name)
        return plan.make(name, find(name).PRESETS[self.options.preset], options)


@dataclass(frozen=True)
class Show:
    """Numbers and figures again, from the cells of a run directory, without training."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="A run directory.")]
    style: Annotated[str, tyro.conf.arg(help="Style of the figures, such as lecture.")] = "default"

    def __call__(self) -> int:
        """Write and print."""
        from comparisons.runs import outputs, run

        found = run.load(self.directory)
        outputs.write(found, self.style)
        print(messages.describe_run(found))
        messages.print_incomplete(found)
        return DONE


@dataclass(frozen=True)
class Status:
    """How far a run is, also one that runs elsewhere, from its files alone."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(help="A run directory.")]

    def __call__(self) -> int:
        """Print."""
        from comparisons.cli.status import describe

        print(describe(Store(self.directory)))
        return DONE


@dataclass(frozen=True)
class Report:
    """One self-contained page about some runs, with an explorer of their trajectories; it works offline."""

    directories: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(help="Run directories.")]
    out: Annotated[Path, tyro.conf.arg(help="The file to write.")] = Path("page.html")
    style: Annotated[str, tyro.conf.arg(help="Style of the figures, such as lecture.")] = "default"

    def __call__(self) -> int:
        """Write the page and print where it is."""
        from comparisons.report.page import write_report

        print(write_report(self.directories, self.out, self.style))
        return DONE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process if None.

    Returns
    -------
    int
        0 done, 1 some cells failed, 2 refused input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a question mark for a minus sign in the C locale
    warnings.filterwarnings("ignore", "A worker was restarted", UserWarning)  # by loky, where memory grows
    try:
        with termination_interrupts():
            return understand(arguments)()
    except LabError as error:
        print(f"lazylab: {error}", file=sys.stderr)
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
    """The command that the arguments ask for, ready to be called."""
    refuse_blank_paths(arguments)
    first, name = (*arguments, "", "")[:2]
    if first == "--version":
        return _print_version
    if first != "run" or len(arguments) < 2 or name in ("-h", "--help"):
        return _parse(arguments)
    if name.startswith("-"):
        fix = "write `lazylab run width --preset fast`"
        raise LabError("NAME", repr(name), "a comparison right after `run`, options behind it", fix)
    return _understand_all(arguments) if name == EVERY else _understand_run(arguments)


def _understand_run(arguments: list[str]) -> Run:
    """Flags override the settings that preset and configuration file give."""
    comparison = find(arguments[1])
    early = early_options(arguments)
    known = early if early.preset in comparison.PRESETS else RunOptions()  # the parser explains an unknown preset
    start = plan.settings_of(comparison, known, {})
    asked = _parse_flags(arguments, f"Run or resume a comparison: {comparison.question}", start)
    values = {entry.name: getattr(asked.settings, entry.name) for entry in fields(asked.settings)}
    return Run(arguments[1], type(start)(**values), options_of(asked.run))


def _understand_all(arguments: list[str]) -> RunAll:
    """Run options alone: settings belong to one comparison."""
    options = options_of(_parse_flags(arguments, RunAll.__doc__ or "").run)
    if options.config is not None:
        fix = "run that comparison by its name"
        raise LabError("config", f"{str(options.config)!r} for all comparisons", "a preset", fix)
    return RunAll(options)


def _parse(arguments: list[str]) -> Callable[[], int]:
    """One of the commands. A further one is a dataclass that can be called, and an entry here.

    `run` is one of them for the help and for usage errors alone: with a NAME, its flags are read by `_parse_flags`.
    """
    commands = {"list": List, "run": _run_without_name(), "show": Show, "status": Status, "report": Report}
    choices = [Annotated[kind, tyro.conf.subcommand(name=name)] for name, kind in commands.items()]
    union: Any = typing.Union[tuple(choices)]  # noqa: UP007 (built from a list)
    found: Callable[[], int] = tyro.cli(union, prog="lazylab", description=DESCRIPTION, args=arguments, config=FLAT)
    return found


def _run_without_name() -> type[Any]:
    """Arguments of `run` where no comparison is named yet: the names there are, and run options."""
    listed = f"One of {', '.join([EVERY, *names(), 'FILE.py'])}."
    name = tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="NAME", help=listed)]]
    made = make_dataclass("Run", [("name", name), ("run", *flags(RunOptions()))], frozen=True)
    made.__doc__ = Run.__doc__
    return made


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
