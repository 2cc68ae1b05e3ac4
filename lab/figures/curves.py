"""The curves of the lab. Every function takes an ``ax`` and numbers, draws, and returns the ``ax``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray
from scipy.stats import t as student_t

from lab.figures.style import GREY, LEARNERS, legend_below

Array = NDArray[np.float64]

_SPLITS: dict[str, tuple[str, Any]] = {"train": ("#56B4E9", (0, (5, 2))), "test": ("#0072B2", "-")}  # colour and dash


def step_axis(ax: Axes, steps: NDArray[np.int64]) -> Axes:
    """Gradient steps on a logarithmic axis that still shows step 0."""
    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    ax.set_xlim(0, int(steps[-1]))
    ticks = [0, *(10**k for k in range(len(str(int(steps[-1])))))]
    ax.set_xticks([tick for tick in ticks if tick <= steps[-1]], labels=[f"{t:,}" for t in ticks if t <= steps[-1]])
    ax.set_xlabel("gradient step")
    return ax


def losses(ax: Axes, steps: NDArray[np.int64], curves: Mapping[str, Array]) -> Axes:
    """Training loss (T,) of each learner over steps."""
    for learner, loss in curves.items():
        ax.plot(steps, loss, label=learner, **LEARNERS[learner].curve())
    ax.set_yscale("log")
    ax.set_ylabel("training loss  ½ Σ (f − y)²")
    legend_below(ax, columns=3)
    return step_axis(ax, steps)


def outputs_over_steps(ax: Axes, steps: NDArray[np.int64], curves: Mapping[str, Array], samples: Sequence[int]) -> Axes:
    """Outputs (T, n') of each learner on a few samples over steps: one bundle of curves for each sample."""
    for learner, outputs in curves.items():
        for place, sample in enumerate(samples):
            ax.plot(steps, outputs[:, sample], label=learner if place == 0 else None, **LEARNERS[learner].curve())
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_ylabel("output f")
    return step_axis(ax, steps)


def outputs_by_sample(ax: Axes, curves: Mapping[str, Array], targets: Array | None = None) -> Axes:
    """Outputs (n',) of each learner, samples sorted by the linearized model's; targets as faint ticks."""
    order = np.argsort(curves["linearized"])
    place = np.arange(1, len(order) + 1)
    if targets is not None:
        ax.plot(place, targets[order], "_", color=GREY, markersize=6, label="target", zorder=1)
    for learner, outputs in curves.items():
        line = LEARNERS[learner]
        style = {"linestyle": "none", "marker": "o", "markersize": 4} if learner == "network" else line.curve()
        ax.plot(place, outputs[order], label=learner, **{**style, "color": line.color, "zorder": line.zorder})
    ax.set_xlabel("test sample, sorted")
    return ax


def gaps(ax: Axes, steps: NDArray[np.int64], curves: Mapping[str, Array]) -> Axes:
    """Tracking gap (T,) on each split over steps."""
    for split, gap in curves.items():
        color, dash = _SPLITS[split]
        finite = np.where(np.isfinite(gap), gap, np.nan)
        ax.plot(steps, finite, label=f"{split} set", linewidth=2.2, color=color, linestyle=dash)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("gap |network − linearized|,\nRMS in units of RMS(y − f₀)")
    legend_below(ax, columns=2)
    return step_axis(ax, steps)


def power_law(
    ax: Axes,
    widths: Array,
    values: Array,
    *,
    color: str,
    label: str,
    marker: str = "o",
    line: tuple[float, float] | None = None,
    band: tuple[float, float] | None = None,
    interval: tuple[Array, Array] | None = None,
    shift: float = 1.0,
) -> Axes:
    """A quantity against width on log axes.

    Parameters
    ----------
    widths, values
        Shapes (w,) and (seeds, w); seeds are drawn as faint points, their geometric mean as a marker.
    line
        (slope, log-intercept) of the fitted power law.
    band
        Slopes at the two ends of the interval, pivoted at the middle of the widths.
    interval
        Lower and upper ends (w,) of the interval at each width.
    shift
        Factor by which the points are moved sideways, so that several quantities do not hide each other.
    """
    for row in values:
        ax.plot(shift * widths, row, marker, color=color, alpha=0.25, markersize=3, zorder=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = np.exp(np.log(values).mean(0))
    bars = None if interval is None else np.abs(np.stack(interval) - middle)
    ax.errorbar(
        shift * widths, middle, yerr=bars, fmt=marker, color=color, capsize=3, markersize=6, label=label, zorder=3
    )
    if line is not None:
        grid = np.geomspace(widths.min(), widths.max(), 50)
        pivot = np.exp(np.log(widths).mean())
        fitted = np.exp(line[1]) * grid ** line[0]
        ax.plot(grid, fitted, color=color, linewidth=1.6, zorder=2.5)
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
    filled: bool = True,
    slope: float | None = None,
    shift: float = 1.0,
) -> Axes:
    """Estimates (k,) with their intervals (k, 2) on log axes, and a power law through their geometric mean.

    A missing end of an interval is NaN and leaves its bar out; ``slope`` None leaves the line out; ``shift`` moves the
    points sideways by a factor.
    """
    bars = np.nan_to_num(np.abs(intervals.T - values))
    face, dash = (color, "-") if filled else ("white", "--")
    ax.errorbar(
        shift * x, values, yerr=bars, fmt="o", color=color, markerfacecolor=face, capsize=3, markersize=6, label=label
    )
    if slope is not None and len(x):
        grid = np.geomspace(x.min(), x.max(), 50)
        line = np.exp(np.log(values).mean() + slope * (np.log(grid) - np.log(x).mean()))
        ax.plot(grid, line, dash, color=color, linewidth=1.6, zorder=2)
    return log_ticks(ax)


def named_estimates(
    ax: Axes,
    names: Sequence[str],
    values: Array,
    intervals: Array,
    *,
    color: str,
    label: str | None = None,
    marker: str = "o",
    offset: float = 0.0,
) -> Axes:
    """Estimates (k,) with intervals (k, 2) of named things, one below the other; what is NaN is left out.

    ``offset`` moves them down by a share of a row, so that several quantities do not hide each other.
    """
    bars = np.nan_to_num(np.abs(intervals.T - values))
    place = np.arange(len(names)) + offset
    ax.errorbar(values, place, xerr=bars, fmt=marker, color=color, capsize=3, markersize=6, label=label)
    ax.set_yticks(np.arange(len(names)), labels=list(names))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    return ax


def log_ticks(ax: Axes) -> Axes:
    """Log axes on both sides with plain decimals at 1, 2 and 5."""
    for axis in (ax.xaxis, ax.yaxis):
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    return ax


def width_axis(ax: Axes, widths: Array) -> Axes:
    """Widths on a logarithmic axis, each one named; plain decimals on the other one."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(widths, labels=[f"{width:g}" for width in widths])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("width m (hidden units)")
    return ax


def log_band(ax: Axes, x: Array, logs: Array, *, color: str, label: str | None = None, **line: Any) -> Axes:
    """Geometric mean over seeds against x, with the t interval of the mean as a band (none for fewer than 3 seeds).

    Parameters
    ----------
    x, logs
        Shapes (k,) and (seeds, k); ``logs`` are natural logarithms, and what is not finite leaves a hole.
    line
        More options of ``Axes.plot``.
    """
    shown = np.where(np.isfinite(logs), logs, np.nan)
    mean = shown.mean(0)
    ax.plot(x, np.exp(mean), color=color, label=label, **line)
    if len(logs) >= 3:
        half = student_t.ppf(0.975, len(logs) - 1) * shown.std(0, ddof=1) / np.sqrt(len(logs))
        ax.fill_between(x, np.exp(mean - half), np.exp(mean + half), color=color, alpha=0.15, linewidth=0)
    ax.set_yscale("log")
    return ax


def levels(ax: Axes, names: Sequence[str], values: Array, intervals: Array, colors: Sequence[str]) -> Axes:
    """One row for each name, from top to bottom: its mean with an interval, and faint seeds.

    Parameters
    ----------
    values
        Shape (seeds, k); NaN where a seed has none.
    intervals
        Shape (k, 2) around the means; NaN leaves the bar out.
    """
    for place, (column, ends, color) in enumerate(zip(values.T, intervals, colors, strict=True)):
        there = column[np.isfinite(column)]
        ax.plot(there, np.full(len(there), place), "o", color=color, alpha=0.3, markersize=3.5, zorder=2)
        if len(there) == len(column) > 0:
            bar = np.nan_to_num(np.abs(ends - column.mean()))[:, None]
            ax.errorbar(column.mean(), place, xerr=bar, fmt="D", color=color, capsize=3, markersize=6, zorder=3)
        if not len(there):
            ax.annotate("none", (0.02, place), xycoords=("axes fraction", "data"), va="center", color=color)
    ax.set_yticks(range(len(names)), labels=list(names))
    ax.set_ylim(len(names) - 0.5, -0.5)
    return ax


def label_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]], apart: float = 0.06) -> Axes:
    """Names beside the right ends of curves, (x, y, text, color), moved apart where they would overlap.

    Call it once all curves are drawn and limits are final; ``apart`` is the least distance in heights of the axes,
    which `style.panels` makes grow with the type.
    """
    ax.margins(x=0.0)
    to_axes = ax.transData + ax.transAxes.inverted()
    wanted = [float(to_axes.transform((x, y))[1]) for x, y, _, _ in ends]
    order = sorted(range(len(ends)), key=wanted.__getitem__)
    heights = _spread([wanted[i] for i in order], apart)
    heights = [max(height, i * apart) for i, height in enumerate(heights)]  # none below the axes
    for height, (_, _, text, color) in zip(heights, (ends[i] for i in order), strict=True):
        ax.annotate(text, (1.015, height), xycoords="axes fraction", va="center", color=color, annotation_clip=False)
    return ax


def _spread(heights: Sequence[float], apart: float) -> list[float]:
    """Ascending heights at least ``apart`` from each other: those in each other's way stand around their mean."""
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while (
            len(groups) > 1
            and _top(groups[-2], apart) + apart > _top(groups[-1], apart) - (len(groups[-1]) - 1) * apart
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_top(group, apart) - (len(group) - 1 - i) * apart for group in groups for i in range(len(group))]


def _top(group: Sequence[float], apart: float) -> float:
    """Height of the last of a group that stands closely around its mean."""
    return sum(group) / len(group) + apart * (len(group) - 1) / 2
