"""From the cells of a run to everything that people read: table, summary, figures, and a few lines of text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comparisons._shape import Comparison, Conclusion, Number, load
from lab.errors import check_choice, refuse
from lab.sweeps import Cell, Results, Store, signs, versions
from lab.sweeps.cells import pretty

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Rows of the printed table of numbers.
SHOWN = 24


@dataclass(frozen=True)
class Derived:
    """What a run says so far, from its committed cells alone; nothing is written.

    Attributes
    ----------
    results, conclusion
        Table and arrays, and what they say.
    counts
        Cells by fate: total, failed (tried, and an error is known), missing (not there for any other reason: not yet
        measured, or on a disk that lost it), diverged.
    """

    results: Results
    conclusion: Conclusion
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Written:
    """What was derived from a run directory; ``counts`` as in `Derived`."""

    conclusion: Conclusion
    counts: Mapping[str, int]
    figures: tuple[str, ...]


def comparison_of(store: Store) -> Comparison:
    """The comparison that a run directory belongs to.

    Raises
    ------
    LabError
        If the directory holds no run, or one of a comparison or version that is not here.
    """
    manifest = store.manifest
    comparison = load(manifest["comparison"])
    if manifest["version"] != comparison.version:
        came = f"cells of version {manifest['version']} of {manifest['comparison']}"
        refuse("directory", came, f"version {comparison.version}", "run it again with another --out")
    return comparison


def derive(comparison: Comparison, store: Store, cells: Sequence[Cell]) -> Derived:
    """Read the committed ones of ``cells``, count the others, and conclude."""
    results = store.results(cells)
    return Derived(results, _conclude(comparison, results.table), _count(store, cells, results))


def _count(store: Store, cells: Sequence[Cell], results: Results) -> dict[str, int]:
    there = {store.key(cell) for cell in results.cells}
    absent = [key for key in map(store.key, cells) if key not in there]
    failed = sum(signs.failure(store.directory, key) is not None for key in absent)
    diverged = _diverged(results.table)
    return {"total": len(cells), "failed": failed, "missing": len(absent) - failed, "diverged": diverged}


def write_outputs(comparison: Comparison, store: Store, cells: Sequence[Cell], style: str = "default") -> Written:
    """Write ``table.csv``, ``summary.json`` and ``figures/`` of a run, from its committed cells alone.

    Parameters
    ----------
    comparison
        The module that asks.
    store
        Its claimed store.
    cells
        Every cell that was asked for.
    style
        Name of a style of `lab.figures.style`.

    Raises
    ------
    LabError
        If there is no such style.
    """
    check_style(style)
    derived = derive(comparison, store, cells)
    store.write_table(derived.results.table)
    store.write("summary.json", pretty(summary(store, derived)))
    pictures = draw_pictures(comparison, derived, style)
    for name, files in pictures.items():
        for suffix, content in files.items():
            store.write(f"figures/{name}.{suffix}", content)
    return Written(derived.conclusion, derived.counts, tuple(pictures))


def summary(store: Store, derived: Derived) -> dict[str, Any]:
    """Content of ``summary.json``; ``seconds`` adds up the cells."""
    manifest, conclusion = store.manifest, derived.conclusion
    return {
        "comparison": manifest["comparison"],
        "settings": manifest["settings"],
        "numbers": {name: number.as_json() for name, number in conclusion.numbers.items()},
        "verdict": conclusion.verdict,
        "cells": dict(derived.counts),
        "seconds": float(derived.results.table["seconds"].sum()),
        "versions": versions(),
    }


def draw_pictures(
    comparison: Comparison, derived: Derived, style: str = "default", *, outlines: bool = False
) -> dict[str, dict[str, bytes]]:
    """Draw the figures of a run; none if it has no cells.

    Parameters
    ----------
    comparison, derived
        Who asks, and what was measured.
    style
        Name of a style of `lab.figures.style`.
    outlines
        Whether text in the svg is drawn as shapes: larger, but the same where the fonts are not installed.

    Returns
    -------
    dict
        Bytes by file suffix (png, svg), by name of the figure.

    Raises
    ------
    LabError
        If there is no such style.
    """
    check_style(style)
    figures = _draw(comparison, derived.results, derived.conclusion, style) if derived.results.cells else {}
    options = {"svg.fonttype": "path"} if outlines else {}
    try:
        return {
            name: {suffix: _render(figure, suffix, style, options) for suffix in ("png", "svg")}
            for name, figure in figures.items()
        }
    finally:
        _close(figures)


def check_style(style: str) -> None:
    """Refuse a style that `lab.figures.style` does not have."""
    from lab.figures import style as styles

    check_choice("style", style, styles.STYLES)


def _conclude(comparison: Comparison, table: pd.DataFrame) -> Conclusion:
    return comparison.conclude(table) if len(table) else Conclusion({}, "There is no measurement to conclude from.")


def _diverged(table: pd.DataFrame) -> int:
    column = table["diverged"].dropna() if "diverged" in table else ()
    return sum(bool(value) for value in column)


def _draw(comparison: Comparison, results: Results, conclusion: Conclusion, style: str) -> Mapping[str, Figure]:
    import matplotlib

    from lab.figures import style as styles

    matplotlib.use("Agg")  # files alone: no display is needed, and none is opened
    with styles.use(style):
        return comparison.draw(results, conclusion)


def _render(figure: Figure, suffix: str, style: str, options: Mapping[str, Any]) -> bytes:
    """Bytes of a picture; equal figures give equal files, without dates or random names inside."""
    import matplotlib

    from lab.figures import style as styles

    buffer = io.BytesIO()
    with styles.use(style), matplotlib.rc_context({"svg.hashsalt": "lazylab", **options}):
        figure.savefig(buffer, format=suffix, dpi=150, metadata={"Date": None} if suffix == "svg" else None)
    return buffer.getvalue()


def _close(figures: Mapping[str, Figure]) -> None:
    from matplotlib import pyplot

    for figure in figures.values():
        pyplot.close(figure)


def describe(written: Written, store: Store) -> str:
    """Verdict, numbers with intervals, and where the files are."""
    numbers = written.conclusion.numbers
    width = max((len(name) for name in numbers), default=0)
    lines = [f"  {name:<{width}}  {_in_words(number)}" for name, number in list(numbers.items())[:SHOWN]]
    more = [f"  and {len(numbers) - SHOWN} more in summary.json"] if len(numbers) > SHOWN else []
    pictures = f", figures/ ({', '.join(written.figures)})" if written.figures else ""
    place = f"{store.directory}: table.csv, summary.json{pictures}"
    return "\n".join([written.conclusion.verdict, "", *lines, *more, "", place])


def _in_words(number: Number) -> str:
    if number.value is None:
        return f"none ({number.reason or 'no reason given'})"
    interval = f"  [{number.interval[0]:.4g}, {number.interval[1]:.4g}]" if number.interval else ""
    return f"{number.value:>10.4g}{interval}  ({number.seeds} seeds)"
