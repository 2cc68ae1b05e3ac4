"""Numbers as a table that fits the terminal: rows under the definitions that they share, as on the page."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence

from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number
from comparisons.report.numbers import Row, grouped

#: Columns of text beyond which lines are hard to read.
WIDEST = 120
HEADING = ("number", "value", "95 % interval", "seeds")


def columns() -> int:
    """Columns of the terminal, at most `WIDEST`; 80 where the output goes to a file."""
    return min(shutil.get_terminal_size().columns, WIDEST)


def paragraph(text: str, indent: int = 0, most: int | None = None) -> str:
    """Text in lines as wide as the terminal, at most so many; no word or path is broken, no number from its percent.

    All lines but the first begin with ``indent`` blanks.
    """
    lines = textwrap.TextWrapper(columns(), subsequent_indent=" " * indent, max_lines=most, placeholder=" …")
    lines.break_long_words = lines.break_on_hyphens = False
    return lines.fill(text.replace(" %", "\u00a0%")).replace("\u00a0", " ")


def describe_numbers(numbers: Mapping[Key, Number]) -> list[str]:
    """Lines of a table: the definition of some numbers, in three lines at most, and below it a row for each of them."""
    groups = grouped(numbers)
    entries = [(row.key, row.value, row.interval, str(row.seeds)) for _, rows in groups for row in rows]
    widths = [max(map(len, column)) for column in zip(HEADING, *entries, strict=True)]
    lines = [_line(HEADING, widths)]
    for meaning, rows in groups:
        lines += [*paragraph(meaning, most=3).splitlines(), *(_row(row, widths) for row in rows)]
    return lines


def _row(row: Row, widths: Sequence[int]) -> str:
    """One line; where there is no value, the reason stands in place of interval and seeds."""
    if not row.reason:
        return _line((row.key, row.value, row.interval, str(row.seeds)), widths)
    start = _line((row.key, row.value), widths) + "  "
    return start + textwrap.shorten(row.reason, max(columns() - len(start), 20), placeholder=" …")


def _line(entries: Sequence[str], widths: Sequence[int]) -> str:
    """Entries in columns of these widths: keys and intervals to the left, values and seeds to the right."""
    sides = zip(entries, widths, "<><>", strict=False)
    return "".join(f"  {text:{side}{width}}" for text, width, side in sides)
