"""Numbers and labels as files spell them: what is a number, and when two labels are the same class."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation

# float() also takes 1_000, digits of other scripts, nan and infinity; in a file these are no numbers.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_OTHER = re.compile(r"[^0-9.eE+-]")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_MISSING = frozenset({"", "?", "na", "nan", "null", "none"})
_UNNAMED = frozenset({"", "?", "na", "n/a", "<na>", "nan", "+nan", "-nan", "null"})
_PADDING = 20  # zeros that a plain spelling may need before an exponent is shorter to read


def is_number(text: str) -> bool:
    """Whether a cell is a finite decimal number in ASCII digits, such as ``-1.5e+00``."""
    return _NUMBER.fullmatch(text) is not None


def is_missing(text: str) -> bool:
    """Whether a cell stands for a missing number: empty, ``?``, ``NA``, ``NaN``, ``null`` or ``None``."""
    return text.lower() in _MISSING


def value_of(text: str) -> float | None:
    """A cell's number; NaN for a missing one, ±inf for an infinite one, None for any other text."""
    if is_missing(text):
        return math.nan
    return float(text) if is_number(text) or _INFINITE.fullmatch(text) else None


def values_of(cells: Sequence[str]) -> list[float | None]:
    """`value_of` each cell; fast where all are plain numbers."""
    if not _OTHER.search("".join(cells)):
        try:
            return [float(cell) for cell in cells]
        except ValueError:
            pass
    return [value_of(cell) for cell in cells]


def is_no_label(label: str) -> bool:
    """Whether a label stands for a missing one: empty, ``?``, ``NaN``, ``NA``, ``null`` (``None`` may name a class)."""
    return label.strip().lower() in _UNNAMED


def is_infinite(label: str) -> bool:
    """Whether a label is an infinite number."""
    return _INFINITE.fullmatch(label.strip()) is not None


def plain(label: str) -> str:
    """The name of a label's class: two labels have one name only if they are the same number or the same text.

    Numbers are compared exactly, whatever their size, and named by their plain spelling: ``1.0000000e+00``, ``+1`` and
    ``01`` are the class ``1``; 20230101 and 20230102 are two classes. Other text is kept as written, without the blanks
    around it: ``A``, ``a``, ``1_1`` and ``0x10`` are text.
    """
    value = _exact(label.strip())
    return label.strip() if value is None else _spelled(value)


def order(name: str) -> tuple[bool, Decimal, str]:
    """Sorts class names: numbers by their exact value, then text."""
    value = _exact(name)
    return value is None, value or Decimal(0), name


def appearance(name: str) -> str:
    """A name as a reader sees it: two names with one appearance differ in blanks or invisible characters alone."""
    visible = [letter for letter in unicodedata.normalize("NFC", name) if unicodedata.category(letter) != "Cf"]
    return " ".join("".join(visible).split())


def count_up(labels: Iterable[str]) -> bool:
    """Whether labels are 0, 1, 2, … or 1, 2, 3, …, as row numbers are; two or more."""
    names = [plain(label) for label in labels]
    return len(names) > 1 and any(
        all(name == str(number) for number, name in enumerate(names, start)) for start in (0, 1)
    )


def _exact(text: str) -> Decimal | None:
    try:
        return Decimal(text) if is_number(text) else None
    except InvalidOperation:  # an exponent of more than 18 digits
        return None


def _spelled(value: Decimal) -> str:
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    significant = "".join(map(str, digits)).rstrip("0")
    if not significant:
        return "0"
    exponent += len(digits) - len(significant)
    shortest = Decimal((sign, tuple(map(int, significant)), exponent))
    is_short = exponent <= _PADDING and shortest.adjusted() >= -_PADDING
    return f"{shortest:f}" if is_short else f"{shortest:e}"
