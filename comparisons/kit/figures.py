"""Figures of questions: panels for arms, fitted power laws, curves. They are given numbers; nothing is fitted here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from comparisons.kit.arms import Arm, Group
from comparisons.kit.fits import Curve, ends_of, line_through
from comparisons.kit.numbers import Number
from comparisons.kit.powers import PowerLaw
from comparisons.kit.wording import format_number
from lab import figures

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Item = TypeVar("Item")


def panels(
    items: Iterable[Item],
    draw: Callable[[Axes, Item], object],
    *,
    title: str,
    size: tuple[float, float] = (4.8, 4.5),
    sharey: bool = False,
    rows: int = 1,
    columns: int = 1,
) -> Figure:
    """A figure with one panel for each item, row by row; ``draw`` draws one item into its axes.

    The legend is that of `lab.figures.style.legends_below`, with at most so many ``columns`` for each panel.
    """
    shown = list(items)
    figure, axes = figures.style.panels(-(-len(shown) // rows), rows, size=size, sharey=sharey)
    for ax, item in zip(axes.flat, shown, strict=False):
        draw(ax, item)
    for ax in axes.flat[len(shown) :]:
        ax.remove()
    figures.labels.name_curves(figure, columns)
    figures.style.headline(figure, title)
    return figure


def panel_per_arm(
    arms: Sequence[Arm],
    draw: Callable[[Axes, Arm], object],
    *,
    title: str,
    ylabel: str,
    size: tuple[float, float] = (5.6, 4.6),
    columns: int = 1,
    named: str = "readout: {}",
) -> Figure:
    """`panels` for arms with one vertical axis, in two rows if there are many.

    In the title of a panel, ``named``, the arm's label stands for the braces.
    """

    def draw_arm(ax: Axes, arm: Arm) -> None:
        draw(ax, arm)
        ax.set_title(named.format(arm.label))
        if ax.get_subplotspec().is_first_col():  # type: ignore[union-attr]  # every panel has one
            ax.set_ylabel(ylabel)

    rows = 1 if len(arms) <= 3 else 2
    return panels(arms, draw_arm, title=title, size=size, sharey=True, rows=rows, columns=columns)


def power_law(ax: Axes, law: PowerLaw, color: str, what: str = "", shift: float = 1.0, marker: str = "o") -> Axes:
    """Seeds, estimates with intervals, and the fitted line with its band; ``what`` names the quantity in the legend.

    Where some seed has no value, the others are faint points, and the legend says why there is no estimate. ``shift``
    moves the points sideways by a factor. The caller labels an axis that shows no width.
    """
    if not len(law.curve.x):
        ax.text(0.5, 0.5, "no positive value:\nsee the reasons in table.csv", transform=ax.transAxes, ha="center")
        return figures.curves.width_axis(ax, law.x)
    slope = f"slope {format_number(law.exponent)}" if law.line else "no slope"
    label = f"{what}: {slope}" if what else slope
    label += "\nno mean at " + ", ".join(law.lost) if law.lost else ""
    shape: dict[str, Any] = {"line": law.line, "band": law.exponent.interval, "interval": law.curve.ends}
    seeds = law.curve.x, law.curve.values, law.curve.middle
    figures.estimates.power_law(ax, *seeds, color=color, label=label, shift=shift, marker=marker, **shape)
    ax.plot(shift * law.rest.x, law.rest.values.T, marker, color=color, alpha=0.25, markersize=3)
    return figures.curves.width_axis(ax, law.x)  # every width, also one that was left out


def power_laws(
    columns: Mapping[str, tuple[str, str]], fit: Callable[[pd.DataFrame, str], PowerLaw]
) -> Callable[[Axes, Arm], None]:
    """A function that draws power laws of some columns side by side, for `panel_per_arm`.

    ``columns`` give legend text and colour; ``fit`` makes the power law of a column of an arm's rows.
    """

    def draw(ax: Axes, arm: Arm) -> None:
        for place, (column, (what, color)) in enumerate(columns.items()):
            shift, marker = 1.04 ** (place - (len(columns) - 1) / 2), figures.style.marker(place)
            power_law(ax, fit(arm.rows, column), color, what, shift, marker)

    return draw


def band(ax: Axes, curve: Curve, color: str, label: str | None = None, x: str = "", **line: Any) -> Axes:
    """The average of a curve with its interval as a band.

    With the name ``x`` of the axis, the legend has the places where some seed has no value, and the others are faint.
    """
    gone = np.isnan(curve.middle)
    if x and gone.any():
        label = f"{label} (no mean at {x} = {', '.join(f'{place:g}' for place in curve.x[gone])})"
        ax.plot(curve.x[gone], curve.values[:, gone].T, "o", color=color, alpha=0.25, markersize=3)
    return figures.curves.band(ax, curve.x, curve.middle, curve.ends, color=color, label=label, **line)


def bands(ax: Axes, curves: Iterable[tuple[str, Curve]], x: str = "", **line: Any) -> Axes:
    """Curves, each with its name for the legend, with their intervals as `band`, in the lab's colours and dashes."""
    for (name, curve), color, dash in zip(curves, figures.style.QUANTITIES, figures.style.DASHES, strict=False):
        band(ax, curve, color, name, x, **{"linestyle": dash, **line})
    return ax


