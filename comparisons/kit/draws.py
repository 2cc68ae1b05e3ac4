"""Whether the draw of the data matters: several networks on each of some draws, and how much the draws differ.

Every seed has its own draw of the data, so that intervals over seeds cover network and data. Here the two are told
apart, at the smallest width of the main arm, by cells of their own: `of_cells` makes them, `apart` takes their rows out
of a table before anything else is concluded from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
from annotated_types import Ge

from comparisons.kit.keys import Key, Quantity
from comparisons.kit.networks import NetworkCell
from comparisons.kit.numbers import Number
from comparisons.kit.settings import CHOOSES, doc
from comparisons.kit.wording import compare, percent

if TYPE_CHECKING:
    import pandas as pd

VARIANT, NETWORKS = "draws", 3  # how the column ``variant`` marks these cells; networks on each draw
HELP = (
    f"Draws of the data that have {NETWORKS} networks each at the smallest width, to see whether the draw matters; "
    "none where seeds are given, and this is not."
)
Draws = Annotated[int, Ge(0), CHOOSES, doc(HELP)]
SHARE = Quantity(
    "variance_between_draws",
    meaning="Share of the variance, at the smallest width, that lies between draws of the data, of the log of the "
    "quantity that the verdict names; the rest is between networks on one draw. Draws that share samples, as subsets "
    "of the digits do, differ less than independent ones.",
)

AnyCell = TypeVar("AnyCell", bound=NetworkCell)


def of_cells(cells: Sequence[AnyCell], draws: int) -> list[AnyCell]:
    """Cells like the first one of the smallest width, for some networks on each of so many draws.

    None where all share one draw.
    """
    if not cells or cells[0].data_seeds == "one":
        return []
    narrow, changes = min(cells, key=lambda cell: cell.width), dict[str, Any](variant=VARIANT)
    places = [(sample, NETWORKS * sample + network) for sample in range(draws) for network in range(NETWORKS)]
    return [replace(narrow, **changes, seed=seed, sample=sample) for sample, seed in places]


def apart(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a table without those of such cells, and these."""
    marked = table["variant"] == VARIANT
    return table[~marked], table[marked]


def share(rows: pd.DataFrame, name: str) -> Number:
    """Share of the variance of the log of a column between draws, from the rows of such cells."""
    from lab.measures.components import group_share

    values = rows[rows[name].astype(float) > 0].sort_values("seed")
    logs = [np.log(each.to_numpy(float)) for _, each in values.groupby(values["seed"] // NETWORKS)[name]]
    whole = [each for each in logs if len(each) == NETWORKS]
    if len(whole) < 2:
        return Number.none("fewer than two draws of the data with all their networks")
    return Number.estimated(
        group_share(whole), NETWORKS * len(whole), scale="logit", draws=len(whole), networks=NETWORKS
    )


def sentence(numbers: Mapping[Key, Number], what: str) -> str:
    """What the draw of the data does to a quantity; empty where it was not measured."""
    number = numbers.get(SHARE())
    if number is None or number.value is None:
        return ""
    judged = compare(number, 0.0, above="the draw matters", below="", around="no effect of the draw is visible")
    return f"Of the variance of {what}, {percent(number)} lies between draws of the data: {judged}."
