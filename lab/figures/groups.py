"""Seeds of several groups side by side, on an axis of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.stats import t as student_t

Array = NDArray[np.float64]


def points_by_group(
    ax: Axes,
    groups: Mapping[str, Array],
    *,
    color: str,
    label: str,
    marker: str = "o",
    offset: float = 0.0,
    log: bool = False,
) -> Axes:
    """Seeds of each group as faint points, and their mean with its 95 % t interval (none for fewer than 3 seeds).

    Parameters
    ----------
    groups
        Values (seeds,) by the group's name, from left to right; what is not finite is left out.
    offset
        Moves the points to the right by a share of a column, so that several quantities do not hide each other.
    log
        Average logarithms, and make the axis logarithmic.
    """
    for place, values in enumerate(groups.values()):
        there = values[np.isfinite(values) & ((values > 0) | (not log))]
        ax.plot(np.full(len(there), place + offset), there, marker, color=color, alpha=0.25, markersize=3.5)
        if len(there):
            mean, bars = _mean(np.log(there) if log else there)
            bars = np.exp(bars) if log else bars
            mean = np.exp(mean) if log else mean
            shape: dict[str, Any] = {"color": color, "capsize": 3, "markersize": 7, "elinewidth": 1.5}
            ax.errorbar(place + offset, mean, yerr=np.abs(bars - mean)[:, None], fmt=marker, label=label, **shape)
            label = "_" + label.lstrip("_")  # one entry in the legend
    ax.set_xticks(range(len(groups)), labels=list(groups))
    ax.set_xlim(-0.5, len(groups) - 0.5)
    if log:
        ax.set_yscale("log")
    return ax


def _mean(values: Array) -> tuple[Array, Array]:
    """Mean, and both ends of its interval."""
    mean = values.mean()
    half = student_t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 2 else 0.0
    return mean, np.array([mean - half, mean + half])
