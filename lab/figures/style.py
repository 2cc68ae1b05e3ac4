"""One style for all figures: the three learners by colour and by dash, safe for colour-blind readers."""

from __future__ import annotations

import base64
import io
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.transforms import ScaledTranslation

from lab.errors import check_choice
from lab.figures import fitting, page
from lab.figures.texts import break_lines


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
    "quadratic": Line("#009E73", (0, (6, 1.6, 1.2, 1.6)), "^", 1.8, 3.15),
}
NETWORK, LINEARIZED, KERNEL = LEARNERS["network"], LEARNERS["linearized"], LEARNERS["kernel"]
QUANTITIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C08400", "#3A96C9")  # amber and light blue are darkened
GREY = "#6b6b6b"
#: Of points and curves side by side, in the order of `QUANTITIES`, so that they differ without colour.
MARKERS = "osD^vP"
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1.5)), (0, (6, 2, 1, 2, 1, 2)))

_RETINA = 2  # pixels of a picture in Jupyter, in each direction, for one on the screen
_REACH = 0.34  # of a colour map, from where its colours have enough contrast on
_ROOM = 0.96  # of the width of a figure, for its title
_BELOW = 4.2  # heights of a letter from the axes to a legend under them: ticks, their labels, and the name of the axis

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
    "svg.fonttype": "none",  # text that can be selected and edited
    "pdf.fonttype": 42,  # TrueType: text that can be selected, and fonts that every publisher takes
}
_LECTURE = {"font.size": 16, "axes.titlesize": 16, "axes.labelsize": 16, "savefig.dpi": 144, "axes.linewidth": 1.2}
_PAPER = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.titlesize": 8,
    "savefig.dpi": 300,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "axes.labelpad": 2,
}
#: By name; those with a page (`lab.figures.page.PAGES`) have figures of its size.
STYLES: dict[str, dict[str, Any]] = {
    "default": _BASE,
    "lecture": {**_BASE, **_LECTURE},
    "paper": {**_BASE, **_PAPER},
    "neurips": {**_BASE, **_PAPER},
}
PAPERS = ("paper", "neurips")  #: styles whose figures are written as pdf too


def shades(count: int) -> list[str]:
    """So many colours from light to dark, for curves in an order, such as widths."""
    return [to_hex(mpl.colormaps["viridis_r"](0.42 + 0.58 * place / max(count - 1, 1))) for place in range(count)]


def marker(place: int) -> str:
    """The marker of the quantity at a place among others, from 0; they begin again where there are too few."""
    return MARKERS[place % len(MARKERS)]


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
    return to_hex(mpl.colormaps["Blues" if place < 0 else "Oranges"](0.63 + _REACH * min(abs(place), 1.0)))


_current: ContextVar[str] = ContextVar("style", default="default")


def chosen(name: str | None) -> str:
    """The name of a style, which for None is the one in use here; raises `LabError` for an unknown one."""
    found = _current.get() if name is None else name
    check_choice("style", found, STYLES)
    return found


@contextmanager
def use(name: str | None = None) -> Iterator[None]:
    """Draw in this style inside a ``with`` block; raises `LabError` for an unknown one.

    None is the style in use here, which is "default" but inside another block or after `begin`. "default" is for a
    screen. "lecture" is for a slide: 16:9, all text of at least 16 points at 1920 by 1080 pixels.
    "paper" and "neurips" are for papers, with text of 8 points and thin lines: a figure whose panels stand beside each
    other is 6.75 inches wide ("paper", the text of ICML's template) or 5.5 ("neurips"), any other 3.25.
    """
    found = chosen(name)
    token = _current.set(found)
    try:
        with mpl.rc_context(STYLES[found]), page.on(page.PAGES.get(found)):
            yield
    finally:
        _current.reset(token)


def begin(name: str) -> None:
    """Draw everything that follows in this style; raises `LabError` for an unknown one."""
    _current.set(chosen(name))
    mpl.rcParams.update(STYLES[name])
    page.begin(page.PAGES.get(name))


