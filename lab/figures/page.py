"""Pages that figures are made for: a slide, or the columns of a paper's template; and how a figure is fitted to one.

References
----------
Widths are those of the style files of two templates: icml2025.sty (two columns; ``textwidth`` 6.75 in, ``columnsep``
0.25 in, so that a column is 3.25 in wide) and neurips_2026.sty (one column; ``textwidth=5.5in``). ``textheight`` is
9 in in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_NARROW = 7.0  # inches: figures that are drawn wider than this take the whole width of the text


@dataclass(frozen=True)
class Page:
    """Sizes of the figures on a page, in inches, and of what is in them.

    Attributes
    ----------
    column, text
        Widths of narrow figures, and of wide ones, which have several panels beside each other.
    height
        Of every figure; None for a height that goes with the width.
    most
        The largest height.
    smallest
        Size of the smallest text, in points.
    stroke
        Factor of the widths of lines and the sizes of markers.
    handle
        Length of the lines in legends, in heights of a letter.
    """

    column: float
    text: float
    height: float | None
    most: float
    smallest: float
    stroke: float
    handle: float = 2.8

    def size(self, natural: float) -> tuple[float, float]:
        """Width and height of a figure that is so wide on the screen, before it is fitted: a layout needs room."""
        width = self.column if natural <= _NARROW else self.text
        return width, self.height or self.most


#: By the name of the style. A slide is 40/3 by 7.5 inches, 1920 by 1080 pixels at 144 per inch.
PAGES = {
    "lecture": Page(40 / 3, 40 / 3, 7.5, 7.5, 16, 1.5),
    "paper": Page(3.25, 6.75, None, 9.0, 8, 0.6, handle=2.0),
    "neurips": Page(3.25, 5.5, None, 9.0, 8, 0.6, handle=2.0),
}

_current: ContextVar[Page | None] = ContextVar("page", default=None)


def current() -> Page | None:
    """The page that figures are made for here; None for the screen."""
    return _current.get()


def begin(page: Page | None) -> None:
    """Make everything that follows for this page."""
    _current.set(page)


@contextmanager
def on(page: Page | None) -> Iterator[None]:
    """Make figures for this page inside a ``with`` block."""
    token = _current.set(page)
    try:
        yield
    finally:
        _current.reset(token)
