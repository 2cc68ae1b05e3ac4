"""The curves of the lab. Every function takes an ``ax`` and numbers, draws, and returns the ``ax``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.ticker import Formatter, FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from lab.figures.labels import label_in_place
from lab.figures.style import GREY, LEARNERS, QUANTITIES, legend_below, shades

Array = NDArray[np.float64]

_SPLITS: dict[str, tuple[str, Any]] = {"train": ("#3A96C9", (0, (5, 2))), "test": ("#0072B2", "-")}  # colour and dash


def step_axis(ax: Axes, steps: NDArray[np.int64]) -> Axes:
    """Gradient steps on a logarithmic axis that still shows step 0."""
    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    ax.set_xlim(0, int(steps[-1]))
    ticks = [0, *(10**k for k in range(len(str(int(steps[-1])))))]
    ax.set_xticks([tick for tick in ticks if tick <= steps[-1]], labels=[f"{t:,}" for t in ticks if t <= steps[-1]])
    ax.set_xlabel("gradient step")
    return ax


def losses(ax: Axes, steps: NDArray[np.int64], curves: Mapping[str, Array], loss: str = "squared") -> Axes:
    """Training loss (T,) of each learner over steps; ``loss`` is its name."""
    for learner, values in curves.items():
        ax.plot(steps, values, label=learner, **LEARNERS[learner].curve())
    log_axis(ax.yaxis)
    ax.set_ylabel(
        "training loss  ½ Σ (f − y)²" if loss == "squared" else f"training loss ({loss.replace('_', '-')}, summed)"
    )
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


GAP_UNITS = {"targets": "the targets", "initial": "the initial residual", "change": "the linear change"}


def gaps(ax: Axes, steps: NDArray[np.int64], curves: Mapping[str, Array], unit: str = "targets") -> Axes:
    """Tracking gap (T,) on each split over steps, in a unit of `lab.SideBySide.gap`."""
    for split, gap in curves.items():
        color, dash = _SPLITS[split]
        finite = np.where(np.isfinite(gap), gap, np.nan)
        ax.plot(steps, finite, label=f"{split} set", linewidth=2.2, color=color, linestyle=dash)
    ax.set_ylim(bottom=0)
    ax.set_ylabel(f"gap |network − linearized|,\nRMS in units of {GAP_UNITS[unit]}")
    legend_below(ax, columns=2)
    return step_axis(ax, steps)


_LONG = 5e-5  # the largest decimal that is long; its inverse is the smallest long number
_FINE = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)


class _Decimals(LogLocator):
    """Ticks at 1, 2 and 5; over many decades at powers of ten alone, within a factor of 4 at more places."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        reach = vmax / vmin if vmin > 0 else 1e9
        self.set_params(subs=(1,) if reach > 1e3 else (1, 2, 5) if reach > 4 else _FINE)
        return super().tick_values(vmin, vmax)


class _Plain(Formatter):
    """Plain decimals, or powers of ten where some tick would be a long decimal."""

    long = False

    def set_locs(self, locs: Any) -> None:
        assert self.axis is not None
        low, high = self.axis.get_view_interval()
        self.long = any(low <= place <= high and not _LONG < place < 1 / _LONG for place in locs)

    def __call__(self, value: float, pos: int | None = None) -> str:
        return power_of_ten(value) if self.long else f"{value:g}"


def power_of_ten(value: float) -> str:
    """A place on a logarithmic axis in mathematical type.

    Examples
    --------
    >>> power_of_ten(1e-6), power_of_ten(2e6)
    ('$10^{-6}$', '$2\\\\cdot10^{6}$')
    """
    power = math.floor(math.log10(value) + 1e-9)
    factor = value / 10**power
    return f"$10^{{{power}}}$" if abs(factor - 1) < 1e-6 else rf"${factor:g}\cdot10^{{{power}}}$"


