"""A fitted number with its interval, as the other measures return it."""

from __future__ import annotations

from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A fitted number, its 95 % interval (None if the data do not bound it), and why there is none."""

    value: float | None
    interval: Interval | None = None
    reason: str | None = None
