"""What the command prints: plans, conclusions, failures, interruptions."""

from __future__ import annotations

import json
import shlex
import sys
import webbrowser
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comparisons.cli.formats import counted, duration
from comparisons.cli.numbers import describe_numbers, paragraph
from comparisons.runs.forecast import Forecast, advice, foresee, quantity
from lab.sweeps import Outcome
from lab.sweeps.cells import distinguishing, label, plain

if TYPE_CHECKING:
    from comparisons.runs.outputs import Run
    from comparisons.runs.plan import Plan

#: At most so many numbers are printed where a comparison does not name its headline numbers.
SHOWN = 24


def describe_run(run: Run, figures: Sequence[Path], *, every: bool = False) -> str:
    """Verdict, headline numbers (or every number), where the files are, and the first figure."""
    numbers = run.conclusion.numbers
    chosen = numbers if every else dict(list((run.headlines or numbers).items())[:SHOWN])
    table = ["", *describe_numbers(chosen)] if chosen else []
    others = f"; the others: {shlex.join(['lazylab', 'show', str(run.directory), '--all'])}"
    count = f"{len(chosen)} of {len(numbers)}{'' if len(chosen) == len(numbers) else others}"
    names = ", ".join(path.stem for path in figures)
    lines = [
        ("numbers", count),
        ("files", f"{run.directory}: table.csv, summary.json{f', figures/ ({names})' if names else ''}"),
        *[("see", str(path)) for path in figures[:1]],
    ]
    return "\n".join([paragraph(run.verdict), *table, "", *[paragraph(f"{name:<9}{text}", 9) for name, text in lines]])


def next_step(directories: Iterable[Path]) -> str:
    """The command that makes a page of runs."""
    return f"next     {shlex.join(['lazylab', 'report', *map(str, directories)])}    one page; --open shows it"


def print_found(found: Any, as_json: bool) -> None:
    """What a command found, a dataclass, as text or as JSON."""
    if as_json:
        print_json(asdict(found))
    else:
        print(found)


def print_json(value: Any) -> None:
    """A value as JSON in ASCII, which every terminal has."""
    print(json.dumps(plain(value), indent=2))


def print_left_out(directory: str, reason: str) -> None:
    """That a directory cannot be read, and why."""
    print(f"lazylab: {directory} is left out: {reason}", file=sys.stderr)


def open_in_browser(path: Path | None) -> None:
    """Open a file in the browser; where there is none, print where the file is."""
    if path is None:
        print("lazylab: there is no figure to open", file=sys.stderr)
        return
    try:
        opened = webbrowser.open(path.resolve().as_uri())
    except (webbrowser.Error, OSError):
        opened = False
    if not opened:
        print(f"lazylab: no browser was found to open {path}", file=sys.stderr)


def print_plan(plan: Plan) -> None:
    """Cells, work, memory, and how long the run will take."""
    cells, costs, pool = plan.mine, plan.costs, plan.pool
    missing, to_do = plan.to_do()
    left = sum(cost.flops for cost in to_do)
    flops, peak = sum(cost.flops for cost in costs), max((cost.bytes for cost in costs), default=0.0)
    share = f" (shard {plan.shard} of {len(plan.cells)})" if plan.shard.of > 1 else ""
    committed = f"{len(cells) - len(missing)} are committed in {plan.store.directory}"
    print(f"cells      {len(cells)}{share}, of which {committed}")
    print(f"work       {quantity(flops, 'flop')}, of which {quantity(left, 'flop')} to do")
    places = f"{pool.workers} at a time" if pool.scheduler is None else "as many at a time as there are workers"
    print(f"memory     {quantity(peak, 'B')} at most per cell, {places}")
    print(f"executor   {pool.executor} on {pool.device}, {counted(pool.threads, 'thread')} per cell")
    if missing:
        _print_forecast(foresee(missing, to_do, pool), elsewhere=pool.scheduler is not None)


def _print_forecast(expected: Forecast, elsewhere: bool) -> None:
    where = "with workers as fast as this machine" if elsewhere else "here"
    print(f"forecast   {duration(expected.seconds)} {where}, within a factor of two or three")
    if not elsewhere:
        print(f"           {quantity(expected.bytes, 'B')} of memory; {quantity(expected.free, 'B')} are free")
        print_warning(advice(expected.bytes, expected.free))


def describe_total(plans: Sequence[Plan]) -> str:
    """How long several plans take here, one after the other."""
    return f"\nall of them: {duration(sum(foresee(*plan.to_do(), plan.pool).seconds for plan in plans))} here"


def print_warning(text: str | None) -> None:
    """A warning, if there is one."""
    if text is not None:
        print(f"lazylab: warning: {text}", file=sys.stderr)


def print_failures(plan: Plan, outcome: Outcome, log: Path | None) -> None:
    """Failed cells with their errors."""
    if log is None:
        return
    print(f"lazylab: {len(outcome.failed)} of {len(plan.mine)} cells failed (tracebacks: {log}):", file=sys.stderr)
    fields = distinguishing(plan.cells)
    for failure in outcome.failed:
        print(f"  {label(failure.cell, fields)}: {failure.error}", file=sys.stderr)


def print_share(plan: Plan, left: int) -> None:
    """That this share is complete, and how many cells other shares have left."""
    print(f"shard {plan.shard} is complete; {left} of {len(plan.cells)} cells are left in {plan.store.directory}")


def print_full(plan: Plan, error: OSError) -> None:
    """That the disk is full, and how many cells are kept."""
    kept = len(plan.cells) - len(plan.store.missing(plan.cells))
    where = f"{error.strerror} in {plan.store.directory}"
    print(f"lazylab: {where}; {kept} of {len(plan.cells)} cells are kept.", file=sys.stderr)
    print("Free some space, then the same command resumes the run.", file=sys.stderr)


def print_interrupted(plan: Plan) -> None:
    """That the run was interrupted, and how many cells are kept."""
    done = len(plan.cells) - len(plan.store.missing(plan.cells))
    message = f"lazylab: interrupted; {done} of {len(plan.cells)} cells are kept in {plan.store.directory}."
    print(f"{message} The same command resumes the run.", file=sys.stderr)


def print_incomplete(run: Run) -> None:
    """How many cells of a run are missing or failed, if any."""
    counts = run.counts
    if counts["missing"] or counts["failed"]:
        absent = f"of {counted(counts['total'], 'cell')}, {counts['missing']} missing and {counts['failed']} failed"
        print(f"lazylab: {absent}", file=sys.stderr)
