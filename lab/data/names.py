"""Whether the first row of a table names the columns; a row that may be names or a sample is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from lab.data.numerals import count_up, is_no_label, is_number, value_of, values_of
from lab.errors import refuse

Row = Sequence[str]

_LABEL = frozenset({"label", "labels", "class", "classes", "category", "class_label", "class label", "classlabel"})
_TARGET = _LABEL | {"target", "targets"}
_INDEX = frozenset({"", "index", "id", "row", "unnamed: 0", "rownames"})
_NUMBERED = re.compile(r"(.*?)[0-9]+")
_MOVE = "name the columns in words (label, t0, t1, …) if these are names; move the row further down if it is a sample"
REORDER = "put the label column first, and write no index: frame.to_csv(path, index=False)"


def has_names(path: Path, rows: Sequence[Row]) -> bool:
    """Whether the first row holds column names.

    It does where its cells after the first are words. It also does where they are numbers in increasing or decreasing
    order and the first cell cannot be a label: it is ``label`` or ``class``; or text, while all labels below are
    numbers; or it is empty or occurs once, while the numbers are evenly spaced and those of no other row are.

    Raises
    ------
    LabError
        A first row that may be either, a label column that is not the first, or names that occur again further down.
    """
    first = rows[0]
    rest = [row for row in rows[1:] if row != first]
    if any(map(_is_word, first[1:])):
        found = _are_words(path, first, rest)
    else:
        found = _are_numbers(path, first, rest, repeated=len(rest) < len(rows) - 1)
        if not found and _are_whole_above_points(first[1:], rest):
            _refuse_unclear(path, first, "it has whole numbers, and all others are written with a point")
    if found:
        _check_once(path, rows, rest)
    return found


def check_no_index(path: Path, names: Row, labels: Sequence[str]) -> None:
    """Refuse a first column that counts the rows and is named like an index, as ``DataFrame.to_csv`` writes it."""
    if names[0].lower() in _INDEX and count_up(labels):
        came = f"{path} with row numbers in its first column (named {names[0]!r})"
        refuse("path", came, "a label first, then numbers", REORDER)


def is_label_name(cell: str) -> bool:
    """Whether a cell says ``label`` or ``class``, which no class is called."""
    return cell.lower() in _LABEL


def is_monotone(cells: Sequence[str]) -> bool:
    """Whether all cells are numbers that only increase or only decrease; a single number does."""
    if not all(map(is_number, cells)):
        return False
    steps = np.diff(np.array(values_of(cells), dtype=np.float64))
    return bool((steps > 0).all() or (steps < 0).all())


def _is_even(cells: Sequence[str]) -> bool:
    """Whether cells are evenly spaced numbers, up to rounding of what is written; fewer than three are no evidence."""
    if not is_monotone(cells):
        return False
    numbers = np.array(values_of(cells), dtype=np.float64)
    even, step = np.linspace(numbers[0], numbers[-1], len(numbers), retstep=True)
    return len(numbers) < 3 or bool(np.abs(numbers - even).max() <= 0.05 * abs(step))


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells are 0, 1, 2, … or 1, 2, 3, …, as pandas numbers columns."""
    return values_of(cells) in [[float(start + i) for i in range(len(cells))] for start in (0, 1)]


def _is_word(cell: str) -> bool:
    return value_of(cell) is None


def _are_words(path: Path, first: Row, rest: Sequence[Row]) -> bool:
    """The first row where some cells after the first are words."""
    _check_place(path, first)
    known, numbers = is_label_name(first[0]), [cell for cell in first[1:] if is_number(cell)]
    alone = not is_number(first[0]) and all(row[0] != first[0] for row in rest)
    varied = len(first) == 2 or len(set(first[1:])) > 1  # the same word in every cell may stand for missing numbers
    clear = known or (varied and (not numbers or _is_odd_label(first, rest)))
    if alone and clear and is_monotone(numbers):
        return True
    place = next(index for index, cell in enumerate(first) if index and _is_word(cell))
    fix = "correct the cell if this is a sample; name all columns in words if these are names"
    return _refuse_unclear(path, first, f"{first[place][:40]!r} in column {place + 1} is no number", fix)


