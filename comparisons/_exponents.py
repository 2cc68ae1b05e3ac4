"""Exponents in the width from a table of cells, and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from comparisons._shape import Number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from lab.measures.exponents import Exponent

CENSORED = 0.2  # share of censored seeds above which a setting enters no degree
READS = {"last": "last time step", "all": "all time steps", "mean": "mean over time"}


def readouts(table: pd.DataFrame) -> list[str]:
    """The readouts of a table, the main one first."""
    return list(dict.fromkeys(table["readout"]))


def numbers(table: pd.DataFrame, quantities: Iterable[str]) -> dict[str, Number]:
    """``exponent.<quantity>`` for the main readout, ``exponent.<quantity>.<readout>`` for each further one."""
    found = {}
    for place, readout in enumerate(readouts(table)):
        arm = table[table["readout"] == readout]
        for name in quantities:
            found[f"exponent.{name}" + (f".{readout}" if place else "")] = _explained(number(fit(arm, name)), arm, name)
    return found


def _explained(exponent: Number, arm: pd.DataFrame, name: str) -> Number:
    """With the cells' own reason in place of the fit's, where no cell has a value."""
    if "reasons" not in arm or arm[name].notna().any():
        return exponent
    parts = (part for text in arm["reasons"] for part in str(text).split("; "))
    told = (part.removeprefix(f"{name}: ") for part in parts if part.startswith(f"{name}: "))
    return replace(exponent, reason=next(told, exponent.reason))


def fit(arm: pd.DataFrame, name: str, x: str = "width") -> Exponent:
    """The exponent of one quantity in the column ``x``, from a table with one row per x and seed."""
    from lab.measures.exponents import fit_exponent

    grid = _grid(arm, name, x)
    return fit_exponent(grid.columns.to_numpy(float), grid.to_numpy())


def number(exponent: Exponent) -> Number:
    """The exponent as a number of a conclusion, with the widths that entered and the local slopes."""
    details = {"widths": list(exponent.widths), "local_slopes": [round(slope, 4) for slope in exponent.local_slopes]}
    return Number(exponent.value, exponent.interval, exponent.seeds, exponent.reason, details)


def finite(value: float) -> float | None:
    """The value, or None where a table should have an empty cell."""
    return value if np.isfinite(value) else None


def crossing(arm: pd.DataFrame, name: str, level: float, x: str = "width") -> Number:
    """Where a quantity falls through a level along ``x``, per seed; no value if some seed's place is off the grid."""
    from lab.measures.thresholds import falls_through

    places = []
    for _, rows in arm.groupby("seed"):
        seen = rows.dropna(subset=[name])
        places += [falls_through(seen[x], seen[name].to_numpy(float), level)] if len(seen) else []
    return threshold([place.value for place in places], [place.censored for place in places])


def threshold(values: Iterable[float], censored: Iterable[str | None]) -> Number:
    """Geometric mean of thresholds over seeds; no value, and why, where one of them lies off its grid."""
    values, sides = list(values), [side if isinstance(side, str) and side else None for side in censored]
    outside = [f"{side} censored at {value:.4g}" for value, side in zip(values, sides, strict=True) if side]
    if outside:
        return Number.none(f"{len(outside)} of {len(values)} seeds {', '.join(sorted(set(outside)))}", len(values))
    return Number.geometric(values) if values else Number.none("no seed has one")


def threshold_degree(arm: pd.DataFrame, name: str, censored: str, x: str = "width") -> Number:
    """Degree of a threshold in ``x`` by censored regression; settings with over 20 % censored seeds are left out."""
    from lab.measures.thresholds import Threshold, censored_slope

    seeds, sides = int(arm["seed"].nunique()), arm[censored].fillna("")
    share = (sides != "").groupby(arm[x]).mean()
    kept = arm[arm[x].map(share) <= CENSORED]
    places = sorted(kept[x].unique().tolist())
    gone = ", ".join(f"{place:g}" for place in share.index if place not in places)
    reason = f"left out: {gone} (more than {100 * CENSORED:g} % of the seeds censored)" if gone else None
    if len(places) < 3:
        return Number.none(f"fewer than three {x}s are left; {reason or ''}".rstrip("; "), seeds)
    pairs = zip(kept[name], sides[kept.index], strict=True)
    fitted = censored_slope(kept[x], [Threshold(float(value), side or None) for value, side in pairs])
    return Number(fitted.value, fitted.interval, seeds, fitted.reason or reason, {f"{x}s": places})


def judge(exponent: Number, theory: float) -> str:
    """What the interval of a falling quantity says about the theory's exponent."""
    if exponent.interval is None:
        return "one interval needs three seeds or more"
    low, high = exponent.interval
    if low <= 0 <= high:
        return "no trend is visible at this size"
    if low > 0:
        return "it grows with the width here"
    if low <= theory <= high:
        return f"compatible with the theory's exponent {theory:g}".replace("-", "−")
    return f"{'slower' if low > theory else 'faster'} than the theory's exponent {theory:g}".replace("-", "−")


def draw(
    ax: Axes, arm: pd.DataFrame, name: str, color: str, what: str = "", shift: float = 1.0, x: str = "width"
) -> Axes:
    """Seeds, intervals, fitted line and its band for one quantity against the column ``x`` (one row per x and seed).

    ``what`` names it in the legend; ``shift`` moves its points sideways by a factor. The caller labels an axis that is
    no width.
    """
    from lab.figures import curves

    grid = _grid(arm, name, x)
    good = grid.loc[:, (np.isfinite(grid) & (grid > 0)).all()]
    if good.empty:
        ax.text(
            0.5, 0.5, "no finite positive values:\nsee the reasons in table.csv", transform=ax.transAxes, ha="center"
        )
        return curves.width_axis(ax, grid.columns.to_numpy(float))
    exponent, values = fit(arm, name, x), good.to_numpy()
    line = (
        None if exponent.value is None or exponent.log_intercept is None else (exponent.value, exponent.log_intercept)
    )
    slope = f"slope {number(exponent)}".replace("-", "−") if line else "no slope"
    widths, label = good.columns.to_numpy(float), f"{what}: {slope}" if what else slope
    shape = {"line": line, "band": exponent.interval, "interval": log_intervals(values), "shift": shift}
    curves.power_law(ax, widths, values, color=color, label=label, **shape)
    return curves.width_axis(ax, grid.columns.to_numpy(float))  # all widths, also one that was left out


def log_intervals(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """t intervals of the geometric mean at each width, from values (seeds, w); None for fewer than three seeds."""
    from lab.measures.exponents import mean_interval

    intervals = [mean_interval(column)[1] for column in np.log(values).T]
    if any(interval is None for interval in intervals):
        return None
    low, high = np.exp(np.array(intervals)).T
    return low, high


def _grid(arm: pd.DataFrame, name: str, x: str) -> pd.DataFrame:
    return arm.pivot(index="seed", columns=x, values=name).astype(float)
