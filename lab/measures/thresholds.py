"""Thresholds on a grid and what is known of one that lies outside it: censored values, their regression, shares."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
from numpy.typing import ArrayLike, NDArray
from sklearn.isotonic import IsotonicRegression

from lab.errors import check_integer, check_number, refuse
from lab.measures.estimate import Estimate

Array = NDArray[np.float64]

_WIDEST = 12.0  # a profile interval is looked for up to this far (in logs) from the estimate
_GROUPS_FOR_AN_INTERVAL = 3
_SCORINGS = 200  # of which a logistic fit takes about ten
_INNER = (1e-3, 1e-4)  # accuracy in place and cost of a minimum over what a profile is not about
_FLATTEST = 1e-3  # a standard deviation (in logs) that a censored fit does not go below


@dataclass(frozen=True)
class Threshold:
    """Where a quantity passes a level, as far as a grid resolves it.

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


def falls_of_each(places: ArrayLike, curves: Mapping[str, ArrayLike], level: float) -> dict[str, Threshold]:
    """`falls_through` for several curves over the same places (w,), by name.

    A curve counts at the places at which it is finite; one that is finite nowhere is left out.
    """
    x, found = np.asarray(places, dtype=np.float64), {}
    for name, curve in curves.items():
        values = np.asarray(curve, dtype=np.float64)
        seen = np.isfinite(values)
        if seen.any():
            found[name] = falls_through(x[seen], values[seen], level)
    return found


def up_to(values: Iterable[float], limit: float) -> list[Threshold]:
    """Thresholds that were looked for up to a limit: a value that is missing, NaN, lies at or above it."""
    return [Threshold(limit, "right") if math.isnan(value) else Threshold(float(value)) for value in values]


def earliest(thresholds: Iterable[Threshold]) -> Threshold | None:
    """The smallest of some thresholds; right censored ones count only if all are. None if there are none."""
    found = list(thresholds)
    known = [threshold for threshold in found if threshold.censored != "right"]
    return min(known or found, key=lambda threshold: threshold.value, default=None)


def holds_up_to(places: ArrayLike, holds: ArrayLike) -> Threshold:
    """Largest place such that something holds there and at all smaller ones of a grid.

    Parameters
    ----------
    places
        Ascending positive numbers (w,).
    holds
        Booleans (w,).

    Returns
    -------
    Threshold
        Left censored at the first place if it fails there, right censored at the last one if it never fails.

    Raises
    ------
    LabError
        Shapes that do not match, or places that do not ascend.
    """
    x, kept = _ascending(places, holds)
    failed = np.flatnonzero(~kept)
    if not len(failed):
        return Threshold(float(x[-1]), "right")
    return Threshold(float(x[0]), "left") if failed[0] == 0 else Threshold(float(x[failed[0] - 1]))


def first_hit(places: ArrayLike, hits: ArrayLike) -> Threshold:
    """Smallest place of a grid that is hit: `holds_up_to` from the other side, same arguments and errors."""
    x, hit = _ascending(places, hits)
    found = np.flatnonzero(hit)
    if not len(found):
        return Threshold(float(x[-1]), "right")
    return Threshold(float(x[found[0]]), "left" if found[0] == 0 else None)


def _ascending(places: ArrayLike, marks: ArrayLike) -> tuple[Array, NDArray[np.bool_]]:
    x, marked = np.asarray(places, dtype=np.float64), np.asarray(marks, dtype=bool)
    if x.ndim != 1 or x.shape != marked.shape or not len(x) or (np.diff(x) <= 0).any() or x[0] <= 0:
        came = f"places {x.tolist()} for marks of shape {marked.shape}"
        refuse("places", came, "ascending positive numbers, one for each mark", "sort and pair them")
    return x, marked


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
        density = -0.5 * z**2 - math.log(spread * math.sqrt(2 * math.pi))
        terms = np.where(side == 0, density, scipy.special.log_ndtr(-side * z))
        return -float(terms.sum())

    slope, level = np.polyfit(place[seen] - centre, height[seen], 1)
    return _profile(cost, [float(level), 0.0], float(slope))


def first_passage(times: ArrayLike, values: ArrayLike, level: float) -> Threshold:
    """When a curve first rises above ``level``: linear between the recorded times, so that their spacing hardly counts.

    Parameters
    ----------
    times
        Ascending numbers (T,).
    values
        Numbers (T,); inf and NaN count as above, at their own time.
    level
        In units of ``values``.

    Returns
    -------
    Threshold
        Right censored at the last time if the curve never rises above, left censored at the first if it starts there.

    Raises
    ------
    LabError
        Shapes that do not match, or times that do not ascend.
    """
    t, y = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if t.ndim != 1 or t.shape != y.shape or not len(t) or (np.diff(t) <= 0).any():
        refuse("times", f"shapes {t.shape} and {y.shape}", "ascending times, one for each value", "sort and pair them")
    above = np.flatnonzero(~(y <= level))
    if not len(above):
        return Threshold(float(t[-1]), "right")
    after = int(above[0])
    if after == 0:
        return Threshold(float(t[0]), "left")
    if not np.isfinite(y[after]):
        return Threshold(float(t[after]))
    share = (level - y[after - 1]) / (y[after] - y[after - 1])
    return Threshold(float(t[after - 1] + share * (t[after] - t[after - 1])))


