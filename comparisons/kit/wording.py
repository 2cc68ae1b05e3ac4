"""Phrases in which verdicts state and compare numbers: one vocabulary, no claim beyond the interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from comparisons.kit.keys import Key
from comparisons.kit.numbers import Number

Position = Literal["below", "above", "around"]

NO_DIFFERENCE = "no difference is visible"
FEW_SEEDS = "not judged: fewer than three seeds"
SHARP = 0.5  # length of the interval of an exponent


def format_value(value: float, digits: int | None = None) -> str:
    """A value to so many significant digits (two, or three near 1), in decimals where those are short.

    Examples
    --------
    >>> format_value(0.9432), format_value(1.1314), format_value(146.2), format_value(-0.343), format_value(1.5e-14)
    ('0.94', '1.13', '150', '−0.34', '1.5e−14')
    """
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if abs(value) < 1e-15:  # rounding
        return "0"
    digits = digits or (3 if 0.99 <= abs(value) < 2 else 2)
    rounded = float(f"{value:.{digits - 1}e}")
    if 1e-3 <= abs(rounded) < 1e5:
        return f"{rounded:g}".replace("-", "−")
    mantissa, exponent = f"{rounded:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}".replace("-", "−")


def format_number(number: Number, unit: float = 1.0, after: str = "", digits: int | None = None) -> str:
    """``value (low to high)`` in this unit, with ``after`` behind the value; or the reason why there is none.

    Digits are three where the interval is shorter than a quarter of the value, and two elsewhere.
    """
    if number.value is None:
        return f"unknown ({number.reason})"
    if number.interval is None:
        return format_value(number.value / unit, digits) + after
    low, high = number.interval
    digits = digits or (3 if high - low < abs(number.value) / 4 else 2)
    value = format_value(number.value / unit, digits) + after
    ends = [format_value(each / unit, digits) for each in (low, high) if math.isfinite(each)]
    if not ends:
        return f"{value} (not bounded)"
    if len(ends) < 2:
        return f"{value} ({ends[0]} or {'more' if math.isfinite(low) else 'less'})"
    return value + (f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else "")


def percent(number: Number) -> str:
    """The same in percent."""
    return format_number(number, 0.01, " %", 2)


def power(exponent: Number, of: str = "width") -> str:
    """A power law: ``width^−0.5 (−0.6 to −0.4)``."""
    return f"{of}^{format_number(exponent)}"


def position(number: Number, level: float) -> Position | None:
    """Where the whole interval lies: "below" or "above" ``level``, or "around" it; None without an interval."""
    if number.value is None or number.interval is None:
        return None
    low, high = number.interval
    return "above" if low > level else "below" if high < level else "around"


def compare(
    number: Number,
    level: float,
    *,
    below: str,
    above: str,
    around: str = NO_DIFFERENCE,
    unknown: str = FEW_SEEDS,
    missing: str | None = None,
) -> str:
    """The phrase for where the interval lies; ``unknown`` without an interval, ``missing`` without even a value."""
    phrases = {"below": below, "above": above, "around": around}
    place = position(number, level)
    if number.value is None and missing is not None:
        return missing
    return unknown if place is None else phrases[place]


def is_sharp(exponent: Number) -> bool:
    """Whether the interval of an exponent is short enough to call a theory compatible with it."""
    return exponent.interval is not None and exponent.interval[1] - exponent.interval[0] <= SHARP


def compare_with_theory(exponent: Number, theory: float, name: str = "") -> str:
    """Compares the interval of a falling quantity's exponent with the theory's, in words; ``name`` names the law."""
    growing = position(exponent, 0.0)
    if growing is None:
        return FEW_SEEDS
    if growing == "around":
        return "no trend is visible at this size"
    if growing == "above":
        return "it increases in this range"
    said = name or f"the theory's exponent {theory:g}".replace("-", "−")
    around = "compatible with" if is_sharp(exponent) else "not known well enough to compare with"
    where = {"around": around, "above": "slower than", "below": "faster than"}
    return f"{where[str(position(exponent, theory))]} {said}"


def joined(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def first_few(names: Sequence[str], most: int = 3) -> str:
    """``a, b, c and 2 more``."""
    return joined([*names[:most], *[f"{len(names) - most} more"] * (len(names) > most)])


def for_each(
    numbers: Mapping[str, Number], write: Callable[[Number], str], judge: Callable[[Number], str]
) -> list[str]:
    """``number for the name (phrase)`` for every number by name that has a value."""
    known = {name: number for name, number in numbers.items() if number.value is not None}
    return [f"{write(number)} for the {name} ({judge(number)})" for name, number in known.items()]


def by_phrase(
    numbers: Mapping[str, Number], level: float, phrases: Mapping[str, str], write: Callable[[Number], str]
) -> list[str]:
    """Every phrase of `compare` that applies, with ``number for name, …`` in its braces; ``phrases`` are its keywords.

    Names of numbers without a value stand alone where there is a phrase for "missing" ones, and are left out elsewhere.
    """
    found: dict[str, list[str]] = {phrase: [] for phrase in phrases.values()}
    for name, number in numbers.items():
        if number.value is not None or "missing" in phrases:
            size = "" if number.value is None else f"{write(number)} "
            found.setdefault(compare(number, level, **phrases), []).append(f"{size}for {name}")
    return [fill(phrase, names) for phrase, names in found.items() if names]


def scalings(numbers: Mapping[Key, Number], exponents: Mapping[str, Key], of: str = "width") -> list[str]:
    """``name as width^−0.5 (−0.6 to −0.4)`` for every exponent by name that is there and has a value."""
    found = {name: numbers[key] for name, key in exponents.items() if key in numbers}
    return [f"{name} as {power(number, of)}" for name, number in found.items() if number.value is not None]


def fill(template: str, names: Sequence[str]) -> str:
    """A template with ``a, b and c`` in its braces; empty without names."""
    return template.format(joined(names)) if names else ""


def clauses(start: str, parts: Iterable[str]) -> str:
    """``start, one; another.`` of the non-empty parts; empty if there is none."""
    joint = "; ".join(filter(None, parts))
    return f"{start}, {joint}." if joint else ""


def finding(verdict: str, *words: str, otherwise: str) -> str:
    """The sentences of a verdict that have one of these words, as a title; ``otherwise`` if there are none."""
    told = [sentence for sentence in verdict.removesuffix(".").split(". ") if any(word in sentence for word in words)]
    return ". ".join(told) or otherwise


def sentences(*parts: str) -> str:
    """The non-empty parts, in one paragraph."""
    return " ".join(filter(None, parts))
