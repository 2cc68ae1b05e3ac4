"""Training of the paper's own network to an accuracy, and balls around its initialization."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from comparisons.kit import networks
from comparisons.kit.fits import mean_threshold
from comparisons.kit.keys import Quantity
from comparisons.kit.numbers import Number, Numbers
from comparisons.kit.settings import Count, Distinct, Positive, doc
from lab.errors import refuse

if TYPE_CHECKING:
    import pandas as pd

    from lab.learners.arrival import Exit
    from lab.measures.path import KernelPath
    from lab.networks.elman import ElmanRNN
    from lab.tasks.task import SequenceTask

Radii = Annotated[tuple[Positive, ...], Distinct(), doc("Radii ρ of the balls; the spectral radius is ρ/√m.")]

DIVERGED: Exit = "diverged"  #: in the column ``exit``


@dataclass(frozen=True)
class PathSettings(networks.NetworkSettings):
    """`NetworkSettings` of the paper's network (ReLU, W alone trained), an accuracy, a budget, and a search."""

    task: str = "separable"
    samples: int | None = 12
    dtype: str = "float64"
    accuracy: Annotated[Positive, doc("Mean squared error at which training stops.")] = 1e-3
    patience: Annotated[Positive, doc("Step budget, in units of the linear model's time to the accuracy.")] = 4.0
    searches: Annotated[Count, doc("Gradients of λ_min per radius in the search for the worst motion.")] = 4

    def check(self) -> None:
        """Refuse other networks than the paper's: the theorems hold only for it."""
        super().check()
        for name, value in {"activation": "relu", "parametrization": "paper", "trained": ("W",)}.items():
            if getattr(self, name) != value:
                refuse(name, repr(getattr(self, name)), f"{value!r}, as in the paper", f"leave `{name}` out")


@dataclass(frozen=True, kw_only=True)
class PathCell(networks.NetworkCell):
    """One network trained to an accuracy, and radii of the balls around its initialization."""

    accuracy: float
    patience: float
    radii: tuple[float, ...]
    searches: int


def descend(cell: PathCell) -> tuple[SequenceTask, ElmanRNN, KernelPath]:
    """The task of a cell, its network at initialization, and the kernel along the descent of a copy of it."""
    import lab

    task, network = networks.build(cell)
    assert isinstance(network, lab.ElmanRNN)
    pace = {"critical_fraction": cell.critical_fraction, "patience": cell.patience}
    return task, network, lab.measures.path.patient_path(network, task, cell.accuracy, **pace)


def done(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of runs that did not diverge."""
    found: pd.DataFrame = rows[rows["exit"] != DIVERGED]
    return found


def at_widths(
    rows: pd.DataFrame, keys: Mapping[str, Quantity], average: Callable[[pd.Series], Number] = Number.geometric
) -> Numbers:
    """Averages of columns at each width over the runs that did not diverge; ``keys`` by column."""
    return {
        key(width): average(done(rows[rows["width"] == width])[column])
        for width in sorted(rows["width"].unique().tolist())
        for column, key in keys.items()
    }


def radii_at_widths(rows: pd.DataFrame, keys: Mapping[tuple[str, str], Quantity]) -> Numbers:
    """Mean thresholds at each width; ``keys`` by their column and its column of censoring marks."""
    return {
        key(width): mean_threshold(rows[rows["width"] == width], *columns)
        for width in sorted(rows["width"].unique().tolist())
        for columns, key in keys.items()
    }
