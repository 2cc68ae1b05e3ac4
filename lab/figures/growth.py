"""A growing quantity on the scales on which its law is a line. Functions take numbers, return an ``ax`` or a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lab.figures import style
from lab.figures.curves import log_axis

Array = NDArray[np.float64]
Line = tuple[float, float]  #: slope and intercept of the log of a quantity

_SHIFTS = {False: 0.15, True: 0.03}  # sideways, between neighbouring series, in units of x or of log x


@dataclass(frozen=True, eq=False)
class Series:
    """One growing quantity.

    Attributes
    ----------
    label
        In the legend.
    x, values, middle
        Shapes (k,), (seeds, k) and (k,).
    interval
        Ends (2, k) of the interval of the middle, or None.
    exponential, power
        Lines of the log of the quantity on x, and on log x; None without a fit.
    """

    label: str
    x: Array
    values: Array
    middle: Array
    interval: Array | None = None
    exponential: Line | None = None
    power: Line | None = None


def growth(ax: Axes, series: Series, *, log: bool, color: str, marker: str = "o", shift: float = 0.0) -> Axes:
    """Points and a fitted line on a logarithmic vertical axis; seeds are faint.

    Parameters
    ----------
    log
        Whether the horizontal axis is logarithmic, where a power law is a line; an exponential is one where it is not.
    shift
        How far the points are moved sideways, in units of x, or of log x with ``log``.
    """
    ax.set_xscale("log" if log else "linear")
    log_axis(ax.yaxis)
    moved = series.x * np.exp(shift) if log else series.x + shift
    ax.plot(moved, series.values.T, marker, color=color, alpha=0.25, markersize=3)
    bars = None if series.interval is None else np.abs(series.interval - series.middle)
    ax.errorbar(moved, series.middle, yerr=bars, fmt=marker, color=color, capsize=3, markersize=6, label=series.label)
    line = series.power if log else series.exponential
    if line is not None:
        grid = np.linspace(series.x.min(), series.x.max(), 100)
        ax.plot(grid, np.exp(line[0] * (np.log(grid) if log else grid) + line[1]), color=color, linewidth=1.4)
    return ax


def on_both_scales(rows: Mapping[str, Sequence[Series]], ticks: Array, *, xlabel: str, title: str) -> Figure:
    """A row of two panels for each quantity: against x, where an exponential is a line, and against log x.

    Parameters
    ----------
    rows
        Series by the label of the vertical axis; the same series in the same order everywhere.
    ticks
        Of both horizontal axes.
    """
    figure, axes = style.panels(2, len(rows), size=(4.9, 3.7), sharex="col", sharey="row")
    for row, (ylabel, all_series) in zip(axes, rows.items(), strict=True):
        row[0].set_ylabel(ylabel)
        for ax, log in zip(row, (False, True), strict=True):
            looks = zip(all_series, style.QUANTITIES, style.MARKERS, strict=False)
            for place, (series, color, marker) in enumerate(looks):
                if len(series.x):
                    growth(ax, series, log=log, color=color, marker=marker, shift=_SHIFTS[log] * (place - 1))
            ax.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
            ax.minorticks_off()
    for column, (law, scale) in enumerate((("an exponential", "linear"), ("a power law", "logarithmic"))):
        axes[0, column].set_title(f"{law} is a line here")
        axes[-1, column].set_xlabel(f"{xlabel} ({scale})")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center")
    style.headline(figure, title)
    return figure
