"""Sweeps: many small measurements that survive a crash, in one process or many. Independent of networks."""

from lab.sweeps.cells import Cell, cell_key
from lab.sweeps.executors import usable_cores
from lab.sweeps.pool import EXECUTORS, Pool
from lab.sweeps.runner import Failure, Outcome, run_cells, termination_interrupts
from lab.sweeps.shards import Shard
from lab.sweeps.store import FULL, Results, Store, load, versions

__all__ = [
    "EXECUTORS",
    "FULL",
    "Cell",
    "Failure",
    "Outcome",
    "Pool",
    "Results",
    "Shard",
    "Store",
    "cell_key",
    "load",
    "run_cells",
    "termination_interrupts",
    "usable_cores",
    "versions",
]
