"""How verdicts say numbers: to two digits, with intervals as "(low to high)", and no more than an interval supports."""

from __future__ import annotations

import math
from collections.abc import Sequence

from comparisons._shape import Number


def plain(value: float, digits: int | None = None) -> str:
    """A value to so many significant digits (two, or three near 1), in decimals where those are short.

    Examples
    --------
    >>> plain(0.9432), plain(1.1314), plain(146.2), plain(-0.343), plain(1.5e-14)
    ('0.94', '1.13', '150', '−0.34', '1.5e−14')
    """
    if abs(value) < 1e-15:  # rounding
        return "0"
    digits = digits or (3 if 0.99 <= abs(value) < 2 else 2)
    rounded = float(f"{value:.{digits - 1}e}")
    if 1e-3 <= abs(rounded) < 1e5:
        return f"{rounded:g}".replace("-", "−")
    mantissa, exponent = f"{rounded:e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}".replace("-", "−")


def told(number: Number, unit: float = 1.0, after: str = "", digits: int | None = None) -> str:
    """``value (low to high)`` in this unit, with ``after`` behind the value; or the reason why there is none.

    Digits are three where the interval is shorter than a quarter of the value, and two elsewhere.
    """
    if number.value is None:
        return f"unknown ({number.reason})"
    if number.interval is None:
        return plain(number.value / unit, digits) + after
    low, high = number.interval
    digits = digits or (3 if high - low < abs(number.value) / 4 else 2)
    value, *ends = (plain(each / unit, digits) for each in (number.value, low, high) if math.isfinite(each))
    if len(ends) < 2:
        return f"{value}{after} ({ends[0]} or {'more' if low > -math.inf else 'less'})"
    return value + after + (f" ({ends[0]} to {ends[1]})" if ends[0] != ends[1] else "")


def percent(number: Number) -> str:
    """The same in percent."""
    return told(number, 0.01, " %", 2)


def power(exponent: Number, of: str = "width") -> str:
    """A power law: ``width^−0.5 (−0.6 to −0.4)``."""
    return f"{of}^{told(exponent)}"


def side(number: Number, level: float) -> str | None:
    """Where the whole interval lies: "above" or "below" ``level``, "open" if it holds the level; None without one."""
    if number.value is None or number.interval is None:
        return None
    low, high = number.interval
    return "above" if low > level else "below" if high < level else "open"


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