def _are_numbers(path: Path, first: Row, rest: Sequence[Row], repeated: bool) -> bool:
    """The first row where the cells after the first are numbers or missing."""
    cells = first[1:]
    if is_number(first[0]):
        return bool(rest) and is_monotone(cells) and _are_numbered(path, first, rest)
    alone = all(row[0] != first[0] for row in rest)
    if is_label_name(first[0]):
        return (alone and is_monotone(cells)) or _refuse_unclear(path, first, "its numbers are in no order")
    if _is_odd_label(first, rest):
        clear = is_monotone(cells) and len(cells) >= (3 if _is_even(cells) else 5)
        return clear or _refuse_unclear(path, first, "all labels below are numbers")
    if not rest or repeated or not alone or not is_monotone(cells):
        return False
    return _are_evenly_spaced(path, first, rest)


def _are_numbered(path: Path, first: Row, rest: Sequence[Row]) -> bool:
    """The first row where its first cell is a number too, and the others are in order."""
    cells, labels = first[1:], [row[0] for row in rest]
    if _counts(first) or not any(map(is_number, labels)):
        return _stands_out(cells, rest, 3) or _refuse_unclear(path, first, "its numbers are in order")
    if _stands_out(cells, rest, 3 if _counts(cells) else 5) or (first[0] not in labels and len(cells) >= 5):
        _refuse_unclear(path, first, "its numbers are in order")
    return False


def _are_evenly_spaced(path: Path, first: Row, rest: Sequence[Row]) -> bool:
    """The first row where its numbers are in order and its first cell is the label of no other row."""
    cells, labels = first[1:], [row[0] for row in rest]
    counts = _counts(cells)
    if _stands_out(cells, rest, 3 if counts or is_no_label(first[0]) else 5):
        return True
    if len(set(labels)) == len(labels) and not counts and not _stands_out(cells, rest, 3):
        return False  # no label occurs twice, so that this one does not mean anything
    return _refuse_unclear(path, first, "its numbers are in order, and its first cell occurs once")


def _is_odd_label(first: Row, rest: Sequence[Row]) -> bool:
    """Whether the first cell is text while all labels below are numbers."""
    is_text = not is_number(first[0]) and not is_no_label(first[0])
    return bool(rest) and is_text and all(is_number(row[0]) for row in rest)


def _stands_out(cells: Sequence[str], rest: Sequence[Row], least: int) -> bool:
    """Whether these are at least so many evenly spaced numbers, and no other row has such."""
    return len(cells) >= least and _is_even(cells) and not any(_is_even(row[1:]) for row in rest)


def _are_whole_above_points(cells: Sequence[str], rest: Sequence[Row]) -> bool:
    """Whether these are whole numbers without a decimal point, and all numbers below have one."""
    whole = len(cells) > 1 and bool(rest) and all(cell.isdecimal() for cell in cells)
    return whole and all("." in cell for row in rest for cell in row[1:] if is_number(cell))


def _check_once(path: Path, rows: Sequence[Row], rest: Sequence[Row]) -> None:
    """Refuse names that stand in more than one row: the same again, or others below them."""
    fix = "leave one row of names, the first"
    if len(rest) < len(rows) - 1:
        refuse("path", f"{path} with its row of names ({_shown(rows[0])}) more than once", "one row of names", fix)
    if rest and _is_odd_label(rest[0], rest[1:]) and is_monotone(rest[0][1:]):
        refuse("path", f"{path} with a second row of names ({_shown(rest[0])})", "one row of names", fix)


def _check_place(path: Path, names: Row) -> None:
    """Refuse names by which another column than the first holds the labels."""
    found = [index for index, name in enumerate(names) if name.lower() in _TARGET]
    stems = [_NUMBERED.fullmatch(names[index]) for index in (0, 1, -1)]
    first, second, last = (None if stem is None else stem[1] for stem in stems)
    if not found and first is not None and first == second != last and (first or _counts(names[:-1])):
        found = [len(names) - 1]  # t0, t1, …, species
    if found and found[0] > 0:
        came = f"{path} with {names[found[0]]!r} in column {found[0] + 1} of {len(names)}"
        refuse("path", came, "the label in the first column", REORDER)


def _refuse_unclear(path: Path, first: Row, reason: str, fix: str = _MOVE) -> NoReturn:
    came = f"{path} with a first row ({_shown(first)}) that may be names or a sample: {reason}"
    refuse("path", came, "column names or a sample in the first row, beyond doubt", fix)


def _shown(row: Row) -> str:
    cells = [repr(cell[:20]) for cell in row[:4]]
    return ", ".join(cells + ["…"] * (len(row) > 4))
