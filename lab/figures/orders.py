"""A network and its Taylor models: courses of their errors at several learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lab.figures import style
from lab.figures.curves import log_axis

Array = NDArray[np.float64]

#: How a network and its models are drawn, by their names in figures of orders.
LINES = {
    "network": style.LEARNERS["network"],
    "linear": style.LEARNERS["linearized"],
    "quadratic": style.LEARNERS["quadratic"],
    "frozen": style.Line(style.QUANTITIES[3], (0, (3, 1.2, 1, 1.2, 1, 1.2)), "D", 1.6, 3.05),
}

_SHOWN = 1e-3, 1e3  # errors over the first one


def courses(runs: Mapping[str, Array], fractions: Sequence[float], learners: Mapping[str, str], title: str) -> Figure:
    """Errors over the first one along descent, a row of panels for each run and a panel for each learning rate.

    Parameters
    ----------
    runs
        Errors (c, learners, T) by the name of the row.
    fractions
        Learning rates in units of the critical one, (c,).
    learners
        Labels by the names of `LINES`, in the order of the errors.
    title
        Of the figure.
    """
    figure, axes = style.panels(len(fractions), len(runs), size=(3.4, 3.1), sharey=True)
    for row, (name, errors) in zip(axes, runs.items(), strict=True):
        for ax, fraction, each in zip(row, fractions, errors, strict=True):
            _draw_course(ax, each, learners)
            ax.set_title(f"{name}, c = {fraction:g}")
        row[0].set_ylabel("training error over the first one")
    style.legends_below(figure, 3)
    style.headline(figure, title)
    return figure


def _draw_course(ax: Axes, errors: Array, learners: Mapping[str, str]) -> None:
    low, high = _SHOWN
    for (learner, label), course in zip(learners.items(), errors, strict=True):
        line: dict[str, Any] = LINES[learner].curve()
        ax.plot(np.where(course < high, course, np.nan), label=label, **line)
    log_axis(ax.yaxis)
    ax.set(ylim=(low, high), xlim=(0, errors.shape[1] - 1), xlabel="gradient step")
