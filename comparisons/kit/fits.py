"""Fits and averages over seeds: every line, mean and interval that a conclusion states or a figure draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from comparisons.kit.keys import Key, Quantity
from comparisons.kit.numbers import Interval, Number

if TYPE_CHECKING:
    import pandas as pd

    from lab.measures.thresholds import Threshold

Array = NDArray[np.float64]

CENSORED = 0.2  #: share of censored seeds above which a setting enters no degree


@dataclass(frozen=True)
class Curve:
    """A quantity along x: every seed, and the mean with its interval.

    Attributes
    ----------
    x, values
        Shapes (k,) and (seeds, k); NaN also where an x has fewer seeds than another.
    middle
        Average over seeds (k,); NaN where some seed has no value.
    ends
        Ends (2, k) of its 95 % interval; None for fewer than three seeds.
    """

    x: Array
    values: Array
    middle: Array
    ends: Array | None


def curve(x: ArrayLike, values: ArrayLike, *, log: bool = False, share: bool = False) -> Curve:
    """Mean over seeds of values (seeds, k) at each x (k,), with its t interval.

    With ``log`` it is the geometric mean, of positive values; with ``share`` that of `Number.rate`, from 0 to 1.
    """
    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    return curve_of(x, list(table.T), log=log, share=share)


def curve_of(x: ArrayLike, samples: Sequence[Array], *, log: bool = False, share: bool = False) -> Curve:
    """`curve` of one sample (n_i,) at each x (k,), which may be of different sizes."""
    from lab.measures.exponents import mean_interval

    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = [np.log(each) if log else np.arcsin(np.sqrt(each)) if share else each for each in samples]
    found = [mean_interval(np.where(np.isfinite(each), each, np.nan)) for each in scaled]
    average = np.array([(mean, *(ends or (np.nan, np.nan))) for mean, ends in found]).reshape(-1, 3).T
    average = np.exp(average) if log else np.sin(np.clip(average, 0, np.pi / 2)) ** 2 if share else average
    most = max(map(len, samples), default=0)
    seeds = np.full((most, len(samples)), np.nan)
    for place, each in enumerate(samples):
        seeds[: len(each), place] = each
    return Curve(np.asarray(x, dtype=np.float64), seeds, average[0], average[1:] if most >= 3 else None)


def samples(rows: pd.DataFrame, column: str, x: str) -> dict[float, Array]:
    """Values (n_i,) of one column by the value of the column ``x``, ascending."""
    places = np.unique(rows[x].to_numpy(float)).tolist()
    return {place: rows.loc[rows[x] == place, column].to_numpy(float) for place in places}


def by_seed(rows: pd.DataFrame, column: str, x: str = "width") -> pd.DataFrame:
    """Values of one column, a row for each seed and a column for each x."""
    return rows.pivot(index="seed", columns=x, values=column).astype(float)


def along(rows: pd.DataFrame, column: str, x: str, *, log: bool = False, share: bool = False) -> Curve:
    """`curve` of one column along the column ``x``, from a table with one row per x and seed."""
    found = samples(rows, column, x)
    return curve_of(list(found), list(found.values()), log=log, share=share)


def crossing(rows: pd.DataFrame, column: str, level: float, x: str = "width") -> Number:
    """Where a quantity falls through a level along ``x``, by the seeds that there are at every x.

    No value if some seed's place is off the grid.
    """
    from lab.measures.thresholds import falls_through

    every = rows.groupby("seed")[x].transform("nunique") == rows[x].nunique()
    seen = [part.dropna(subset=[column]) for _, part in rows[every].groupby("seed")]
    return threshold([falls_through(part[x], part[column].to_numpy(float), level) for part in seen if len(part)])


def read_thresholds(values: Iterable[float], marks: Iterable[object]) -> list[Threshold]:
    """Thresholds from two columns of a table; what is no text in the second one means that the place is known."""
    from lab.measures.thresholds import Threshold

    given = ((float(value), mark) for value, mark in zip(values, marks, strict=True))
    return [Threshold(value, mark if mark in ("left", "right") else None) for value, mark in given]


def threshold(places: Sequence[Threshold]) -> Number:
    """Geometric mean of thresholds over seeds; no value, and why, where one of them lies off its grid."""
    outside = [str(place.reason) for place in places if place.censored]
    if outside:
        return Number.none(f"{len(outside)} of {len(places)} seeds {', '.join(sorted(set(outside)))}", len(places))
    return Number.geometric(place.value for place in places) if places else Number.none("no seed has one")


def mean_threshold(rows: pd.DataFrame, column: str, marks: str) -> Number:
    """`threshold` of a column and its column of censoring marks, if it is there; rows without a value are left out."""
    known = rows.dropna(subset=[column])
    return threshold(read_thresholds(known[column], known[marks] if marks in known else [None] * len(known)))


def threshold_degree(rows: pd.DataFrame, column: str, marks: str, x: str = "width") -> Number:
    """Degree in ``x`` of known thresholds by censored regression, without settings with over 20 % censored seeds."""
    from lab.measures.thresholds import censored_slope

    rows = rows.dropna(subset=[column])
    seeds, sides = int(rows["seed"].nunique()), rows[marks].fillna("")
    share = (sides != "").groupby(rows[x]).mean()
    kept = rows[rows[x].map(share) <= CENSORED]
    places = sorted(kept[x].unique().tolist())
    gone = ", ".join(f"{place:g}" for place in share.index if place not in places)
    reason = f"left out: {gone} (more than {100 * CENSORED:g} % of the seeds censored)" if gone else None
    if len(places) < 3:
        return Number.none(f"fewer than three {x}s are left; {reason or ''}".rstrip("; "), seeds)
    found = censored_slope(kept[x], read_thresholds(kept[column], sides[kept.index]))
    return Number.estimated(found, seeds, reason, "linear", **{f"{x}s": places})


def median_time(rows: pd.DataFrame, column: str, marks: str) -> Number:
    """Kaplan–Meier median over seeds of a time at the largest width; the details have the medians of all widths.

    ``marks`` is the column of censoring marks. A row without a time diverged and enters nothing.
    """
    from lab.measures.thresholds import median_survival

    known = rows.dropna(subset=[column])
    groups = {int(width): known[known["width"] == width] for width in sorted(known["width"].unique())}
    times = {width: read_thresholds(part[column], part[marks]) for width, part in groups.items()}
    medians = {width: median_survival(values) for width, values in times.items()}
    last = int(rows["width"].max())
    if last not in medians:
        return Number.none("every run at the largest width diverged")
    every = {str(width): median.value for width, median in medians.items()}
    return Number.estimated(medians[last], len(times[last]), scale="log", width=last, medians=every)


def paired_ratio(rows: pd.DataFrame, reference: pd.DataFrame, column: str, same: Sequence[str]) -> Number:
    """Geometric mean over seeds of a column's ratio to that of the reference rows with equal values in ``same``."""
    unit = reference.set_index(list(same))[column].rename("unit")
    pairs = rows.set_index(list(same))[column].to_frame("own").join(unit, how="inner").dropna()
    return Number.geometric(pairs["own"] / pairs["unit"]) if len(pairs) else Number.none("no pair of runs has both")


