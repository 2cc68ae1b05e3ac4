"""Predictions of ensembles: mean and two standard deviations of each learner, and of infinite width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lab.figures.style import GREY, LEARNERS, Line, legend_below

Array = NDArray[np.float64]
Spread = tuple[Array, Array]  #: means and standard deviations, (n',) each

INFINITE = Line("#9C3F83", (0, (9, 1.8)), "D", 1.6, 3.3)
TIMES = 2  # standard deviations that a band or bar reaches from the mean
_OUTPUT = f"output f,\nmean ± {TIMES} standard deviations"


def bands(ax: Axes, x: Array, spreads: Mapping[str, Spread], infinite: Spread | None = None) -> Axes:
    """Mean ± 2 standard deviations of each learner against a number x (n',), as a line in a band.

    ``infinite`` is drawn as three thin lines without a band, so that a learner's band stays visible behind it.
    """
    order = np.argsort(x)
    for learner, (mean, deviation) in spreads.items():
        line, low, high = LEARNERS[learner], *_reach(mean, deviation)
        ax.fill_between(x[order], low[order], high[order], color=line.color, alpha=0.2, linewidth=0, zorder=1)
        ax.plot(x[order], mean[order], label=learner, **line.curve())
    if infinite is not None:
        ax.plot(x[order], infinite[0][order], label="infinite width", **INFINITE.curve())
        for edge in _reach(*infinite):
            ax.plot(x[order], edge[order], **{**INFINITE.curve(), "linewidth": 0.6 * INFINITE.linewidth})
    ax.set_ylabel(_OUTPUT)
    return ax


def bars(ax: Axes, spreads: Mapping[str, Spread], infinite: Spread | None = None) -> Axes:
    """Mean ± 2 standard deviations of each learner on samples in the order of the first learner's means."""
    drawn = [(learner, LEARNERS[learner], spread) for learner, spread in spreads.items()]
    drawn += [] if infinite is None else [("infinite width", INFINITE, infinite)]
    order = np.argsort(next(iter(spreads.values()))[0])
    place = np.arange(1, len(order) + 1)
    for row, (label, line, (mean, deviation)) in enumerate(drawn):
        shift = 0.25 * (row - (len(drawn) - 1) / 2)
        shape: dict[str, Any] = {"fmt": line.marker, "color": line.color, "markersize": 3.5, "zorder": line.zorder}
        ax.errorbar(place + shift, mean[order], yerr=TIMES * deviation[order], label=label, elinewidth=1.2, **shape)
    ax.set_xlabel("sample, sorted")
    ax.set_ylabel(_OUTPUT)
    legend_below(ax, columns=2)
    return ax


def training_points(ax: Axes, x: Array, targets: Array) -> Axes:
    """Training targets (n,) at x (n,), as open circles above everything else."""
    ring: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": GREY, "markeredgewidth": 1.6, "zorder": 4}
    ax.plot(x, targets, "o", label="training targets", markersize=6, **ring)
    return ax


def _reach(mean: Array, deviation: Array) -> Spread:
    return mean - TIMES * deviation, mean + TIMES * deviation