def whiskers(ax: Axes, curves: Sequence[tuple[str, Curve, str]]) -> Axes:
    """Curves (name, curve, color) with their intervals as bars, where bands would hide each other."""
    for place, (name, curve, color) in enumerate(curves):
        turn = (place + 0.5) / len(curves)
        figures.estimates.whiskers(ax, curve.x, curve.middle, curve.ends, turn, color=color, label=name)
    return ax


def named_curves(ax: Axes, curves: Sequence[tuple[str, Curve, str]], floor: float = 0.0) -> Axes:
    """Curves (name, curve, color) with their bands on a logarithmic vertical axis, each named at its right end.

    A curve that ends below ``floor`` is named where it falls below (`lab.figures.labels.label_curves`).
    """
    figures.curves.log_axis(ax.yaxis)
    for _, curve, color in curves:
        band(ax, curve, color, linewidth=1.8)
    ends = [(curve.x, curve.middle, name, color) for name, curve, color in curves]
    return figures.labels.label_curves(ax, ends, floor)


def cloud(ax: Axes, curve: Curve, color: str, label: str | None = None) -> Axes:
    """The middle of a curve with its interval as a band, and its single seeds as faint points."""
    for values in curve.values:
        ax.plot(curve.x, values, "o", color=color, alpha=0.25, markersize=3)
    return band(ax, curve, color, label)


def through(axes: Sequence[Axes], number: Number, text: str, height: float = 0.5, beside: str = "right") -> None:
    """A number on the shared horizontal axis of several panels, if it has a value; see `lab.figures.estimates`."""
    if number.value is not None:
        figures.estimates.through(axes, number.value, number.interval, text=text, height=height, beside=beside)


def grouped(ax: Axes, groups: Mapping[str, Group], color: str, **options: Any) -> Axes:
    """Seeds of each group, and their average with its interval; see `lab.figures.estimates.grouped`."""
    seeds = {name: group.values for name, group in groups.items()}
    averages = ends_of([group.average for group in groups.values()])
    return figures.estimates.grouped(ax, seeds, *averages, color=color, **options)


def seeds(ax: Axes, curve: Curve, color: str, label: str | None = None, **line: Any) -> Axes:
    """The middle of a curve over its single seeds as faint lines."""
    figures.curves.faint(ax, curve.x, curve.values, color=color)
    ax.plot(curve.x, curve.middle, color=color, label=label, **{"linewidth": 2.2, **line})
    return ax


