"""What the command can do: each a dataclass whose fields are its arguments, and that is called to do it.

Imports that need torch stay inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from comparisons.cli import catalogue, compare, diagnose, inventory, messages, status
from comparisons.cli.execution import DONE, FAILED, INTERRUPTED, carry_out
from comparisons.kit.settings import Settings
from comparisons.runs import plan
from comparisons.runs.options import RunOptions
from comparisons.runs.registry import find, names
from lab.errors import first_line
from lab.sweeps import Store

EVERY = "all"  # stands for every comparison

Directory = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR", help="A run directory.")]
Directories = Annotated[
    tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="DIR...", help="Run directories.")
]
Json = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="Print JSON, and nothing else.")]
Open = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="Open it in the browser.")]
Style = Annotated[str, tyro.conf.arg(help="Style of the figures: default, lecture (16:9), paper or neurips (pdf too).")]


@dataclass(frozen=True)
class List:
    """Every comparison, its question, and how long it takes on this machine."""

    json: Json = False

    def __call__(self) -> int:
        """Print the list."""
        messages.print_found(catalogue.read(), self.json)
        return DONE


@dataclass(frozen=True)
class Run:
    """Run or resume a comparison; `lazylab run NAME --help` shows its settings. NAME `all` runs every comparison."""

    name: str
    settings: Settings
    options: RunOptions

    def __call__(self) -> int:
        """Run, then write and print the conclusion."""
        made = plan.make(self.name, self.settings, self.options)
        return carry_out(made, self.options, last=True)


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
        elif INTERRUPTED not in statuses:
            print(messages.next_step(each.store.directory for each in plans))
        return max(statuses)

    def _plan(self, name: str) -> plan.Plan:
        options = self.options if self.options.out is None else replace(self.options, out=self.options.out / name)
        return plan.make(name, plan.settings_of(find(name), options, {}), options)


@dataclass(frozen=True)
class Show:
    """The verdict, headline numbers and figures again, from the cells of a run directory, without training."""

    directory: Directory
    all: Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help="Every number.")] = False
    style: Style = "default"
    json: Json = False
    open: Open = False

    def __call__(self) -> int:
        """Write and print."""
        from comparisons.runs import outputs, run

        found = run.load(self.directory)
        figures = outputs.write(found, self.style)
        if self.json:
            messages.print_json({**outputs.summary(found), "figures": list(map(str, figures))})
        else:
            print(messages.describe_run(found, figures, every=self.all))
            print(messages.next_step([found.directory]))
        messages.print_incomplete(found)
        if self.open:
            messages.open_in_browser(next(iter(figures), None))
        return FAILED if found.counts["failed"] else DONE


@dataclass(frozen=True)
class Status:
    """How far a run is, also one that runs elsewhere, from its files alone."""

    directory: Directory
    json: Json = False

    def __call__(self) -> int:
        """Print."""
        found = status.read(Store(self.directory))
        messages.print_found(found, self.json)
        return FAILED if found.failures else DONE


@dataclass(frozen=True)
class Runs:
    """The runs in a folder: settings, cells, and what came out."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR", help="The folder.")] = Path("runs")
    json: Json = False

    def __call__(self) -> int:
        """Print; 1 if one of them cannot be read."""
        found = inventory.read(self.directory)
        messages.print_found(found, self.json)
        for directory, reason in found.unreadable.items():
            messages.print_left_out(directory, reason)
        return FAILED if found.unreadable else DONE


@dataclass(frozen=True)
class Compare:
    """Two runs of one comparison: the settings that differ, and the numbers side by side."""

    a: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="A", help="A run directory.")]
    b: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="B", help="Another one.")]
    json: Json = False

    def __call__(self) -> int:
        """Print."""
        messages.print_found(compare.read(self.a, self.b), self.json)
        return DONE


@dataclass(frozen=True)
class Report:
    """One self-contained page about some runs, with an explorer of their trajectories; it works offline."""

    directories: Annotated[
        tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="DIR", help="Run directories.")
    ]
    out: Annotated[Path, tyro.conf.arg(help="The file to write.")] = Path("page.html")
    style: Style = "default"
    open: Open = False

    def __call__(self) -> int:
        """Write the page and print where it is; directories that cannot be read are named and left out."""
        from comparisons.report.page import write_report

        bad = []

        def leave_out(directory: Path, error: Exception) -> None:
            messages.print_left_out(str(directory), first_line(error))
            bad.append(directory)

        print(write_report(self.directories, self.out, self.style, leave_out))
        if self.open:
            messages.open_in_browser(self.out)
        return FAILED if bad else DONE


@dataclass(frozen=True)
class Play:
    """The playground: one self-contained page that trains the three learners in the browser; it works offline."""

    out: Annotated[Path, tyro.conf.arg(help="The file to write.")] = Path("play.html")
    open: Open = False

    def __call__(self) -> int:
        """Write the page and print where it is."""
        from comparisons.play.page import write_playground

        print(write_playground(self.out))
        if self.open:
            messages.open_in_browser(self.out)
        return DONE


@dataclass(frozen=True)
class Diagnose:
    """Was the training between two checkpoints of your network lazy?"""

    target: Annotated[
        tyro.conf.Positional[str],
        tyro.conf.arg(metavar="MODULE:FACTORY", help="A function that builds the network, such as models:build."),
    ]
    start: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="START", help="State dict before.")]
    now: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="NOW", help="State dict after.")]
    probe: Annotated[Path, tyro.conf.arg(help="npz file with probe inputs, and maybe targets.")]
    loss: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help="Loss: squared, cross_entropy, logistic or huber.")
    ] = None
    outputs: Annotated[
        str | None,
        tyro.conf.arg(metavar="MODULE:FUNCTION", help="Takes the tensor out of what the network returns."),
    ] = None
    json: Json = False

    def __call__(self) -> int:
        """Print the verdict and its numbers."""
        found = diagnose.read(self.target, self.start, self.now, self.probe, self.loss, self.outputs)
        messages.print_found(found, self.json)
        return DONE


#: By the name that stands first on the command line; `run` is read apart, as its flags depend on the comparison.
COMMANDS = {
    "list": List, "run": Run, "show": Show, "status": Status, "runs": Runs, "compare": Compare, "report": Report,
    "play": Play, "diagnose": Diagnose,
}  # fmt: skip
