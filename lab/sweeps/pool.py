"""Which workers compute the cells. The interface is `concurrent.futures.Executor`; a new place is one entry here."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

from lab.errors import LabError, check_choice, check_integer
from lab.sweeps.executors import Initializer, Processes, Serial

#: More threads than any processor has cores only exhaust the system.
MOST_THREADS = 1024


@dataclass(frozen=True)
class Pool:
    """The workers that compute the cells.

    Attributes
    ----------
    executor
        Name in `EXECUTORS`.
    workers
        Cells at a time; the serial executor has one whatever this says.
    threads, device
        Recorded with each cell; the initializer sets them in every process.
    initializer
        Called once in every process (with dask: every thread) that measures cells, before the first. It must travel by
        pickle.
    scheduler
        Address of a running Dask scheduler, whose workers replace ``workers``; for the executor dask alone.
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
            fix = "use at most one thread per core"
            raise LabError("threads", str(self.threads), f"1 to {MOST_THREADS}", fix)
        if self.scheduler is not None and self.executor != "dask":
            came = f"{self.scheduler!r} with the executor {self.executor}"
            raise LabError("scheduler", came, "none but with the executor dask", "add executor='dask'")

    def open(self) -> Executor:
        """A fresh executor. ``shutdown(cancel_futures=True)`` on it also ends the cells in progress.

        Raises
        ------
        LabError
            If its workers cannot start.
        """
        return EXECUTORS[self.executor](self)


def _dask(pool: Pool) -> Executor:
    try:
        from lab.sweeps.cluster import Dask
    except ImportError as error:
        fix = "pip install 'lazylab[dask]'"
        raise LabError("executor", f"'dask' ({error})", "an executor that is installed", fix) from None
    return Dask(pool.workers, pool.threads, pool.initializer, pool.scheduler)


#: Every place where cells can be computed.
EXECUTORS: dict[str, Callable[[Pool], Executor]] = {
    "serial": lambda pool: Serial(pool.initializer),
    "processes": lambda pool: Processes(pool.workers, pool.threads, pool.initializer),
    "dask": _dask,
}
