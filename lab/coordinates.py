"""The coordinate check: how far training moves one coordinate of the features at several widths, by which weight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import check_integer, refuse
from lab.html import Facts
from lab.kernels.sharpness import sharpness
from lab.learners.descent import Descent, check_descent
from lab.learners.network import descend, objective
from lab.measures.coordinates import coordinate_changes, elman_inside
from lab.measures.exponents import Exponent, fit_exponent, mean_interval
from lab.networks.elman import ElmanRNN
from lab.networks.scaled import Scaled
from lab.progress import bar, shown
from lab.tasks.task import Task, as_task

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Build = Callable[[int, int], ElmanRNN | Scaled]

WIDTHS = (64, 128, 256, 512)
QUANTITIES = ("h", "W", "A", "b", "B", "f")  #: as `lab.measures.coordinates.coordinate_changes` names them

_SYMBOLS = {
    "h": r"$\Delta h_L$",
    "W": r"$c_W\,\Delta W\,h_{L-1}$",
    "A": r"$c_A\,\Delta A\,x_L$",
    "b": r"$c_b\,\Delta b$",
    "B": r"$c_B\,\Delta B\,h_L$",
    "f": r"$\Delta f$",
}
_NAMES = {"h": "Δh", "W": "ΔW h", "A": "ΔA x", "b": "Δb", "B": "ΔB h", "f": "Δf", "learning_rate": "η"}


@dataclass(frozen=True, eq=False, repr=False)
class CoordinateCheck(Facts):
    """What training changed per coordinate, for networks of several widths.

    Attributes
    ----------
    table
        A DataFrame with one row for each width and seed: ``width``, ``seed``, the quantities of
        `lab.measures.coordinates.coordinate_changes` ("h", "f", and one for each trained weight; NaN after a
        divergence), ``learning_rate`` η (None under an optimizer), ``loss``: the last training loss over the first one,
        and ``diverged_at``.
    title
        Task, network and descent in words.
    """

    table: pd.DataFrame
    title: str

    def __repr__(self) -> str:
        return f"CoordinateCheck({self.title}; Δh as {_power(self.slopes()['h'])})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        powers = {_NAMES[name]: _power(slope) for name, slope in self.slopes().items()}
        return f"Change per coordinate against the width: {self.title}", powers

    @property
    def quantities(self) -> tuple[str, ...]:
        """The quantities in the table."""
        return tuple(name for name in QUANTITIES if name in self.table)

    def slopes(self) -> dict[str, Exponent]:
        """The exponent in the width of each quantity, and of "learning_rate" where there is one, over seeds.

        With rates in units of the critical one, theory has −1/2 for "h", "W", "A" and "b" in the lazy limit ("ntk"),
        and 0 in the mean-field limit; "f" and "B", which are in units of the outputs, have 0 in both.
        """
        rates = ("learning_rate",) if self.table["learning_rate"].notna().any() else ()
        found = {}
        for name in (*self.quantities, *rates):
            values = self._values(name)
            found[name] = fit_exponent(values.columns.to_numpy(float), values.to_numpy(float))
        return found

    def plot(self) -> Figure:
        """Each quantity against the width on log axes, with seeds, 95 % intervals and the fitted power laws."""
        from lab.figures import estimates, style

        slopes, shown_now = self.slopes(), [name for name in self.quantities if (self._values(name) > 0).any(axis=None)]
        with style.use():
            figure, axes = style.panels(1, size=(6.4, 4.8))
            for place, name in enumerate(shown_now):
                values, slope = self._values(name), slopes[name]
                middle, ends = _averages(values.to_numpy(float))
                line = (
                    None if slope.value is None or slope.log_intercept is None else (slope.value, slope.log_intercept)
                )
                estimates.power_law(
                    axes[0, 0], values.columns.to_numpy(float), values.to_numpy(float), middle, line=line,
                    band=slope.interval, interval=ends, color=style.QUANTITIES[place], dash=style.DASHES[place],
                    marker=style.MARKERS[place], label=f"{_SYMBOLS[name]}: {style.typeset(_power(slope))}",
                    shift=0.95 * 1.02**place,
                )  # fmt: skip
            axes[0, 0].set_ylabel("RMS change per coordinate")
            if shown_now:
                style.legend_below(axes[0, 0], 2)
            style.headline(figure, self._finding(slopes["h"]))
        return figure

    def _values(self, name: str) -> pd.DataFrame:
        return self.table.pivot(index="seed", columns="width", values=name)

    def _finding(self, slope: Exponent) -> str:
        """What became of the features, in one sentence, and whose they are."""
        words = "No power law of the change of features could be fitted"
        if slope.value is not None:
            low, high = slope.interval or (-np.inf, np.inf)
            trend = "falls as" if high < 0 else "grows as" if low > 0 else "shows no trend in the width,"
            words = f"The change of a feature {trend} {_power(slope)}"
        return f"{words}: {self.title}"


def coordinate_check(
    task: Task | tuple[Any, Any],
    widths: Sequence[int] = WIDTHS,
    descent: Descent | None = None,
    *,
    seeds: int = 3,
    build: Build | None = None,
    progress: bool = True,
    **settings: Any,
) -> CoordinateCheck:
    """Train networks of several widths and seeds by one descent, and see how far features and weights moved.

    Parameters
    ----------
    task
        What is learnt: a task with inputs (n, L, p), or a pair (X, y). Changes are taken over the training inputs.
    widths
        At least two different ones.
    descent
        ``Descent(steps=100)`` if not given: half the critical rate of each network. A limit of large width is one of
        rates in units of the critical one; under an adaptive optimizer, or at one fixed learning rate for all widths,
        the exponents are others.
    seeds
        How many initializations of each width; three or more for intervals.
    build
        A function (width, seed) -> network, an `ElmanRNN` or a `Scaled` one at initialization. Without it the network
        is ``ElmanRNN.like(task, width, seed=seed, **settings)``.
    settings
        For `ElmanRNN`, such as ``parametrization="mean_field"``, ``activation``, ``trained``.
    progress
        Whether a progress bar appears when it takes longer than about two seconds.

    Returns
    -------
    CoordinateCheck
        With ``.table``, ``.slopes()`` and ``.plot()``.

    Raises
    ------
    LabError
        Fewer than two widths, a bad number of seeds, ``settings`` beside ``build``, a seed among them, another network,
        and what `lab.descend` refuses.

    References
    ----------
    Yang et al., "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer", 2022.

    Examples
    --------
    >>> import lab
    >>> task = lab.tasks.digits()
    >>> check = lab.coordinate_check(task, (16, 32), lab.Descent(5), seeds=1, parametrization="mean_field")
    >>> check.quantities, len(check.table)
    (('h', 'W', 'f'), 2)
    """
    task, descent = as_task(task), Descent(100) if descent is None else descent
    check_descent(descent)
    check_integer("seeds", seeds, 1)
    _check_widths(widths)
    if build is not None and settings:
        refuse("settings", ", ".join(settings), "none beside build", "set them in the function that builds")
    if "seed" in settings:
        refuse("settings", "a seed", "none: each network has its own", "pass seeds=3 or more for intervals")

    def standard(width: int, seed: int) -> ElmanRNN:
        return ElmanRNN.like(task, width, **{"seed": seed, **settings})

    make, rows = build or standard, []
    with shown(progress), bar(len(widths) * seeds, "coordinate check") as counter:
        for width in widths:
            for seed in range(seeds):
                network = make(width, seed)
                elman_inside("build", network)
                rows.append({"width": width, "seed": seed, **_trained(network, task, descent)})
                counter.update()
    return CoordinateCheck(_table(rows), f"{task.name}, {_words(network)}, {descent.steps} steps")


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows)


def _trained(network: ElmanRNN | Scaled, task: Task, descent: Descent) -> dict[str, float | int | None]:
    """One row of the table, without width and seed."""
    rate = descent.learning_rate
    if descent.critical_fraction is not None:
        jacobian, aim = network.jacobian(task.train_inputs), objective(network, task, descent.loss)
        rate = descent.rate(sharpness(jacobian.gram(), aim.curvature(jacobian.outputs)))
        descent = replace(descent, critical_fraction=None, learning_rate=rate)
    path = descend(network, task, replace(descent, record=(0, descent.steps)), progress=False)
    losses = [snapshot.loss for snapshot in path]
    assert isinstance(path.network, ElmanRNN | Scaled)
    changes = coordinate_changes(network, path.network, task.train_inputs)
    end = losses[-1] / losses[0]
    if path.diverged_at is not None:
        changes, end = dict.fromkeys(changes, np.nan), np.inf
    return {**changes, "learning_rate": rate, "loss": end, "diverged_at": path.diverged_at}


def _check_widths(widths: Sequence[int]) -> None:
    if not isinstance(widths, (Sequence, np.ndarray)):
        refuse("widths", repr(widths), "at least two different widths", f"pass widths={WIDTHS}")
    for width in widths:
        check_integer("widths", width, 1)
    if len(widths) < 2 or len(set(widths)) < len(widths):
        refuse("widths", str(tuple(widths)), "at least two different widths", f"pass widths={WIDTHS}")


def _words(network: ElmanRNN | Scaled) -> str:
    """Activation and parametrization."""
    inner, alpha = elman_inside("build", network)
    own = network.label or inner.label or f'"{inner.parametrization.style}" parametrization'
    scale = f" times {alpha:g}" if isinstance(network, Scaled) and not network.label else ""
    return f"{inner.activation.name}, {own}{scale}"


def _averages(values: Array) -> tuple[Array, Array | None]:
    """Geometric means (w,) over seeds, and ends (2, w) of their intervals where there are enough seeds."""
    with np.errstate(divide="ignore"):
        found = [mean_interval(column) for column in np.log(values.T)]
    middle = np.exp([mean for mean, _ in found])
    if any(interval is None for _, interval in found):
        return middle, None
    return middle, np.exp(np.array([interval for _, interval in found])).T


def _power(slope: Exponent) -> str:
    """``width^−0.5 (−0.6 to −0.4)``."""
    if slope.value is None:
        return f"unknown ({slope.reason})"
    value, *ends = (f"{each:z.2f}".replace("-", "−") for each in (slope.value, *(slope.interval or ())))
    return f"width^{value}" + (f" ({ends[0]} to {ends[1]})" if ends else "")
