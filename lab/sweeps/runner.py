"""Runs the cells of a sweep. Workers write their own cells; this process only counts."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lab.costs import Cost
from lab.sweeps import signs
from lab.sweeps.cells import Cell, label, varying
from lab.sweeps.executors import Crew, WorkerLostError
from lab.sweeps.store import FULL, Store

if TYPE_CHECKING:
    from tqdm import tqdm

#: Seconds between two looks at the clock while nothing finishes.
TICK = 1.0
#: Small cells travel together, up to about this many seconds of work and this many cells.
GROUP_SECONDS, GROUP_CELLS = 0.2, 128


@dataclass(frozen=True)
class Failure:
    """A cell that could not be measured.

    Attributes
    ----------
    cell
        Its settings.
    error
        What went wrong, in one line.
    traceback
        Where, as text; empty when the worker died.
    """

    cell: Cell
    error: str
    traceback: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a run: cells measured now, cells that were there before, failures, seconds on the clock."""

    done: int
    skipped: int
    failed: tuple[Failure, ...]
    seconds: float


@dataclass(frozen=True)
class _Job:
    cell: Cell
    work: int
    raised: int = 0
    died: int = 0
    put_off: bool = False


_Group = tuple[_Job, ...]


def run_cells(
    measure: str, cells: Sequence[Cell], costs: Sequence[Cost], store: Store, crew: Crew, *, progress: bool = True
) -> Outcome:
    """Measure the cells that the store lacks, the largest first, small ones in groups.

    A cell that raises is tried once more. When a worker dies, the cells that were under way are tried once more, each
    alone. Whatever fails twice is reported, and the rest goes on. Cells that another run has begun in the same
    directory come last, and are not measured again once they are there.

    Parameters
    ----------
    measure
        Name of a module with ``measure(cell) -> (row, arrays)``.
    cells, costs
        Pairs; the work decides the order and the progress bar.
    store
        A claimed store.
    crew
        Who computes.
    progress
        Whether to draw a bar on stderr.

    Raises
    ------
    KeyboardInterrupt
        After the workers were ended; committed cells stay.
    OSError
        If the disk is full (``errno`` is in `FULL`); committed cells stay, and no half of another.
    """
    started = time.perf_counter()
    missing = {id(cell) for cell in store.missing(cells)}
    jobs = [(_Job(cell, cost.work), id(cell) in missing) for cell, cost in zip(cells, costs, strict=True)]
    todo = sorted((job for job, lacking in jobs if lacking), key=lambda job: -job.work)
    before = sum(job.work for job, lacking in jobs if not lacking)
    with _progress_bar(before, sum(job.work for job, _ in jobs), shown=progress and bool(todo)) as bar:
        run = _Run(measure, store.for_workers(), crew, bar, deque(todo), total=len(jobs), skipped=len(jobs) - len(todo))
        run.telling = varying(cells)
        run.to_the_end()
    return Outcome(run.done, run.skipped, tuple(run.failed), time.perf_counter() - started)


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """Within, SIGTERM raises KeyboardInterrupt as Ctrl-C does (main thread only: elsewhere nothing changes)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclass(frozen=True)
class _Report:
    """What a worker says of a cell: plain text, so that no exception has to travel."""

    error: str | None = None
    traceback: str = ""
    full: int | None = None
    elsewhere: bool = False


@dataclass(frozen=True)
class _Task:
    """What goes to a worker: where, how, and a group of cells; if polite, it leaves out what another run has begun."""

    measure: str
    store: Store
    threads: int
    device: str
    cells: tuple[Cell, ...]
    polite: bool


def _measure_group(task: _Task) -> tuple[float, list[_Report]]:
    """Measure and commit cells one by one, in the process that does the work; the seconds that it took, and reports."""
    started = time.perf_counter()
    reports: list[_Report] = []
    for cell in task.cells:
        reports.append(_measure(task, cell))
        if reports[-1].full:
            break
    return time.perf_counter() - started, reports


def _measure(task: _Task, cell: Cell) -> _Report:
    place = (task.store.directory, task.store.key(cell))
    if task.polite and signs.begun(*place):
        return _Report(elsewhere=True)
    try:
        with signs.at_work(*place):
            if not task.store.whole(cell):  # another run in this directory may have been faster
                _measure_and_commit(task, cell)
    except Exception as error:
        full = error.errno if isinstance(error, OSError) and error.errno in FULL else None
        return _Report(_one_line(error), traceback.format_exc(), full)
    return _Report()


def _measure_and_commit(task: _Task, cell: Cell) -> None:
    module = importlib.import_module(task.measure)
    started = time.perf_counter()
    row, arrays = module.measure(cell)
    seconds = time.perf_counter() - started
    task.store.commit(cell, row, arrays, seconds=seconds, threads=task.threads, device=task.device, keep=True)


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@dataclass
class _Run:
    """The state of a run; all of it lives in the main thread."""

    measure: str
    store: Store
    crew: Crew
    bar: tqdm[Any]
    queue: deque[_Job]
    total: int
    skipped: int
    suspects: deque[_Job] = field(default_factory=deque)
    flying: dict[Future[Any], _Group] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    done: int = 0
    last: str = ""
    telling: tuple[str, ...] = ()
    pace: float = GROUP_SECONDS

    def to_the_end(self) -> None:
        if not self.queue:
            return
        self.executor: Executor = self.crew.open()
        try:
            while self.queue or self.suspects or self.flying:
                self._fill()
                self._collect(TICK)
        except BaseException:
            self.executor.shutdown(cancel_futures=True)
            raise
        self.executor.shutdown()

    def _fill(self) -> None:
        """Keep one group more than there are workers under way, so that none waits and few are lost to a death."""
        while self.queue and len(self.flying) <= self._places():
            self._launch(self._next_group())
            self._collect(0.0)  # the serial executor is through already
        if self.suspects and not self.flying and not self.queue:
            self._launch((self.suspects.popleft(),))  # alone: should a worker die again, it is this cell's doing

    def _places(self) -> int:
        """Cells at a time; an executor that grows and shrinks knows better than the crew."""
        return int(getattr(self.executor, "places", self.crew.workers))

    def _next_group(self) -> _Group:
        group = [self.queue.popleft()]
        size = self._group_size()
        while self.queue and len(group) < size and self.queue[0].put_off == group[0].put_off:
            group.append(self.queue.popleft())
        return tuple(group)

    def _group_size(self) -> int:
        """As many cells as the pace allows, and no more than leave two groups for everybody.

        The pace is that of the cells that came back last; those were no smaller, so the guess is on the safe side.
        """
        fair = 1 + len(self.queue) // (2 * self._places())
        return max(1, min(int(GROUP_SECONDS / self.pace), fair, GROUP_CELLS))

    def _launch(self, group: _Group) -> None:
        self._tell(group)
        try:
            future = self._submit(group)
        except BrokenExecutor:
            self._collect(None)
            self._renew()
            future = self._submit(group)
        self.flying[future] = group

    def _submit(self, group: _Group) -> Future[Any]:
        cells = tuple(job.cell for job in group)
        polite = not any(job.put_off or job.died for job in group)
        task = _Task(self.measure, self.store, self.crew.threads, self.crew.device, cells, polite)
        return self.executor.submit(_measure_group, task)

    def _collect(self, timeout: float | None) -> None:
        finished, _ = wait(self.flying, timeout, FIRST_COMPLETED)
        broken = any(isinstance(future.exception(), BrokenExecutor) for future in finished)
        if broken:
            finished, _ = wait(self.flying)  # the whole pool went with its worker
        lost = [job for future in finished for job in self._settle(self.flying.pop(future), future)]
        if broken:
            self._renew()
        self._mourn(lost)
        if not finished:
            self.bar.update(0)  # the clock goes on while a cell takes its time

    def _renew(self) -> None:
        self.executor.shutdown(cancel_futures=True)
        self.executor = self.crew.open()

    def _settle(self, group: _Group, future: Future[Any]) -> list[_Job]:
        """Count what came back; returned is what a dead worker took along."""
        error = future.exception()
        if error is None:
            self._settle_reports(group, *future.result())
            return []
        left = [job for job in group if not self.store.whole(job.cell)]
        for job in (job for job in group if job not in left):  # committed before the worker died
            self._finish(job)
        if isinstance(error, (BrokenExecutor, WorkerLostError)):
            return left
        for job in left:
            self._raised(job, _Report(_one_line(error), "".join(traceback.format_exception(error))))
        return []

    def _mourn(self, lost: list[_Job]) -> None:
        """Bury the cells that were being measured; those that only waited beside them go back to the queue."""
        begun = [job for job in lost if signs.take_back(self.store.directory, self.store.key(job.cell))]
        for job in begun or lost:  # without any sign nobody can be told apart
            self._bury(job)
        if begun:
            self.queue.extendleft(job for job in reversed(lost) if job not in begun)

    def _settle_reports(self, group: _Group, seconds: float, reports: list[_Report]) -> None:
        self.pace = max(seconds / len(reports), 1e-4)
        if reports[-1].full:
            raise OSError(reports[-1].full, os.strerror(reports[-1].full), str(self.store.directory))
        for job, report in zip(group, reports, strict=True):
            if report.elsewhere:
                self.queue.append(replace(job, put_off=True))  # it may be there when its turn comes
            elif report.error is None:
                self._finish(job)
            else:
                self._raised(job, report)

    def _finish(self, job: _Job) -> None:
        self.done += 1
        self._advance(job)

    def _bury(self, job: _Job) -> None:
        if job.died:
            self._fail(job, _Report("the worker died twice (out of memory, or killed from outside)"))
        else:
            self.suspects.append(replace(job, died=1))

    def _raised(self, job: _Job, report: _Report) -> None:
        if job.raised:
            self._fail(job, report)
        else:
            (self.suspects if job.died else self.queue).append(replace(job, raised=1))

    def _fail(self, job: _Job, report: _Report) -> None:
        self.failed.append(Failure(job.cell, report.error or "", report.traceback))
        signs.note_failure(self.store.directory, self.store.key(job.cell), report.error or "")
        self._advance(job)

    def _advance(self, job: _Job) -> None:
        self.bar.update(job.work)
        self._tell(())

    def _tell(self, group: _Group) -> None:
        """Say how far things are behind the bar, and which cells were begun last."""
        if group:
            first, more = group[0].cell, f" and {len(group) - 1} more" if len(group) > 1 else ""
            self.last = label({name: first[name] for name in self.telling if name in first}) + more
        count = f"{self.done + self.skipped}/{self.total} cells"
        failures = f", {len(self.failed)} failed" if self.failed else ""
        self.bar.set_postfix_str(f"{count}{failures}, {self.last}", refresh=False)
        self.bar.update(0)


def _progress_bar(before: float, total: float, *, shown: bool) -> tqdm[Any]:
    """A bar that counts work: cells differ by orders of magnitude, and the time that is left goes with the work."""
    from tqdm import tqdm

    layout = "{percentage:3.0f}% of the work |{bar}| {elapsed}<{remaining}{postfix}"
    pause = 0.1 if sys.stderr.isatty() else 10.0  # a log file is no place for ten lines a second
    bar: tqdm[Any] = tqdm(
        total=total,
        initial=before,
        disable=not shown,
        bar_format=layout,
        mininterval=pause,
        miniters=0,
        file=sys.stderr,
    )
    return bar
