"""What the command prints: plans, conclusions, failures, interruptions."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comparisons.kit.comparison import Comparison, asker
from comparisons.kit.numbers import Number
from comparisons.runs.forecast import Forecast, advice, foresee, quantity
from lab.sweeps import Outcome
from lab.sweeps.cells import label

if TYPE_CHECKING:
    from comparisons.runs.outputs import Run
    from comparisons.runs.plan import Plan

#: Rows of the printed table of numbers.
SHOWN = 24


def describe_comparison(name: str, comparison: Comparison) -> str:
    """Name, question and cost of a comparison."""
    costs = ", ".join(_preset_cost(comparison, preset) for preset in comparison.PRESETS)
    return f"{name}\n  {comparison.question}\n  asked by {asker(comparison)}\n  cost: {costs}"


def _preset_cost(comparison: Comparison, preset: str) -> str:
    cells = comparison.cells(comparison.PRESETS[preset])
    flops = sum(comparison.cost(cell).flops for cell in cells)
    return f"{preset} {quantity(flops, 'flop')} in {counted(len(cells), 'cell')}"


def describe_run(run: Run) -> str:
    """Verdict, numbers with intervals, and where the files are."""
    numbers = run.numbers
    width = max((len(name) for name in numbers), default=0)
    lines = [f"  {name:<{width}}  {_format(number)}" for name, number in list(numbers.items())[:SHOWN]]
    more = [f"  and {len(numbers) - SHOWN} more in summary.json"] if len(numbers) > SHOWN else []
    names = ", ".join(sorted(path.stem for path in (run.directory / "figures").glob("*.png")))
    place = f"{run.directory}: table.csv, summary.json{f', figures/ ({names})' if names else ''}"
    return "\n".join([run.verdict, "", *lines, *more, "", place])


def _format(number: Number) -> str:
    if number.value is None:
        return f"none ({number.reason or 'no reason given'})"
    interval = f"  [{number.interval[0]:.4g}, {number.interval[1]:.4g}]" if number.interval else ""
    return f"{number.value:>10.4g}{interval}  ({counted(number.seeds, 'seed')})"


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
    for failure in outcome.failed:
        print(f"  {label(failure.cell)}: {failure.error}", file=sys.stderr)


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


def counted(number: int, what: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds in their two largest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
