"""Cells that log that they were measured, and that stumble when told to."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from lab.costs import Cost
from lab.sweeps import Store


def make_cells(log, count=4, **trouble):
    """Cells 0 … count − 1; ``trouble`` maps a kind to the numbers of the cells that have it."""
    kinds = {number: kind for kind, numbers in trouble.items() for number in numbers}
    return [{"number": number, "trouble": kinds.get(number, ""), "log": str(log)} for number in range(count)]


def costs(cells):
    return [Cost(1e9 * (1 + cell["number"]), 1e3) for cell in cells]


def claimed(directory, cells, *, version=1, **settings):
    store = Store(directory)
    store.claim("toys", version, {"count": len(cells), "scale": 1.0, **settings}, ("count",), cells)
    return store


def measured(log):
    """Numbers of the cells that were begun, in order."""
    return [int(line.split()[0]) for line in Path(log).read_text().splitlines()] if Path(log).exists() else []


def measure(cell):
    first = cell["number"] not in measured(cell["log"])
    with Path(cell["log"]).open("a") as log:
        log.write(f"{cell['number']} {os.getpid()}\n")
    _stumble(cell["trouble"], first)
    generator = np.random.default_rng(cell["number"])
    noise = generator.standard_normal((40, 40))
    row = {"number": cell["number"], "norm": np.linalg.norm(noise, 2), "odd": bool(cell["number"] % 2), "gone": np.nan}
    return row, {"noise": noise, "name": np.array(["a", "b"])}


def _stumble(trouble, first):
    if trouble == "raises" or (trouble == "raises_once" and first):
        raise RuntimeError("a cell that raises")
    if trouble == "dies" or (trouble == "dies_once" and first):
        os.kill(os.getpid(), signal.SIGKILL)
    if trouble == "interrupts" and first:
        raise KeyboardInterrupt
    if trouble == "slow":
        time.sleep(0.03)
