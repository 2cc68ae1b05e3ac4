"""Estimates with their intervals, against a width, by name or by group. Functions take numbers, return the ``ax``.

An interval is a pair of ends around the estimate; NaN leaves its bar out. Single seeds are faint points.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lab.figures.curves import log_axes, reference, width_axis
from lab.figures.style import GREY, text_color

Array = NDArray[np.float64]
Line = tuple[float, float]  #: slope and log-intercept of a power law


def power_law(
    ax: Axes,
    widths: Array,
    values: Array,
    middle: Array,
    *,
    color: str,
    label: str,
    marker: str = "o",
    line: Line | None = None,
    band: tuple[float, float] | None = None,
    interval: Array | None = None,
    shift: float = 1.0,
    dash: Any = "-",
) -> Axes:
    """A quantity against width on log axes.

    Parameters
    ----------
    widths, values, middle
        Shapes (w,), (seeds, w) and (w,): seeds, and the estimate at each width.
    line
        The fitted power law.
    band
        Slopes at the two ends of the interval, pivoted at the middle of the widths.
    interval
        Ends (2, w) of the interval at each width.
    shift
        Factor by which the points are moved sideways, so that several quantities do not hide each other.
    dash
        Of the fitted line.
    """
    for row in values:
        ax.plot(shift * widths, row, marker, color=color, alpha=0.25, markersize=3, zorder=2)
    bars = None if interval is None else np.abs(interval - middle)
    ax.errorbar(
        shift * widths, middle, yerr=bars, fmt=marker, color=color, capsize=3, markersize=6, label=label, zorder=3
    )
    if line is not None:
        grid = np.geomspace(widths.min(), widths.max(), 50)
        pivot = np.exp(np.log(widths).mean())
        fitted = np.exp(line[1]) * grid ** line[0]
        ax.plot(grid, fitted, color=color, linestyle=dash, linewidth=1.6, zorder=2.5)
        if band is not None:
            ends = [fitted * (grid / pivot) ** (slope - line[0]) for slope in band]
            ax.fill_between(grid, np.minimum(*ends), np.maximum(*ends), color=color, alpha=0.15, linewidth=0)
    return width_axis(ax, widths)


def estimates(
    ax: Axes,
    x: Array,
    values: Array,
    intervals: Array,
    *,
    color: str,
    label: str,
    marker: str = "o",
    filled: bool = True,
    line: Line | None = None,
    shift: float = 1.0,
) -> Axes:
    """Estimates (k,) with their intervals (k, 2) on log axes, and a power law; ``shift`` moves the points sideways."""
    face, dash = (color, "-") if filled else ("white", "--")
    shape: dict[str, Any] = {"fmt": marker, "color": color, "markerfacecolor": face, "capsize": 3, "markersize": 6}
    ax.errorbar(shift * x, values, yerr=_bars(values, intervals), label=label, **shape)
    if line is not None and len(x):
        grid = np.geomspace(x.min(), x.max(), 50)
        ax.plot(grid, np.exp(line[1]) * grid ** line[0], dash, color=color, linewidth=1.6, zorder=2)
    return log_axes(ax)


def whiskers(
    ax: Axes, x: Array, middle: Array, ends: Array | None, turn: float, *, color: str, label: str, count: int = 4
) -> Axes:
    """A curve (k,) along a logarithmic x, with its interval (2, k) as bars at some places.

    Bars stand near the shares (0 + turn)/count, (1 + turn)/count, … of the way, so that curves with different ``turn``
    from 0 to 1 have theirs at different places.
    """
    ax.plot(x, middle, color=color, label=label)
    if ends is not None:
        wanted = np.log(x[0]) + (np.arange(count) + turn) / count * np.log(x[-1] / x[0])
        at = np.unique(np.abs(np.log(x)[:, None] - wanted).argmin(0))
        bars = np.abs(ends - middle)[:, at]
        ax.errorbar(x[at], middle[at], yerr=bars, fmt="none", color=color, capsize=3)
    return ax


def across(axes: Sequence[Axes], levels: Sequence[float]) -> None:
    """Dashed horizontal lines through panels with a shared vertical axis, each with its value in every panel."""
    for level, ax in itertools.product(levels, axes):
        reference(ax, level, f" {level:g}", horizontal=True, beside="left")


def censored(ax: Axes, x: Array, values: Array, known: NDArray[np.bool_], *, color: str, shift: float = 1.0) -> Axes:
    """Seeds (n,) at x (n,): faint points where the value is known, open triangles where it is larger than drawn."""
    ax.plot(shift * x[known], values[known], "o", color=color, alpha=0.3, markersize=3)
    ax.plot(shift * x[~known], values[~known], "^", color=color, markerfacecolor="none", markersize=6)
    return ax


def named(
    ax: Axes,
    names: Sequence[str],
    values: Array,
    intervals: Array,
    *,
    color: str | Sequence[str],
    label: str | None = None,
    marker: str = "o",
    offset: float = 0.0,
    seeds: Sequence[Array] | None = None,
    notes: Sequence[str] | None = None,
    show_values: bool = False,
) -> Axes:
    """Estimates (k,) with intervals (k, 2) of named things, one row each from top to bottom; what is NaN is left out.

    Parameters
    ----------
    color
        One colour, or one for each name.
    offset
        Moves the estimates down by a share of a row, so that several quantities do not hide each other.
    seeds
        Values of single seeds for each name, (seeds,).
    notes
        What is written in the row of each name whose estimate is NaN.
    show_values
        Whether to write each value above its marker.
    """
    colors = [color] * len(names) if isinstance(color, str) else color
    for row, (value, ends, own) in enumerate(zip(values, intervals, colors, strict=True)):
        known: dict[str, Any] = {"label": label if row == 0 else None, "color": own, "zorder": 3}
        bars = _bars(values[row : row + 1], ends[None])
        ax.errorbar([value], [row + offset], xerr=bars, fmt=marker, capsize=3, markersize=6, **known)
        if seeds is not None:
            ax.plot(seeds[row], np.full(len(seeds[row]), row + 0.17), "o", color=own, alpha=0.3, markersize=3.5)
        if show_values and np.isfinite(value):
            plain: dict[str, Any] = {"textcoords": "offset points", "ha": "center"}
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # over a reference line
            ax.annotate(f"{value:.2g}", (value, row), xytext=(0, 7), bbox=box, **plain)
        if not np.isfinite(value) and notes is not None:
            across: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "bottom", "fontsize": "small"}
            ax.annotate(notes[row], (0.02, row), color=text_color(own), **across)
    ax.set_yticks(np.arange(len(names)), labels=list(names))
    ax.set_ylim(len(names) - 0.5, -0.5 - 0.1 * show_values)
    ax.grid(visible=False, axis="y")
    return ax


def grouped(
    ax: Axes,
    groups: Mapping[str, Array],
    middle: Array,
    intervals: Array,
    *,
    color: str,
    label: str,
    marker: str = "o",
    offset: float = 0.0,
) -> Axes:
    """Seeds (seeds,) of each group as faint points, and their estimates (k,) with intervals (k, 2), side by side.

    ``offset`` moves the points to the right by a share of a column, so that several quantities do not hide each other.
    """
    for place, values in enumerate(groups.values()):
        ax.plot(np.full(len(values), place + offset), values, marker, color=color, alpha=0.25, markersize=3.5)
    shape: dict[str, Any] = {"fmt": marker, "color": color, "capsize": 3, "markersize": 7, "elinewidth": 1.5}
    ax.errorbar(np.arange(len(groups)) + offset, middle, yerr=_bars(middle, intervals), label=label, **shape)
    ax.set_xticks(range(len(groups)), labels=list(groups))
    ax.set_xlim(-0.5, len(groups) - 0.5)
    return ax


def through(
    axes: Sequence[Axes],
    value: float,
    interval: tuple[float, float] | None,
    *,
    text: str,
    height: float = 0.5,
    beside: str = "right",
) -> None:
    """A value on the shared horizontal axis of several panels: a dashed line, in the first one with interval and text.

    ``height`` is where the text stands, as a share of the first panel's; different ones keep texts apart. ``beside`` is
    the side of the line on which it stands.
    """
    for ax in axes:
        ax.axvline(value, color=GREY, linestyle="--", linewidth=1.1, zorder=1)
    first = axes[0]
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "center"}
    shift, align = ((-5, 0), "right") if beside == "left" else ((5, 0), "left")
    first.annotate(text, (value, height), shift, color=GREY, ha=align, **place)
    if interval is not None:
        below = height - 0.09
        first.plot(interval, [below] * 2, color=GREY, linewidth=2.5, transform=first.get_xaxis_transform())


def stacked(ax: Axes, names: Sequence[str], shares: Mapping[str, Sequence[float]], colors: Sequence[str]) -> Axes:
    """Shares (k,) of several kinds as bars on top of each other: one bar for each name, one colour for each kind."""
    floor, places = np.zeros(len(names)), np.arange(len(names))
    for (kind, heights), color in zip(shares.items(), colors, strict=True):
        ax.bar(places, heights, bottom=floor, color=color, label=kind, width=0.8)
        floor = floor + np.asarray(heights)
    ax.set_xticks(places, labels=list(names))
    return ax


def _bars(values: Array, intervals: Array) -> Array:
    """Lengths (2, k) of the bars below and above the estimates."""
    bars: Array = np.nan_to_num(np.abs(intervals.T - values))
    return bars
