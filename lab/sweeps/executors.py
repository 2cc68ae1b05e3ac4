"""Where cells are computed. The seam is `concurrent.futures.Executor`; a new place is one entry in `EXECUTORS`."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError, check_choice, check_integer

Initializer = Callable[[], None]
#: What the numerical libraries read when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class WorkerLostError(Exception):
    """A worker died with the cells that it had; the executor and its other workers go on."""


#: More threads than any processor has cores only exhaust the system.
MOST_THREADS = 1024


@dataclass(frozen=True)
class Crew:
    """Who computes the cells.

    Attributes
    ----------
    executor
        Name in `EXECUTORS`.
    workers
        Cells at a time; the serial executor has one whatever this says.
    threads, device
        Recorded with each cell; the initializer is what makes it so in every process, this one included.
    initializer
        Called once in every process (with dask: every thread) that measures cells, before the first. It must travel by
        pickle.
    scheduler
        Address of a running Dask scheduler, whose workers replace ``workers``; dask alone has one.
    """

    executor: str = "serial"
    workers: int = 1
    threads: int = 1
    device: str = "cpu"
    initializer: Initializer | None = None
    scheduler: str | None = None

    def __post_init__(self) -> None:
        check_choice("executor", self.executor, EXECUTORS)
        check_integer("workers", self.workers, 1)
        check_integer("threads", self.threads, 1)
        if self.threads > MOST_THREADS:
            raise LabError(
                "threads", str(self.threads), f"1 to {MOST_THREADS}", "one thread per core is the most that pays"
            )
        if self.scheduler is not None and self.executor != "dask":
            came = f"{self.scheduler!r} with the executor {self.executor}"
            raise LabError("scheduler", came, "none but with the executor dask", "add --executor dask")

    def open(self) -> Executor:
        """A fresh executor. ``shutdown(cancel_futures=True)`` on it also ends the cells under way.

        Raises
        ------
        LabError
            If its workers cannot start.
        """
        return EXECUTORS[self.executor](self)


class Serial(Executor):
    """Computes in this process, at once, when a cell is submitted."""

    def __init__(self, crew: Crew) -> None:
        if crew.initializer is not None:
            crew.initializer()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn`` and return a finished future; an interrupt passes through."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Processes(Executor):
    """Computes in processes of this machine that share nothing with this one but the disk."""

    def __init__(self, crew: Crew) -> None:
        from loky import ProcessPoolExecutor

        environment = thread_environment(crew.threads)
        begin = functools.partial(_begin_worker, os.getpid(), crew.initializer)
        self._pool = ProcessPoolExecutor(crew.workers, initializer=begin, env=environment)
        try:
            with interrupts_held():  # inherited: Ctrl-C is for this process, which then ends the others
                first = self._pool.submit(os.getpid)
            first.result()
        except BrokenExecutor:
            came = "workers that died while they started"
            fix = "read their message above; fewer --workers need less memory"
            raise LabError("executor", came, "processes that start", fix) from None
        except BaseException:
            self.shutdown(cancel_futures=True)
            raise

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand ``fn`` to a worker."""
        with interrupts_held():  # a worker that is replaced starts here
            future: Future[Any] = self._pool.submit(fn, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers, in the middle of their cells if ``cancel_futures``."""
        self._pool.shutdown(wait=wait, kill_workers=cancel_futures)


def _dask(crew: Crew) -> Executor:
    try:
        from lab.sweeps.cluster import Dask
    except ImportError as error:
        fix = "pip install 'lazylab[dask]'"
        raise LabError("executor", f"'dask' ({error})", "an executor that is installed", fix) from None
    return Dask(crew)


#: Every place where cells can be computed.
EXECUTORS: dict[str, Callable[[Crew], Executor]] = {"serial": Serial, "processes": Processes, "dask": _dask}


def thread_environment(threads: int) -> dict[str, str]:
    """Environment under which the numerical libraries use this many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def _begin_worker(parent: int, initializer: Initializer | None) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if initializer is not None:
        initializer()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: one that was killed could not say so."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def usable_cores() -> int:
    """Cores that this process may use: affinity and container limits count."""
    from loky import cpu_count

    return int(cpu_count())


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold SIGINT back in this thread, and for good in the processes that it starts meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
