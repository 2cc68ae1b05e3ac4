"""`comparisons.run` and `comparisons.load`: a comparison from Python, and what a directory holds."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

from comparisons.runs import forecast, outputs, plan
from comparisons.runs.forecast import Forecast
from comparisons.runs.options import Executor, Preset, RunOptions
from comparisons.runs.outputs import Run
from comparisons.runs.registry import find
from lab.errors import LabWarning, refuse
from lab.sweeps import Outcome, Store
from lab.sweeps.cells import distinguishing, label


@overload
def run(
    name: str | os.PathLike[str],
    preset: Preset = "default",
    out: str | os.PathLike[str] | None = None,
    *,
    dry_run: Literal[False] = False,
    **settings: Any,
) -> Run: ...


@overload
def run(
    name: str | os.PathLike[str],
    preset: Preset = "default",
    out: str | os.PathLike[str] | None = None,
    *,
    dry_run: bool,
    **settings: Any,
) -> Run | Forecast: ...


def run(
    name: str | os.PathLike[str],
    preset: Preset = "default",
    out: str | os.PathLike[str] | None = None,
    *,
    config: str | os.PathLike[str] | None = None,
    executor: Executor = "processes",
    workers: int | None = None,
    scheduler: str | None = None,
    shard: str | None = None,
    precision: float | None = None,
    minutes: float | None = None,
    device: str = "cpu",
    threads: int = 1,
    progress: bool = True,
    dry_run: bool = False,
    **settings: Any,
) -> Run | Forecast:
    """Run a comparison, or resume it in its directory.

    Parameters
    ----------
    name
        Name of a comparison, or the path of a Python file that has one.
    preset, config
        "fast", "default" or "full", and a TOML file: settings to start from.
    out
        Run directory; ``runs/NAME``, or ``runs/NAME-PRESET`` for other presets than "default", if not given. Cells that
        are there are not measured again.
    executor, workers, scheduler, shard, precision, minutes, device, threads, progress
        As the command's options of these names.
    dry_run
        Return a forecast of what is left to measure, and measure and write nothing.
    settings
        Settings of the comparison that differ from the preset, as in ``widths=(64, 128)``.

    Returns
    -------
    Run
        Numbers, verdict, table, figures and arrays. ``table.csv``, ``summary.json`` and ``figures/`` are written too,
        unless this is a share of a run whose other shares are not complete.
    Forecast
        With ``dry_run``: seconds on the clock, bytes that are needed and that are free, number of cells.

    Raises
    ------
    LabError
        Unknown or refused settings or options, before any work; a directory that holds another run.

    Warns
    -----
    LabWarning
        Cells that failed (their tracebacks are in ``failures.txt``); a run that needs more memory than is free.

    Examples
    --------
    >>> import comparisons
    >>> found = comparisons.run("stability", "fast", widths=(16, 32), progress=False)  # doctest: +SKIP
    >>> found.numbers["critical_variance"].value  # doctest: +SKIP
    """
    where = RunOptions(preset, _path("config", config), _path("out", out), executor, workers, scheduler, shard)
    options = replace(where, precision=precision, minutes=minutes, device=device, threads=threads, progress=progress)
    name = _text("name", name)
    made = plan.make(name, plan.settings_of(find(name), options, settings), options)
    made.claim(write=not dry_run)
    if dry_run:
        made = made.second_stage() if not made.to_do()[0] else made
        return forecast.foresee(*made.to_do(), made.pool)
    _measure(made, progress)
    if options.precision is not None:
        made = made.second_stage()
        made.claim()
        _measure(made, progress)
    return conclude(made)[0]


def _measure(made: plan.Plan, progress: bool) -> None:
    _warn(memory_advice(made))
    outcome = made.measure(progress)
    write_failures(made, outcome)
    if outcome.failed:
        first, count = outcome.failed[0], f"{len(outcome.failed)} of {len(made.mine)}"
        _warn(f"{count} cells failed, such as {label(first.cell, distinguishing(made.cells))}: {first.error}")


def _text(argument: str, given: str | os.PathLike[str]) -> str:
    """A name or path as text; refused if it is empty or of another type."""
    text = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if not text or not text.strip():
        refuse(argument, repr(given), "a name or a path", f"pass {argument} as text or as a pathlib.Path")
    return text


def _path(argument: str, given: str | os.PathLike[str] | None) -> Path | None:
    return None if given is None else Path(_text(argument, given))


def _warn(advice: str | None) -> None:
    if advice is not None:
        warnings.warn(advice, LabWarning, stacklevel=4)


def load(directory: str | os.PathLike[str]) -> Run:
    """What the committed cells of a run directory say; nothing is trained or written.

    Raises
    ------
    LabError
        If the directory holds no run, or one of a comparison or version that is not here.
    """
    store = Store(_text("directory", directory))
    return outputs.read(outputs.comparison_of(store), store, store.manifest["cells"])


def conclude(made: plan.Plan) -> tuple[Run, list[Path]]:
    """Read the cells of a plan, and write the outputs unless other shares of the run are not complete.

    Returns
    -------
    tuple of Run and list of Path
        What the cells say, and the figures (png) that were written, the main one first.
    """
    found = outputs.read(made.comparison, made.store, made.cells)
    whole = made.shard.of == 1 or not found.counts["missing"]
    return found, outputs.write(found) if whole else []


def memory_advice(made: plan.Plan) -> str | None:
    """A sentence about a run that needs more memory than is free here; None where it fits, or is not known."""
    if made.pool.scheduler is not None:
        return None
    return forecast.advice(*forecast.room(made.to_do()[1], made.pool))


def write_failures(made: plan.Plan, outcome: Outcome) -> Path | None:
    """Write the tracebacks of failed cells, remove those of an earlier run; the file, or None without failures."""
    share = "" if made.shard.of == 1 else f".{made.shard.number}of{made.shard.of}"
    path = made.store.directory / f"failures{share}.txt"
    path.unlink(missing_ok=True)
    if not outcome.failed:
        return None
    text = "\n".join(f"{label(each.cell)}\n{each.traceback or each.error}\n" for each in outcome.failed)
    return made.store.write(path.name, text)
