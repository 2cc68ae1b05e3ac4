"""Exponents of power laws in the width, with intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy.optimize
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from lab.arrays import as_array
from lab.errors import check_number, refuse
from lab.html import Facts
from lab.measures.estimate import Estimate, Interval

Array = NDArray[np.float64]

_SEEDS_FOR_AN_INTERVAL = 3
_FAR = 10  # between the ends of the interval of a place beyond the data
_WIDEST = 4.0  # the widths from a quarter of the largest one on are the widest two octaves


NO_ESTIMATE = Estimate(None, None, "too few widths are left")


@dataclass(frozen=True)
class Exponent(Facts):
    """Slope of log(quantity) on log(width), a fixed contrast of the mean logs at each width.

    Attributes
    ----------
    value
        Mean slope; None if fewer than two widths are left.
    interval
        95 % interval over seeds; None for fewer than 3, at any width if each has seeds of its own.
    seeds
        How many seeds entered, over all widths if each has its own.
    widths
        The widths that entered: those at which every seed has a finite positive value.
    local_slopes
        Mean slope between each two neighbouring widths, so that a curve that is no power law shows.
    log_intercept
        Mean of the fitted log(quantity) at width 1.
    widest
        The slope over the widest two octaves; no value where less than two widths lie there.
    curvature
        By how much the slope changes from one octave to the next: 2 ln 2 times the coefficient of log²(width) in a
        parabola; 0 for a power law, no value for fewer than three widths.
    reason
        Why there is no value, or which widths were left out; None if all is well.
    """

    value: float | None
    interval: tuple[float, float] | None
    seeds: int
    widths: tuple[float, ...]
    local_slopes: tuple[float, ...]
    log_intercept: float | None
    reason: str | None = None
    widest: Estimate = field(default=NO_ESTIMATE, repr=False)
    curvature: Estimate = field(default=NO_ESTIMATE, repr=False)

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        return "Slope of log(quantity) on log(width)", {
            "mean over seeds": self.value,
            "95 % interval": self.interval,
            "seeds": self.seeds,
            "widths": ", ".join(f"{width:g}" for width in self.widths),
            "local slopes": ", ".join(f"{slope:.3g}" for slope in self.local_slopes),
            "slope over the widest two octaves": self.widest.value,
            "change of the slope per octave": self.curvature.value,
            "reason": self.reason,
        }


def fit_exponent(widths: Sequence[float] | ArrayLike, values: ArrayLike) -> Exponent:
    """Fit one exponent to seeds that are the same at every width.

    The slope is that of each seed, averaged, so that what a seed has in common at all widths, such as its data, is part
    of the interval.

    Parameters
    ----------
    widths
        Distinct positive numbers (w,).
    values
        Shape (seeds, w). A width at which a seed has no finite positive value (it diverged, say) is left out for all
        seeds, so that every slope is over the same widths.

    Raises
    ------
    LabError
        Shapes that do not match, or widths that are not positive and distinct.
    """
    m, table = as_array("widths", widths), np.atleast_2d(as_array("values", values))
    _check(m, table)
    return _fit(m, list(table.T), len(table), lambda weights, logs: mean_interval(weights @ np.array(logs)))


def fit_unpaired_exponent(widths: Sequence[float] | ArrayLike, samples: Sequence[ArrayLike]) -> Exponent:
    """Fit one exponent to seeds that each width has of its own, maybe more at one than at another.

    The slope is Σ w_i ȳ_i over the mean logs ȳ_i, w_i = (x_i − x̄)/Σ(x − x̄)² for x = log(width): what is estimated does
    not depend on how many seeds a width has. Its variance is Σ a_i with a_i = w_i² s_i²/n_i, its degrees of freedom
    (Σ a_i)²/Σ(a_i²/(n_i − 1)) (Satterthwaite 1946). Use four seeds or more at every width: how often the interval then
    holds the slope, ``python -m tests.benchmarks.coverage`` measures.

    Parameters
    ----------
    widths
        Distinct positive numbers (w,).
    samples
        One array (n_i,) of values for each width. A width with a value that is not finite and positive is left out.

    Raises
    ------
    LabError
        Other than one sample for each width, an empty one, or widths that are not positive and distinct.
    """
    m, found = as_array("widths", widths), [np.ravel(as_array("samples", sample)) for sample in samples]
    if m.ndim != 1 or len(found) != len(m) or not all(map(len, found)):
        came = f"{len(found)} samples of {sorted({len(sample) for sample in found})} values for {np.shape(m)} widths"
        refuse("samples", came, "one sample with a value or more for each width", "drop widths without seeds")
    _check(m, np.ones((1, len(m))))
    return _fit(m, found, sum(map(len, found)), unpaired_interval)


def _fit(
    widths: Array,
    samples: list[Array],
    seeds: int,
    estimate: Callable[[Array, list[Array]], tuple[float, Interval | None]],
) -> Exponent:
    """An exponent from samples (n_i,) at each width, by how a contrast of their logs is estimated."""
    order = np.argsort(widths).tolist()
    m, samples = widths[order], [samples[place] for place in order]
    good = np.array([bool(np.isfinite(sample).all() and (sample > 0).all()) for sample in samples])
    left_out = ", ".join(f"{width:g}" for width in m[~good])
    reason = f"left out: {left_out} (no finite positive value for some seed)" if left_out else None
    entered = tuple(m[good].tolist())
    if good.sum() < 2:
        return Exponent(
            None, None, seeds, entered, (), None, f"fewer than two widths are left; {reason or ''}".strip("; ")
        )
    x, logs = np.log(m[good]), [np.log(sample) for sample, fine in zip(samples, good, strict=True) if fine]
    means = np.array([each.mean() for each in logs])
    value, interval = estimate(slope_weights(x), logs)
    local, intercept = np.diff(means) / np.diff(x), float(means.mean() - value * x.mean())
    last = x >= np.log(m[good][-1] / _WIDEST) - 1e-9
    widest = Estimate(*estimate(slope_weights(x, last), logs)) if last.sum() > 1 else NO_ESTIMATE
    curvature = Estimate(*estimate(_curvature_weights(x), logs)) if len(x) > 2 else NO_ESTIMATE
    return Exponent(value, interval, seeds, entered, tuple(local.tolist()), intercept, reason, widest, curvature)


def slope_weights(x: Array, chosen: NDArray[np.bool_] | None = None) -> Array:
    """Weights (k,) of values at places x (k,) in the least-squares slope; of some places alone, others weigh 0."""
    kept = np.ones(len(x), dtype=bool) if chosen is None else chosen
    deviation = np.where(kept, x - x[kept].mean(), 0.0)
    return np.asarray(deviation / np.square(deviation).sum())


def _curvature_weights(x: Array) -> Array:
    """Weights (k,) of values at x = log(width) in the change of their slope per octave."""
    centred = x - x.mean()
    parabola = np.linalg.pinv(np.stack([np.ones_like(x), centred, centred**2], axis=1))
    return np.asarray(2 * math.log(2) * parabola[2])


def unpaired_interval(
    weights: Array, samples: Sequence[Array], confidence: float = 0.95
) -> tuple[float, Interval | None]:
    """A contrast Σ w_i ȳ_i of the means of independent samples (n_i,), with its interval by Satterthwaite.

    There is none where a sample with a weight has fewer than 3 values.
    """
    value = float(sum(weight * sample.mean() for weight, sample in zip(weights, samples, strict=True)))
    weighed = [(weight, sample) for weight, sample in zip(weights, samples, strict=True) if weight]
    if min(len(sample) for _, sample in weighed) < _SEEDS_FOR_AN_INTERVAL:
        return value, None
    parts = np.array([weight**2 * sample.var(ddof=1) / len(sample) for weight, sample in weighed])
    spare = np.array([len(sample) - 1 for _, sample in weighed])
    if not parts.sum() > 0:
        return value, (value, value)
    freedom = parts.sum() ** 2 / (parts**2 / spare).sum()
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, freedom) * math.sqrt(parts.sum()))
    return value, (value - half, value + half)


def unpaired_place(widths: Sequence[float] | ArrayLike, samples: Sequence[ArrayLike], level: float) -> Estimate:
    """The width at which the power law of `fit_unpaired_exponent` falls through a level.

    Parameters
    ----------
    widths, samples
        As there; finite and positive.
    level
        In units of the samples.

    Returns
    -------
    Estimate
        The width and its interval: where the interval of the fitted line holds the level (Fieller 1954), infinite where
        it holds it as far as a factor of 1,000 beyond the widths. No value where the line does not fall, or passes the
        level outside the widths.
    """
    check_number("level", level, above=0)
    x, logs = np.log(np.asarray(widths, dtype=np.float64)), [np.log(np.asarray(each, float)) for each in samples]
    slope = float(slope_weights(x) @ [each.mean() for each in logs])
    if slope >= 0:
        return Estimate(None, None, "it does not fall")

    def above(place: float) -> tuple[float, Interval]:
        """The line over the level, and its interval."""
        value, ends = unpaired_interval(1 / len(x) + (place - x.mean()) * slope_weights(x), logs)
        return value - math.log(level), (-math.inf, math.inf) if ends is None else tuple(ends - np.log(level))

    place = x.mean() - above(x.mean())[0] / slope
    if not x.min() <= place <= x.max():
        side, end = ("left", x.min()) if place < x.min() else ("right", x.max())
        return Estimate(None, None, f"{side} censored at {math.exp(end):g}")
    far = x.min() - math.log(1000), x.max() + math.log(1000)
    low = _root(lambda at: above(at)[1][0], far[0], place, 0.0)
    high = _root(lambda at: above(at)[1][1], place, far[1], math.inf)
    return Estimate(math.exp(place), (math.exp(low) if low else 0.0, math.exp(high)))


def _root(function: Callable[[float], float], low: float, high: float, without: float) -> float:
    """Where a function that falls passes 0; ``without`` where it does not between these ends."""
    if not function(low) > 0 > function(high):
        return without
    return float(scipy.optimize.brentq(function, low, high))


def extrapolated_place(found: Exponent, level: float) -> Estimate:
    """The width at which a falling power law, continued beyond its data, passes a level.

    Parameters
    ----------
    found
        A fitted power law.
    level
        In units of the quantity.

    Returns
    -------
    Estimate
        The place and its interval, which is that of the exponent alone: the line turns about the middle of the widths
        that entered. No value unless the interval of the exponent lies below 0, nor where that of the place spans more
        than a factor of ten.
    """
    check_number("level", level, above=0)
    if found.value is None or found.log_intercept is None:
        return Estimate(None, None, found.reason or "no power law")
    if found.interval is None or found.interval[1] >= 0:
        return Estimate(None, None, "the interval of the exponent does not lie below 0")
    middle = float(np.log(found.widths).mean())
    height = found.log_intercept + found.value * middle - math.log(level)
    with np.errstate(over="ignore"):  # a slope next to 0
        value, *ends = np.exp(middle - height / np.array([found.value, *found.interval])).tolist()
    if not math.isfinite(value):
        return Estimate(None, None, "it falls too slowly for a power law to name a width")
    if max(ends) > _FAR * min(ends):
        return Estimate(None, None, f"the exponent does not say where: its interval spans more than a factor of {_FAR}")
    return Estimate(value, (min(ends), max(ends)), found.reason)


def mean_interval(values: ArrayLike, confidence: float = 0.95) -> tuple[float, tuple[float, float] | None]:
    """Mean of values (seeds,) and its Student-t interval; None instead of an interval for fewer than 3 of them."""
    check_number("confidence", confidence, above=0, below=1)
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if len(sample) < _SEEDS_FOR_AN_INTERVAL:
        return mean, None
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, len(sample) - 1) * scipy.stats.sem(sample))
    return mean, (mean - half, mean + half)


def _check(widths: Array, table: Array) -> None:
    if widths.ndim != 1 or table.ndim != 2 or table.shape[1] != len(widths) or not len(table):
        came = f"shapes {widths.shape} and {table.shape}"
        refuse("values", came, "widths (w,) and values (seeds, w)", "put seeds on the first axis")
    if not (np.isfinite(widths) & (widths > 0)).all() or len(np.unique(widths)) < len(widths):
        refuse("widths", str(widths.tolist()), "distinct positive numbers", "drop the doubles")
