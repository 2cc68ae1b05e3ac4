"""What a worker does: it measures a group of cells and commits each one. Its reports are text: no exception travels."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.progress import shown
from lab.sweeps import signs
from lab.sweeps.cells import Cell
from lab.sweeps.store import FULL, Store

if TYPE_CHECKING:
    import numpy as np

#: Row and arrays of one cell. It must travel by pickle to the workers.
Measure = Callable[[Cell], tuple[Mapping[str, Any], Mapping[str, "np.ndarray[Any, Any]"]]]


@dataclass(frozen=True)
class Report:
    """How one cell ended.

    Attributes
    ----------
    error, traceback
        What it raised; None and empty if it was committed.
    full
        Error number of a full disk.
    elsewhere
        Whether another run had begun it, so that it was left out.
    """

    error: str | None = None
    traceback: str = ""
    full: int | None = None
    elsewhere: bool = False


@dataclass(frozen=True)
class Group:
    """What goes to a worker: cells, how to measure and where to commit them; ``skip_begun`` leaves out begun cells."""

    measure: Measure
    store: Store
    threads: int
    device: str
    cells: tuple[Cell, ...]
    skip_begun: bool


def measure_group(group: Group) -> tuple[float, list[Report]]:
    """Measure and commit cells one by one; the seconds that it took, and a report of each."""
    started = time.perf_counter()
    reports: list[Report] = []
    for cell in group.cells:
        reports.append(_measure(group, cell))
        if reports[-1].full:
            break
    return time.perf_counter() - started, reports


def _measure(group: Group, cell: Cell) -> Report:
    place = (group.store.directory, group.store.key(cell))
    if group.skip_begun and signs.begun(*place):
        return Report(elsewhere=True)
    try:
        with signs.at_work(*place):
            if not group.store.whole(cell):  # another run in this directory may have been faster
                _measure_and_commit(group, cell)
    except Exception as error:
        full = error.errno if isinstance(error, OSError) and error.errno in FULL else None
        return Report(one_line(error), traceback.format_exc(), full)
    return Report()


def _measure_and_commit(group: Group, cell: Cell) -> None:
    started = time.perf_counter()
    with shown(False):  # the run has a bar of its own
        row, arrays = group.measure(cell)
    seconds = time.perf_counter() - started
    group.store.commit(cell, row, arrays, seconds=seconds, threads=group.threads, device=group.device, keep=True)


def one_line(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
