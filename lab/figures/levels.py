"""Levels of several things beside each other, and one growing thing on the scale on which its law is a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

Array = NDArray[np.float64]
Interval = tuple[float, float] | None


def levels(
    ax: Axes,
    samples: Mapping[str, Array],
    middles: Sequence[tuple[float, Interval]],
    colors: Sequence[str],
    *,
    log: bool = True,
) -> Axes:
    """One line of points for each name, from top to bottom: every seed faintly, the middle with its interval and value.

    Parameters
    ----------
    samples
        Values (seeds,) by name.
    middles, colors
        Of each name: the mean with its interval (None for too few seeds), and a colour.
    log
        Whether the axis of values is logarithmic.
    """
    for place, ((middle, interval), values, color) in enumerate(zip(middles, samples.values(), colors, strict=False)):
        ax.plot(values, np.full(len(values), place) + 0.17, "o", color=color, alpha=0.35, markersize=4)
        bars = None if interval is None else np.abs(np.array(interval) - middle)[:, None]
        ax.errorbar([middle], [place], xerr=bars, fmt="o", color=color, capsize=4, markersize=8)
        ax.annotate(f"{middle:.2g}", (middle, place), xytext=(0, 7), textcoords="offset points", ha="center")
    ax.set_yticks(range(len(samples)), labels=list(samples))
    ax.set_ylim(len(samples) - 0.5, -0.6)
    ax.grid(visible=False, axis="y")
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    return ax


def growth(
    ax: Axes, places: Array, values: Array, *, color: str, label: str, log: bool, line: bool = True, shift: float = 0.0
) -> Axes:
    """A growing quantity with the line that fits it on this scale: an exponential, or with ``log`` a power law.

    Parameters
    ----------
    places, values
        Shapes (k,) and (seeds, k); seeds are faint, their geometric mean is a marker.
    line
        Whether to draw the fit (three places or more).
    shift
        How far the points are moved sideways, as a share of the axis' unit (of a factor e on a logarithmic axis).
    """
    if log:
        ax.set_xscale("log")
    ax.set_yscale("log")
    moved = places * np.exp(shift) if log else places + shift
    middle = np.log(values).mean(0)
    ax.plot(moved, values.T, "o", color=color, alpha=0.25, markersize=3)
    ax.plot(moved, np.exp(middle), "o", color=color, markersize=6, label=label)
    if line:
        grid = np.linspace(places.min(), places.max(), 100)
        x, fine = (np.log(places), np.log(grid)) if log else (places, grid)
        ax.plot(grid, np.exp(np.polyval(np.polyfit(x, middle, 1), fine)), color=color, linewidth=1.4)
    return ax
