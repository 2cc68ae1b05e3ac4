"""Runs the cells of a sweep. Workers write their own cells; this process schedules and counts."""

from __future__ import annotations

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
from lab.sweeps.cells import Cell, distinguishing, label
from lab.sweeps.executors import WorkerLostError
from lab.sweeps.pool import Pool
from lab.sweeps.store import Store
from lab.sweeps.worker import Group, Measure, Report, measure_group, one_line

if TYPE_CHECKING:
    from tqdm import tqdm

#: Seconds between two updates of the clock while no cell finishes.
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
    """The end of a run: cells measured now, cells that were there before, failures, seconds on the clock."""

    done: int
    skipped: int
    failed: tuple[Failure, ...]
    seconds: float


@dataclass(frozen=True)
class _Job:
    """A cell to measure: how often it raised, how often its worker died, whether another run had begun it."""

    cell: Cell
    work: int
    raised: int = 0
    died: int = 0
    deferred: bool = False


_Jobs = tuple[_Job, ...]


def run_cells(
    measure: Measure, cells: Sequence[Cell], costs: Sequence[Cost], store: Store, pool: Pool, *, progress: bool = True
) -> Outcome:
    """Measure the cells that the store lacks, the largest first, small ones in groups.

    A cell that raises is retried once. When a worker dies, the cells that it was measuring are retried once, each
    alone. A cell that fails twice is reported, and the others go on. Cells that another run has begun in the same
    directory come last, and are not measured again once they are there.

    Parameters
    ----------
    measure
        Gives row and arrays of a cell; it is sent to the workers by pickle.
    cells, costs
        Pairs; the work decides the order and the progress bar.
    store
        A claimed store.
    pool
        The workers.
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
        run = _Run(measure, store.for_workers(), pool, bar, deque(todo), total=len(jobs), skipped=len(jobs) - len(todo))
        run.label_fields = distinguishing(cells)
        run.complete()
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


@dataclass
class _Run:
    """The state of a run; all of it lives in the main thread."""

    measure: Measure
    store: Store
    pool: Pool
    bar: tqdm[Any]
    queue: deque[_Job]
    total: int
    skipped: int
    retries_alone: deque[_Job] = field(default_factory=deque)
    running: dict[Future[Any], _Jobs] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    done: int = 0
    waiting: str = ""
    label_fields: tuple[str, ...] = ()
    pace: float = GROUP_SECONDS

    def complete(self) -> None:
        if not self.queue:
            return
        self._show()
        self.bar.refresh()
        self.executor: Executor = self.pool.open()
        try:
            while self.queue or self.retries_alone or self.running:
                self._fill()
                self._collect(TICK)
        except BaseException:
            self.executor.shutdown(cancel_futures=True)
            raise
        self.executor.shutdown()

    def _fill(self) -> None:
        """Keep one group more in progress than there are workers: none waits, and few cells are lost with a worker."""
        while self.queue and len(self.running) <= self._places():
            self._launch(self._next_group())
            self._collect(0.0)  # the serial executor has finished already
        if self.retries_alone and not self.running and not self.queue:
            self._launch((self.retries_alone.popleft(),))  # alone, so that a second death has one cause

    def _places(self) -> int:
        """Cells at a time; an executor whose number of workers changes has its own count."""
        return int(getattr(self.executor, "places", self.pool.workers))

    def _next_group(self) -> _Jobs:
        group = [self.queue.popleft()]
        size = self._group_size()
        while self.queue and len(group) < size and self.queue[0].deferred == group[0].deferred:
            group.append(self.queue.popleft())
        return tuple(group)

    def _group_size(self) -> int:
        """As many cells as the pace allows, while at least two groups are left for each worker.

        The pace is that of the cells that finished last. Those were no smaller, so groups are rather too small.
        """
        fair = 1 + len(self.queue) // (2 * self._places())
        return max(1, min(int(GROUP_SECONDS / self.pace), fair, GROUP_CELLS))

    def _show_now(self, group: _Jobs = ()) -> None:
        """Show the cells that now begin, unless they wait for workers: an executor far away may have none yet."""
        self.waiting = str(getattr(self.executor, "waiting", ""))
        self._show(group)

    def _launch(self, group: _Jobs) -> None:
        self._show_now(group)
        if not self.done:
            self.bar.refresh()  # the serial executor shows nothing more before this cell is done
        try:
            future = self._submit(group)
        except BrokenExecutor:
            self._collect(None)
            self._renew()
            future = self._submit(group)
        self.running[future] = group

    def _submit(self, group: _Jobs) -> Future[Any]:
        cells = tuple(job.cell for job in group)
        first_time = not any(job.deferred or job.died for job in group)
        task = Group(self.measure, self.store, self.pool.threads, self.pool.device, cells, skip_begun=first_time)
        return self.executor.submit(measure_group, task)

    def _collect(self, timeout: float | None) -> None:
        finished, _ = wait(self.running, timeout, FIRST_COMPLETED)
        broken = any(isinstance(future.exception(), BrokenExecutor) for future in finished)
        if broken:
            finished, _ = wait(self.running)  # the whole executor ended with its worker
        lost = [job for future in finished for job in self._settle(self.running.pop(future), future)]
        if broken:
            self._renew()
        self._requeue_lost(lost)
        if not finished:
            self._show_now()  # the clock goes on while no cell finishes

    def _renew(self) -> None:
        self.executor.shutdown(cancel_futures=True)
        self.executor = self.pool.open()

    def _settle(self, group: _Jobs, future: Future[Any]) -> list[_Job]:
        """Count finished cells; returned are those that were lost with a worker."""
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
            self._raised(job, Report(one_line(error), "".join(traceback.format_exception(error))))
        return []

    def _requeue_lost(self, lost: list[_Job]) -> None:
        """Retry the cells that were being measured, each alone; those that only waited go back to the queue."""
        begun = [job for job in lost if signs.take_back(self.store.directory, self.store.key(job.cell))]
        for job in begun or lost:  # without signs, any of them may have been the cause
            self._died(job)
        if begun:
            self.queue.extendleft(job for job in reversed(lost) if job not in begun)

    def _settle_reports(self, group: _Jobs, seconds: float, reports: list[Report]) -> None:
        self.pace = max(seconds / len(reports), 1e-4)
        if reports[-1].full:
            raise OSError(reports[-1].full, os.strerror(reports[-1].full), str(self.store.directory))
        for job, report in zip(group, reports, strict=True):
            if report.elsewhere:
                self.queue.append(replace(job, deferred=True))  # the other run may have committed it by then
            elif report.error is None:
                self._finish(job)
            else:
                self._raised(job, report)

    def _finish(self, job: _Job) -> None:
        self.done += 1
        self._advance(job)

    def _died(self, job: _Job) -> None:
        if job.died:
            self._fail(job, Report("the worker died twice (out of memory, or killed from outside)"))
        else:
            self.retries_alone.append(replace(job, died=1))

    def _raised(self, job: _Job, report: Report) -> None:
        if job.raised:
            self._fail(job, report)
        else:
            (self.retries_alone if job.died else self.queue).append(replace(job, raised=1))

    def _fail(self, job: _Job, report: Report) -> None:
        self.failed.append(Failure(job.cell, report.error or "", report.traceback))
        signs.note_failure(self.store.directory, self.store.key(job.cell), report.error or "")
        self._advance(job)

    def _advance(self, job: _Job) -> None:
        self.waiting = ""
        finished = self.done + self.skipped + len(self.failed) == self.total
        self.bar.bar_format = _COUNTED if finished else _TIMED
        self._show(work=job.work)

    def _show(self, group: _Jobs = (), work: int = 0) -> None:
        """Show counts behind the bar, the cells that are measured now or what they wait for, and this work as done."""
        failures = f", {len(self.failed)} failed" if self.failed else ""
        counts = f"{self.done + self.skipped} of {self.total} cell{'' if self.total == 1 else 's'}{failures}"
        self.bar.set_description_str(counts, refresh=False)
        self.bar.set_postfix_str(self.waiting or self._in_progress(group), refresh=False)
        self.bar.update(work)

    def _in_progress(self, group: _Jobs) -> str:
        """The first of the cells that are measured, in words, and how many others there are."""
        serial = self.pool.executor == "serial"
        starting = "starting" if serial else "starting the workers"
        if not (self.running or group):
            return starting if self.queue and not self.done else ""
        groups = [jobs for jobs in (*self.running.values(), group) if jobs][: self._places()]
        cells = [job.cell for jobs in groups for job in jobs]
        if not (self.done or serial or any(map(self._begun, cells))):
            return starting  # a worker needs seconds until it measures its first cell
        others = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        return f"measuring {label(cells[0], self.label_fields)}{others}"

    def _begun(self, cell: Cell) -> bool:
        return signs.begun(self.store.directory, self.store.key(cell)) is not None


#: While no cell is done, there is no pace from which the time left could be known. The percentage is that of the work.
_COUNTED = "{elapsed} {percentage:3.0f}% |{bar}| {desc}{postfix}"
_TIMED = "{elapsed} {percentage:3.0f}% |{bar}| {desc}, {remaining} left{postfix}"


def _progress_bar(before: float, total: float, *, shown: bool) -> tqdm[Any]:
    """A bar that counts work: cells differ by orders of magnitude, and the remaining time follows the work."""
    from tqdm import tqdm

    pause = 0.1 if sys.stderr.isatty() else 10.0  # a log file gets a line every ten seconds
    bar: tqdm[Any] = tqdm(
        total=total,
        initial=before,
        disable=not shown,
        bar_format=_COUNTED,
        mininterval=pause,
        miniters=0,
        delay=1e-9,  # nothing is drawn before there is something to say
        file=sys.stderr,
    )
    return bar
