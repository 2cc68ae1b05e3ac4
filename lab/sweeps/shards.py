"""Shares of a sweep for job arrays: each job takes its own cells, by a rule without communication between jobs."""

from __future__ import annotations

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lab.costs import Cost
from lab.errors import LabError, check_integer


@dataclass(frozen=True)
class Shard:
    """Share ``number`` (from 1) of ``of``.

    Raises
    ------
    LabError
        If there is no such share.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        check_integer("shard", self.of, 1)
        check_integer("shard", self.number, 1)
        if self.number > self.of:
            raise LabError("shard", str(self), f"1/{self.of} to {self.of}/{self.of}", "count the shards from 1")

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/N``."""
        found = re.fullmatch(r"(\d+)/(\d+)", text.strip(), re.ASCII)
        if found is None:
            fix = "write shard='1/4', in a Slurm array shard='$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT'"
            raise LabError("shard", repr(text), "i/N, counted from 1", fix)
        return cls(int(found[1]), int(found[2]))

    def chosen(self, costs: Sequence[Cost]) -> list[int]:
        """Positions of this share's cells, in their order.

        The largest remaining cell goes to the share with the least work so far, whether cells are committed or not. All
        jobs find the same shares, and no share exceeds the mean by more than one cell.

        Parameters
        ----------
        costs
            Of every cell that is asked for.
        """
        loads = [(0.0, number) for number in range(1, self.of + 1)]  # a heap: equal loads go to the first share
        mine = []
        for position in sorted(range(len(costs)), key=lambda position: -costs[position].work):
            load, number = loads[0]
            heapq.heapreplace(loads, (load + costs[position].work, number))
            if number == self.number:
                mine.append(position)
        return sorted(mine)