def median_survival(thresholds: Sequence[Threshold]) -> Estimate:
    """Median of times of which some are only known to be later, by Kaplan and Meier; none if over half never come.

    Parameters
    ----------
    thresholds
        Times, seen or right censored.

    Returns
    -------
    Estimate
        The first time at which at most half are left, and where the log-log 95 % band of the survival curve passes ½
        (none if it does not on one side, which takes five or more times).

    Raises
    ------
    LabError
        Left censored times.

    References
    ----------
    Kaplan, Meier, "Nonparametric estimation from incomplete observations", JASA 1958; Brookmeyer, Crowley, "A
    confidence interval for the median survival time", Biometrics 1982.
    """
    if any(threshold.censored == "left" for threshold in thresholds):
        refuse("thresholds", "left censored times", "seen or right censored ones", "watch from an earlier time on")
    seen = [threshold.value for threshold in thresholds if threshold.censored is None]
    later = [threshold.value for threshold in thresholds if threshold.censored is not None]
    if not seen:
        return Estimate(None, None, f"none of {len(later)} came")
    curve = scipy.stats.ecdf(scipy.stats.CensoredData(uncensored=seen, right=later)).sf
    middle = _halved(curve.quantiles, curve.probabilities)
    if middle is None:
        return Estimate(None, None, f"only {len(seen)} of {len(seen) + len(later)} came")
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        band = curve.confidence_interval(method="log-log")
    low, high = (_halved(end.quantiles, end.probabilities) for end in (band.low, band.high))
    return Estimate(middle, None if low is None or high is None else (low, high))


def _halved(times: Array, survival: Array) -> float | None:
    """First time at which a falling curve is at or below one half; None if it stays above."""
    below = np.flatnonzero(np.asarray(survival) <= 0.5)
    return float(times[below[0]]) if len(below) else None


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


def geometric_grid(low: int, high: int, factor: float) -> list[int]:
    """Distinct whole numbers low·factor^k from ``low`` to ``high``, rounded.

    Raises
    ------
    LabError
        A lower end below 1, an upper end below it, or a factor that is not above 1.
    """
    check_integer("low", low, 1)
    check_integer("high", high, low)
    check_number("factor", factor, above=1)
    count = int(math.log(high / low) / math.log(factor) + 1e-9)
    return list(dict.fromkeys(round(low * factor**k) for k in range(count + 1)))


def climb(passes: Callable[[int], bool], grid: Sequence[int], start: int, streak: int) -> dict[int, bool]:
    """Try places of a grid around a threshold: up until ``streak`` in a row pass, then down until as many fail.

    What lies beyond is not tried. Which places are tried depends on outcomes already seen alone, so that a likelihood
    fit of what was tried needs no correction for it.

    Parameters
    ----------
    passes
        Whether a place of the grid passes; noise is welcome.
    grid
        Places, ascending.
    start
        The search begins at the last place of the grid that is not above it, or at the first one.
    streak
        How many outcomes of one kind in a row end the search in one direction.

    Returns
    -------
    dict
        Outcome of each place that was tried, ascending.
    """
    check_integer("streak", streak, 1)
    first = max([0, *(index for index, place in enumerate(grid) if place <= start)])
    tried = _until(passes, grid[first:], True, streak)
    failed = len(list(itertools.takewhile(lambda passed: not passed, tried.values())))  # from the start on, upwards
    if failed < streak:
        tried |= _until(passes, grid[:first][::-1], False, streak, run=failed)
    return dict(sorted(tried.items()))


def _until(
    passes: Callable[[int], bool], places: Sequence[int], wanted: bool, streak: int, run: int = 0
) -> dict[int, bool]:
    """Outcomes of the places in turn until ``streak`` wanted ones came in a row; ``run`` of them came before."""
    tried: dict[int, bool] = {}
    for place in places:
        tried[place] = bool(passes(place))
        run = run + 1 if tried[place] == wanted else 0
        if run >= streak:
            break
    return tried