class Picture(Figure):
    """A figure that Jupyter shows as the last value of a cell, without pyplot and its global state.

    Made in a style with a page it is fitted to that (`lab.figures.fitting`) when it is first saved or shown. Jupyter
    gets a slide as vectors, with its letters as shapes, so that they look the same everywhere; any other figure with
    twice as many pixels as it takes on the screen at matplotlib's `figure.dpi`.
    """

    made_for: page.Page | None = None
    shape: float = 1.0  # height over width of a panel
    is_slide: bool = False

    def fit(self) -> None:
        """Fit the figure to the page that it was made for; does nothing for the screen, or the second time."""
        if self.made_for is not None:
            fitting.fit(self, self.made_for, self.shape)
            self.made_for = None

    def savefig(self, *args: Any, **options: Any) -> None:
        """As any figure's, fitted first."""
        self.fit()
        super().savefig(*args, **options)

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
        """The picture by media type, and its size on the screen in pixels."""
        if self.is_slide:
            with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "lazylab"}):
                return {"image/svg+xml": self._saved(format="svg", metadata={"Date": None}).decode()}, {}
        drawn = self._saved(format="png", dpi=_RETINA * float(mpl.rcParams["figure.dpi"]))
        width, height = (side // _RETINA for side in struct.unpack(">II", drawn[16:24]))  # of the head of a png
        size = {"width": width, "height": height}
        return {"image/png": base64.b64encode(drawn).decode()}, {"image/png": size}

    def _saved(self, **options: Any) -> bytes:
        file = io.BytesIO()
        self.savefig(file, bbox_inches="tight", **options)
        return file.getvalue()


def panels(
    columns: int, rows: int = 1, *, size: tuple[float, float] = (4.3, 3.6), **options: Any
) -> tuple[Figure, Any]:
    """A figure and its axes (rows, columns), each panel of ``size`` inches, or of the page of the style as a whole."""
    natural, made_for = (size[0] * columns, size[1] * rows), page.current()
    growth = float(mpl.rcParams["font.size"]) / 10
    whole = (growth * natural[0], growth * natural[1]) if made_for is None else made_for.size(natural[0])
    figure = Picture(figsize=whole, layout="constrained")
    figure.made_for, figure.shape = made_for, size[1] / size[0]
    figure.is_slide = made_for is not None and made_for.height is not None
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def legend_below(ax: Axes, columns: int = 1) -> Axes:
    """A legend under the axes and their labels, in at most so many columns: fewer where they are wider than a panel."""
    figure, grid = ax.figure, ax.get_subplotspec()
    assert figure is not None
    drop = _BELOW * float(mpl.rcParams["font.size"]) / 72  # inches
    place: dict[str, Any] = {
        "bbox_to_anchor": (0.5, 0),
        "bbox_transform": ax.transAxes + ScaledTranslation(0, -drop, figure.dpi_scale_trans),
        "borderaxespad": 0,
    }
    _fit(partial(ax.legend, loc="upper center", **place), columns, 1 / grid.get_gridspec().ncols if grid else 1)
    return ax


def legends_below(figure: Figure, columns: int = 1) -> None:
    """One legend under the figure where its panels all have the same entries, else one under each panel with any.

    ``columns`` are those under one panel, at most.
    """
    found = [(ax, ax.get_legend_handles_labels()) for ax in figure.axes]
    first = found[0][1]
    if len(found) > 1 and first[1] and all(labels == first[1] for _, (_, labels) in found):
        _fit(partial(figure.legend, *first, loc="outside lower center"), len(found) * columns)
        return
    for ax, (_, labels) in found:
        if labels:
            legend_below(ax, columns)


def _fit(legend: Callable[..., Legend], columns: int, share: float = 1.0) -> None:
    """The legend with as many columns as fit into a share of the width of its figure, up to a number."""
    made_for = page.current()
    handle = 2.8 if made_for is None else made_for.handle
    for count in range(columns, 0, -1):
        made = legend(ncols=count, handlelength=handle, columnspacing=1.2)
        figure = made.figure
        if count == 1 or figure is None or made.get_window_extent().width <= share * figure.bbox.width:
            return
        made.remove()


def headline(figure: Figure, text: str) -> None:
    """A title over the whole figure, broken into lines that fit its width: at most two, or in smaller type."""
    sizes = (FontProperties(size=mpl.rcParams["figure.titlesize"]).get_size_in_points(), mpl.rcParams["font.size"])
    for size in map(float, sizes):
        for characters in range(int(140 * figure.get_figwidth() / size), 20, -3):
            lines = break_lines(typeset(text), characters)
            shown = figure.suptitle(lines, fontsize=size)
            if shown.get_window_extent().width <= _ROOM * figure.bbox.width:
                break
        if lines.count("\n") < 2:
            return


def typeset(text: str) -> str:
    """Text of verdicts with powers and indices in mathematical type; no line break parts intervals, nor numbers from %.

    Examples
    --------
    >>> typeset("width^−0.5"), typeset("λ_max"), typeset("W_bad")
    ('width$^{-0.5}$', '$\\\\lambda_{\\\\mathrm{max}}$', '$W_{\\\\mathrm{bad}}$')
    """
    text = text.replace(" %", "\xa0%")
    text = re.sub(r"(?<=[\w%]) ?\([^()]{1,24} to [^()]+\)", lambda found: found[0].replace(" ", "\xa0"), text)
    text = re.sub(r"\^(−?\d+(?:\.\d+)?)", lambda found: f"$^{{{found[1].replace('−', '-')}}}$", text)
    text = text.replace("σ_w²", r"$\sigma_w^2$")
    text = re.sub(r"λ_(min|max)", r"$\\lambda_{\\mathrm{\1}}$", text)
    return re.sub(r"W_(\w+)", r"$W_{\\mathrm{\1}}$", text)
