"""Executors of this machine: this process, or processes that share nothing but the disk."""

from __future__ import annotations

import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from typing import Any

from lab.errors import LabError

#: Prepares a process, and returns what undoes that (or None): the process may be the caller's own.
Initializer = Callable[[], Callable[[], None] | None]
#: What the numerical libraries read when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class WorkerLostError(Exception):
    """A worker died while it measured cells; the executor and its other workers go on."""


class Serial(Executor):
    """Computes in this process, at once, when a cell is submitted."""

    def __init__(self, initializer: Initializer | None) -> None:
        self._undo = None if initializer is None else initializer()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Undo what the initializer did to this process."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()

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

    def __init__(self, workers: int, threads: int, initializer: Initializer | None) -> None:
        from loky import ProcessPoolExecutor

        begin = functools.partial(_begin_worker, os.getpid(), initializer)
        self._pool = ProcessPoolExecutor(workers, initializer=begin, env=thread_environment(threads))
        try:
            with interrupts_held():  # inherited: Ctrl-C is for this process, which then ends the others
                first = self._pool.submit(os.getpid)
            first.result()
        except BrokenExecutor:
            came = "workers that died while they started"
            fix = "read their message above; fewer `workers` need less memory"
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


def thread_environment(threads: int) -> dict[str, str]:
    """Environment under which the numerical libraries use this many threads."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def _begin_worker(parent: int, initializer: Initializer | None) -> None:
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if initializer is not None:
        initializer()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a killed parent cannot end its workers."""
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
