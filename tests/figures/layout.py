"""What can be checked of a figure by the boxes of its parts."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from lab.figures.texts import BESIDE


def flaws(figure):
    """Everything that is wrong with a figure, as text."""
    found = boxes(figure)
    pairs = itertools.combinations(found.items(), 2)
    overlap = [f"{one} is over {other}" for (one, a), (other, b) in pairs if a.overlaps(b)]
    return overlap + [f"{name} leaves the figure" for name in leaving(figure, found)] + fractional_widths(figure)


def boxes(figure):
    """Boxes in pixels of every legend and of every text outside the data, by what they are."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    parts = [("title of the figure", figure._suptitle), *[("legend of the figure", found) for found in figure.legends]]
    for number, ax in enumerate(figure.axes):
        parts += [(f"title {number}", ax.title), (f"legend {number}", ax.get_legend())]
        for axis in (ax.xaxis, ax.yaxis):
            parts += [(f"tick of {axis.axis_name}{number}", tick.label1) for tick in ticks(axis)]
            parts.append((f"label of {axis.axis_name}{number}", axis.label))
        parts += [(f"name {number}", text) for text in ax.texts if text.get_position()[0] == BESIDE]
    seen = [(name, part) for name, part in parts if part is not None and part.get_visible()]
    written = [(name, part) for name, part in seen if not isinstance(part, Text) or part.get_text().strip()]
    return {f"{name}: {part}": extent(part, canvas.get_renderer()) for name, part in written}


def extent(part, renderer):
    """The box of a legend, or of a text alone."""
    return (Text if isinstance(part, Text) else type(part)).get_window_extent(part, renderer)


def ticks(axis):
    """The ticks in view."""
    low, high = sorted(axis.get_transform().transform(axis.get_view_interval()))
    found = axis.get_major_ticks()
    places = axis.get_transform().transform([tick.get_loc() for tick in found])
    return [tick for tick, place in zip(found, places, strict=True) if low <= place <= high]


def leaving(figure, found, slack=1.0):
    """Names of what is not inside the figure, up to a pixel."""
    whole = figure.bbox
    for name, box in found.items():
        if min(box.x0 - whole.x0, box.y0 - whole.y0, whole.x1 - box.x1, whole.y1 - box.y1) < -slack:
            yield name


def fractional_widths(figure):
    """Tick labels of axes of widths that are no integers."""
    labels = [text.get_text() for ax in figure.axes if "width m" in ax.get_xlabel() for text in ax.get_xticklabels()]
    return [f"the width {text} is no integer" for text in labels if text and not text.isdigit()]
