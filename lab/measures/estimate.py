"""A fitted number with its interval, as the other measures return it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A fitted number, its 95 % interval (None if the data do not bound it), and why there is none."""

    value: float | None
    interval: Interval | None = None
    reason: str | None = None

    def exp(self) -> Self:
        """The same for exp(x), of an estimate of x."""
        ends = None if self.interval is None else (float(np.exp(self.interval[0])), float(np.exp(self.interval[1])))
        return type(self)(None if self.value is None else float(np.exp(self.value)), ends, self.reason)
