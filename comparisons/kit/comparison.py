"""The protocol of a comparison: the names that its module defines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number
from lab.costs import Cost
from lab.errors import refuse
from lab.sweeps import Results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Scalar = bool | int | float | str | np.generic | None
Row = dict[str, Scalar]  #: a line of the table
Arrays = dict[str, NDArray[Any]]  #: by name
Measured = tuple[Row, Arrays]
Figures = dict[str, "Figure"]  #: by file name


@dataclass(frozen=True)
class Conclusion:
    """What a comparison found.

    Attributes
    ----------
    numbers
        By key, in the order of the summary.
    verdict
        The answer to the question, in a sentence or two.
    """

    numbers: Mapping[Key, Number]
    verdict: str


class Comparison(Protocol):
    """A module for one question.

    It may also have ``CAPTIONS``, a sentence or two on how to read each figure, by the figure's name (see `captions`),
    and ``HEADLINES``, the keys of the few numbers that answer the question (see `headlines`).

    Attributes
    ----------
    question
        One sentence with a question mark.
    asked_by
        Who raises it: a reviewer, a theorem, a paper.
    version
        Increased whenever the result of a cell would change; part of every cell's key.
    Settings
        A `comparisons.kit.settings.Settings`.
    PRESETS
        Settings named fast, default and full.
    Cell
        A `comparisons.kit.cells.Cell`, or a union of several.
    """

    question: str
    asked_by: str
    version: int
    Settings: Any
    PRESETS: Mapping[str, Any]
    Cell: Any

    def cells(self, settings: Any) -> Sequence[Any]:
        """Every measurement that the settings define, in the order of the table."""
        ...

    def cost(self, cell: Any) -> Cost:
        """Flops, operations and bytes of a cell, by arithmetic, without torch."""
        ...

    def measure(self, cell: Any) -> Measured:
        """One cell: its row of the table (``diverged`` true or a step where it diverged) and its arrays."""
        ...

    def conclude(self, table: pd.DataFrame) -> Conclusion:
        """The numbers and the verdict, from the table alone; rows may be missing."""
        ...

    def draw(self, results: Results, conclusion: Conclusion) -> Mapping[str, Figure]:
        """The figures, by file name, from stored results; nothing is trained."""
        ...


def asker(comparison: Comparison) -> str:
    """Who raises the question, with the reviewers in words: ``R1, R3`` is ``reviewer 1, reviewer 3``."""
    return re.sub(r"\bR(\d)\b", r"reviewer \1", comparison.asked_by)


def captions(comparison: Comparison) -> dict[str, str]:
    """How to read the figures, by their names; empty where the comparison has no ``CAPTIONS``.

    Raises
    ------
    LabError
        If ``CAPTIONS`` is no mapping from text to text.
    """
    found = getattr(comparison, "CAPTIONS", {})
    if not isinstance(found, Mapping) or not all(isinstance(text, str) for pair in found.items() for text in pair):
        refuse("CAPTIONS", repr(found), "captions by the names of figures", 'write CAPTIONS = {"gap": "…"}')
    return dict(found)


def headlines(comparison: Comparison, numbers: Mapping[Key, Number]) -> list[Key]:
    """The keys of the numbers that answer the question, in the order in which a reader wants them.

    ``HEADLINES`` of a comparison are patterns of keys such as ``("exponent.gap_test", "gap_test.#", "ratio.*.erf")``.
    ``*``, ``?`` and ``[…]`` are those of `fnmatch`; ``#`` stands for the largest number there is at its place, such as
    the largest width. A comparison without them has all numbers with an interval.

    Raises
    ------
    LabError
        If ``HEADLINES`` is no tuple of texts.
    """
    patterns = getattr(comparison, "HEADLINES", None)
    if patterns is None:
        return [key for key, number in numbers.items() if number.interval is not None]
    if not isinstance(patterns, tuple) or not all(isinstance(text, str) for text in patterns):
        refuse("HEADLINES", repr(patterns), "a tuple of patterns of keys", 'write HEADLINES = ("exponent.gap_test",)')
    return list(dict.fromkeys(key for pattern in patterns for key in matching(pattern, numbers)))


def matching(pattern: str, keys: Iterable[Key]) -> list[Key]:
    """The keys that a pattern of `headlines` matches, in their order."""
    if "#" not in pattern:
        return [key for key in keys if fnmatchcase(str(key), pattern)]
    parts = [(part, key) for key in keys for part in key.parts if part.replace(".", "", 1).isdecimal()]
    found = [(float(part), key) for part, key in parts if fnmatchcase(str(key), pattern.replace("#", part))]
    largest = max((number for number, _ in found), default=0.0)
    return [key for number, key in found if number == largest]
