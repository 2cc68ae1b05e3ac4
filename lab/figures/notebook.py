"""What the notebooks need besides the lab: one style for the pictures of a notebook, and sliders."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from lab.errors import refuse
from lab.figures import style

_DPI = 80  # of a picture on the screen


def begin(name: str = "default") -> None:
    """Draw everything that follows in this style of the lab, such as "default", or "lecture" for a large room.

    Pictures that Jupyter shows have a moderate size afterwards. Raises `LabError` for an unknown style.
    """
    style.begin(name)
    mpl.rcParams["figure.dpi"] = _DPI


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
    from IPython.display import display

    display(_still(draw, shown, rows, size))  # type: ignore[no-untyped-call]
    try:
        display(slider(draw, name, values, shown[-1], rows=rows, size=size))  # type: ignore[no-untyped-call]
    except ImportError:
        print("Install ipywidgets to get a slider here.")


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

    size_on_screen = {"width": round(1.5 * size[0] * _DPI), "height": round(1.2 * rows * size[1] * _DPI)}
    image = ipywidgets.Image(format="png", value=picture(start), **size_on_screen)
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
    """Without cropping, so that the frames of a slider have one size."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=2 * _DPI)
    return file.getvalue()
