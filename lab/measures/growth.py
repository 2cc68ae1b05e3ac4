"""Is it a power law or an exponential? Both fitted per seed, and which of them leaves less."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.errors import refuse

Array = NDArray[np.float64]

FEWEST = 3  #: places of a fit: two are on both curves


@dataclass(frozen=True, eq=False)
class Growth:
    """Two laws with two constants each, fitted to the logs of the same values, for every seed.

    Attributes
    ----------
    power
        Degrees p of C·x^p, shape (seeds,).
    rate
        Rates a of C·e^(a x), shape (seeds,), in units of 1/x.
    power_intercept, rate_intercept
        log C of either law, shape (seeds,).
    aic_difference
        AIC of the power law minus AIC of the exponential, shape (seeds,): above 0 the exponential fits better.
    """

    power: Array
    rate: Array
    power_intercept: Array
    rate_intercept: Array
    aic_difference: Array

    def line(self, *, log: bool) -> tuple[float, float]:
        """Mean slope and mean intercept over seeds of the log of the values: on log x with ``log``, else on x."""
        slopes, intercepts = (self.power, self.power_intercept) if log else (self.rate, self.rate_intercept)
        return float(slopes.mean()), float(intercepts.mean())


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
    if x.ndim != 1 or len(np.unique(x)) < FEWEST or table.shape[1:] != x.shape or not positive:
        came = f"shapes {x.shape} and {table.shape}" if positive else "numbers that are not positive and finite"
        allowed = f"{FEWEST} or more distinct places (k,), values (seeds, k), all positive"
        refuse("values", came, allowed, "leave out what is missing for all seeds")
    power, power_intercept, left_by_power = _line(np.log(x), np.log(table))
    rate, rate_intercept, left_by_rate = _line(x, np.log(table))
    tiny = np.finfo(np.float64).tiny
    aic = len(x) * np.log((left_by_power + tiny) / (left_by_rate + tiny))
    return Growth(power, rate, power_intercept, rate_intercept, aic)


@dataclass(frozen=True, eq=False)
class Grown:
    """A quantity where every seed has it, and both laws fitted there.

    Attributes
    ----------
    places, values
        Shapes (k,) and (seeds, k): what entered.
    left_out
        Places at which some seed has no value.
    fit
        None for fewer than three places.
    """

    places: Array
    values: Array
    left_out: Array
    fit: Growth | None

    @property
    def lines(self) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
        """`Growth.line` of the exponential on x and of the power law on log x; None without a fit."""
        return (self.fit.line(log=False), self.fit.line(log=True)) if self.fit else (None, None)

    @property
    def reason(self) -> str | None:
        """Why there is no fit, or what was left out of it."""
        if self.fit is None:
            kept = ", ".join(f"{place:g}" for place in self.places) or "none"
            return f"fewer than {FEWEST} places at which every seed has a value: {kept}"
        gone = ", ".join(f"{place:g}" for place in self.left_out)
        return f"left out: {gone}" if gone else None


def fit_where_known(places: ArrayLike, values: ArrayLike) -> Grown:
    """`fit_growth` on the places at which every seed has a value; what is NaN is missing.

    Parameters
    ----------
    places, values
        Shapes (k,) and (seeds, k).
    """
    x, table = np.asarray(places, dtype=np.float64), np.atleast_2d(np.asarray(values, dtype=np.float64))
    known = ~np.isnan(table).any(0)
    kept = np.ascontiguousarray(table[:, known])  # the order in memory decides the last bit of a sum
    return Grown(x[known], kept, x[~known], fit_growth(x[known], kept) if known.sum() >= FEWEST else None)


def _line(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Slopes, intercepts and sums of squared residuals of the rows of y (seeds, k) on x (k,)."""
    centred, rows = x - x.mean(), y - y.mean(1, keepdims=True)
    slopes = rows @ centred / (centred @ centred)
    return slopes, y.mean(1) - slopes * x.mean(), ((rows - slopes[:, None] * centred) ** 2).sum(1)
