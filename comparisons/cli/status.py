"""How far a run is, also one that runs elsewhere, from the files of its directory alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from comparisons.cli.messages import duration
from comparisons.runs.outputs import source_of
from comparisons.runs.registry import find, typed
from lab.errors import LabError
from lab.sweeps import Cell, Store, signs
from lab.sweeps.cells import label, varying
from lab.sweeps.store import SETTINGS

#: Cells in progress, and failures, that are listed.
LISTED = 8


@dataclass(frozen=True)
class CellState:
    """One cell: its work (see `Cost.work`), and whichever of these holds.

    Attributes
    ----------
    committed
        When its files were committed, in seconds since the epoch.
    begun
        The process that measures it.
    error
        With which error it failed last.
    """

    cell: Cell
    work: int
    committed: float | None
    begun: signs.Begun | None
    error: str | None


@dataclass(frozen=True)
class Rate:
    """Work per second and cells per second since ``start`` (seconds since the epoch)."""

    work: float
    cells: float
    start: float


def examine(store: Store) -> list[CellState]:
    """The state of every cell that the run directory asks for. Reads no arrays, so that it is quick.

    Raises
    ------
    LabError
        If the directory holds no run.
    """
    manifest = store.manifest
    works = _works(store, manifest["cells"])
    return [_state(store, cell, work) for cell, work in zip(manifest["cells"], works, strict=True)]


def _works(store: Store, cells: Sequence[Cell]) -> list[int]:
    """Work of the cells; 1 each where the comparison is not installed here, or has other cells now."""
    try:
        comparison = find(source_of(store))
        return [comparison.cost(typed(comparison, cell)).work for cell in cells]
    except (LabError, LookupError, TypeError):
        return [1] * len(cells)


def _state(store: Store, cell: Cell, work: int) -> CellState:
    key = store.key(cell)
    try:
        committed = store.path(cell, "json").stat().st_mtime if store.path(cell, "npz").exists() else None
    except OSError:
        committed = None
    if committed is not None:
        return CellState(cell, work, committed, None, None)
    return CellState(cell, work, None, signs.begun(store.directory, key), signs.failure(store.directory, key))


def rate(states: Sequence[CellState], start: float, now: float) -> Rate | None:
    """Pace of the present run, or of the last one.

    Parameters
    ----------
    states
        As `examine` gives them.
    start, now
        When the run was started, and the time, in seconds since the epoch.

    Returns
    -------
    Rate or None
        None when nothing has been committed since the start.
    """
    times = [state.committed for state in states if state.committed is not None and state.committed >= start]
    if not times:
        return None
    running = any(state.begun for state in states)
    seconds = max((now if running else max(times)) - start, 1e-3)
    work = sum(state.work for state in states if state.committed is not None and state.committed >= start)
    return Rate(work / seconds, len(times) / seconds, start)


def describe(store: Store, now: float | None = None) -> str:
    """A few lines: counts, share of the work, last commit, pace, estimate, and which process measures which cell."""
    states, now = examine(store), time.time() if now is None else now
    manifest, total = store.manifest, sum(state.work for state in states)
    left = sum(state.work for state in states if state.committed is None)
    pace = rate(states, (store.directory / SETTINGS).stat().st_mtime, now)
    lines = [f"{store.directory}: {manifest['comparison']}, version {manifest['version']}"]
    lines += [_counts(states), f"work       {1 - left / total if total else 1.0:.1%} done"]
    lines += _pace(states, pace, left, now)
    return "\n".join(lines + _details(states, now))


def _counts(states: Sequence[CellState]) -> str:
    done = sum(state.committed is not None for state in states)
    begun = sum(state.begun is not None for state in states)
    failed = sum(state.error is not None for state in states)
    rest = len(states) - done - begun - failed
    return f"cells      {done} of {len(states)} done, {begun} in progress, {failed} failed, {rest} to do"


def _pace(states: Sequence[CellState], pace: Rate | None, left: float, now: float) -> list[str]:
    times = [state.committed for state in states if state.committed is not None]
    last = f"{_clock(max(times))}, {duration(now - max(times))} ago" if times else "nothing is committed yet"
    lines = [f"last       {last}"]
    if pace is not None:
        lines.append(f"rate       {60 * pace.cells:.3g} cells a minute since {_clock(pace.start)}")
    if left and pace is not None:
        idle = "" if any(state.begun for state in states) else ", once it is resumed; no process is known to be running"
        lines.append(f"estimate   {duration(left / pace.work)} for what is left{idle}")
    return lines


def _details(states: Sequence[CellState], now: float) -> list[str]:
    varied = varying([state.cell for state in states])
    names = [label({name: state.cell[name] for name in varied if name in state.cell}) for state in states]
    now_at, failed = [], []
    for state, name in zip(states, names, strict=True):
        if state.begun:
            since = duration(now - state.begun.since)
            now_at.append(f"now        {name} on {state.begun.host} (process {state.begun.process}) for {since}")
        elif state.error is not None:
            failed.append(f"failed     {name}: {state.error}")
    return now_at[:LISTED] + failed[:LISTED]


def _clock(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")
