"""Numbers of a conclusion as rows of text under their definitions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number
from lab.sweeps.cells import plain


@dataclass(frozen=True)
class Row:
    """A number as text: key, value, interval, seeds, the reason where there is no value, and that with details."""

    key: str
    value: str
    interval: str
    seeds: int
    reason: str
    notes: str


Groups = list[tuple[str, list[Row]]]  #: a definition, and the numbers that have it


def grouped(numbers: Mapping[Key, Number]) -> Groups:
    """Numbers under their definitions, both in the order in which they first come."""
    groups: dict[str, list[Row]] = {}
    for key, number in numbers.items():
        groups.setdefault(key.meaning, []).append(_row(str(key), number))
    return list(groups.items())


def _row(key: str, number: Number) -> Row:
    known = number.value is not None and math.isfinite(number.value)
    notes = [
        f"{name.replace('_', ' ')}: {in_words(plain(value), exact=False)}" for name, value in number.details.items()
    ]
    reason = "" if known else number.reason or "no reason given"
    value, notes = digits(number.value) if known else "none", [reason, *notes] if reason else notes
    return Row(key, value, interval(number), number.seeds, reason, "; ".join(notes))


def interval(number: Number) -> str:
    """``low to high``; empty where there is no value or an end is not finite."""
    known = number.value is not None and math.isfinite(number.value)
    ends = number.interval if known and number.interval is not None else ()
    return " to ".join(digits(end) for end in ends) if all(math.isfinite(end) for end in ends) else ""


def digits(value: float | None) -> str:
    """A number to four digits, with a proper minus sign and powers of ten."""
    if value is None or not math.isfinite(value):
        return "none"
    text = f"{value:.4g}"
    mantissa, _, exponent = text.partition("e")
    power = f"×10{str(int(exponent)).translate(_RAISED)}" if exponent else ""
    return mantissa.replace("-", "−") + power


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def in_words(value: Any, *, exact: bool = True) -> str:
    """A JSON value as people write it; floats in full if ``exact``, else to four digits."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = not exact or float(f"{value:.4g}") == value
        return digits(value) if short else repr(value).replace("-", "−")
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {in_words(entry, exact=exact)}" for name, entry in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(in_words(entry, exact=exact) for entry in value)
    return str(value)
