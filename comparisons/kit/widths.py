"""The width that is enough, from ladders as a table holds them: written and read here alone.

A training ladder has one column for each width that was tried, `exit_column`, with how training ended there. A lazy one
has the columns width and censored (see `comparisons.kit.ladders`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import lab
from comparisons.kit.fits import CENSORED, read_thresholds, threshold
from comparisons.kit.numbers import Number
from comparisons.kit.records import arrays_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from lab.measures.estimate import Estimate
    from lab.sweeps import Results

Array = NDArray[Any]

_FEWEST = 3  # settings for a degree


def exit_column(width: int) -> str:
    """The column that holds how training ended at a width; `Ladders.read` looks it up by the width."""
    return f"exit_{width}"


@dataclass(frozen=True)
class Ladders:
    """Ladders of one sense, as a table holds them.

    Attributes
    ----------
    rows
        One row for each ladder.
    lazy
        In which sense.
    runs
        The training runs behind them, one row each: ``ladder`` (its label in the index of ``rows``), ``seed``,
        ``width`` and ``won``, in the order of the rows and ascending widths. Empty for lazy ladders.
    """

    rows: pd.DataFrame
    lazy: bool
    runs: pd.DataFrame

    @classmethod
    def read(cls, rows: pd.DataFrame, lazy: bool, widths: Iterable[int]) -> Ladders:
        """Ladders from rows of a table, whose widths are among ``widths``."""
        import pandas as pd

        columns = {} if lazy else {width: exit_column(width) for width in sorted(widths)}
        columns = {width: name for width, name in columns.items() if name in rows}
        found = [
            (label, seed, width, end == "reached")
            for label, seed, *ends in rows[["seed", *columns.values()]].itertuples(name=None)
            for width, end in zip(columns, ends, strict=True)
            if isinstance(end, str)
        ]
        return cls(rows, lazy, pd.DataFrame(found, columns=["ladder", "seed", "width", "won"]))

    def where(self, kept: pd.Series[bool]) -> Ladders:
        """The ladders whose rows are marked."""
        rows = self.rows[kept]
        return Ladders(rows, self.lazy, self.runs[self.runs["ladder"].isin(rows.index)])

    def split(self, column: str) -> Iterator[tuple[Any, Ladders]]:
        """The ladders of each value of a column, ascending."""
        for value in sorted(self.rows[column].unique()):
            yield value, self.where(self.rows[column] == value)

    @property
    def censored(self) -> pd.Series[bool]:
        """Whether the own width of each ladder lies outside it."""
        if self.lazy:
            return self.rows["censored"].map(lambda mark: isinstance(mark, str)).astype(bool)
        outcomes = self.runs.groupby("ladder")["won"].nunique()
        return outcomes.reindex(self.rows.index, fill_value=0) < 2

    @property
    def success(self) -> pd.DataFrame:
        """Successes (``sum``), trials (``count``) and their quotient (``mean``) of training at each width."""
        return self.runs.groupby("width")["won"].agg(["sum", "count", "mean"])

    def draw(self, ax: Axes, results: Results, column: str, symbol: str, *columns: str) -> Axes:
        """What lies behind their widths, for each value of a column: the share of successes, or every seed's gaps.

        ``symbol`` names the column in the legend. Gaps are found by it, the notion, the seed and further ``columns``.
        """
        found = ("notion", "seed", column, *columns)
        bundles = {f"{symbol} = {value}": part._curves(results, *found) for value, part in self.split(column)}
        if self.lazy:
            lab.figures.curves.bundles(ax, bundles, level=results.cells[0]["level"], log=True)
            ax.set(title="stays lazy below the dashed level")
            ax.set_ylabel("largest test gap of each seed\n(units of the targets)")
        else:
            lab.figures.curves.bundles(ax, bundles, level=0.9, marker="o")
            ax.set(title="trains above the dashed level", ylabel="share of tried seeds that reached mse < ε")
        return ax

    def _curves(self, results: Results, *columns: str) -> list[tuple[Array, Array]]:
        """Shares or gaps against the widths; the values of some columns find the gaps of each ladder."""
        if not self.lazy:
            counts = self.success
            return [(counts.index.to_numpy(), counts["mean"].to_numpy())]
        found = arrays_of(results, self.rows, *columns)
        return [(each["widths"], each["gaps"]) for each in found]

    def width(self) -> Number:
        """The width that is enough: for nine of ten seeds by a logistic fit, or the geometric mean of lazy ladders."""
        if self.lazy:
            return threshold(read_thresholds(self.rows["width"], self.rows["censored"]))
        counts = self.success
        found = lab.measures.thresholds.success_place(counts.index, counts["sum"], counts["count"])
        return Number.estimated(found, int(self.rows["seed"].nunique()), scale="log")

    def degree(self, x: pd.Series[float], symbol: str, *, log: bool = False) -> Number:
        """Degree of that width in a positive x, or in log x, from three settings or more.

        Parameters
        ----------
        x
            One value for each row. Values with more than 20 % censored ladders are left out, and named in the reason.
        symbol
            Of x, for the reason.
        """
        share = self.censored.groupby(x).mean()
        gone = share[share > CENSORED]
        named = ", ".join(f"{symbol} = {value:.4g} ({part:.0%})" for value, part in gone.items())
        reason = f"left out, more than {CENSORED:.0%} of the seeds censored: {named}" if named else None
        kept = self.where(~x.isin(gone.index))
        places, seeds = x[kept.rows.index], int(kept.rows["seed"].nunique())
        places = places.transform(np.log) if log else places
        if places.nunique() < _FEWEST:
            few = f"fewer than {_FEWEST} settings are left"
            return Number.none(f"{few}; {reason}" if reason else few, seeds)
        settings = [round(value, 6) for value in sorted(places.unique())]
        return Number.estimated(kept._degree(places), seeds, reason, settings=settings)

    def _degree(self, x: pd.Series[float]) -> Estimate:
        if not self.lazy:
            return self.success_slope(x.transform(np.log))
        return lab.measures.thresholds.censored_slope(x, read_thresholds(self.rows["width"], self.rows["censored"]))

    def ratio(self, column: str, one: str, other: str) -> Number:
        """Width of the ladders with one value of a column over that with another, paired by seed.

        For training the ratio of the two m₉₀, with a jackknife over the seeds that have both; otherwise the geometric
        mean of the ratios of the seeds, without those in which a ladder is censored.
        """
        rows = self.rows[self.rows[column].isin([one, other])]
        both = rows.groupby("seed")[column].transform("nunique") == 2
        pair = self.where(both.reindex(self.rows.index, fill_value=False))
        lost = pair.censored.groupby(pair.rows["seed"]).any()
        if lost.empty:
            return Number.none("no seed has both")
        if lost.mean() > CENSORED:
            return Number.none(f"censored in {int(lost.sum())} of {len(lost)} seeds", len(lost))
        if not self.lazy:
            return Number.estimated(pair.success_slope(1.0 * (pair.rows[column] == one)).exp(), len(lost), scale="log")
        known = pair.rows[~pair.rows["seed"].map(lost)].pivot(index="seed", columns=column, values="width")
        ratio = Number.geometric(known[one] / known[other])
        gone = f"left out: seeds {', '.join(map(str, lost.index[lost]))} (censored)" if lost.any() else None
        return replace(ratio, reason=ratio.reason or gone)

    def success_slope(self, z: pd.Series[float]) -> Estimate:
        """Slope in z, one value for each row, of the log of the width that trains (see `lab.measures.thresholds`)."""
        runs = self.runs
        return lab.measures.thresholds.success_slope(runs["ladder"].map(z), runs["width"], runs["won"], runs["seed"])
