"""How far a run is, also one that runs elsewhere, from the files of its directory alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from comparisons.cli.formats import clock, duration
from comparisons.runs.outputs import source_of
from comparisons.runs.registry import find, typed
from lab.errors import LabError
from lab.sweeps import Cell, Store, signs
from lab.sweeps.cells import distinguishing, label
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
    key, committed = store.key(cell), _committed(store, cell)
    if committed is not None:
        return CellState(cell, work, committed, None, None)
    return CellState(cell, work, None, signs.begun(store.directory, key), signs.failure(store.directory, key))


def _committed(store: Store, cell: Cell) -> float | None:
    """When a cell was committed; None where its json is damaged, or the npz is not as large as it says."""
    path = store.path(cell, "json")
    try:
        record = json.loads(path.read_bytes())
        whole = record["cell"] == cell and record["arrays"]["bytes"] == store.path(cell, "npz").stat().st_size
        return path.stat().st_mtime if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


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


@dataclass(frozen=True)
class Progress:
    """How far a run is; moments are in seconds since the epoch.

    Attributes
    ----------
    cells
        Numbers of cells: total, done, in_progress, failed, to_do.
    work_done
        Share of the work that is done, from 0 to 1.
    last_commit, start
        Of the last cell that was committed (None before the first), and of the present run.
    cells_per_minute, seconds_left
        Since the start, and by the work that is left; None where that is not known.
    running, failures
        Cells in progress with their process, and failed ones with their error.
    """

    directory: str
    comparison: str
    version: int
    now: float
    cells: Mapping[str, int]
    work_done: float
    last_commit: float | None
    start: float
    cells_per_minute: float | None
    seconds_left: float | None
    running: tuple[Mapping[str, Any], ...]
    failures: tuple[Mapping[str, Any], ...]

    def __str__(self) -> str:
        done, total = self.cells["done"], self.cells["total"]
        others = [f"{self.cells[name]} {name.replace('_', ' ')}" for name in ("in_progress", "failed", "to_do")]
        lines = [f"{self.directory}: {self.comparison}, version {self.version}"]
        lines.append(f"cells      {', '.join([f'{done} of {total} done', *others])}")
        lines += [f"work       {self.work_done:.1%} done", *self._pace()]
        for each in self.running[:LISTED]:
            process = f"on {each['host']} (process {each['process']}) for {duration(self.now - each['since'])}"
            lines.append(f"now        {each['label']}, {process}")
        return "\n".join(lines + [f"failed     {each['label']}: {each['error']}" for each in self.failures[:LISTED]])

    def _pace(self) -> list[str]:
        last = "nothing is committed yet"
        if self.last_commit is not None:
            last = f"{clock(self.last_commit)}, {duration(self.now - self.last_commit)} ago"
        lines = [f"last       {last}"]
        if self.cells_per_minute is not None:
            lines.append(f"rate       {self.cells_per_minute:.3g} cells a minute since {clock(self.start)}")
        if self.seconds_left:
            idle = "" if self.running else ", once it is resumed; no process is known to be running"
            lines.append(f"estimate   {duration(self.seconds_left)} for what is left{idle}")
        return lines


def read(store: Store, now: float | None = None) -> Progress:
    """How far a run is: counts, share of the work, last commit, pace, and which process measures which cell."""
    states, now, manifest = examine(store), time.time() if now is None else now, store.manifest
    total, start = sum(state.work for state in states), (store.directory / SETTINGS).stat().st_mtime
    left = sum(state.work for state in states if state.committed is None)
    pace = rate(states, start, now)
    running, failures = _details(states)
    return Progress(
        str(store.directory),
        manifest["comparison"],
        manifest["version"],
        now,
        count(states),
        work_done=1 - left / total if total else 1.0,
        last_commit=last_commit(states),
        start=start,
        cells_per_minute=None if pace is None else 60 * pace.cells,
        seconds_left=None if pace is None else left / pace.work,
        running=running,
        failures=failures,
    )


def count(states: Sequence[CellState]) -> dict[str, int]:
    """Numbers of cells by their state."""
    done = sum(state.committed is not None for state in states)
    begun = sum(state.begun is not None for state in states)
    failed = sum(state.error is not None for state in states)
    rest = len(states) - done - begun - failed
    return {"total": len(states), "done": done, "in_progress": begun, "failed": failed, "to_do": rest}


def last_commit(states: Sequence[CellState]) -> float | None:
    """When the last of the cells was committed, in seconds since the epoch; None before the first."""
    return max((state.committed for state in states if state.committed is not None), default=None)


def _details(states: Sequence[CellState]) -> tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]:
    fields = distinguishing([state.cell for state in states])
    running, failed = [], []
    for state in states:
        about = {"label": label(state.cell, fields), "cell": state.cell}
        if state.begun:
            running.append({**about, **asdict(state.begun)})
        elif state.error is not None:
            failed.append({**about, "error": state.error})
    return tuple(running), tuple(failed)
