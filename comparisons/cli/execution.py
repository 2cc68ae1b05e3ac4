"""The command carries out a plan: it claims the directory, measures, concludes, prints, and gives an exit status."""

from __future__ import annotations

import sys
from pathlib import Path

from comparisons.cli import messages
from comparisons.runs import plan
from comparisons.runs.options import RunOptions
from lab.sweeps import FULL, Outcome

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130


def carry_out(made: plan.Plan, options: RunOptions, *, last: bool = False) -> int:
    """Claim the directory, measure, conclude and print; or print what would be run.

    After the ``last`` one of a command comes the next step.
    """
    if options.dry_run:
        made.claim(write=False)
        piloted = options.precision is not None and not made.to_do()[0]
        messages.print_plan(made.second_stage() if piloted else made)
        return DONE
    try:
        made.claim()
        if options.precision is not None:
            messages.print_failures(made, *_outcome(made, options))
            made = made.second_stage()
            made.claim()
        return _measure(made, options, last)
    except KeyboardInterrupt:
        messages.print_interrupted(made)
        return INTERRUPTED
    except OSError as error:
        if error.errno not in FULL:
            raise
        messages.print_full(made, error)
        return FAILED


def _outcome(made: plan.Plan, options: RunOptions) -> tuple[Outcome, Path | None]:
    """Measure what is missing; what failed, and the file that says why."""
    from comparisons.runs import run

    messages.print_warning(run.memory_advice(made))
    outcome = made.measure(options.progress)
    return outcome, run.write_failures(made, outcome)


def _measure(made: plan.Plan, options: RunOptions, last: bool) -> int:
    from comparisons.runs import run

    outcome, path = _outcome(made, options)
    messages.print_failures(made, outcome, path)
    left = len(made.store.missing(made.cells)) if made.shard.of > 1 else 0
    status = FAILED if outcome.failed else DONE
    if left:
        messages.print_share(made, left)
        return status
    try:
        found, figures = run.conclude(made)
    except Exception as error:
        if status == DONE:
            raise
        print(f"lazylab: no conclusion without them ({type(error).__name__}: {error})", file=sys.stderr)
        return status
    print(messages.describe_run(found, figures))
    if last:
        print(messages.next_step([found.directory]))
    if options.open:
        messages.open_in_browser(next(iter(figures), None))
    return status
