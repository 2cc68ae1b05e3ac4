"""One style for all figures: the three learners by colour and by dash, safe for colour-blind readers."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from lab.errors import check_choice


@dataclass(frozen=True)
class Line:
    """How one learner is drawn: Okabe–Ito colour, dash, marker and width."""

    color: str
    linestyle: Any
    marker: str
    linewidth: float
    zorder: float

    def curve(self) -> dict[str, Any]:
        """Keyword arguments of ``Axes.plot`` for a curve."""
        return {"color": self.color, "linestyle": self.linestyle, "linewidth": self.linewidth, "zorder": self.zorder}


LEARNERS = {
    "network": Line("#0072B2", "-", "o", 2.4, 3.0),
    "linearized": Line("#D55E00", (0, (5, 2)), "s", 2.0, 3.1),
    "kernel": Line("#000000", (0, (1, 1.6)), "x", 1.6, 3.2),
}
NETWORK, LINEARIZED, KERNEL = LEARNERS["network"], LEARNERS["linearized"], LEARNERS["kernel"]
QUANTITIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C08400", "#3A96C9")  # amber and light blue are darkened
GREY = "#6b6b6b"

_REACH = 0.45  # of a colour map, from its middle on

_BASE = {
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "svg.hashsalt": "lazylab",
    "svg.fonttype": "none",
}
_LECTURE = {"font.size": 15, "axes.titlesize": 17, "axes.labelsize": 15, "lines.linewidth": 3.0, "savefig.dpi": 120}
STYLES: dict[str, dict[str, Any]] = {"default": _BASE, "lecture": {**_BASE, **_LECTURE}}


def shades(count: int) -> list[str]:
    """So many colours from light to dark, for curves in an order, such as widths."""
    return [to_hex(mpl.colormaps["viridis_r"](0.25 + 0.75 * place / max(count - 1, 1))) for place in range(count)]


def contrast(color: str) -> float:
    """Contrast ratio of a colour to white, from 1 to 21 (WCAG 2): lines need 3, text needs 4.5."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def text_color(color: str) -> str:
    """The colour, darkened as far as text on white needs it."""
    while contrast(color) < 4.5:
        color = to_hex([0.98 * part for part in to_rgb(color)])
    return color


def diverging(place: float) -> str:
    """A colour for a place from −1 to 1: blues below 0, black at 0, oranges above; darker further out."""
    if place == 0:
        return "#000000"
    return to_hex(mpl.colormaps["Blues" if place < 0 else "Oranges"](0.5 + _REACH * min(abs(place), 1.0)))


@contextmanager
def use(name: str = "default") -> Iterator[None]:
    """Draw in this style inside a ``with`` block; raises `LabError` for an unknown one."""
    check_choice("style", name, STYLES)
    with mpl.rc_context(STYLES[name]):
        yield


class Picture(Figure):
    """A figure that Jupyter shows as the last value of a cell, without pyplot and its global state."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", bbox_inches="tight")
        return file.getvalue()


def panels(
    columns: int, rows: int = 1, *, size: tuple[float, float] = (4.3, 3.6), **options: Any
) -> tuple[Figure, Any]:
    """A figure and its axes (rows, columns), each panel of ``size`` inches, grown with the type of the style."""
    growth = float(mpl.rcParams["font.size"]) / 10
    figure = Picture(figsize=(size[0] * columns * growth, size[1] * rows * growth), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def legend_below(ax: Axes, columns: int = 1, height: float = -0.16) -> Axes:
    """A legend under the axes, where it hides no data; ``height`` is that of its top, in heights of the axes."""
    spacing = {"handlelength": 2.8, "columnspacing": 1.2}
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, height), borderaxespad=0, ncols=columns, **spacing)
    return ax


def headline(figure: Figure, text: str) -> None:
    """A title over the whole figure, broken into lines that fit its width."""
    characters = int(figure.get_figwidth() * 120 / float(mpl.rcParams["font.size"]))
    figure.suptitle("\n".join(textwrap.wrap(text, characters)))
