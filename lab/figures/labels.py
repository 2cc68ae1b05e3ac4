"""Names of curves: beside their right ends, in their colours, or in a legend where there is no room for that."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from lab.figures import style
from lab.figures.texts import BESIDE, break_lines, spread

Array = NDArray[np.float64]

_SHARE = 0.36  # of a panel, for names beside its axes
_REACH = 0.8  # of the width of axes: curves that are named beside them end further to the right
_APART = 0.01  # of their height: ends that are all nearer to each other cannot be told apart
_LETTERS = 8  # of the shortest line that a name is broken into
_LINES = 5  # of a name, at most
_LEADING, _TALL = 1.3, 1.6  # height of a line of text over its size; with a formula
_AXES = 0.72  # of the height of a panel: the rest is for its title and its horizontal axis


@dataclass(frozen=True)
class End:
    """The right end of a curve (x, y), with its name and colour; NaN where the curve has no point."""

    x: float
    y: float
    text: str
    color: str


def name_curves(figure: Figure, columns: int = 1) -> None:
    """Name what all panels show that have names, once it is drawn and the limits of the axes are final.

    Curves and estimates that end together at the right are named beside their ends; where all panels have the same
    names, in the last one of each row alone. If some do not end there, or there is no room, names stand in legends
    below, in at most so many ``columns`` for each panel (`lab.figures.style.legends_below`). On a slide with several
    rows they lose what follows a colon or a line break, such as slopes, where there is no room for that.
    """
    beside = _name_beside(figure)
    if not beside and _is_full(figure):
        _shorten(figure)
        beside = _name_beside(figure)
    if not beside:
        style.legends_below(figure, columns)


def _name_beside(figure: Figure) -> bool:
    """Name curves beside their ends in all panels, if that is possible, and say whether it was."""
    found = [(ax, ends_of(ax)) for ax in _named(figure)]
    texts = [[end.text for end in ends] for _, ends in found]
    if len(found) > 1 and all(each == texts[0] for each in texts):
        found = list({_row(ax): (ax, ends) for ax, ends in found}.values())  # the last one of each row
    broken = [(ax, _broken(figure, ax, ends)) for ax, ends in found]
    if not all(ends for _, ends in broken):
        return False
    for ax, ends in broken:
        label_ends(ax, ends, margin=_margin(ax))
    return True


def _is_full(figure: Figure) -> bool:
    """Whether a figure is a slide with several rows."""
    return isinstance(figure, style.Picture) and figure.is_slide and any(_grid(ax)[0] > 1 for ax in figure.axes)


def _shorten(figure: Figure) -> None:
    """Leave out of names what follows a colon or a line break."""
    for ax in _named(figure):
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handle.set_label(re.split(": |\n", label)[0])


def ends_of(ax: Axes) -> list[End]:
    """Right ends of all that has a name in the axes.

    Empty where some do not end in view near the right end of the axes, or where all end in one place.
    """
    handles, labels = ax.get_legend_handles_labels()
    found = [_end(ax, handle, label) for handle, label in zip(handles, labels, strict=True)]
    ends = [end for end in found if end is not None]
    seen = [end for end in ends if np.isfinite(end.y)]
    if len(ends) < len(found) or not seen:
        return []
    x, y = _places(ax, seen).T
    in_view = x.min() >= _REACH and y.min() >= 0 and y.max() <= 1
    return ends if in_view and (len(seen) == 1 or np.ptp(y) > _APART) else []


def label_ends(ax: Axes, ends: Sequence[End], margin: float = 0.0) -> Axes:
    """Names beside the right ends of curves, moved apart where they would overlap, with a line to each end.

    A curve without a point is named at the bottom, without a line. Call it once all curves are drawn and limits are
    final; ``margin`` is that of the horizontal axis.
    """
    ax.margins(x=margin)
    apart = max((_height(ax, end.text) for end in ends), default=0.0)
    wanted = np.nan_to_num(_places(ax, ends)[:, 1])
    order = np.argsort(wanted, kind="stable")
    for place, height in zip(order, spread(wanted[order].tolist(), apart), strict=True):
        end = ends[place]
        color, seen = style.text_color(end.color), bool(np.isfinite(end.y))
        line = {"arrowstyle": "-", "color": end.color, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 0, "relpos": (0, 0.5)}
        shape: dict[str, Any] = {"textcoords": "axes fraction", "va": "center", "annotation_clip": False}
        at = {"xy": (end.x, end.y), "arrowprops": line} if seen else {"xy": (1, height), "xycoords": "axes fraction"}
        ax.annotate(end.text, xytext=(BESIDE, height), color=color, **at, **shape)
    return ax


def label_curves(ax: Axes, curves: Sequence[tuple[Array, Array, str, str]], floor: float = 0.0) -> Axes:
    """Names beside the right ends of curves (x, y, text, color), with x and y (k,); see `label_ends`.

    A curve that ends below ``floor``, outside the picture, is named where it falls below. One that does not end at a
    finite positive value has no name.
    """
    leaving = [curve for curve in curves if curve[1][-1] < floor]
    ends = [End(x[-1], y[-1], text, color) for x, y, text, color in curves if y[-1] >= floor and 0 < y[-1] < np.inf]
    places = [int(np.argmax(y < floor)) for _, y, _, _ in leaving]
    for place, (x, y, text, color) in zip(places, leaving, strict=True):
        align = "right" if place == min(places) else "left"
        ax.annotate(f" {text} ", (x[place], y[place]), color=style.text_color(color), ha=align)
    return label_ends(ax, ends)


def label_in_place(ax: Axes, curves: Sequence[tuple[Array, Array, str, str]]) -> Axes:
    """Names right of the ends of curves (x, y, text, color), with x and y (k,), moved apart in height.

    A curve that leaves the picture at the top is named there, above the axes.
    """
    top, shift = ax.get_ylim()[1], 0.4 * float(mpl.rcParams["font.size"])
    ends = []
    for x, y, text, color in curves:
        if (y > top).any():
            place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom"}
            ax.annotate(text, (x[np.argmax(y > top)], 1), color=style.text_color(color), **place)
        else:
            ends.append(End(float(x[-1]), float(y[-1]), text, color))
    ends.sort(key=lambda end: end.y)
    apart = max((_height(ax, end.text) for end in ends), default=0.0)
    for end, height in zip(ends, spread(_places(ax, ends)[:, 1].tolist(), apart), strict=True):
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "center"}
        place["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8}  # over lines
        ax.annotate(end.text, (end.x, height), (shift, 0), color=style.text_color(end.color), **place)
    return ax


def _named(figure: Figure) -> list[Axes]:
    """Panels whose curves have names, but no legend yet."""
    return [ax for ax in figure.axes if ax.get_legend_handles_labels()[1] and ax.get_legend() is None]


def _row(ax: Axes) -> int:
    """The row in which axes stand, from 0 at the top."""
    spec = ax.get_subplotspec()
    return spec.rowspan.start if spec else 0


def _end(ax: Axes, handle: Artist | ErrorbarContainer, text: str) -> End | None:
    """The right end of a curve, or of estimates along a horizontal axis; None for anything else."""
    if isinstance(handle, ErrorbarContainer):
        line = None if handle.has_xerr else handle.lines[0]
    else:
        line = handle if isinstance(handle, Line2D) and handle.get_linestyle() != "None" else None
    if line is None:
        return None
    x, y = np.asarray(line.get_xydata(), dtype=np.float64).T
    if len(x) < 2:
        return None
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(known):
        return End(np.nan, np.nan, text, to_hex(line.get_color()))
    last = known[np.argmin(x[known]) if ax.xaxis_inverted() else np.argmax(x[known])]
    return End(float(x[last]), float(y[last]), text, to_hex(line.get_color()))


def _places(ax: Axes, ends: Sequence[End]) -> Array:
    """Ends in widths and heights of the axes, (k, 2)."""
    ax.get_xlim(), ax.get_ylim()  # brings pending limits up to date: transData does not
    to_axes = ax.transData + ax.transAxes.inverted()
    return np.asarray(to_axes.transform(np.array([(end.x, end.y) for end in ends]).reshape(-1, 2)))


def _margin(ax: Axes) -> float:
    """Of the horizontal axis: room for half a marker where there are estimates."""
    handles = ax.get_legend_handles_labels()[0]
    return 0.04 if any(isinstance(handle, ErrorbarContainer) for handle in handles) else 0.0


def _grid(ax: Axes) -> tuple[int, int]:
    """Rows and columns of the figure."""
    spec = ax.get_subplotspec()
    return spec.get_gridspec().get_geometry() if spec else (1, 1)


def _height(ax: Axes, text: str) -> float:
    """Of a text beside axes, in their heights, before their layout is known."""
    figure = cast(Figure, ax.get_figure())
    size = float(mpl.rcParams["font.size"]) / 72
    rows, columns = _grid(ax)
    panel = figure.get_figheight() / rows
    if isinstance(figure, style.Picture) and figure.made_for is not None and not figure.is_slide:
        panel = figure.shape * figure.get_figwidth() / columns  # as `lab.figures.fitting.fit` makes it
    return (_TALL if "$" in text else _LEADING) * size * (1 + text.count("\n")) / (_AXES * panel)


def _broken(figure: Figure, ax: Axes, ends: Sequence[End]) -> list[End]:
    """Ends with names in lines that fit beside the axes; empty where there is no room."""
    room = _SHARE * figure.bbox.width / _grid(ax)[1]
    names = [_break(figure, end.text, room) for end in ends]
    if any(name is None for name in names):
        return []
    broken = [replace(end, text=name) for end, name in zip(ends, names, strict=True) if name is not None]
    return broken if sum(_height(ax, end.text) for end in broken) <= 1 else []


def _break(figure: Figure, text: str, room: float) -> str | None:
    """The text in few lines that are no wider than so many pixels, first broken after a colon; None for many lines."""
    shown = figure.text(0, 0, text)
    try:
        for letters in range(len(text) + 1, _LETTERS - 1, -1):
            if shown.get_window_extent().width <= room:
                break
            parts = text.replace(": ", ":\n").split("\n")
            shown.set_text("\n".join(break_lines(part, letters) for part in parts))
        fits = shown.get_window_extent().width <= room and shown.get_text().count("\n") < _LINES
        return shown.get_text() if fits else None
    finally:
        shown.remove()
