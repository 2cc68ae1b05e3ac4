"""A run as a page in Jupyter."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number
from comparisons.runs.outputs import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from comparisons.runs.outputs import Run


def as_html(run: Run) -> str:
    """Question, verdict, headline numbers, all numbers folded, and figures; what is missing of an incomplete run."""
    there, total, numbers = len(run.results.cells), run.counts["total"], run.conclusion.numbers
    missing = f" (from {there} of {total} cells, {run.counts['failed']} failed)" if there < total else ""
    question, verdict = html.escape(run.comparison.question), html.escape(run.verdict + missing)
    folded = f"<details><summary>all {len(numbers)} numbers</summary>{_table(numbers)}</details>"
    pictures = [f"<div>{_inline(figure)}</div>" for figure in run.figures.values()]
    return "\n".join([f"<p><b>{question}</b></p>", f"<p>{verdict}</p>", _table(run.headlines), folded, *pictures])


def _table(numbers: Mapping[Key, Number]) -> str:
    """A row for each number: its definition, the number with its interval, its seeds, its key."""
    rows = [_row("th", ("meaning", "value (95 % interval)", "seeds", "key"))]
    for key, number in numbers.items():
        texts = map(html.escape, (key.meaning, str(number), str(number.seeds), str(key)))
        rows.append(_row("td", texts))
    return f"<table>{''.join(rows)}</table>"


def _row(tag: str, entries: Iterable[str]) -> str:
    cells = [f'<{tag} style="text-align: left">{entry}</{tag}>' for entry in entries]
    return f"<tr>{''.join(cells)}</tr>"


def _inline(figure: Figure) -> str:
    """A picture as an element of a page: svg without the head of a file."""
    text = render(figure, "svg").decode()
    return text[text.index("<svg") :]
