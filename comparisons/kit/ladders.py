"""Ladders of widths: how wide a network has to be, for one task and seed, in two senses of "enough".

*train*: gradient descent at η = 2c/λ_max(K₀) brings the mean square residual below ε within ``budget`` times the steps
that the infinitely wide linear learner takes at the same c. *lazy*: over as many steps the largest test gap between
network and linearization stays below a level. Outputs are centred, f(θ) − f(θ₀).

Ladders of *train* are climbed in factors 2^¼ until four widths in a row are reached and four are not; those of *lazy*
in factors √2 until two gaps in a row are below the level, and downwards until two are above it: far below, a network
with hardly any open gate cannot move, and would count as lazy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

import lab
from comparisons.kit.cells import Cell
from comparisons.kit.comparison import Measured, Row
from comparisons.kit.seeds import SeedCount
from comparisons.kit.settings import Count, OneOf, Positive, Precision, Seed, Settings, Share, doc
from comparisons.kit.tasks import SIZES
from comparisons.kit.widths import Ladders, exit_column
from lab.costs import Cost, linearized_step, training_step
from lab.errors import LabError, check_integer

if TYPE_CHECKING:
    import pandas as pd

    from lab.learners.arrival import Exit
    from lab.networks.elman import ElmanRNN
    from lab.tasks.task import SequenceTask

LAZY = "lazy"  #: the notion of a ladder for the gap; every other notion trains
_RECORDS = 24  # steps at which the gap is computed
_SHARE = {True: 0.25, False: 0.05}  # of the flops at its widest network that a ladder spends (lazy, train), as measured
_TRAININGS = 8  # as many tensor operations as so many trainings, as measured


@dataclass(frozen=True)
class Search:
    """How a ladder is climbed: the factor from width to width, the first width, the outcomes in a row that end it."""

    factor: float
    start: int
    streak: int


SEARCHES = {True: Search(2**0.5, 64, 2), False: Search(2**0.25, 16, 4)}  #: by whether the ladder is lazy


@dataclass(frozen=True)
class LadderSettings(Settings):
    """Settings of both ladders, except the sizes of the task and the accuracy."""

    task: Annotated[str, OneOf("separable", "digits"), doc("separable (random unit vectors), or digits.")] = "separable"
    seeds: Annotated[SeedCount, doc("Number of draws of network and data.")] = 10
    data_seed: Annotated[Seed, doc("Data seed; the seed of a draw is added to it.")] = 0
    critical_fraction: Annotated[Share, doc("Learning rate in units of the critical one, below 1.")] = 0.5
    budget: Annotated[Positive, doc("Step budget, in units of the linear learner's hitting time.")] = 10.0
    level: Annotated[Positive, doc("Largest test gap that counts as lazy, in units of the targets.")] = 0.1
    narrowest: Annotated[Count, doc("Smallest width tried.")] = 2
    widest: Annotated[Count, doc("Largest width tried.")] = 1024
    dtype: Annotated[Precision, doc("Precision of weights and outputs.")] = "float32"

    def check(self) -> None:
        """Refuse an upper end below the lower one."""
        check_integer("widest", self.widest, self.narrowest)


@dataclass(frozen=True, kw_only=True)
class LadderCell(Cell):
    """One ladder for one task and seed; ``notion`` is `LAZY`, or the name of a notion of training."""

    notion: str
    task: str
    samples: int
    length: int
    features: int
    seed: int
    data_seed: int
    accuracy: float
    critical_fraction: float
    budget: float
    level: float
    narrowest: int
    widest: int
    dtype: str

    @property
    def lazy(self) -> bool:
        """Whether the ladder is one for the gap."""
        return self.notion == LAZY

    def sequences(self, test: int, separation: float) -> SequenceTask:
        """Digits, or random sequences with first steps at least ``separation`` apart, drawn by data seed and seed."""
        seed = self.data_seed + self.seed
        if self.task == "digits":
            return lab.tasks.digits(train=self.samples, test=test, seed=seed)
        return lab.tasks.separable(self.samples, test, self.length, self.features, separation, seed)

    def network(self, task: SequenceTask, width: int) -> ElmanRNN:
        """The network of one width, on torch's default device."""
        import torch

        place = {"dtype": getattr(torch, self.dtype), "device": torch.get_default_device()}
        return lab.ElmanRNN.like(task, width, seed=self.seed, centred=True, **place)


