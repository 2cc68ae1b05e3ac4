"""Fits finished figures to the pages that they are made for (`lab.figures.page`): a slide, or a column of a paper."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.collections import Collection, PathCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Annotation, Text
from matplotlib.transforms import ScaledTranslation

from lab.figures.page import Page
from lab.figures.texts import BESIDE, LINES, joined, spread, wrap

_FLAT = 0.8  # height over width of axes, in that of their panel: the rest is for labels and legends
_SHARE, _RIGHT = 0.55, 1.03  # of a panel, for a legend beside axes; where that begins, in widths of the axes
_CLOSE = 0.85  # of a panel of three or more beside each other, for a legend under it
_PAD = 4  # pixels between texts beside each other
_LOWEST = 1.2  # inches of a row of panels
_ROUNDS = 2  # of layout and fitting


def fit(figure: Figure, page: Page, shape: float) -> None:
    """Make a finished figure fit its page: type, lines, breaks in long texts, ticks in each other's way, its height.

    Parameters
    ----------
    figure
        Of the width of the page, with a constrained layout. It is changed, and must be fitted once only.
    page
        Its page.
    shape
        Height over width of a panel as it is drawn for the screen.
    """
    for text in figure.findobj(Text):
        text.set_fontsize(max(text.get_fontsize(), page.smallest))
    for artist in _drawn(figure):
        _scale(artist, page.stroke)
    for ax in figure.axes:  # first: a layout has no room for what is larger than a panel
        _fit_legend(ax, figure, page)
        wrap(ax.yaxis.label, _name_height(ax), lambda box: box.height)
    for _ in range(_ROUNDS):
        figure.draw_without_rendering()
        for ax in figure.axes:
            _fit_across(ax, figure)
            _fit_legend(ax, figure, page)
        if page.height is None:
            figure.draw_without_rendering()
            _fit_height(figure, page, shape)
        figure.draw_without_rendering()
        for ax in figure.axes:
            _fit_upright(ax)
    figure.draw_without_rendering()
    for ax in figure.axes:
        _thin(ax.yaxis)


def _drawn(figure: Figure) -> Iterator[Artist]:
    """Lines, areas and arrows of the data and of legends; not those of axes."""
    for ax in figure.axes:
        yield from (*ax.lines, *ax.collections, *ax.patches)
        yield from (text.arrow_patch for text in ax.texts if isinstance(text, Annotation) and text.arrow_patch)
    for legend in _legends(figure):
        parts = legend.findobj(lambda part: isinstance(part, Line2D | Collection | Patch))
        yield from (part for part in parts if part is not legend.get_frame())


def _size(text: Text) -> float:
    """Of a text, in points."""
    return float(text.get_fontsize())


def _legends(figure: Figure) -> Iterator[Legend]:
    yield from figure.legends
    yield from (legend for ax in figure.axes if (legend := ax.get_legend()) is not None)


def _scale(artist: Artist, factor: float) -> None:
    """Lines and markers thinner or thicker by a factor."""
    if isinstance(artist, Line2D):
        artist.set_markersize(factor * artist.get_markersize())
        artist.set_markeredgewidth(factor * artist.get_markeredgewidth())
    if isinstance(artist, PathCollection):
        artist.set_sizes(factor**2 * np.asarray(artist.get_sizes()))
    if isinstance(artist, Line2D | Collection | Patch):
        artist.set_linewidth(factor * np.asarray(artist.get_linewidth()))  # type: ignore[arg-type]


def _fit_across(ax: Axes, figure: Figure) -> None:
    """Break what is wider than its panel; thin out ticks of both axes."""
    panel = _room(ax, figure)
    wrap(ax.title, min(panel, ax.get_window_extent().width), lambda box: box.width)  # not over a tick's label
    wrap(ax.xaxis.label, panel, lambda box: box.width)
    _thin(ax.xaxis)
    _thin(ax.yaxis)


def _fit_legend(ax: Axes, figure: Figure, page: Page) -> None:
    """Break entries; put a legend under its axes under their labels, or on a slide with two rows beside the axes."""
    legend, spec, box = ax.get_legend(), ax.get_subplotspec(), ax.get_window_extent()
    rows, columns = spec.get_gridspec().get_geometry() if spec else (1, 1)
    if legend is None or legend.get_window_extent().x0 > box.x1:  # stands beside them already
        return
    panel = _beside(ax, figure)
    if legend.get_window_extent().y1 > box.y0:  # stands inside
        _wrap_legend(legend, box.width)
    elif page.height is not None and rows > 1 and columns < 3:
        _wrap_legend(legend, _SHARE * panel)
        legend.set_loc("upper left")
        legend.set_bbox_to_anchor((_RIGHT, 1.0), ax.transAxes)
    else:
        _wrap_legend(legend, panel if columns < 3 else _CLOSE * panel)  # its middle is that of the axes, not the panel
        _lower(ax, legend)


def _beside(ax: Axes, figure: Figure) -> float:
    """Pixels from the middle of axes to the next ones' beside them; the width of the figure where there are none."""
    box = ax.get_window_extent()
    others = [other.get_window_extent() for other in figure.axes if other is not ax]
    return min(
        [abs(o.x0 + o.x1 - box.x0 - box.x1) / 2 for o in others if o.y0 < box.y1 and box.y0 < o.y1],
        default=figure.bbox.width,
    )


