"""The UCR/UEA archives' ``.ts`` format: a header of tags, then one sample in a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.data.labelled import Part
from lab.data.numerals import is_number, values_of
from lab.data.text import read_lines, unreadable
from lab.errors import refuse

_TAGS = ("timestamps", "univariate", "equallength", "classlabel", "targetlabel")
_STAMPS = "write the values alone, at even time steps, with @timeStamps false"

Line = tuple[int, str]


@dataclass(frozen=True)
class _Header:
    """What the tags say; None where a tag is missing."""

    timestamps: bool | None
    univariate: bool | None
    equallength: bool | None
    classlabel: bool | None
    targetlabel: bool | None
    dimensions: int | None


def read_ts(path: Path) -> list[Part]:
    """Series of a ``.ts`` file with its labels, as they are written, or with its targets.

    aeon's own reader writes labels in lower case, changes ``nan`` and ``?`` inside them, loses the signs of numbers
    with time stamps and stops at blank lines; this one is compared with it on the files that aeon ships.

    Raises
    ------
    LabError
        A line that does not fit the header, time stamps, or neither labels nor targets.
    """
    tags, lines = _sections(path)
    header = _header(path, tags)
    if header.timestamps or any("(" in line for _, line in lines):
        refuse("path", f"{path} with time stamps", "series without time stamps", _STAMPS)
    if bool(header.classlabel) == bool(header.targetlabel):
        came = f"{path} " + ("without labels" if not header.classlabel else "with both @classLabel and @targetLabel")
        refuse("path", came, "a file with classes or with targets", "name one by @classLabel or @targetLabel true")
    samples = [_sample(path, line, header) for line in lines]
    series = [each for each, _ in samples]
    _check_lengths(path, series, lines, header)
    ends = [end for _, end in samples]
    return [Part(series, None, _targets(path, ends, lines)) if header.targetlabel else Part(series, ends)]


def _sections(path: Path) -> tuple[dict[str, list[str]], list[Line]]:
    """The words behind each tag, and the lines of samples; comments and blank lines are left out of both."""
    lines = [(number, line.strip()) for number, line in enumerate(read_lines(path), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith(("#", "%"))]
    begin = next((index for index, (_, line) in enumerate(lines) if line.lower() == "@data"), None)
    if begin is None:
        unreadable(path, "without a line @data")
    for number, line in lines[:begin]:
        if not line.startswith("@"):
            unreadable(path, f"line {number} before @data is no tag")
    words = [line[1:].split() for _, line in lines[:begin] if line[1:].strip()]
    return {first.lower(): rest for first, *rest in words}, lines[begin + 1 :]


def _header(path: Path, tags: dict[str, list[str]]) -> _Header:
    found: dict[str, bool | None] = {}
    for name in _TAGS:
        word = tags[name][0].lower() if tags.get(name) else None
        if name in tags and word not in ("true", "false"):
            unreadable(path, f"@{name} says neither true nor false")
        found[name] = None if word is None else word == "true"
    sizes = [word for name in ("dimension", "dimensions") for word in tags.get(name, [])[:1]]
    if any(not size.isdecimal() or len(size) > 9 for size in sizes):
        unreadable(path, "@dimensions is no number")
    return _Header(**found, dimensions=int(sizes[0]) if sizes else None)


def _sample(path: Path, line: Line, header: _Header) -> tuple[NDArray[np.float64], str]:
    """A series (length, features) and the label or target behind it."""
    number, text = line
    *features, end = text.split(":")
    rows = [_values(path, number, feature) for feature in features]
    declared = 1 if header.univariate else header.dimensions
    if not rows or (declared is not None and len(rows) != declared):
        unreadable(path, f"{len(rows)} dimensions and a label in line {number}, {declared or 'some'} in the header")
    if len({len(row) for row in rows}) > 1:
        unreadable(path, f"dimensions of unequal length in line {number}")
    return np.array(rows, dtype=np.float64).T, end.strip()


def _values(path: Path, number: int, feature: str) -> list[float]:
    cells = [cell.strip() for cell in feature.split(",")]
    values = values_of(cells)
    if None in values or "" in cells:
        cell = cells[values.index(None)] if None in values else ""
        unreadable(path, f"{cell[:40]!r} in line {number} is no number")
    return [value for value in values if value is not None]


def _check_lengths(path: Path, series: Sequence[NDArray[np.float64]], lines: Sequence[Line], header: _Header) -> None:
    """Refuse unequal lengths that the header does not announce, and unequal numbers of dimensions."""
    for each, (number, _) in zip(series, lines, strict=True):
        if each.shape[1] != series[0].shape[1]:
            unreadable(path, f"{each.shape[1]} dimensions in line {number}, {series[0].shape[1]} in the first sample")
        if header.equallength is not False and len(each) != len(series[0]):
            steps = f"{len(each)} steps in line {number}, {len(series[0])} in the first sample"
            unreadable(path, steps + ", without @equalLength false")


def _targets(path: Path, ends: Sequence[str], lines: Sequence[Line]) -> NDArray[np.float64]:
    for end, (number, _) in zip(ends, lines, strict=True):
        if not is_number(end):
            came = f"{path} with the target {end[:40]!r} in line {number}"
            refuse(
                "path", came, "a number behind the last colon, as @targetLabel is true", "write classes by @classLabel"
            )
    return np.array(ends, dtype=np.float64)
