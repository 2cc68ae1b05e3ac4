"""Power laws: slopes on log scales, with their intervals, from a table or from values by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from comparisons.kit.fits import Curve, by_seed, curve_of, samples
from comparisons.kit.numbers import Number

if TYPE_CHECKING:
    import pandas as pd

    from lab.measures.exponents import Exponent

Array = NDArray[np.float64]

OWN_SEEDS = ("width",)  #: columns each of whose values has seeds of its own: see `comparisons.kit.seeds`


@dataclass(frozen=True)
class PowerLaw:
    """A quantity against x on log scales, and the power law that was fitted to it.

    Attributes
    ----------
    curve
        Seeds and geometric means at the x that entered.
    line
        Slope and log-intercept; None without a fit.
    exponent
        The slope as a number of a conclusion.
    x, lost
        Every x; and those that were left out as text, each with the share of seeds that have no value, and why.
    rest
        Seeds at those that were left out.
    """

    curve: Curve
    line: tuple[float, float] | None
    exponent: Number
    x: Array
    rest: Curve
    lost: tuple[str, ...] = ()

    def reaches(self, level: float) -> Number:
        """Where the power law, continued, falls through a level; see `lab.measures.exponents.extrapolated_place`."""
        from lab.measures.exponents import Exponent, extrapolated_place

        seeds, intercept = self.exponent.seeds, None if self.line is None else self.line[1]
        value, interval, reason = self.exponent.value, self.exponent.interval, self.exponent.reason
        found = Exponent(value, interval, seeds, tuple(self.curve.x.tolist()), (), intercept, reason)
        return Number.estimated(extrapolated_place(found, level), seeds, scale="log")


def power_law(rows: pd.DataFrame, column: str, x: str = "width", name: str = "widths") -> PowerLaw:
    """The power law of one column in the column ``x``, from a table with one row per x and seed.

    It is the mean of every seed's own slope (`lab.fit_exponent`). In the width, where seeds are independent and may be
    more at one width than at another, it is a contrast of independent means where they are not the same at all widths
    (`lab.measures.exponents.fit_unpaired_exponent`). ``name`` is how the details of the number call the x that entered.
    """
    own = x in OWN_SEEDS and rows.groupby(x)["seed"].agg(frozenset).nunique() > 1
    if own:
        found = fit_samples(samples(rows, column, x), name)
    else:
        grid = by_seed(rows, column, x)
        found = fit_seeds(grid.columns, grid, name)
    lost = tuple(_lost(place, rows[rows[x] == place], column) for place in found.rest.x)
    return replace(found, exponent=_explained(found.exponent, rows, column), lost=lost)


def exponent(rows: pd.DataFrame, column: str, x: str = "width", name: str = "widths") -> Number:
    """The slope of `power_law`."""
    return power_law(rows, column, x, name).exponent


def passes(rows: pd.DataFrame, column: str, at: float) -> Number:
    """The width at which the power law of a column falls through a level; see `unpaired_place`.

    Widths at which some seed has no positive value are left out.
    """
    from lab.measures.exponents import unpaired_place

    known = {m: each for m, each in samples(rows, column, "width").items() if np.isfinite(each).all() and min(each) > 0}
    if len(known) < 2:
        return Number.none("fewer than two widths at which all seeds have a value")
    return Number.estimated(unpaired_place(list(known), list(known.values()), at), min(map(len, known.values())))


def level(rows: pd.DataFrame, column: str, verb: str, x: str = "width") -> Number:
    """Geometric mean of one column over every x, which all weigh the same and have seeds of their own.

    Seeds without a value are left out; no value, and how many do what ``verb`` says, where that is half of them.
    """
    logs = {place: np.log(each[np.isfinite(each)]) for place, each in samples(rows, column, x).items()}
    few = [f"{len(each)} of {(rows[x] == place).sum()} seeds {verb} at {x} {place:g}" for place, each in logs.items()
           if 2 * len(each) <= (rows[x] == place).sum()]  # fmt: skip
    if few or not logs:
        return Number.none("; ".join(few) or "nothing was measured")
    return _contrast(np.full(len(logs), 1 / len(logs)), list(logs.values())).exp()


def limit(rows: pd.DataFrame, column: str) -> Number:
    """Limit of one column at infinite width, v∞ of v∞ + c·m^(−1/2) (`lab.measures.plane.width_limits`).

    Widths at which some seed has no value are left out.
    """
    from lab.measures.plane import width_limits

    known = {width: each for width, each in samples(rows, column, "width").items() if np.isfinite(each).all()}
    if len(known) < 3:
        return Number.none("fewer than three widths at which all seeds arrived")
    return _contrast(width_limits(list(known), np.eye(len(known))), list(known.values()))


def _contrast(weights: Array, values: Sequence[Array]) -> Number:
    """A weighted sum of the means of independent samples (n_i,)."""
    from lab.measures.exponents import unpaired_interval

    return Number(*unpaired_interval(weights, values), min(map(len, values)))


def ratio_exponent(rows: pd.DataFrame, reference: pd.DataFrame, column: str) -> Number:
    """The slope on log(width) of the log of a column over that of reference rows, paired by width and seed."""
    both = rows.merge(reference, on=["width", "seed"], suffixes=("", "_reference"))
    return exponent(both.assign(ratio=both[column] / both[f"{column}_reference"]), "ratio")


def fit_seeds(x: ArrayLike, values: ArrayLike, name: str = "widths") -> PowerLaw:
    """The power law of values (seeds, k) in x (k,), of seeds that are the same at every x; see `lab.fit_exponent`."""
    from lab.measures.exponents import fit_exponent

    places, table = np.asarray(x, dtype=np.float64), np.atleast_2d(np.asarray(values, dtype=np.float64))
    found = fit_exponent(places, table) if len(places) else None
    return _law(places, list(table.T), found, name)


def fit_samples(values: Mapping[float, Array], name: str = "widths") -> PowerLaw:
    """The power law of samples (n_i,) by x, each with seeds of its own; see `fit_unpaired_exponent`."""
    from lab.measures.exponents import fit_unpaired_exponent

    places, each = np.array(list(values), dtype=np.float64), list(values.values())
    found = fit_unpaired_exponent(places, each) if len(places) else None
    fewest = min(map(len, each), default=0)
    return _law(places, each, None if found is None else replace(found, seeds=fewest), name)


def _law(x: Array, values: Sequence[Array], found: Exponent | None, name: str) -> PowerLaw:
    """A fit with its curve; ``found`` is None where nothing was measured."""
    if found is None:
        return PowerLaw(empty := curve_of(x, values), None, Number.none("nothing was measured"), x, empty)
    good = np.array([bool(np.isfinite(each).all() and (each > 0).all()) for each in values])
    line = None if found.value is None or found.log_intercept is None else (found.value, found.log_intercept)
    entered, rest = (
        curve_of(x[kept], [each for each, there in zip(values, kept, strict=True) if there], log=True)
        for kept in (good, ~good)
    )
    return PowerLaw(entered, line, _slope(found, name, list(map(len, values))), x, rest)


def _slope(found: Exponent, name: str, counts: Sequence[int]) -> Number:
    """The slope as a number, with the x that entered, local slopes, the slope at the widest x, and the curvature.

    Its seeds are the fewest at any x; where they differ, the details have them all.
    """
    local = [round(slope, 4) for slope in found.local_slopes]
    bend = {"widest": asdict(found.widest), "curvature": asdict(found.curvature)}
    uneven = {"seeds_at_each": list(counts)} if len(set(counts)) > 1 else {}
    details = {name: list(found.widths), "local_slopes": local, **bend, **uneven}
    return Number(found.value, found.interval, found.seeds, found.reason, details)


def _lost(place: float, rows: pd.DataFrame, column: str) -> str:
    """One x, and why its rows have no geometric mean."""
    gone = rows[~(rows[column].to_numpy(float) > 0)]
    marks = gone["diverged"].tolist() if "diverged" in gone else []
    diverged = bool(marks) and all(mark == mark and bool(mark) for mark in marks)  # NaN is no mark
    return f"{place:g} ({len(gone)}/{len(rows)} {'diverged' if diverged else 'without a value'})"


def _explained(exponent: Number, rows: pd.DataFrame, column: str) -> Number:
    """With the cells' own reason in place of the fit's, where no cell has a value."""
    if "reasons" not in rows or rows[column].notna().any():
        return exponent
    parts = (part for text in rows["reasons"] for part in str(text).split("; "))
    given = (part.removeprefix(f"{column}: ") for part in parts if part.startswith(f"{column}: "))
    return replace(exponent, reason=next(given, exponent.reason))
