"""What the notebooks need besides the lab: pictures, sentences made from numbers, sliders, and a fast mode."""

from __future__ import annotations

import base64
import functools
import io
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from lab.errors import check_choice, refuse
from lab.figures import style

#: The environment variable that makes every notebook small; this is the only place that reads it.
FAST = "LAZYLAB_FAST"

_DPI = 80  # pictures are kept inside the notebooks' files

Value = TypeVar("Value")


def choose(normal: Value, fast: Value) -> Value:
    """``normal``, or ``fast`` where LAZYLAB_FAST is set to anything but 0: smaller widths, fewer steps."""
    return fast if os.environ.get(FAST, "0") not in ("", "0") else normal


def begin(name: str = "default") -> None:
    """Draw everything that follows in this style of the lab: "default", or "lecture" with type for a large room.

    Raises `LabError` for an unknown style.
    """
    check_choice("style", name, style.STYLES)
    mpl.rcParams.update(style.STYLES[name])


def say(text: str) -> None:
    """Show Markdown, made from numbers that the notebook has computed; as plain text where nothing renders it."""
    _display({"text/markdown": text, "text/plain": text})


def show(figure: Figure, text: str = "a figure") -> None:
    """Show a figure as a PNG of moderate size; ``text`` stands where no pictures are shown."""
    encoded = base64.b64encode(_png(figure)).decode("ascii")
    _display({"image/png": encoded, "text/plain": text})


def slide(
    draw: Callable[..., Any],
    name: str,
    values: Sequence[float],
    shown: Sequence[float],
    *,
    rows: int = 1,
    size: tuple[float, float] = (3.3, 3.2),
) -> None:
    """Show one panel for each of a few values, and below them a slider over all values.

    The panels are for readers without a running kernel; where ipywidgets is not installed they are all there is.

    Parameters
    ----------
    draw
        ``draw(value, ax)``, or with several ``rows`` ``draw(value, ax, ax, …)``; it draws and sets titles.
    name
        What stands beside the slider, such as "α".
    values, shown
        All values, and those with a panel of their own; the slider starts at the last of them.
    rows
        Panels for one value, from top to bottom.
    size
        Of one panel, in inches.

    Raises
    ------
    LabError
        No shown value, or one that is not among the values.
    """
    if not shown or not set(shown) <= set(values):
        refuse("shown", list(shown), f"some of {list(values)}", "show values that the slider has")
    show(_still(draw, shown, rows, size), f"{name} = {', '.join(f'{value:g}' for value in shown)}")
    try:
        from IPython.display import display

        display(slider(draw, name, values, shown[-1], rows=rows, size=size))  # type: ignore[no-untyped-call]
    except ImportError:
        say("*(Install ipywidgets to get a slider here.)*")


def slider(
    draw: Callable[..., Any],
    name: str,
    values: Sequence[float],
    start: float,
    *,
    rows: int = 1,
    size: tuple[float, float] = (3.3, 3.2),
) -> Any:
    """The slider of `slide` alone: an ipywidgets box of a selection slider and a picture that follows it."""
    import ipywidgets

    @functools.cache
    def picture(value: float) -> bytes:
        return _png(_still(draw, (value,), rows, (1.5 * size[0], 1.2 * size[1])))

    image = ipywidgets.Image(format="png", value=picture(start))
    options = [(f"{value:g}", value) for value in values]
    control = ipywidgets.SelectionSlider(options=options, value=start, description=name, continuous_update=False)
    control.observe(lambda change: image.set_trait("value", picture(change["new"])), "value")
    return ipywidgets.VBox([control, image])


def _still(draw: Callable[..., Any], shown: Sequence[float], rows: int, size: tuple[float, float]) -> Figure:
    figure, axes = style.panels(len(shown), rows, size=size, sharey="row")
    for column, value in zip(axes.T, shown, strict=True):
        draw(value, *column)
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    return figure


def _png(figure: Figure) -> bytes:
    """With a palette of 256 colours: a third of the size."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=_DPI)
    with Image.open(full) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
    return small.getvalue()


def _display(bundle: dict[str, str]) -> None:
    from IPython.display import display

    display(bundle, raw=True)  # type: ignore[no-untyped-call]