def line_through(x: ArrayLike, numbers: Sequence[Number], slope: Number) -> tuple[float, float] | None:
    """Slope and log-intercept of the power law of this slope through the geometric mean of numbers at x; or None."""
    places, values = np.asarray(x, dtype=np.float64), ends_of(numbers)[0]
    known = np.isfinite(values)
    if slope.value is None or not known.any():
        return None
    return slope.value, float(np.log(values[known]).mean() - slope.value * np.log(places[known]).mean())


def at_each(
    rows: pd.DataFrame,
    x: str,
    quantities: Mapping[str, Quantity],
    arm: str = "",
    average: Callable[[pd.Series[Any]], Number] = Number.mean,
) -> dict[Key, Number]:
    """Average over seeds of some columns at each value of the column ``x``, in the order of the table.

    ``quantities`` make the keys, by column, from the value of ``x`` and the suffix of the arm.
    """
    return {
        quantity(value, arm=arm): average(rows.loc[rows[x] == value, column])
        for column, quantity in quantities.items()
        for value in dict.fromkeys(rows[x])
    }


def ends_of(numbers: Sequence[Number]) -> tuple[Array, Array]:
    """Values (k,) and interval ends (k, 2) of some numbers, as figures take them; NaN for what there is not."""
    missing: Interval = (np.nan, np.nan)
    values = np.array([np.nan if number.value is None else number.value for number in numbers], dtype=np.float64)
    return values, np.array([number.interval or missing for number in numbers], dtype=np.float64).reshape(-1, 2)
