"""Tables of text as people have them: separators, decimal commas, comments, quotes, separators at the end of rows."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.data.names import is_label_name, is_monotone
from lab.data.numerals import is_missing, is_number
from lab.data.text import read_lines, unreadable
from lab.errors import refuse

BLANKS = " "
SEPARATORS = ("\t", ";", ",", BLANKS)  # where several fit equally well, the first
_LOOK = 30  # rows from which the separator is chosen; the others are checked when they are read
_FILLED = re.compile(r'[^\s,;"]')
_QUOTED = re.compile(r'"[^"]*"|[^\s"]+')
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_POINTS = "write numbers with a decimal point and no thousands separators"

Line = tuple[int, str]


@dataclass(frozen=True)
class Table:
    """Rows of equally many cells, and the line of the file (from 1) in which each stands.

    Cells have no blanks around them, and numbers a decimal point. Comments, blank rows and columns at the end in which
    every cell is empty are left out.
    """

    rows: list[list[str]]
    lines: list[int]


def read_table(path: Path) -> Table:
    """The cells of a text file.

    Raises
    ------
    LabError
        An empty file, another encoding, rows of unequal length, a quoted cell over several lines, numbers whose comma
        may be decimal or a thousands separator, or a comment that may be a sample.
    """
    lines, comments = _content(path)
    fits = {each: _fitness(lines[:_LOOK], each) for each in SEPARATORS}
    separator = max(SEPARATORS, key=lambda each: fits[each])
    rows = _split(lines, separator)
    if rows is None or (fits[separator][0] < 1 and min(fits.values())[0] < 0):
        unreadable(path, "a quotation mark without its end, or a quoted cell over several lines")
    _check_separator(path, lines, separator, rows)
    rows = _trimmed(path, rows, [number for number, _ in lines])
    rows = _with_points(path, rows)
    _check_comments(path, comments, separator, len(rows[0]), lines[0][0])
    return Table(rows, [number for number, _ in lines])


def _content(path: Path) -> tuple[list[Line], list[Line]]:
    """Lines of samples or names, and comments; lines of separators alone hold nothing."""
    filled = [(number, line) for number, line in enumerate(read_lines(path), 1) if _FILLED.search(line)]
    if filled and re.fullmatch(r'"?sep=."?\s*', filled[0][1], re.IGNORECASE):  # Excel's own first line
        filled = filled[1:]
    comments = [(number, line) for number, line in filled if line.lstrip().startswith("#")]
    lines = [(number, line) for number, line in filled if not line.lstrip().startswith("#")]
    if not lines:
        came = f"{path}, which " + ("has comments alone" if comments else "is empty")
        refuse("path", came, f"a readable {path.suffix} file with samples", "write a label and its numbers in each row")
    return lines, comments


def _split(lines: Sequence[Line], separator: str) -> list[list[str]] | None:
    """The cells of each line; None where quotation marks do not end in the line in which they begin."""
    texts = [line for _, line in lines]
    if separator == BLANKS:
        if any(text.count('"') % 2 for text in texts):
            return None
        return [[cell.strip('"').strip() for cell in _QUOTED.findall(text)] for text in texts]
    try:
        cells = csv.reader(texts, delimiter=separator, skipinitialspace=True, strict=True)
        rows = [[cell.strip() for cell in row] for row in cells]
    except csv.Error:
        return None
    return rows if len(rows) == len(texts) else None


def _fitness(lines: Sequence[Line], separator: str) -> tuple[float, bool]:
    """How well a separator fits: the share of cells that are numbers times that of rows of one length.

    First cells and the first row, which may hold names, count for the lengths alone. The second value is whether there
    are any cells after the first.
    """
    rows = _split(lines, separator)
    if rows is None:
        return -1.0, False
    usual = Counter(map(len, rows)).most_common(1)[0][0]
    cells = [cell for row in rows[1:] or rows for cell in row[1:]]
    good = sum(is_number(_pointed(cell)) or is_missing(cell) for cell in cells)
    return good / max(len(cells), 1) * sum(len(row) == usual for row in rows) / len(rows), bool(cells)


def _check_separator(path: Path, lines: Sequence[Line], separator: str, rows: Sequence[Sequence[str]]) -> None:
    """Refuse commas that may separate cells or decimals."""
    if separator != ",":
        return
    if max(map(len, rows)) == 2 and _fitness(lines, BLANKS)[0] == 1.0:
        came = f"{path} with commas that may separate cells or decimals ({lines[0][1].strip()[:40]!r})"
        refuse("path", came, "one meaning of the comma", "write numbers with a decimal point")
    if any(_are_halves([row[1:] for row in each]) for each in (rows, rows[1:])):
        came = f"{path} with commas both between cells and, as it seems, for decimals ({lines[-1][1].strip()[:40]!r})"
        refuse("path", came, "numbers without zeros in front", "write decimal points, or separate cells by semicolons")


def _are_halves(rows: Sequence[Sequence[str]]) -> bool:
    """Whether cells look like numbers cut at their decimal comma: digits alone, every second cell, some like 05."""
    cut = [cell for row in rows for cell in row[1::2]]
    whole = all(cell.lstrip("+-").isdecimal() for row in rows for cell in row[::2])
    even = all(len(row) % 2 == 0 for row in rows)
    padded = any(len(cell) > 1 and cell.startswith("0") for cell in cut)
    return even and whole and padded and all(cell.isdecimal() for cell in cut)


def _trimmed(path: Path, rows: list[list[str]], lines: Sequence[int]) -> list[list[str]]:
    """Rows without the columns at the end that no row fills; all of one length."""
    width = max(index for row in rows for index, cell in enumerate(row, 1) if cell)
    rows = [row[:width] for row in rows]
    usual = Counter(map(len, rows)).most_common(1)[0][0]
    odd = next((index for index, row in enumerate(rows) if len(row) != usual), None)
    if odd is not None:
        missing = f" ({usual - len(rows[odd])} missing)" if len(rows[odd]) < usual else ""
        came = f"{path} with {len(rows[odd])} cells in line {lines[odd]}{missing} and {usual} in others"
        fix = "complete the row" + (", or fill it with NaN" if path.suffix.lower() != ".csv" else "")
        refuse("path", came, f"a readable {path.suffix} file, with equally many cells in each row", fix)
    return rows


def _with_points(path: Path, rows: list[list[str]]) -> list[list[str]]:
    """Decimal commas as points."""
    commas = [cell for row in rows for cell in row[1:] if "," in cell and _COMMA.fullmatch(cell)]
    if not commas:
        return rows
    if all(map(_THOUSANDS.fullmatch, commas)):
        came = f"{path} with numbers like {commas[0]!r}, whose comma may be decimal or separate thousands"
        refuse("path", came, "numbers of one meaning", _POINTS)
    point = next((cell for row in rows for cell in row[1:] if "." in cell and is_number(cell)), None)
    if point is not None:
        came = f"{path} with decimal points and commas ({point[:40]!r} and {commas[0][:40]!r})"
        refuse("path", came, "one decimal mark in the whole file", _POINTS)
    return [[_pointed(cell) for cell in row] for row in rows]


def _pointed(cell: str) -> str:
    """A number's decimal comma as a point; any other cell as it is."""
    return cell.replace(",", ".") if _COMMA.fullmatch(cell) else cell


def _check_comments(path: Path, comments: Sequence[Line], separator: str, width: int, begin: int) -> None:
    """Refuse a line that begins with # but is otherwise a sample: its label may begin so."""
    for number, line in comments:
        rows = _split([(number, line.strip().lstrip("# "))], separator) or [[]]
        label, cells = (rows[0] or [""])[0], [_pointed(cell) for cell in rows[0][1:width]]
        names = number < begin and is_monotone(cells) and (len(cells) >= 3 or is_label_name(label))
        if len(cells) == width - 1 > 0 and all(map(is_number, cells)) and not names:
            came = f"{path} with a sample behind # in line {number}"
            fix = "delete the line if it is a comment; write the label in quotes or without # if it is a sample"
            refuse("path", came, "comments that are no samples", fix)
