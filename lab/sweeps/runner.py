"""Runs the cells of a sweep. Workers write their own cells; this process only counts."""

from __future__ import annotations

import importlib
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
from os import PathLike
from typing import TYPE_CHECKING, Any

from lab.costs import Cost
from lab.sweeps.cells import Cell, label, varying
from lab.sweeps.executors import Crew, WorkerLostError
from lab.sweeps.store import Store

if TYPE_CHECKING:
    from tqdm import tqdm

#: Seconds between two looks at the clock while nothing finishes.
TICK = 1.0


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
    work: float
    raised: int = 0
    died: int = 0


def run_cells(
    measure: str, cells: Sequence[Cell], costs: Sequence[Cost], store: Store, crew: Crew, *, progress: bool = True
) -> Outcome:
    """Measure the cells that the store lacks, the largest first.

    A cell that raises is tried once more. When a worker dies, the cells that were under way are tried once more, each
    alone. Whatever fails twice is reported, and the rest goes on.

    Parameters
    ----------
    measure
        Name of a module with ``measure(cell) -> (row, arrays)``.
    cells, costs
        Pairs; the flops decide the order and the progress bar.
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
    """
    started = time.perf_counter()
    missing = {id(cell) for cell in store.missing(cells)}
    jobs = [(_Job(cell, max(cost.flops, 1.0)), id(cell) in missing) for cell, cost in zip(cells, costs, strict=True)]
    todo = sorted((job for job, lacking in jobs if lacking), key=lambda job: -job.work)
    before = sum(job.work for job, lacking in jobs if not lacking)
    with _progress_bar(before, sum(job.work for job, _ in jobs), shown=progress and bool(todo)) as bar:
        run = _Run(measure, store.directory, crew, bar, deque(todo), total=len(jobs), skipped=len(jobs) - len(todo))
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


def _measure(reference: str, cell: Cell, directory: str | PathLike[str], threads: int, device: str) -> _Report:
    """Measure and commit one cell, in the process that does the work."""
    try:
        module = importlib.import_module(reference)
        started = time.perf_counter()
        row, arrays = module.measure(cell)
        seconds = time.perf_counter() - started
        Store(directory).commit(cell, row, arrays, seconds=seconds, threads=threads, device=device)
    except Exception as error:
        return _Report(_one_line(error), traceback.format_exc())
    return _Report()


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@dataclass
class _Run:
    """The state of a run; all of it lives in the main thread."""

    measure: str
    directory: PathLike[str]
    crew: Crew
    bar: tqdm[Any]
    queue: deque[_Job]
    total: int
    skipped: int
    suspects: deque[_Job] = field(default_factory=deque)
    flying: dict[Future[_Report], _Job] = field(default_factory=dict)
    failed: list[Failure] = field(default_factory=list)
    done: int = 0
    last: str = ""
    telling: tuple[str, ...] = ()

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
        """Keep one cell more than there are workers under way, so that none waits and few are lost to a death."""
        while self.queue and len(self.flying) <= self._places():
            self._launch(self.queue.popleft())
            self._collect(0.0)  # the serial executor is through already
        if self.suspects and not self.flying and not self.queue:
            self._launch(self.suspects.popleft())  # alone: should a worker die again, it is this cell's doing

    def _places(self) -> int:
        """Cells at a time; an executor that grows and shrinks knows better than the crew."""
        return int(getattr(self.executor, "places", self.crew.workers))

    def _launch(self, job: _Job) -> None:
        self._tell(job)
        try:
            future = self._submit(job)
        except BrokenExecutor:
            self._collect(None)
            self._renew()
            future = self._submit(job)
        self.flying[future] = job

    def _submit(self, job: _Job) -> Future[_Report]:
        crew = self.crew
        return self.executor.submit(_measure, self.measure, job.cell, self.directory, crew.threads, crew.device)

    def _collect(self, timeout: float | None) -> None:
        finished, _ = wait(self.flying, timeout, FIRST_COMPLETED)
        broken = any(isinstance(future.exception(), BrokenExecutor) for future in finished)
        if broken:
            finished, _ = wait(self.flying)  # the whole pool went with its worker
        for future in finished:
            self._settle(self.flying.pop(future), future)
        if broken:
            self._renew()
        if not finished:
            self.bar.update(0)  # the clock goes on while a cell takes its time

    def _renew(self) -> None:
        self.executor.shutdown(cancel_futures=True)
        self.executor = self.crew.open()

    def _settle(self, job: _Job, future: Future[_Report]) -> None:
        error = future.exception()
        if isinstance(error, (BrokenExecutor, WorkerLostError)):
            self._bury(job)
        elif error is not None:
            self._raised(job, _Report(_one_line(error), "".join(traceback.format_exception(error))))
        elif future.result().error is not None:
            self._raised(job, future.result())
        else:
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
        self._advance(job)

    def _advance(self, job: _Job) -> None:
        self.bar.update(job.work)
        self._tell(None)

    def _tell(self, job: _Job | None) -> None:
        """Say how far things are behind the bar, and which cell was begun last."""
        if job:
            self.last = label({name: job.cell[name] for name in self.telling if name in job.cell})
        count = f"{self.done + self.skipped}/{self.total} cells"
        failures = f", {len(self.failed)} failed" if self.failed else ""
        self.bar.set_postfix_str(f"{count}{failures}, {self.last}", refresh=False)
        self.bar.update(0)


def _progress_bar(before: float, total: float, *, shown: bool) -> tqdm[Any]:
    """A bar that counts flops: cells differ by orders of magnitude, and the time that is left goes with the work."""
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
