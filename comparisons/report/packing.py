"""Few numbers for many: places that are kept, values to four digits, curves as differences of whole units."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def evenly(there: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` places of ``there``, the first and the last among them."""
    return np.unique(np.linspace(0, there - 1, min(there, most)).round().astype(np.int64))


def places(times: NDArray[Any], most: int) -> NDArray[np.int64]:
    """At most ``most`` places of some times (T,), with both ends: evenly, but dense at the start of equal distances.

    Training is fast at the start. Times that were recorded more and more rarely are dense there already.
    """
    there = len(times)
    equal = there > 2 and np.allclose(np.diff(times), times[1] - times[0])
    if not equal:
        return evenly(there, most)
    return np.unique(np.geomspace(1, there, min(there, most)).round().astype(np.int64)) - 1


def unit_of(shown: Array, targets: Array) -> float:
    """Power of ten that gives the largest finite output four digits; targets set the scale of a run that diverges."""
    span = 100 * float(np.abs(targets).max())
    sizes = np.abs(shown[np.isfinite(shown)])
    largest = min(float(sizes.max(initial=0.0)), span) if span else float(sizes.max(initial=0.0))
    return 10.0 ** (math.floor(math.log10(largest)) - 3) if largest > 0 else 1.0


def differences(row: Array, unit: float) -> list[int | None]:
    """A curve (T,) in whole units, each value as its difference from the one before, which compresses well."""
    found: list[int | None] = []
    before = 0
    for value in row:
        whole = round(float(value) / unit) if np.isfinite(value) else None
        found.append(None if whole is None else whole - before)
        before = before if whole is None else whole
    return found


def rounded(values: NDArray[Any]) -> list[float | None]:
    """Values to four digits; None for what is not finite."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values]


def moments(times: NDArray[Any]) -> list[float]:
    """Times to six digits; steps, which are whole, as they are."""
    return [int(time) if float(time).is_integer() else float(f"{time:.6g}") for time in times]
