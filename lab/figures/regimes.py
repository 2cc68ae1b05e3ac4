"""The plane of width and output scale, and what networks have learnt in its corners. Functions return the ``ax``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from lab.figures.curves import log_axis, width_axis
from lab.figures.style import GREY, LEARNERS

Array = NDArray[np.float64]

_INK, _LAW = "#000000", "#C2410C"  # of crosses and targets, and of laws, over light and over dark squares


def plane(
    ax: Axes,
    places: tuple[Array, Array],
    gaps: Array,
    complete: NDArray[np.bool_],
    *,
    limits: tuple[float, float],
    label: str,
) -> Axes:
    """Gaps (k,) as coloured squares at widths and scales ``places``, each (k,), with a colour bar: dark is rich.

    Parameters
    ----------
    complete
        Whether all seeds have a gap (k,); the others have a cross, and no square where the gap is NaN.
    limits
        Gaps at the ends of the colours; those beyond have the colour of the end.
    label
        Of the colour bar.
    """
    widths, scales = places
    known = np.isfinite(gaps)
    shape: dict[str, Any] = {"marker": "s", "s": 150, "cmap": "viridis_r", "norm": LogNorm(*limits, clip=True)}
    squares = ax.scatter(widths[known], scales[known], c=gaps[known], **shape)
    ax.plot(widths[~complete], scales[~complete], "x", color="#ffffff", markersize=9, markeredgewidth=3.5)
    ax.plot(widths[~complete], scales[~complete], "x", color=_INK, markersize=8, markeredgewidth=1.5)
    assert ax.figure is not None
    bar = ax.figure.colorbar(squares, ax=ax, pad=0.02)
    log_axis(bar.ax.yaxis)
    bar.set_label(label)
    width_axis(ax, np.unique(widths))
    ax.margins(x=0.08, y=0.08)
    return ax


def limit(ax: Axes, widths: Array, scales: Array, text: str) -> Axes:
    """A thin line through places of the plane (k,), behind its squares, named above its right end."""
    ax.plot(widths, scales, color=GREY, linewidth=1.2, zorder=0.5)
    place: dict[str, Any] = {"xytext": (0, 8), "textcoords": "offset points", "ha": "center", "va": "bottom"}
    ax.annotate(text, (widths[-1], scales[-1]), color=GREY, fontsize="small", **place)
    return ax


def slope_line(ax: Axes, points: Mapping[int, float | None], slope: float, x: Array, text: str) -> Axes:
    """A dashed power law of this slope, over the range of x, through the geometric mean of points by their x."""
    if points:
        logs = np.log(np.array(list(points.items()), dtype=np.float64))
        ends = np.array([x.min(), x.max()], dtype=np.float64)
        line = np.exp(logs[:, 1].mean() - slope * logs[:, 0].mean()) * ends**slope
        ax.plot(ends, line, "--", color=_LAW, linewidth=1.8, label=text, zorder=3)
    return ax


def curve(ax: Axes, x: Array, function: Callable[[Array], Array], text: str) -> Axes:
    """A dotted curve over the range of a logarithmic x."""
    grid = np.geomspace(x.min(), x.max(), 60)
    ax.plot(grid, function(grid), ":", color=_LAW, linewidth=2.4, label=text, zorder=3)
    return ax


def samples(ax: Axes, along: Array, target: Array, network: Array, linearized: Array) -> Axes:
    """Outputs and targets (n',) of test samples against their place along the direction to find, (n',)."""
    order = np.argsort(along)
    for name, values, marker in (("linearized", linearized, "s"), ("network", network, "o")):
        color = LEARNERS[name].color
        ax.plot(along, values, marker, color=color, markersize=3, alpha=0.6, linestyle="none", label=name)
    ax.plot(along[order], target[order], color=_INK, linewidth=1.8, label="target")
    ax.set(xlabel=r"place along the direction, $\sqrt{p}\,\langle u, x_1\rangle$", ylabel="output f")
    return ax


def alignment(ax: Axes, before: Array, after: Array) -> Axes:
    """Alignment (m,) of each hidden unit's input weights with the direction to find, after against before training."""
    ax.plot([-1, 1], [-1, 1], "--", color=GREY, linewidth=1.2, label="no change")
    ax.plot(before, after, "o", color=LEARNERS["network"].color, markersize=3, alpha=0.5, label="hidden unit")
    ax.set(xlim=(-1, 1), ylim=(-1, 1), xticks=[-0.5, 0, 0.5], yticks=[-0.5, 0, 0.5])
    ax.set(xlabel="alignment $\\cos(A_i, u)$ before training", ylabel="alignment after training")
    return ax