def step_cost(cell: LadderCell, width: int, *, linearized: bool) -> Cost:
    """Cost of one step of a network, and of its linearization; memory is four arrays of the size of W, and states."""
    length = SIZES["digits"].length if cell.task == "digits" else cell.length
    step = training_step(cell.samples, length, width)
    step = step + linearized_step(cell.samples, length, width) if linearized else step
    return step.holding(4 * (4 * width**2 + 4 * cell.samples * length * width))


def cost(cell: LadderCell, steps: float, step: Cost) -> Cost:
    """Cost of a ladder whose widest network takes ``steps`` steps, each at the cost of ``step``."""
    whole = steps * step
    return Cost(_SHARE[cell.lazy] * whole.flops, step.bytes, _TRAININGS * whole.operations)


def widths_of(lazy: bool, narrowest: int, widest: int) -> list[int]:
    """Widths of a ladder between its ends, ascending."""
    return lab.measures.thresholds.geometric_grid(narrowest, widest, SEARCHES[lazy].factor)


def read(rows: pd.DataFrame, notion: str, widest: int) -> Ladders:
    """Ladders of one notion from rows of a table, none of them wider than ``widest``."""
    return Ladders.read(rows, notion == LAZY, range(1, widest + 1))


def climb(cell: LadderCell, task: SequenceTask, clock: SequenceTask | None = None) -> Measured:
    """One ladder: its columns of the row, and for a lazy one the gaps behind its width.

    The linear learner's time is measured on ``clock`` if that is given.
    """
    timed = task if clock is None else clock
    linear = lab.measures.hitting.limit_hitting_steps(timed, cell.accuracy, cell.critical_fraction)
    steps = round(cell.budget * linear)
    row, arrays = _climb_lazy(cell, task, steps) if cell.lazy else (_climb_train(cell, task, steps), {})
    return {"linear_steps": linear, **row}, arrays


def _climb_train(cell: LadderCell, task: SequenceTask, steps: int) -> Row:
    exits: dict[int, Exit] = {}

    def passes(width: int) -> bool:
        exits[width] = train(cell.network(task, width), task, steps, cell.accuracy, cell.critical_fraction)
        return exits[width] == "reached"

    tried = _search(cell, passes)
    gone = [width for width in tried if exits[width] == "diverged"]
    return {**_divergence(gone), **{exit_column(width): exits[width] for width in tried}}


def _climb_lazy(cell: LadderCell, task: SequenceTask, steps: int) -> Measured:
    gaps: dict[int, float] = {}
    floors: dict[int, float] = {}

    def passes(width: int) -> bool:
        gaps[width], floors[width] = largest_gap(cell.network(task, width), task, steps, cell.critical_fraction)
        return gaps[width] < cell.level

    tried = _search(cell, passes)
    heights = np.array([gaps[width] for width in tried])
    found = lab.measures.thresholds.falls_through(tried, heights, cell.level)
    gone = [width for width in tried if not np.isfinite(gaps[width])]
    row: Row = {"width": found.value, "censored": found.censored, "noise_floor": max(floors.values())}
    return row | _divergence(gone), {"widths": np.array(tried), "gaps": heights}


def _search(cell: LadderCell, passes: Callable[[int], bool]) -> list[int]:
    """Widths that were tried, ascending."""
    search, grid = SEARCHES[cell.lazy], widths_of(cell.lazy, cell.narrowest, cell.widest)
    return list(lab.measures.thresholds.climb(passes, grid, search.start, search.streak))


def _divergence(gone: Iterable[int]) -> Row:
    """Whether some width of a ladder diverged, and which."""
    names = ", ".join(map(str, gone))
    return {"diverged": bool(names), "reason": f"diverged at width {names}" if names else None}


def train(network: ElmanRNN, task: SequenceTask, steps: int, accuracy: float, critical_fraction: float) -> Exit:
    """How training of the centred network ends within so many steps; the network itself is trained."""
    descent = lab.Descent(steps, critical_fraction, record="all")
    try:
        return lab.arrive(network, task, descent, accuracy, in_place=True).exit
    except LabError as error:
        if error.argument != "kernel":
            raise
        return "undecided"  # every gate is closed: the network cannot move


def largest_gap(network: ElmanRNN, task: SequenceTask, steps: int, critical_fraction: float) -> tuple[float, float]:
    """Largest test gap of the centred network (inf if a learner diverged), and the linear model's noise floor."""
    recorded = np.unique([0, *np.geomspace(1, steps, _RECORDS).round().astype(int)])
    descent = lab.Descent(steps, critical_fraction, record=tuple(recorded.tolist()))
    result = lab.side_by_side(network, task, descent)
    return float(result.gap("test").max()), float(result.disagreement() or 0.0)
