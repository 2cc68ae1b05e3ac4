"""Figures of a run as pictures inside the page, each with its caption and its alternative text."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from comparisons.kit.comparison import captions
from comparisons.runs.outputs import Run, draw, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: An svg of more bytes than this gives way to the png.
LARGE = 400_000


@dataclass(frozen=True)
class Picture:
    """A figure as a data URI, its width in CSS pixels, how to read it, and what stands in for it where it is not seen.

    ``caption`` is empty where the comparison has none for the figure.
    """

    name: str
    source: str
    width: int
    caption: str
    alternative: str


def pictures(run: Run, style: str) -> list[Picture]:
    """The figures of a run, in the order in which the comparison draws them; none without cells."""
    figures = draw(run, style)
    texts = captions(run.comparison)
    return [_picture(run, style, name, figure, texts.get(name, "")) for name, figure in figures.items()]


def _picture(run: Run, style: str, name: str, figure: Figure, caption: str) -> Picture:
    return Picture(name, *_source(figure, style), caption, alternative(name, headline(figure), caption, run.verdict))


def headline(figure: Figure) -> str:
    """The title over a whole figure, in one line without marks of mathematics; empty where it has none."""
    return " ".join(re.sub(r"[$\\{}]", "", figure.get_suptitle()).split())


def alternative(name: str, title: str, caption: str, verdict: str) -> str:
    """What stands in for a figure: its name and title, what is drawn, and what was found.

    A title that the verdict states is left out.
    """
    shown = "" if title.rstrip(".") in verdict else title
    return " ".join(filter(None, (f"Figure “{name}”.", _ended(shown), _ended(caption), f"Result: {verdict}")))


def _ended(text: str) -> str:
    return text if not text or text[-1] in ".?!" else f"{text}."


def _source(figure: Figure, style: str) -> tuple[str, int]:
    """Data URI of the svg, or of the png if the svg is large, and the width that the svg takes in pixels."""
    outlined = render(figure, "svg", style, outlines=True)
    kind, content = "image/svg+xml", outlined
    if len(outlined) > LARGE:
        kind, content = "image/png", render(figure, "png", style)
    width = re.search(rb'<svg[^>]*?\swidth="([0-9.]+)pt"', outlined)
    packed = base64.b64encode(content).decode("ascii")
    return f"data:{kind};base64,{packed}", round(float(width[1]) * 96 / 72) if width else 800
