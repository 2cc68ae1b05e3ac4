"""How long a run takes here, and whether it fits: from the costs of its cells and a short timing of the machine."""

from __future__ import annotations

import functools
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.costs import Cost, Machine, training_step
from lab.sweeps import Cell, Pool

#: In which a run loads its libraries and draws its figures: about so long on any machine.
START_SECONDS = 8.0
#: What a process holds that has loaded torch and measured nothing yet.
PROCESS_BYTES = 3.5e8
#: Samples, time steps and width of a network whose time goes into products, and of one whose time goes into calls.
LARGE, SMALL = (48, 8, 512), (1, 16, 8)
#: How many times as long a tensor operation of a training step takes as a small array operation of numpy (measured).
TORCH_OPERATION = 2.3
#: Memory limits of Linux control groups, versions 2 and 1.
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, repr=False)
class Forecast:
    """What a run takes.

    Attributes
    ----------
    seconds
        On the clock, all workers together.
    bytes
        The most that is held at a time, by all workers or on the device.
    free
        Bytes that are free for it.
    cells
        How many cells are measured.
    """

    seconds: float
    bytes: float
    free: float
    cells: int

    def __repr__(self) -> str:
        memory = f"{quantity(self.bytes, 'B')} of {quantity(self.free, 'B')} that are free"
        return f"Forecast({self.cells} cells, about {self.seconds:.0f} s, {memory})"


def foresee(cells: Sequence[Cell], costs: Sequence[Cost], pool: Pool) -> Forecast:
    """Forecast of these cells with these workers.

    Timing the machine takes a fraction of a second.
    """
    seconds = [cost.seconds(_machine(cell, pool)) for cell, cost in zip(cells, costs, strict=True)]
    return Forecast(on_the_clock(seconds, _at_a_time(pool)), *room(costs, pool), len(seconds))


def on_the_clock(seconds: Sequence[float], workers: int) -> float:
    """Seconds of a run whose cells take these seconds: at least the longest, and the mean load of a worker."""
    return START_SECONDS + max(sum(seconds) / workers, *seconds) if seconds else 0.0


def room(costs: Sequence[Cost], pool: Pool) -> tuple[float, float]:
    """Bytes of the largest cells that can run together and of their processes, and bytes that are free for them."""
    largest = sorted((cost.bytes for cost in costs), reverse=True)[: _at_a_time(pool)]
    processes = PROCESS_BYTES * len(largest) if pool.device == "cpu" else 0.0
    return sum(largest) + processes, free_memory(pool.device)


def advice(needed: float, free: float) -> str | None:
    """A sentence about a run that does not fit, None where it does."""
    if needed <= free:
        return None
    numbers = f"about {quantity(needed, 'B')} at a time, and {quantity(free, 'B')} are free"
    return f"these cells need {numbers}: take fewer workers, smaller widths or fewer samples"


def quantity(value: float, unit: str) -> str:
    """A number of three digits with the prefix that fits."""
    for prefix in ("", "k", "M", "G", "T"):
        if value < 1000:
            return f"{value:.3g} {prefix}{unit}"
        value /= 1000
    return f"{value:.3g} P{unit}"


def free_memory(device: str) -> float:
    """Bytes that are free on a device, or that this process may still take."""
    if device != "cpu":
        import torch

        return float(torch.cuda.mem_get_info(device)[0])
    import psutil

    limits = [Path(path).read_text().strip() for path in LIMITS if Path(path).exists()]
    return float(min([psutil.virtual_memory().available, *(int(limit) for limit in limits if limit.isdigit())]))


def _at_a_time(pool: Pool) -> int:
    return 1 if pool.executor == "serial" else pool.workers


def _machine(cell: Cell, pool: Pool) -> Machine:
    """What computes a cell; those that name no precision compute in float64."""
    return look(str(cell.get("dtype", "float64")), pool.device, pool.threads)


@functools.cache
def look(dtype: str, device: str = "cpu", threads: int = 1) -> Machine:
    """Time a training step of a middling network and of a tiny one, on as many threads as a cell gets."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        per_operation = _step_seconds(SMALL, dtype, device) / training_step(*SMALL).operations
        large = training_step(*LARGE)
        whole = _step_seconds(LARGE, dtype, device)
        products = whole - per_operation * large.operations  # on a fast device little is left
    finally:
        torch.set_num_threads(before)
    return Machine(large.flops / max(products, 0.1 * whole), per_operation)


@functools.cache
def glance(dtype: str) -> Machine:
    """`look` without torch, on one thread: the products of a training step, and small operations, in numpy."""
    import numpy as np
    import threadpoolctl  # type: ignore[import-untyped]

    samples, _, width = LARGE
    square, states = np.full((width, width), 1e-3, dtype), np.ones((samples, width), dtype)
    small, calls = np.ones((SMALL[0], SMALL[2]), dtype), 1000
    with threadpoolctl.threadpool_limits(1):
        product = _median_seconds(lambda: states @ square, turns=100)
        operations = _median_seconds(lambda: [np.maximum(small, 0) for _ in range(calls)], turns=10)
    return Machine(2 * samples * width**2 / product, TORCH_OPERATION * operations / calls)


def _median_seconds(work: Callable[[], object], turns: int) -> float:
    times = [time.perf_counter()]
    for _ in range(turns):
        work()
        times.append(time.perf_counter())
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(times))


def _step_seconds(size: tuple[int, int, int], dtype: str, device: str, turns: int = 30) -> float:
    """Median seconds of a training step with (samples, time steps, width)."""
    import torch

    import lab

    samples, length, width = size
    precision: dict[str, Any] = {"dtype": getattr(torch, dtype), "device": device}
    data = torch.ones(samples, length, 1, **precision), torch.zeros(samples, 1, **precision)
    descent = lab.Descent(turns, learning_rate=1e-12, record="all")
    times = [time.perf_counter() for _ in lab.descend(lab.ElmanRNN(width, 1, **precision), data, descent)]
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(times))
