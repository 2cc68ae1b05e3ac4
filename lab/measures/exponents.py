"""Exponents of power laws in the width, with intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from lab.arrays import as_array
from lab.errors import check_number, refuse
from lab.html import Facts
from lab.measures.estimate import Estimate

Array = NDArray[np.float64]

_SEEDS_FOR_AN_INTERVAL = 3


@dataclass(frozen=True)
class Exponent(Facts):
    """Slope of log(quantity) on log(width), fitted per seed and averaged over seeds.

    Attributes
    ----------
    value
        Mean slope; None if fewer than two widths are left.
    interval
        Student-t 95 % interval over seeds; None for fewer than 3.
    seeds
        How many seeds entered.
    widths
        The widths that entered: those at which every seed has a finite positive value.
    local_slopes
        Mean slope between each two neighbouring widths, so that a curve that is no power law shows.
    log_intercept
        Mean of the fitted log(quantity) at width 1.
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

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        return "Slope of log(quantity) on log(width)", {
            "mean over seeds": self.value,
            "95 % interval": self.interval,
            "seeds": self.seeds,
            "widths": ", ".join(f"{width:g}" for width in self.widths),
            "local slopes": ", ".join(f"{slope:.3g}" for slope in self.local_slopes),
            "reason": self.reason,
        }


def fit_exponent(widths: Sequence[float] | ArrayLike, values: ArrayLike) -> Exponent:
    """Fit one exponent.

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
    order = np.argsort(m)
    m, table = m[order], table[:, order]
    good = np.isfinite(table).all(0) & (np.nan_to_num(table) > 0).all(0)
    left_out = ", ".join(f"{width:g}" for width in m[~good])
    reason = f"left out: {left_out} (no finite positive value for some seed)" if left_out else None
    entered = tuple(m[good].tolist())
    if good.sum() < 2:
        return Exponent(
            None, None, len(table), entered, (), None, f"fewer than two widths are left; {reason or ''}".strip("; ")
        )
    x, y = np.log(m[good]), np.log(table[:, good])
    slopes, intercepts = np.polyfit(x, y.T, 1)
    local = np.diff(y, axis=1).mean(0) / np.diff(x)
    mean, interval = mean_interval(slopes)
    return Exponent(mean, interval, len(table), entered, tuple(local.tolist()), float(intercepts.mean()), reason)


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
        that entered. No value unless the interval of the exponent lies below 0.
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
