"""Thresholds on a grid and what is known of one that lies outside it: censored values, their regression, shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from lab.errors import check_number, refuse

Array = NDArray[np.float64]
Interval = tuple[float, float]

_WIDEST = 12.0  # a profile interval is looked for up to this far (in logs) from the estimate
_FLATTEST = 1e-3  # a standard deviation (in logs) that a censored fit does not go below


@dataclass(frozen=True)
class Threshold:
    """Where a quantity passes a level, as far as a grid can tell.

    Attributes
    ----------
    value
        The place; the end of the grid if it lies outside.
    censored
        "left": it is at or below ``value``. "right": at or above. None: it is ``value``.
    """

    value: float
    censored: Literal["left", "right"] | None = None

    @property
    def reason(self) -> str | None:
        """``left|right censored at g`` for a table or a summary; None if the place is known."""
        return None if self.censored is None else f"{self.censored} censored at {self.value:.4g}"


@dataclass(frozen=True)
class Estimate:
    """A fitted number, its 95 % interval (None if the data do not bound it), and why there is none."""

    value: float | None
    interval: Interval | None = None
    reason: str | None = None


def falls_through(places: ArrayLike, values: ArrayLike, level: float) -> Threshold:
    """Where a noisy falling curve passes ``level``: isotonic in log(place), then linear between neighbours in logs.

    Parameters
    ----------
    places
        Distinct positive numbers (w,).
    values
        Positive numbers (w,); inf and NaN (a run that diverged) count as above every finite value.
    level
        Positive, in units of ``values``.

    Raises
    ------
    LabError
        Shapes that do not match, or places or a level that are not positive.
    """
    x, y = np.asarray(places, dtype=np.float64), np.asarray(values, dtype=np.float64)
    check_number("level", level, above=0)
    if x.ndim != 1 or x.shape != y.shape or not len(x) or not (x > 0).all() or len(np.unique(x)) < len(x):
        came = f"places {x.tolist()} for values of shape {y.shape}"
        refuse("places", came, "distinct positive numbers, one for each value", "drop the doubles")
    order = np.argsort(x)
    ends = x[order][[0, -1]]
    x, heights = np.log(x[order]), _log_heights(y[order], level)
    fitted = IsotonicRegression(increasing=False).fit_transform(x, heights) - math.log(level)
    below = np.flatnonzero(fitted <= 0)
    if not len(below):
        return Threshold(float(ends[1]), "right")
    if below[0] == 0:
        return Threshold(float(ends[0]), "left")
    after = int(below[0])
    share = fitted[after - 1] / (fitted[after - 1] - fitted[after])
    return Threshold(float(np.exp(x[after - 1] + share * (x[after] - x[after - 1]))))


def _log_heights(values: Array, level: float) -> Array:
    """log(values), with what is not finite a little above everything, and zeros a little below."""
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = np.log(values)
    finite = heights[np.isfinite(heights)]
    top = max(float(finite.max()) if finite.size else 0.0, math.log(level)) + 1
    bottom = min(float(finite.min()) if finite.size else 0.0, math.log(level)) - 1
    heights = np.where(np.isneginf(heights), bottom, heights)
    return np.where(np.isfinite(heights), heights, top)


def censored_slope(x: ArrayLike, thresholds: Sequence[Threshold]) -> Estimate:
    """Degree d in threshold ∝ x^d: log-log regression with normal errors in which censored values count as such.

    Parameters
    ----------
    x
        Positive numbers (k,), at least two different ones among them.
    thresholds
        One for each x.

    Returns
    -------
    Estimate
        The maximum-likelihood slope and its profile-likelihood interval; neither if all values are censored.

    References
    ----------
    Tobin, "Estimation of relationships for limited dependent variables", Econometrica 1958.
    """
    place = np.log(np.asarray(x, dtype=np.float64))
    if place.shape != (len(thresholds),) or not np.isfinite(place).all():
        refuse(
            "x", f"shape {place.shape} for {len(thresholds)} thresholds", "one positive number for each", "pair them"
        )
    seen = np.array([threshold.censored is None for threshold in thresholds])
    if len(np.unique(place[seen])) < 2:
        return Estimate(None, None, "fewer than two settings have a threshold inside the grid")
    height = np.log([threshold.value for threshold in thresholds])
    side = np.array([{None: 0, "left": -1, "right": 1}[threshold.censored] for threshold in thresholds])
    centre = float(place.mean())

    def cost(level: float, log_spread: float, slope: float) -> float:
        spread = math.exp(log_spread) + _FLATTEST
        z = (height - level - slope * (place - centre)) / spread
        terms = np.where(side == 0, scipy.stats.norm.logpdf(z) - math.log(spread), scipy.stats.norm.logcdf(-side * z))
        return -float(terms.sum())

    slope, level = np.polyfit(place[seen] - centre, height[seen], 1)
    return _profile(cost, [float(level), 0.0], float(slope))


def success_place(places: ArrayLike, successes: ArrayLike, trials: ArrayLike, share: float = 0.9) -> Estimate:
    """Where a success share reaches ``share``: a logistic fit on log(place), with Jeffreys' prior against separation.

    Parameters
    ----------
    places, successes, trials
        Positive numbers (w,), and how many of how many trials succeeded at each.
    share
        The share asked for, in (0, 1).

    Returns
    -------
    Estimate
        The place and its profile-likelihood interval, in units of ``places``; no value where the fitted place lies
        outside the grid, where the share does not rise, or where all trials have one outcome.

    References
    ----------
    Firth, "Bias reduction of maximum likelihood estimates", Biometrika 1993.
    """
    x = np.log(np.asarray(places, dtype=np.float64))
    won, asked = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    check_number("share", share, above=0, below=1)
    if not (x.shape == won.shape == asked.shape) or (won > asked).any() or not np.isfinite(x).all():
        came = f"shapes {x.shape}, {won.shape}, {asked.shape}"
        refuse("successes", came, "one count for each place, at most its trials", "pair them")
    low, high = math.exp(x.min()), math.exp(x.max())
    if won.sum() in (0, asked.sum()):
        outside = f"right censored at {high:.4g}" if won.sum() == 0 else f"left censored at {low:.4g}"
        return Estimate(None, None, outside)
    cost = _logistic_cost(x, won, asked, scipy.special.logit(share))
    found = _profile(cost, [0.0], float(x.mean()))
    if found.value is None or not low <= math.exp(found.value) <= high:
        beyond = found.value is not None and found.value < x.min()
        return Estimate(None, None, f"left censored at {low:.4g}" if beyond else f"right censored at {high:.4g}")
    ends = None if found.interval is None else (math.exp(found.interval[0]), math.exp(found.interval[1]))
    return Estimate(math.exp(found.value), ends)


def _logistic_cost(x: Array, won: Array, asked: Array, target: float) -> Callable[[float, float], float]:
    """Penalised negative log-likelihood in (log slope, log place at which the logit is ``target``)."""

    def cost(log_slope: float, place: float) -> float:
        slope = math.exp(log_slope)
        logit = target + slope * (x - place)
        likelihood = won @ scipy.special.log_expit(logit) + (asked - won) @ scipy.special.log_expit(-logit)
        weights = asked * scipy.special.expit(logit) * scipy.special.expit(-logit)
        design = np.stack([np.ones_like(x), x - x.mean()], 1)
        information = np.linalg.slogdet(design.T @ (weights[:, None] * design))[1]
        return -float(likelihood + 0.5 * max(information, -1e3))

    return cost


def _profile(cost: Callable[..., float], nuisance: list[float], start: float) -> Estimate:
    """Minimum of cost(*nuisance, parameter) over all, and the parameter's 95 % profile-likelihood interval."""
    options = {"method": "Nelder-Mead", "options": {"xatol": 1e-6, "fatol": 1e-9, "maxiter": 4000}}
    best = scipy.optimize.minimize(lambda v: cost(*v), [*nuisance, start], **options)
    best = scipy.optimize.minimize(lambda v: cost(*v), best.x, **options)
    rise = scipy.stats.chi2.ppf(0.95, 1) / 2

    def excess(parameter: float) -> float:
        inner = scipy.optimize.minimize(lambda v: cost(*v, parameter), best.x[:-1], **options)
        return float(inner.fun - best.fun - rise)

    middle = float(best.x[-1])
    ends = [_root(excess, middle, sign) for sign in (-1, 1)]
    return Estimate(middle, None if None in ends else (ends[0] or 0.0, ends[1] or 0.0))


def _root(excess: Callable[[float], float], middle: float, sign: int) -> float | None:
    """Where the excess passes 0 on one side of the middle, where it is negative; None if it stays there."""
    step = 0.05
    while excess(middle + sign * step) < 0:
        step *= 2
        if step > _WIDEST:
            return None
    near, far = middle + sign * step / 2 * (step > 0.05), middle + sign * step
    return float(scipy.optimize.brentq(excess, *sorted((near, far)), xtol=1e-4))