def _room(ax: Axes, figure: Figure) -> float:
    """Width in pixels that a text in the middle of axes can have: to its like beside it, or the figure's edges."""
    box = ax.get_window_extent()
    middle = (box.x0 + box.x1) / 2
    return float(min(_beside(ax, figure), 2 * middle, 2 * (figure.bbox.width - middle))) - _PAD


def _fit_upright(ax: Axes) -> None:
    """Break a vertical name that is longer than its axes; move names of curves apart."""
    ax.yaxis.label.set_text(joined(ax.yaxis.label.get_text()))
    wrap(ax.yaxis.label, 1.05 * ax.get_window_extent().height, lambda box: box.height)
    _move_apart(ax)


def _fit_height(figure: Figure, page: Page, shape: float) -> None:
    """The height at which axes have their shape, and room for their names of rows."""
    free = [ax for ax in figure.axes if ax.get_aspect() == "auto" and ax.get_subplotspec() is not None]
    if not free:
        return
    rows = max(ax.get_subplotspec().get_gridspec().nrows for ax in free)  # type: ignore[union-attr]
    boxes = [ax.get_window_extent() for ax in free]
    wide, high = float(np.median([*map(_width, free)])), float(np.median([box.height for box in boxes]))
    needs = _rows_height, _name_height, _beside_height
    wanted = max(_FLAT * shape * wide, *(need(ax) for need in needs for ax in free))
    height = figure.get_figheight() + rows * (wanted - high) / figure.dpi
    figure.set_figheight(min(page.most, max(height, _LOWEST * rows)))


def _width(ax: Axes) -> float:
    """Pixels of axes with the names of curves beside them."""
    ends = [float(ax.bbox.x1), *(float(Text.get_window_extent(text).x1) for text in _names(ax))]
    return max(ends) - float(ax.bbox.x0)


def _beside_height(ax: Axes) -> float:
    """Pixels that the names of curves beside axes need."""
    heights = [Text.get_window_extent(text).height for text in _names(ax)]
    return 1.1 * len(heights) * max(heights, default=0.0)


def _rows_height(ax: Axes) -> float:
    """Pixels that the named rows of axes need; 0 where the ticks are numbers."""
    labels = _labels(ax.yaxis)
    if all(_is_number(label.get_text()) for label in labels):
        return 0.0
    heights = [label.get_window_extent().height for label in labels]
    return len(labels) * (max(heights) + min(heights))


def _name_height(ax: Axes) -> float:
    """Pixels at which the name of the vertical axis has few lines."""
    label = ax.yaxis.label
    broken = label.get_text()
    label.set_text(joined(broken))
    length = label.get_window_extent().height
    label.set_text(broken)
    return 1.2 * length / LINES  # lines are of different lengths


def _wrap_legend(legend: Legend, room: float) -> None:
    """Break the entries of a legend of one column where it is wider than its room."""
    texts = legend.get_texts()
    if not texts:
        return
    other = legend.get_window_extent().width - max(text.get_window_extent().width for text in texts)
    for text in texts:
        wrap(text, room - other, lambda box: box.width)


