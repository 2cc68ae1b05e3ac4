"""What questions are made of: settings and cells, networks and tasks, numbers and their keys, wording, figures.

A question imports this package alone: ``from comparisons import kit``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comparisons.kit import (
    costs,
    draws,
    figures,
    ladders,
    limits,
    losses,
    marks,
    networks,
    paths,
    rates,
    records,
    scaled,
    seeds,
    tasks,
    variants,
    widths,
)
from comparisons.kit.arms import Arm, Group, by_readout, each_readout, groups, main_readout, split, widest
from comparisons.kit.cells import Cell, grid, optional, pick
from comparisons.kit.comparison import Arrays, Comparison, Conclusion, Figures, Measured, Row
from comparisons.kit.fits import (
    Curve,
    along,
    at_each,
    by_seed,
    crossing,
    curve,
    mean_threshold,
    median_time,
    paired_ratio,
    read_thresholds,
    threshold,
    threshold_degree,
)
from comparisons.kit.keys import Key, Quantity, family
from comparisons.kit.numbers import Number, Numbers, finite, of_most, over_finite, ratio
from comparisons.kit.powers import PowerLaw, exponent, fit_seeds, level, limit, passes, power_law, ratio_exponent
from comparisons.kit.seeds import SeedCount, Seeds
from comparisons.kit.settings import (
    CHOOSES,
    Choices,
    Count,
    Distinct,
    Momentum,
    OneOf,
    Positive,
    Precision,
    Seed,
    Settings,
    Share,
    doc,
)
from comparisons.kit.wording import (
    by_phrase,
    clauses,
    compare,
    compare_with_theory,
    fill,
    finding,
    first_few,
    for_each,
    format_number,
    format_value,
    joined,
    percent,
    position,
    power,
    scalings,
    sentences,
)
from lab.costs import Cost
from lab.sweeps import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame as Table
    from pandas import Series
