"""Is it a power law or an exponential? Both fitted per seed, and which of them leaves less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.errors import refuse

Array = NDArray[np.float64]

_FEWEST = 3  # places: two are on both curves


@dataclass(frozen=True, eq=False)
class Growth:
    """Two laws with two constants each, fitted to the logs of the same values, for every seed.

    Attributes
    ----------
    power
        Degrees p of C·x^p, shape (seeds,).
    rate
        Rates a of C·e^(a x), shape (seeds,), in units of 1/x.
    aic_difference
        AIC of the power law minus AIC of the exponential, shape (seeds,): above 0 the exponential fits better.
    """

    power: Array
    rate: Array
    aic_difference: Array


def fit_growth(places: ArrayLike, values: ArrayLike) -> Growth:
    """Fit both laws by least squares in the logs.

    With normal errors in the logs, AIC is k log(sum of squared residuals) plus the same constant for both, k being the
    number of places.

    Parameters
    ----------
    places
        Distinct positive numbers x (k,), three or more.
    values
        Positive numbers (seeds, k).

    Raises
    ------
    LabError
        Shapes that do not match, fewer than three places, or numbers that are not positive and finite.

    References
    ----------
    Akaike, "A new look at the statistical model identification", IEEE Transactions on Automatic Control 1974.
    """
    x, table = np.asarray(places, dtype=np.float64), np.atleast_2d(np.asarray(values, dtype=np.float64))
    positive = all((np.isfinite(each) & (each > 0)).all() for each in (x, table))
    if x.ndim != 1 or len(np.unique(x)) < _FEWEST or table.shape[1:] != x.shape or not positive:
        came = f"shapes {x.shape} and {table.shape}" if positive else "numbers that are not positive and finite"
        allowed = f"{_FEWEST} or more distinct places (k,), values (seeds, k), all positive"
        refuse("values", came, allowed, "leave out what is missing for all seeds")
    power, left_by_power = _line(np.log(x), np.log(table))
    rate, left_by_rate = _line(x, np.log(table))
    tiny = np.finfo(np.float64).tiny
    return Growth(power, rate, len(x) * np.log((left_by_power + tiny) / (left_by_rate + tiny)))


def _line(x: Array, y: Array) -> tuple[Array, Array]:
    """Slopes and sums of squared residuals of the rows of y (seeds, k) on x (k,)."""
    centred, rows = x - x.mean(), y - y.mean(1, keepdims=True)
    slopes = rows @ centred / (centred @ centred)
    return slopes, ((rows - slopes[:, None] * centred) ** 2).sum(1)