def success_slope(
    z: ArrayLike, places: ArrayLike, successes: ArrayLike, groups: ArrayLike, share: float = 0.9
) -> Estimate:
    """Slope d of log(place of success) on a covariate: least squares through each setting's own logistic fit.

    The places at which the success share of a setting (a value of z) reaches ``share`` go as exp(d·z): z = log x gives
    the degree in x, z = 0 or 1 the log-ratio of two settings. Each setting has a steepness of its own: in a joint fit
    with a common one, settings in which success rises slowly pull the slope away from their own places.

    The interval is a jackknife over groups (seeds), not a likelihood's: outcomes of one seed at neighbouring places
    share their data, and settings may share them too, so that only seeds are independent.

    Parameters
    ----------
    z, places
        Covariate (k,), and positive places (k,).
    successes, groups
        Booleans (k,), and which group each belongs to (k,).
    share
        The success share that defines a place, in (0, 1).

    Returns
    -------
    Estimate
        No value where fewer than two settings have such a place between their least and their largest; settings
        without one are left out and named by z in the reason. No interval for fewer than 3 groups.

    References
    ----------
    Firth, "Bias reduction of maximum likelihood estimates", Biometrika 1993 (the penalty).
    Miller, "The jackknife: a review", Biometrika 1974.
    """
    x, won, member = (np.asarray(values) for values in (z, successes, groups))
    height = np.log(np.asarray(places, dtype=np.float64))
    check_number("share", share, above=0, below=1)
    if not (x.shape == height.shape == won.shape == member.shape) or not np.isfinite(height).all():
        came = f"shapes {x.shape}, {height.shape}, {won.shape}, {member.shape}"
        refuse("successes", came, "one outcome for each place, covariate and group", "pair them")
    rows = np.stack([x, height, won], 1).astype(np.float64)
    inside = [value for value in np.unique(rows[:, 0]) if _is_inside(rows[rows[:, 0] == value], share)]
    left_out = ", ".join(f"{value:.3g}" for value in np.setdiff1d(rows[:, 0], inside))
    reason = f"success does not pass {share:g} inside the grid at z = {left_out}" if left_out else None
    if len(inside) < 2:
        return Estimate(None, None, reason or "there is one setting only")
    rows, member = rows[np.isin(rows[:, 0], inside)], member[np.isin(rows[:, 0], inside)]
    return _jackknife(rows, member, share, reason)


def _jackknife(rows: Array, member: NDArray[Any], share: float, reason: str | None) -> Estimate:
    value, each = _slope(rows, share), np.unique(member)
    if len(each) < _GROUPS_FOR_AN_INTERVAL:
        return Estimate(value, None, reason)
    without = np.array([_slope(rows[member != group], share) for group in each])
    if not np.isfinite(without).all():
        return Estimate(value, None, "without one of the groups, success does not rise with the place")
    pseudo = len(each) * value - (len(each) - 1) * without
    half = float(scipy.stats.t.ppf(0.975, len(each) - 1) * scipy.stats.sem(pseudo))
    return Estimate(value, (value - half, value + half), reason)


def _slope(rows: Array, share: float) -> float:
    """Slope over settings z of the places in rows (z, log place, outcome); NaN where a setting has no place."""
    settings = np.unique(rows[:, 0])
    return float(np.polyfit(settings, [_place(rows[rows[:, 0] == value], share) for value in settings], 1)[0])


def _place(rows: Array, share: float) -> float:
    """Log of the place at which the success share of rows (·, log place, outcome) is ``share``; NaN if it falls."""
    height, won = rows[:, 1], rows[:, 2]
    level, steepness = _firth(np.stack([np.ones_like(height), height], 1), won)
    return float((scipy.special.logit(share) - level) / steepness) if steepness > 0 else math.nan


def _is_inside(rows: Array, share: float) -> bool:
    height = rows[:, 1]
    return len(np.unique(rows[:, 2])) > 1 and bool(height.min() <= _place(rows, share) <= height.max())


def _firth(design: Array, won: Array) -> Array:
    """Coefficients of a logistic fit with Jeffreys' prior, by Fisher scoring on Firth's modified score."""
    centre = design[:, 1:].mean(0)
    centred = np.hstack([design[:, :1], design[:, 1:] - centre])
    found = np.zeros(design.shape[1])
    for _ in range(_SCORINGS):
        share = scipy.special.expit(centred @ found)
        weights = np.maximum(share * (1 - share), 1e-12)
        inverse = np.linalg.pinv(centred.T @ (weights[:, None] * centred))
        leverage = weights * np.einsum("ij,jk,ik->i", centred, inverse, centred)
        step = inverse @ (centred.T @ (won - share + leverage * (0.5 - share)))
        found += step / max(1.0, float(np.abs(step).max()) / 2)
        if np.abs(step).max() < 1e-9:
            break
    return np.asarray([found[0] - centre @ found[1:], *found[1:]])


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
    fine, coarse = ({"method": "Nelder-Mead", "options": {"xatol": x, "fatol": f}} for x, f in ((1e-6, 1e-9), _INNER))
    best = scipy.optimize.minimize(lambda v: cost(*v), [*nuisance, start], **coarse)
    best = scipy.optimize.minimize(lambda v: cost(*v), best.x, **fine)
    rise = scipy.stats.chi2.ppf(0.95, 1) / 2

    def excess(parameter: float) -> float:
        inner = scipy.optimize.minimize(lambda v: cost(*v, parameter), best.x[:-1], **coarse)
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
    return float(scipy.optimize.brentq(excess, *sorted((near, far)), xtol=1e-3))