def _lower(ax: Axes, legend: Legend) -> None:
    """Put a legend that stands under its axes under what else stands there."""
    figure, bottom = ax.get_figure(), ax.get_window_extent().y0
    if figure is None or legend.get_window_extent().y1 > bottom:
        return
    below = ax.xaxis.get_tightbbox()
    drop = (bottom - below.y0 if below else 0.0) / figure.dpi + 0.4 * _size(ax.xaxis.label) / 72
    shift = ScaledTranslation(0, -drop, figure.dpi_scale_trans)
    legend.set_bbox_to_anchor((0.5, 0), ax.transAxes + shift)


def _labels(axis: Axis) -> list[Text]:
    """Labels of the ticks in view, in their order along the axis."""
    low, high = sorted(axis.get_view_interval())
    ticks = sorted(axis.get_major_ticks(), key=lambda tick: tick.get_loc())
    return [t.label1 for t in ticks if low <= t.get_loc() <= high and t.label1.get_visible() and t.label1.get_text()]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[\d.,%\s−-]*", re.sub(r"\\mathdefault|\\cdot|[${}^]", "", text)) is not None


def _thin(axis: Axis) -> None:
    """Leave out ticks whose labels are in each other's way, or break these where they are names."""
    labels = _labels(axis)
    if not _crowded(labels):
        return
    if not all(_is_number(label.get_text()) for label in labels):
        _narrow(axis, labels)
        return
    kept = _apart(labels, round_first=axis.get_scale() == "log")
    ticks = [tick for tick in axis.get_major_ticks() if any(tick.label1 is label for label in kept)]
    limits = axis.get_view_interval()
    axis.set_ticks([tick.get_loc() for tick in ticks], labels=[tick.label1.get_text() for tick in ticks])
    axis.axes.set(**{f"{axis.axis_name}lim": limits})  # type: ignore[attr-defined]


def _apart(labels: Sequence[Text], *, round_first: bool) -> list[Text]:
    """Labels that are not in each other's way: every second, every third, …; or powers of ten first, then 2 and 5."""
    if not round_first:
        return list(next((labels[::k] for k in range(2, len(labels)) if not _crowded(labels[::k])), labels[:1]))
    kept: list[Text] = []
    for label in sorted(labels, key=lambda label: _roundness(label.get_text())):
        if not any(_crowded([label, other]) for other in kept):
            kept.append(label)
    return kept


def _roundness(number: str) -> int:
    digits = re.sub(r"\D", "", number).strip("0")
    return ("1", "2", "5").index(digits) if digits in ("1", "2", "5") else 3


def _crowded(labels: Sequence[Text]) -> bool:
    """Whether some label overlaps the next one, or is nearer than a third of a letter's height."""
    boxes = [label.get_window_extent().padded(_size(label) / 6) for label in labels]
    return any(one.overlaps(other) for one, other in itertools.pairwise(boxes))


def _narrow(axis: Axis, labels: Sequence[Text]) -> None:
    """Break names of ticks into lines, and turn them where even that does not help."""
    if axis is not axis.axes.xaxis:
        return
    middles = [label.get_window_extent().x0 + label.get_window_extent().width / 2 for label in labels]
    room = min(b - a for a, b in itertools.pairwise(middles)) - _size(labels[0]) / 2
    for label in labels:
        wrap(label, room, lambda box: box.width)
    axis.set_ticks(axis.get_ticklocs(), labels=[tick.label1.get_text() for tick in axis.get_major_ticks()])
    if _crowded(_labels(axis)):
        for label in _labels(axis):
            label.set(rotation=35, ha="right", rotation_mode="anchor")


def _move_apart(ax: Axes) -> None:
    """Names beside the right ends of curves, at least a line of text from each other."""
    names = sorted(_names(ax), key=lambda text: text.xyann[1])
    if not names:
        return
    apart = 1.02 * max(Text.get_window_extent(text).height for text in names) / ax.get_window_extent().height
    heights = spread([text.xyann[1] for text in names], apart)
    for name, height in zip(names, heights, strict=True):
        name.xyann = (BESIDE, height)


def _names(ax: Axes) -> list[Annotation]:
    """Names of curves beside axes; the box of one as a text is without the line to its curve."""
    notes = (text for text in ax.texts if isinstance(text, Annotation))
    return [text for text in notes if text.anncoords == "axes fraction" and text.xyann[0] == BESIDE]
