"""Arms: parts of a table that are judged side by side. The first one is the main arm, whose keys have no suffix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from comparisons.kit.numbers import Number, Numbers, over_finite

if TYPE_CHECKING:
    import pandas as pd

VARIANTS = {"centred": "centred", "erf": "centred, erf", "paper": "not centred", "leading": "large eigenvalues"}
READOUTS = {"last": "last time step", "all": "all time steps", "mean": "mean over time"}


@dataclass(frozen=True)
class Arm:
    """One arm.

    Attributes
    ----------
    rows
        Its rows of the table.
    value
        Value of the column by which the table was split.
    name
        Suffix of its keys; empty for the main arm.
    label
        Its name in figures.
    """

    rows: pd.DataFrame
    value: Any
    name: str
    label: str

    def keyed(self, numbers: Numbers) -> Numbers:
        """The same numbers, with the suffix of this arm in their keys."""
        return {replace(key, arm=self.name): number for key, number in numbers.items()}

    def split(
        self, column: str, labels: Mapping[Any, str] | None = None, suffix: Callable[[Any], str] = str
    ) -> list[Arm]:
        """Arms of this arm, with both suffixes."""
        return [
            Arm(each.rows, each.value, ".".join(filter(None, (self.name, each.name))), each.label)
            for each in split(self.rows, column, labels, suffix)
        ]


def split(
    rows: pd.DataFrame,
    column: str,
    labels: Mapping[Any, str] | None = None,
    suffix: Callable[[Any], str] = str,
) -> list[Arm]:
    """One arm for each value of a column, in the order of the table.

    Parameters
    ----------
    rows
        A table; the first value of the column makes the main arm.
    labels
        Names in figures, by value; the value itself where it has none.
    suffix
        Suffix of the keys of a further arm, from its value.
    """
    values = list(dict.fromkeys(rows[column]))
    return [
        Arm(rows[rows[column] == value], value, suffix(value) if place else "", (labels or {}).get(value, str(value)))
        for place, value in enumerate(values)
    ]


def by_readout(rows: pd.DataFrame) -> list[Arm]:
    """One arm for each readout, of each variant of the network where a column ``variant`` names several."""
    if "variant" not in rows or rows["variant"].nunique() == 1:
        return split(rows, "readout", READOUTS)
    found = []
    for network in split(rows, "variant", VARIANTS):
        arms = network.split("readout", READOUTS)
        named = [network.label] if len(arms) == 1 else [f"{network.label}, {each.label}" for each in arms]
        found += [replace(each, label=label) for each, label in zip(arms, named, strict=True)]
    return found


def each_readout(table: pd.DataFrame, numbers_of: Callable[[pd.DataFrame], Numbers]) -> Numbers:
    """The numbers of the rows of each readout, with its suffix in the keys of every readout but the first."""
    found: Numbers = {}
    for arm in by_readout(table):
        found |= arm.keyed(numbers_of(arm.rows))
    return found


def main_readout(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the first readout of a table."""
    return by_readout(rows)[0].rows


def widest(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the largest width."""
    found: pd.DataFrame = rows[rows["width"] == rows["width"].max()]
    return found


@dataclass(frozen=True)
class Group:
    """Values (seeds,) of one group of rows, those that are missing left out, and their average over seeds."""

    values: NDArray[np.float64]
    average: Number


def groups(rows: pd.DataFrame, column: str, by: str, *, log: bool = False, unit: float = 1.0) -> dict[str, Group]:
    """One column over a unit in groups of equal ``by``, by the text of that; the geometric mean with ``log``."""
    found = {}
    for place in sorted(rows[by].unique()):
        values = rows.loc[rows[by] == place, column].to_numpy(float) / unit
        there = values[np.isfinite(values) & ((values > 0) | (not log))]
        average = Number.geometric if log else Number.mean
        found[f"{place:g}"] = Group(there, over_finite(there, average))
    return found