def log_axis(axis: XAxis | YAxis) -> None:
    """A logarithmic axis with plain decimals."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(_Decimals())
    axis.set_major_formatter(_Plain())
    axis.set_minor_locator(NullLocator())


def log_axes(ax: Axes) -> Axes:
    """Logarithmic axes with plain decimals on both sides."""
    log_axis(ax.xaxis)
    log_axis(ax.yaxis)
    return ax


def width_axis(ax: Axes, widths: Array) -> Axes:
    """Widths on a logarithmic axis, each one named; plain decimals on the other one, which is logarithmic too."""
    log_axes(ax).set_xticks(widths, labels=[f"{width:.0f}" for width in widths])
    ax.set_xlabel("width m (hidden units)")
    return ax


def band(
    ax: Axes, x: Array, middle: Array, ends: Array | None, *, color: str, label: str | None = None, **line: Any
) -> Axes:
    """A curve (k,) with the band (2, k) between two others; None leaves the band out.

    ``line`` are more options of ``Axes.plot``.
    """
    ax.plot(x, middle, color=color, label=label, **line)
    if ends is not None:
        ax.fill_between(x, ends[0], ends[1], color=color, alpha=0.15, linewidth=0)
    return ax


def faint(ax: Axes, x: Array, lines: Array, *, color: str, linewidth: float = 0.8, alpha: float = 0.25) -> Axes:
    """Single seeds as thin curves, (seeds, k)."""
    for line in lines:
        ax.plot(x, line, color=color, alpha=alpha, linewidth=linewidth)
    return ax


def reference(ax: Axes, value: float, text: str, *, horizontal: bool = False, beside: str = "") -> Axes:
    """A dashed grey line at a value of one axis, with its name in small type.

    ``beside`` is "left" or "right": the side of a vertical line on which the name stands, at its lower end, by default
    on the left; or the end of a horizontal line at which it stands, by default on the right.
    """
    (ax.axhline if horizontal else ax.axvline)(value, color=GREY, linestyle="--", linewidth=1)
    place = (float(beside != "left"), value) if horizontal else (value, 0.01)
    across = ("axes fraction", "data") if horizontal else ("data", "axes fraction")
    align = "left" if beside == ("left" if horizontal else "right") else "right"
    ax.annotate(text, place, xycoords=across, ha=align, va="bottom", color=GREY, fontsize="small")
    return ax


def falling_errors(
    ax: Axes,
    fractions: Sequence[float],
    courses: Sequence[Sequence[Array]],
    goal: float,
    error: str = "mean squared error",
) -> Axes:
    """Errors over their first value against kernel time, on log axes, of networks and of their Taylor models.

    ``courses`` are errors at every step (T,) for each critical fraction c: of the network, dashed of its linear model,
    and dotted of its second-order model if it is there; step 0 is not shown. There is a line at ``goal``; ``error``
    names the quantity. Every network's curve has its c at its end. Errors outside 0.01 to 1000 are cut off.
    """
    log_axes(ax).set_ylim(1e-2, 1e3)  # first: limits to fit what diverges would be no numbers
    dashes, widths = ("-", (0, (4, 2)), (0, (1, 1.2))), (2.0, 1.0, 1.4)
    named: list[tuple[Array, Array, str, str]] = []
    for fraction, errors, color in zip(fractions, courses, shades(len(fractions)), strict=True):
        for place, (course, dash, width) in enumerate(zip(errors, dashes, widths, strict=False)):
            times: Array = fraction * np.arange(1, len(course), dtype=np.float64)
            ax.plot(times, course[1:], color=color, linestyle=dash, linewidth=width)
            if not place:
                named.append((times, course[1:], f"c = {fraction:.3g}", color))
    ax.axhline(1, color=GREY, linewidth=0.8)
    reference(ax, goal, f" trained: {goal:g}", horizontal=True, beside="left")
    ax.set_ylabel(f"{error} over its first value\n(solid: network, dashed: linear model,\ndotted: second-order model)")
    ax.set_xlabel("kernel time τ = c · (gradient steps)")
    return label_in_place(ax, named)


def residuals(ax: Axes, paths: Sequence[Array], labels: Sequence[str], goal: float) -> Axes:
    """Residuals ‖f − y‖ over their first value at every step (T,), on log axes, each with a dot at its end.

    There is a line at ``goal``.
    """
    for path, label, color in zip(paths, labels, shades(len(paths)), strict=True):
        ax.plot(path, color=color, label=label)
        ax.plot([len(path) - 1], path[-1:], "o", color=color, clip_on=False, zorder=4)
    ax.axhline(goal, color=GREY, linestyle="--", linewidth=1.0)
    ax.set_ylabel("residual ‖f − y‖ over its first value")
    log_axis(ax.yaxis)
    legend_below(ax, columns=2)
    return step_axis(ax, np.array([max(map(len, paths)) - 1]))


def dashed(ax: Axes, lines: Sequence[tuple[Array, Array] | None], label: str, dash: Any) -> Axes:
    """Curves (x, y) in the colours of `style.shades`, all with one dash, which the legend names in grey.

    None leaves its colour out.
    """
    for line, color in zip(lines, shades(len(lines)), strict=True):
        if line is not None:
            ax.plot(*line, color=color, linestyle=dash)
    ax.plot([], [], color=GREY, linestyle=dash, label=label)
    return legend_below(ax)


def span(axes: Sequence[Axes], start: float, end: float, text: str, *, color: str = "#C08400") -> None:
    """A shaded range of the shared logarithmic horizontal axis of several panels, named in the last one."""
    for ax in axes:
        ax.axvspan(start, end, color=color, alpha=0.13, linewidth=0)
    middle = float(np.sqrt(start * end))
    axes[-1].annotate(text, (middle, 0.5), xycoords=("data", "axes fraction"), ha="center", color=GREY)


def bundles(
    ax: Axes,
    curves: Mapping[str, Sequence[tuple[Array, Array]]],
    *,
    level: float | None = None,
    marker: str = "",
    log: bool = False,
) -> Axes:
    """Named bundles of curves (x, y) against width, from dark to light, on a base-2 axis.

    Up to five names have the same colours in every panel, in their order.

    Parameters
    ----------
    level
        A dashed horizontal line.
    log
        Whether the vertical axis is logarithmic too.
    """
    shares = np.linspace(0, 0.58, max(len(curves), 5))
    for share, (name, lines) in zip(shares, curves.items(), strict=False):
        for place, (x, y) in enumerate(lines):
            shape = {"color": mpl.colormaps["viridis"](share), "marker": marker, "markersize": 4, "linewidth": 1.4}
            ax.plot(x, y, label=name if place == 0 else None, **shape)
    if log:
        log_axis(ax.yaxis)
    if level is not None:
        ax.axhline(level, color=GREY, linestyle="--", linewidth=1)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}" if value >= 1 else ""))
    ax.set_xlabel("width m (hidden units)")
    return ax


def law(ax: Axes, function: Callable[[Array], Array], text: str) -> Axes:
    """A dashed theory line y = function(x) across the axes, on log scales a power law; the limits of x stay."""
    x = np.array(ax.get_xlim())
    ax.plot(x, function(x), color=GREY, linestyle="--", linewidth=1.2, label=text)
    ax.set_xlim(*x)
    return ax


def guide(ax: Axes, x: Array, y: Array, slope: float, text: str) -> Axes:
    """A dashed power law of this slope below some points (n,), from half of the lowest one at the smallest x.

    Points that are not positive are left out; nothing is drawn for fewer than two different x.
    """
    x, y = np.asarray(x, dtype=np.float64)[y > 0], np.asarray(y, dtype=np.float64)[y > 0]
    if len(np.unique(x)) > 1:
        ends = np.array([x.min(), x.max()])
        low = 0.5 * y[x == x.min()].min()
        ax.plot(ends, low * (ends / ends[0]) ** slope, color=GREY, linestyle="--", label=text)
    return ax


def ticks_at(ax: Axes, places: Sequence[float], apart: float = 1.3) -> Axes:
    """A logarithmic axis with ticks at some places, without those less than a factor ``apart`` from the one before.

    Where some place has more than three digits, such as 1/0.3, ticks stand at round numbers instead.
    """
    log_axis(ax.xaxis)
    ticks = sorted(set(map(float, places)))
    if any(not math.isclose(tick, float(f"{tick:.3g}"), rel_tol=1e-9) for tick in ticks):
        return ax
    kept = [place for row, place in enumerate(ticks) if row == 0 or place / ticks[row - 1] > apart]
    ax.set_xticks(kept, labels=[f"{place:g}" for place in kept])
    return ax


def mark(ax: Axes, place: float, ends: tuple[float, float] | None, *, color: str, label: str) -> Axes:
    """A vertical line at a place, with its interval as a band."""
    ax.axvline(place, color=color, linewidth=1.2, linestyle=(0, (1, 1.6)), label=label)
    if ends is not None:
        ax.axvspan(*ends, color=color, alpha=0.08, linewidth=0)
    return ax


def errors(ax: Axes, runs: Sequence[tuple[NDArray[np.int64], Array, float]], *, color: str, bound: str) -> Axes:
    """Errors of several runs, (steps (T,), errors (T,), rate), over steps, beside e₀·exp(−rate·t).

    ``bound`` names the exponential in the legend.
    """
    for place, (steps, error, rate) in enumerate(runs):
        known: tuple[str | None, str | None] = (None, None) if place else ("network", bound)
        ax.plot(steps, error, color=color, linewidth=1.4, label=known[0])
        ax.plot(steps, error[0] * np.exp(-rate * steps), "--", color=GREY, linewidth=1, label=known[1])
    ax.set_xlabel("gradient step t")
    log_axis(ax.yaxis)
    ends = [float(np.nanmin(error)) for _, error, _ in runs]
    ax.set_ylim(bottom=0.3 * max(min(ends), 1e-12))
    return ax


def departures(
    ax: Axes,
    paths: Sequence[tuple[Array, Array]],
    lines: Sequence[tuple[Array, Array]],
    names: tuple[str, str, str, str],
) -> Axes:
    """Errors against the distance from a start on log axes: along descents, and dashed on straight lines elsewhere.

    Parameters
    ----------
    paths, lines
        Distances and errors, both (k,), of each descent and of each line; what has distance 0 is not shown.
    names
        In the legend: of descents, of their ends, of lines, of their ends.
    """
    for place, (path, line) in enumerate(zip(paths, lines, strict=True)):
        labels = (None,) * 4 if place else names
        away = path[0] > 0
        ax.plot(path[0][away], path[1][away], color=QUANTITIES[0], alpha=0.8, label=labels[0])
        ax.plot(path[0][-1], path[1][-1], "o", color=QUANTITIES[0], label=labels[1])
        ax.plot(*line, "--", color=GREY, alpha=0.8, label=labels[2])
        ax.plot(line[0][-1], line[1][-1], "s", color=QUANTITIES[1], label=labels[3])
    ax.axhline(1, color=GREY, linewidth=0.8)
    return log_axes(ax)