def named(
    ax: Axes, names: Sequence[str], numbers: Sequence[Number], color: str | Sequence[str], **options: Any
) -> Axes:
    """Numbers with their intervals, one row each from top to bottom; see `lab.figures.estimates.named`."""
    values, intervals = ends_of(numbers)
    return figures.estimates.named(ax, names, values, intervals, color=color, **options)


def named_with_seeds(
    ax: Axes,
    numbers: Mapping[str, Number],
    seeds: Mapping[str, Any],
    labels: Mapping[str, str],
    colors: Mapping[str, str],
    **options: Any,
) -> Axes:
    """`named` for numbers, values of single seeds (seeds,), labels and colours by name; some may have no mean."""
    notes = [f"no mean: {each.seeds - len(seeds[name])}/{each.seeds} diverged" for name, each in numbers.items()]
    known = {"color": [colors[name] for name in numbers], "seeds": [seeds[name] for name in numbers], "notes": notes}
    return named(ax, [labels[name] for name in numbers], list(numbers.values()), **known, **options)


def named_groups(
    ax: Axes, names: Sequence[str], quantities: Sequence[tuple[Sequence[Number], str | None, str]]
) -> Axes:
    """Several quantities (numbers, label, colour) of named things, side by side in each row.

    Numbers are in the order of the names; those without a value are left out. The label of a single one is, too.
    """
    for place, (numbers, label, color) in enumerate(quantities):
        shown = {"label": label if len(quantities) > 1 else None, "marker": figures.style.marker(place)}
        named(ax, names, numbers, color, offset=0.24 * (place - (len(quantities) - 1) / 2), **shown)
    return ax


def degree(
    ax: Axes, x: Sequence[float], numbers: Sequence[Number], slope: Number, color: str, what: str, **options: Any
) -> Axes:
    """Numbers with intervals against x on log axes, and the power law of this slope; the legend has the degree.

    Numbers without a value are left out. ``options`` are those of `lab.figures.estimates.estimates`.
    """
    values, intervals = ends_of(numbers)
    shown = np.isfinite(values)
    places = np.asarray(x, dtype=np.float64)[shown]
    label = f"{what}\n{'no degree' if slope.value is None else f'degree {format_number(slope)}'}"
    line = line_through(x, numbers, slope)
    return figures.estimates.estimates(
        ax, places, values[shown], intervals[shown], color=color, label=label, line=line, **options
    )


def mark(ax: Axes, number: Number, color: str, label: str) -> Axes:
    """A vertical line at a number, with its interval as a band; nothing without a value."""
    if number.value is None:
        return ax
    return figures.curves.mark(ax, number.value, number.interval, color=color, label=label)


def points(ax: Axes, x: Sequence[float], numbers: Sequence[Number], color: str, label: str, **line: Any) -> Axes:
    """Numbers against x, joined by a line, with intervals as bars; what has no value is left out."""
    values, intervals = ends_of(numbers)
    shown = np.isfinite(values)
    bars = np.nan_to_num(np.abs(intervals.T - values))[:, shown]
    shape: dict[str, Any] = {"fmt": "o-", "capsize": 3, "markersize": 4, **line}
    ax.errorbar(np.asarray(x)[shown], values[shown], yerr=bars, color=color, label=label, **shape)
    return ax


def times(
    ax: Axes, rows: pd.DataFrame, columns: tuple[str, str], number: Number, color: str, shift: float = 1.0, **line: Any
) -> Axes:
    """Times against width: seeds, with open triangles where a time never came, and the medians of `fits.median_time`.

    ``columns`` hold the times and their censoring marks; ``line`` are options of ``Axes.plot`` for the medians.
    """
    known = rows.dropna(subset=[columns[0]])
    seen = ~known[columns[1]].isin(("left", "right")).to_numpy()
    figures.estimates.censored(
        ax, known["width"].to_numpy(), known[columns[0]].to_numpy(), seen, color=color, shift=shift
    )
    medians = {int(width): value for width, value in number.details.get("medians", {}).items() if value is not None}
    ax.plot(list(medians), list(medians.values()), color=color, **line)
    return ax
