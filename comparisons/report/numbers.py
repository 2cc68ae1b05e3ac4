"""Numbers of a conclusion as rows of text: under their definitions, and those that the verdict states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number
from comparisons.kit.wording import format_number, percent
from lab.sweeps.cells import plain

#: At most so many numbers are shown beside the verdict.
MAIN = 8


@dataclass(frozen=True)
class Row:
    """A number as text: key, value, interval, seeds, and notes (the reason where there is no value, and details)."""

    key: str
    value: str
    interval: str
    seeds: int
    notes: str


Groups = list[tuple[str, list[Row]]]  #: a definition, and the numbers that have it


def grouped(numbers: Mapping[Key, Number]) -> Groups:
    """Numbers under their definitions, both in the order in which they first come."""
    groups: dict[str, list[Row]] = {}
    for key, number in numbers.items():
        groups.setdefault(key.meaning, []).append(_row(str(key), number))
    return list(groups.items())


def main_numbers(numbers: Mapping[Key, Number], verdict: str) -> dict[Key, Number]:
    """The numbers that the verdict states with their intervals, in its order.

    Of two numbers that read the same, the first one is taken. If the verdict states none, these are the first numbers
    that have a value.
    """
    places: dict[str, tuple[int, Key]] = {}
    for key, number in numbers.items():
        for text in (format_number(number), percent(number)):
            if "(" in text and text in verdict:  # without an interval a text such as "1" stands anywhere
                places.setdefault(text, (verdict.index(text), key))
    stated = [key for _, key in sorted(places.values(), key=lambda found: found[0])]
    known = [key for key, number in numbers.items() if number.value is not None]
    return {key: numbers[key] for key in dict.fromkeys((stated or known[:3])[:MAIN])}


def _row(key: str, number: Number) -> Row:
    known = number.value is not None and math.isfinite(number.value)
    notes = [
        f"{name.replace('_', ' ')}: {in_words(plain(value), exact=False)}" for name, value in number.details.items()
    ]
    if not known:
        notes.insert(0, number.reason or "no reason given")
    return Row(key, digits(number.value) if known else "none", interval(number), number.seeds, "; ".join(notes))


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
