"""Samples from tables of text: a label first, then one number for each time step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from lab.data.labelled import Part
from lab.data.names import REORDER, check_no_index, has_names
from lab.data.numerals import is_number, plain, values_of
from lab.data.table import Table, read_table
from lab.errors import refuse

_ALLOWED = "a label and numbers in each row, separated by commas, semicolons, tabs or blanks"
_FIX = "write the label first, then one number for each time step"
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[., '’  ][0-9]{3})+(?:[.,][0-9]+)?")


def read_rows(path: Path) -> list[Part]:
    """The samples of a ``.csv``, ``.tsv`` or ``.txt`` file, as `lab.data.files.read` describes them.

    Raises
    ------
    LabError
        Whatever `read_table` and `has_names` refuse, no samples, a cell that is no number, or a label that does not
        come first.
    """
    table = read_table(path)
    if len(table.rows[0]) < 2:
        refuse("path", f"{path} with one cell in each row", _ALLOWED, _FIX)
    later = _values(path, table, 1, len(table.rows))  # before the first row is judged: the usual mistakes come first
    begin = int(has_names(path, table.rows))
    if begin and not later:
        refuse("path", f"{path} with column names and no samples", _ALLOWED, _FIX)
    labels = [row[0] for row in table.rows[begin:]]
    if begin:
        check_no_index(path, table.rows[0], labels)
    numbers = np.array(_values(path, table, begin, 1) + later, dtype=np.float64)
    _check_labels(path, labels, numbers)
    ends = _ends(numbers) if path.suffix.lower() != ".csv" else np.full(len(numbers), numbers.shape[1])
    return [Part([row[:end, None] for row, end in zip(numbers, ends, strict=True)], labels)]


def _ends(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Steps of each series: the archives fill the end of a short one with NaN."""
    there = ~np.isnan(numbers[:, ::-1])
    return np.asarray(numbers.shape[1] - there.argmax(1))


def _values(path: Path, table: Table, start: int, stop: int) -> list[list[float | None]]:
    """The cells after the labels as numbers, to the last digit; NaN where one is missing."""
    found = [values_of(row[1:]) for row in table.rows[start:stop]]
    for index, values in enumerate(found, start):
        if None in values:
            _refuse_text(path, table, index, 1 + values.index(None))
    return found


def _refuse_text(path: Path, table: Table, row: int, column: int) -> NoReturn:
    """Refuse a cell that is no number, with the likely cause."""
    cell = table.rows[row][column]
    came = f"{path} with {cell[:40]!r} in row {table.lines[row]}, column {column + 1}"
    if _GROUPED.fullmatch(cell):
        fix = "write numbers without thousands separators and with a decimal point"
    elif not any(is_number(each[column]) for each in table.rows[len(table.rows) > 3 :]):
        came, fix = f"{came}, where no row has a number", REORDER
    elif "," in cell or "." in cell:
        fix = f"{_FIX}, all with a decimal point"
    else:
        fix = _FIX
    refuse("path", came, "numbers after the label", fix)


def _check_labels(path: Path, labels: Sequence[str], numbers: NDArray[np.float64]) -> None:
    """Refuse first cells that are no whole numbers where those of one other column alone are, and few: its labels."""
    if not all(map(is_number, labels)) or bool(_are_whole(np.array(labels, dtype=np.float64))):
        return
    (whole,) = np.nonzero(_are_whole(numbers))
    if len(whole) == 1 and 2 <= len(set(numbers[:, whole[0]].tolist())) <= len(numbers) / 2:
        place = f"column {whole[0] + 2} of {numbers.shape[1] + 1}"
        came = f"{path} with labels like {plain(labels[0])}, and a few whole numbers in {place} alone"
        refuse("path", came, "the label in the first column", "move that column to the front if it holds the labels")


def _are_whole(numbers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each column holds whole numbers alone."""
    return np.asarray((numbers == np.round(numbers)).all(0))
