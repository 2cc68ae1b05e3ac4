"""Sweeps: many small measurements that survive a crash, in one process or many. Knows nothing of networks."""

from lab.sweeps.cells import Cell, cell_key
from lab.sweeps.executors import EXECUTORS, Crew, usable_cores
from lab.sweeps.runner import Failure, Outcome, run_cells, termination_interrupts
from lab.sweeps.store import Results, Store, load, versions

__all__ = [
    "EXECUTORS",
    "Cell",
    "Crew",
    "Failure",
    "Outcome",
    "Results",
    "Store",
    "cell_key",
    "load",
    "run_cells",
    "termination_interrupts",
    "usable_cores",
    "versions",
]
