"""Grids in logs: their points, those next to a place, and values between them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.errors import check_number, refuse

Array = NDArray[np.float64]

_SMALLEST = 1e-300  # stands in for an error of 0, which has no log


def value_at_last_fall(errors: ArrayLike, values: ArrayLike, level: float) -> float | None:
    """A quantity where an error last falls below ``level``: linear between two steps in the log of the error.

    Parameters
    ----------
    errors
        Numbers (T,), one for each step; NaN counts as above.
    values
        The quantity at the same steps, (T,).
    level
        Positive, in units of ``errors``.

    Returns
    -------
    float or None
        None if the error never falls from ``level`` or above to below it.

    Raises
    ------
    LabError
        Shapes that do not match, or a level that is not positive.
    """
    error, value = _pair("errors", errors, values)
    check_number("level", level, above=0)
    falls = np.flatnonzero((error[1:] < level) & (error[:-1] >= level))
    if not len(falls):
        return None
    before = int(falls[-1])
    last, now = float(error[before]), max(float(error[before + 1]), _SMALLEST)
    share = math.log(last / level) / math.log(last / now)
    return float(value[before] + share * (value[before + 1] - value[before]))


def ratio_in_logs(places: ArrayLike, values: ArrayLike, above: float, below: float) -> float | None:
    """A quantity at one place of a grid over that at another, both log-log interpolated.

    Parameters
    ----------
    places, values
        Ascending positive numbers (k,), and positive numbers (k,).
    above, below
        The places of the numerator and of the denominator.

    Returns
    -------
    float or None
        None if one of the places lies outside the grid, or if a value is not finite.

    Raises
    ------
    LabError
        Shapes that do not match.
    """
    place, value = _pair("places", places, values)
    wanted = np.log([above, below])
    if not len(place) or not np.isfinite(value).all():
        return None
    x = np.log(place)
    if not ((x[0] <= wanted) & (wanted <= x[-1])).all():
        return None
    numerator, denominator = np.interp(wanted, x, np.log(value))
    return float(np.exp(numerator - denominator))


def octaves(start: float, end: float, per_octave: int) -> list[float]:
    """``start`` times powers of 2^(1/per_octave), up to ``end``, each to four significant digits."""
    count = math.floor(math.log2(end / start) * per_octave * (1 + 1e-12)) + 1
    return [float(f"{start * 2 ** (k / per_octave):.4g}") for k in range(count)]


def nearest_in_logs(places: ArrayLike, wanted: ArrayLike) -> list[float]:
    """The places of a grid (k,) that are next to wanted ones, in ratio: ascending, each once. All are positive.

    There is none in an empty grid.
    """
    place, aim = np.asarray(places, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    if not place.size:
        return []
    distance = np.abs(np.log(place[None] / aim[:, None]))
    return sorted({float(place[column]) for column in distance.argmin(1)})


def _pair(name: str, one: ArrayLike, other: ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        refuse(name, f"shape {x.shape} for values of shape {y.shape}", "one number for each value", "pair them")
    return x, y
