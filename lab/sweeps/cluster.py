"""Cells on a Dask cluster: a new one on this machine, or a running one. Needs ``lazylab[dask]``."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import Any

import dask.config
from distributed import Client, KilledWorker, LocalCluster
from distributed import Future as DaskFuture
from distributed.diagnostics.plugin import SchedulerPlugin

from lab.errors import LabError
from lab.sweeps.executors import Initializer, WorkerLostError, interrupts_held, thread_environment

#: Begins the key of every task of ours: other programs may share the scheduler.
PREFIX = "lazylab-"
#: Seconds to wait for a scheduler.
PATIENCE = 10
#: Seconds to wait for running cells to end.
LAST_SECONDS = 1.0

_ready = threading.local()


class OneAttempt(SchedulerPlugin):  # type: ignore[misc]
    """Makes the scheduler report a cell whose worker died at once: the runner counts and retries."""

    name = "lazylab-one-attempt"

    def __init__(self) -> None:
        self.scheduler: Any = None

    async def start(self, scheduler: Any) -> None:
        """Keep the scheduler."""
        self.scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Use up the allowed failures before the task begins; tasks of other programs keep theirs."""
        if finish == "processing" and str(key).startswith(PREFIX):
            self.scheduler.tasks[key].suspicious = self.scheduler.allowed_failures


class Dask(Executor):
    """Computes on the workers of a Dask cluster, which share nothing with this process but the disk."""

    def __init__(self, workers: int, threads: int, initializer: Initializer | None, scheduler: str | None) -> None:
        self._workers, self._threads = workers, threads
        self._initializer, self._scheduler = initializer, scheduler
        self._run = uuid.uuid4().hex
        self._cluster: Any = None
        self._joined = False
        self._under_way: set[DaskFuture] = set()
        try:
            with interrupts_held():  # inherited by the threads that start workers, and by the workers
                self._client = self._connect()
            self._client.register_plugin(OneAttempt())
            self._try_a_worker()
        except BaseException:
            self.shutdown(cancel_futures=True)
            raise

    def _connect(self) -> Client:
        if self._scheduler is None:
            self._cluster = _local_cluster(self._workers, self._threads)
            return Client(self._cluster, set_as_default=False)
        try:
            return Client(self._scheduler, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            came = f"{self._scheduler!r} ({type(error).__name__})"
            fix = "start one by `dask scheduler`, and workers by `dask worker ADDRESS --nthreads 1`"
            raise LabError("scheduler", came, "the address of a scheduler that answers", fix) from None

    def _try_a_worker(self) -> None:
        """Refuse what would fail in every cell; only on an own cluster: another one may have no worker yet."""
        if self._cluster is None:
            return
        try:
            self._submit(os.getpid).result()
        except Exception as error:
            came = f"workers that died while they started ({type(error).__name__}: {error})"
            raise LabError("executor", came, "processes that start", "correct what the message names") from None

    @property
    def places(self) -> int:
        """Cells at a time: a running cluster may grow and shrink meanwhile."""
        if self._cluster is not None:
            return self._workers
        return max(1, sum(int(threads) for threads in self._client.nthreads().values()))

    @property
    def waiting(self) -> str:
        """What cells wait for before one can begin; empty while there are workers."""
        if self._cluster is not None:
            return ""
        with contextlib.suppress(Exception):  # without a scheduler the cells fail, and say so
            if self._client.nthreads():
                self._joined = True
            else:
                none = "none is left at" if self._joined else "none has joined"
                return f"waiting for workers ({none} {self._client.scheduler.address})"
        return ""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand ``fn`` to a worker; its future fails with `WorkerLostError`, without a scheduler BrokenExecutor."""
        future: Future[Any] = Future()
        inner = self._submit(fn, *args, **kwargs)
        self._under_way.add(inner)  # Dask drops a task when no reference to its future is left
        inner.add_done_callback(functools.partial(self._pass_on, future))
        return future

    def _submit(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> DaskFuture:
        call = functools.partial(fn, *args, **kwargs)
        key = f"{PREFIX}{uuid.uuid4().hex}"
        return self._client.submit(_call, self._run, self._initializer, call, key=key, pure=False)

    def _pass_on(self, future: Future[Any], inner: DaskFuture) -> None:
        self._under_way.discard(inner)
        try:
            future.set_result(inner.result())
        except KilledWorker:
            future.set_exception(WorkerLostError("a worker died"))
        except Exception as error:
            future.set_exception(error if inner.status == "error" else BrokenExecutor("the scheduler is gone"))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, and end it if it is our own; ``cancel_futures`` also ends cells in progress."""
        client, self_made = getattr(self, "_client", None), self._cluster
        with contextlib.suppress(Exception):  # no caller is left for an error
            if cancel_futures and self_made is not None:
                _kill_workers(self_made)
            elif cancel_futures and client is not None:
                _restart_workers(client, list(self._under_way))
        for part in (client, self_made):
            with contextlib.suppress(Exception):
                if part is not None:
                    part.close(timeout=LAST_SECONDS)


def _local_cluster(workers: int, threads: int) -> LocalCluster:
    """Processes of one thread each: a cell has a process for itself, as with the other executors."""
    # Saturation 1 keeps waiting cells at the scheduler: a cell that only waits is not lost with a worker.
    with dask.config.set({"distributed.scheduler.worker-saturation": 1.0}):
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,  # the default would kill a cell that needs more than its even share
            dashboard_address=":0",  # None would still ask for port 8787
            silence_logs=logging.CRITICAL,
            env=thread_environment(threads),
        )


def _call(run: str, initializer: Initializer | None, call: Callable[[], Any]) -> Any:
    """Call in a worker that is initialized once per thread: torch's default device belongs to a thread."""
    if getattr(_ready, "run", None) != run:
        if initializer is not None:
            initializer()
        _ready.run = run
    return call()


def _kill_workers(cluster: LocalCluster) -> None:
    logging.getLogger("distributed.batched").setLevel(logging.CRITICAL)  # its writers log after the cluster has closed
    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        if nanny.pid:
            os.kill(nanny.pid, signal.SIGKILL)


def _restart_workers(client: Client, futures: list[DaskFuture]) -> None:
    """End our cells on a cluster that is not ours; a worker without a nanny finishes its present cell."""
    keys = {future.key for future in futures}
    client.cancel(futures)  # first, so that no cell starts before the restart
    busy = [worker for worker, tasks in client.run(_executing).items() if keys & set(tasks)]
    if busy:
        client.restart_workers(busy, timeout=LAST_SECONDS, raise_for_error=False)


def _executing(dask_worker: Any) -> list[str]:
    """Keys of the tasks in progress on a worker, cancelled or not: a thread cannot be stopped."""
    return [str(task.key) for task in dask_worker.state.executing]
