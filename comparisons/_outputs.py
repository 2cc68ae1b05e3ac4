"""From the cells of a run to everything that people read: table, summary, figures, and a few lines of text."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comparisons._shape import Comparison, Conclusion, Number
from lab.sweeps import Cell, Results, Store, versions
from lab.sweeps.cells import pretty

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Rows of the printed table of numbers.
SHOWN = 24


@dataclass(frozen=True)
class Written:
    """What was derived from a run directory."""

    conclusion: Conclusion
    missing: int
    figures: tuple[str, ...]


def write_outputs(comparison: Comparison, store: Store, cells: Sequence[Cell], style: str = "default") -> Written:
    """Write ``table.csv``, ``summary.json`` and ``figures/`` of a run, from its committed cells alone.

    Parameters
    ----------
    comparison
        The module that asks.
    store
        Its claimed store.
    cells
        Every cell that was asked for; those that are not committed count as failed.
    style
        Name of a style of `lab.figures.style`.

    Raises
    ------
    LabError
        If there is no such style.
    """
    results = store.results(cells)
    store.write_table(results.table)
    conclusion = _conclude(comparison, results.table)
    store.write("summary.json", pretty(summary(store, results, conclusion, len(cells))))
    figures = _draw(comparison, results, conclusion, style) if len(results.cells) else {}
    for name, figure in figures.items():
        for suffix in ("png", "svg"):
            store.write(f"figures/{name}.{suffix}", _render(figure, suffix, style))
    _close(figures)
    return Written(conclusion, len(cells) - len(results.cells), tuple(figures))


def summary(store: Store, results: Results, conclusion: Conclusion, total: int) -> dict[str, Any]:
    """Content of ``summary.json``; ``seconds`` adds up the cells."""
    table, manifest = results.table, store.manifest
    cells = {"total": total, "failed": total - len(results.cells), "diverged": _diverged(table)}
    return {
        "comparison": manifest["comparison"],
        "settings": manifest["settings"],
        "numbers": {name: number.as_json() for name, number in conclusion.numbers.items()},
        "verdict": conclusion.verdict,
        "cells": cells,
        "seconds": float(table["seconds"].sum()),
        "versions": versions(),
    }


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


def _render(figure: Figure, suffix: str, style: str) -> bytes:
    """Bytes of a picture; equal figures give equal files, without dates or random names inside."""
    import matplotlib

    from lab.figures import style as styles

    buffer = io.BytesIO()
    with styles.use(style), matplotlib.rc_context({"svg.hashsalt": "lazylab"}):
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
