"""When to look at a descent that runs for a given kernel time. NumPy alone, so that costs can count the looks."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

_EXACT = 1 - 1e-12  # a quotient that rounding lifted above an integer is not rounded up


def steps_to(times: ArrayLike, pace: float) -> NDArray[np.int64]:
    """The first steps at or after some times (any shape), where a step takes ``pace``."""
    return np.ceil(np.asarray(times, dtype=np.float64) / pace * _EXACT).astype(np.int64)


def looks(end: float, pace: float, *, spacing: float, growth: float, also: Iterable[float] = ()) -> tuple[int, ...]:
    """Steps to record until a time: evenly spaced at first, geometrically once that is coarser, and the last one.

    Parameters
    ----------
    end
        Time at the end.
    pace
        Time of a step.
    spacing
        Time between the first looks, which begin at 0.
    growth
        Ratio of successive times later, above 1: from spacing/(growth − 1) on, where the two rules are equally fine.
    also
        Further times to look at; those at or after the end are left out.

    Returns
    -------
    tuple
        Distinct ascending steps, as a `lab.Descent` records them; the last one is the first step at or after ``end``,
        and at least 1.
    """
    early = np.arange(0, min(end, spacing / (growth - 1)) + spacing / 2, spacing)
    factors = math.log(end / max(early[-1], spacing)) / math.log(growth)
    late = early[-1] * growth ** np.arange(1, max(factors, 0) + 1)
    steps = steps_to(np.concatenate([early, late, [time for time in also if time < end]]), pace)
    last = max(int(steps_to(end, pace)), 1)
    return tuple(np.union1d(steps[steps <= last], last).tolist())
