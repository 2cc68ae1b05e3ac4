"""Counts, times and tables as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime


def counted(number: int, what: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds in their two largest units."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def roughly(seconds: float) -> str:
    """Seconds in one unit, for an estimate; at least ten.

    Examples
    --------
    >>> [roughly(seconds) for seconds in (3, 52, 100, 4000, 9600, 300000)]
    ['10 s', '50 s', '2 min', '67 min', '3 h', '3 days']
    """
    if seconds < 90:
        return f"{max(round(seconds, -1), 10):.0f} s"
    units = (("min", 60, 90), ("h", 3600, 48), ("days", 86400, math.inf))
    return next(f"{seconds / length:.0f} {unit}" for unit, length, most in units if seconds < most * length)


def clock(moment: float) -> str:
    """Seconds since the epoch as date and time of day here."""
    return datetime.fromtimestamp(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns are as wide as their widest entries."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
