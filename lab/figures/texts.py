"""Texts of figures: broken into lines, and moved apart."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable, Sequence

from matplotlib.text import Text
from matplotlib.transforms import Bbox

BESIDE = 1.06  #: where names of curves stand, in widths of the axes

LINES = 3  #: of the name of a vertical axis, where there is room
_LETTERS = 6  # of the shortest line that a text is broken into
_FORMULA = r"(?<!\\)\$[^$]*\$"
_MARK = "\ue000"  # stands for a letter of a formula; no text has it


def spread(heights: Sequence[float], apart: float) -> list[float]:
    """Ascending heights, at least ``apart`` from each other: those in each other's way stand around their mean.

    All keep half of that from 0 and from 1 where there is room for it, and from 0 always.
    """
    groups: list[list[float]] = []
    for height in heights:
        groups.append([height])
        while (
            len(groups) > 1
            and _top(groups[-2], apart) + apart > _top(groups[-1], apart) - (len(groups[-1]) - 1) * apart
        ):
            groups[-2:] = [groups[-2] + groups[-1]]
    moved = [_top(group, apart) - (len(group) - 1 - i) * apart for group in groups for i in range(len(group))]
    last = len(moved) - 1
    return [max(min(height, 1 - (last - i + 0.5) * apart), (i + 0.5) * apart) for i, height in enumerate(moved)]


def _top(group: Sequence[float], apart: float) -> float:
    """Height of the last of a group that stands closely around its mean."""
    return sum(group) / len(group) + apart * (len(group) - 1) / 2


def break_lines(text: str, letters: int) -> str:
    """The text in lines of so many letters; a formula counts as many as it shows; it and an interval stay whole.

    Examples
    --------
    >>> break_lines(r"the motion $\\rho = \\sqrt{m}$ of weights", 14).splitlines()
    ['the motion', '$\\\\rho = \\\\sqrt{m}$ of', 'weights']
    """
    text = re.sub(r"\([^()]+ to [^()]+\)", lambda found: found[0].replace(" ", "\xa0"), text)
    formulas = iter(re.findall(_FORMULA, text))
    hidden = re.sub(_FORMULA, lambda found: _MARK * _shown(found[0]), text)
    lines = _lines(hidden, letters)
    shorter = (_lines(hidden, fewer) for fewer in range(letters - 1, letters // 2, -1))
    count = len(lines)
    for found in itertools.takewhile(lambda found: len(found) == count, shorter):
        lines = found  # as many, of about one length
    return re.sub(f"{_MARK}+", lambda _: next(formulas), "\n".join(lines))


def _lines(text: str, letters: int) -> list[str]:
    return textwrap.wrap(text, letters, break_long_words=False, break_on_hyphens=False)


def _shown(formula: str) -> int:
    """About how many letters a formula shows."""
    return max(len(re.sub(r"[${}^_\s]", "", re.sub(r"\\mathrm|\\[,;|]", "", re.sub(r"\\[a-z]{3,}", "x", formula)))), 1)


def joined(text: str) -> str:
    """The text in one line."""
    return text.replace("\n", " ")


def wrap(text: Text, room: float, extent: Callable[[Bbox], float]) -> None:
    """Break a text into lines so that it takes no more room, in pixels; into a few lines at most."""
    whole = joined(text.get_text())
    for letters in range(len(whole), max(_LETTERS, len(whole) // (LINES + 1)), -2):
        if extent(text.get_window_extent()) <= room:
            return
        text.set_text(break_lines(whole, letters))
