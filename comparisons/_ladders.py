"""How wide a network has to be: one ladder of widths for one task and seed, in two senses of "enough".

*train*: gradient descent at η = 2c/λ_max(K₀) brings the mean square residual below ε within ``budget`` times the
kernel time that the infinitely wide linear learner takes for that, at the same c on the same data. *lazy*: over the
same kernel time the test gap between network and linearization stays below a level.

Outputs are centred, f(θ) − f(θ₀), by adding f₀ to the targets: residuals and gaps are then those of `lab.Scaled` with
α = 1, without a second forward pass in every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from comparisons._shape import Number
from lab.costs import Cost
from lab.errors import LabError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from lab.tasks.task import SequenceTask

REACHED, DIVERGED, UNDECIDED = "reached", "diverged", "undecided"
_RECORDS = 24  # steps at which the gap is looked at

#: What a ladder costs beside one training of its widest network, seen in the default runs: it spends the operations of
#: some trainings, and this share of the flops, for it ends long before its upper end.
TRAININGS, FLOPS = 8, {"train": 0.05, "equal_time": 0.05, "lazy": 0.25}


def cost(notion: str, steps: float, step: Cost) -> Cost:
    """Cost of a ladder whose widest network takes ``steps`` steps, each at the cost of ``step``."""
    whole = steps * step
    return Cost(FLOPS[notion] * whole.flops, step.bytes, TRAININGS * whole.operations)


def network(task: SequenceTask, width: int, **choices: Any) -> Any:
    """An Elman network for a task, on torch's default device unless ``device`` says otherwise; dtype by its name."""
    import torch

    import lab

    place = {"device": torch.get_default_device(), **choices}
    return lab.ElmanRNN.like(task, width, **{**place, "dtype": getattr(torch, choices.get("dtype", "float64"))})


def limit_spectrum(task: SequenceTask) -> tuple[Any, np.ndarray]:
    """Spectrum of K∞/m on the training set, and the first residual −y of centred outputs (N,)."""
    import lab
    from lab.kernels.spectrum import Spectrum

    kernel = lab.infinite_ntk(network(task, 1, device="meta"), task.train_inputs)
    return Spectrum(kernel), -task.train_targets.flatten().numpy()


def linear_steps(task: SequenceTask, accuracy: float, critical_fraction: float) -> int:
    """Steps in which the infinitely wide linear learner brings the mean square residual below ``accuracy``.

    Raises
    ------
    LabError
        If it never does: two samples that the kernel cannot tell apart have different targets.
    """
    from lab.measures.hitting import hitting_step

    spectrum, residual = limit_spectrum(task)
    steps = hitting_step(spectrum, residual, 2 * critical_fraction / spectrum.lambda_max, accuracy)
    if steps is None:
        came = f"{accuracy:g}, which the linear learner never reaches (λ_min = {spectrum.lambda_min:.2g})"
        raise LabError("accuracy", came, "a level that it reaches", "raise the accuracy, or separate the samples")
    return max(steps, 1)


def centred(net: Any, task: SequenceTask) -> SequenceTask:
    """The task whose targets are shifted by f₀, so that training the network itself trains f − f₀ on the old ones."""
    import torch

    from lab.tasks.task import SequenceTask

    with torch.no_grad():
        train, test = (net(inputs).cpu().double() for inputs in (task.train_inputs, task.test_inputs))
    shifted = (task.train_inputs, task.train_targets + train, task.test_inputs, task.test_targets + test)
    return SequenceTask(*shifted, name=task.name)


def exit_of(net: Any, task: SequenceTask, steps: int, accuracy: float, critical_fraction: float) -> str:
    """How training ends within so many steps: mean square residual below ``accuracy``, divergence, or neither."""
    import lab

    size = task.train_targets.numel()
    try:
        path = lab.descend(net, centred(net, task), lab.Descent(steps, critical_fraction, record="all"), in_place=True)
    except LabError as error:
        if error.argument != "kernel":
            raise
        return UNDECIDED  # every gate is closed: the network cannot move
    for snapshot in path:
        if 2 * snapshot.loss / size < accuracy:
            return REACHED
    return UNDECIDED if path.diverged_at is None else DIVERGED


def largest_gap(net: Any, task: SequenceTask, steps: int, critical_fraction: float) -> tuple[float, float]:
    """Largest test gap over so many steps (inf if a learner diverged), and the noise floor of the linear model."""
    import numpy as np

    import lab

    recorded = np.unique([0, *np.geomspace(1, steps, _RECORDS).round().astype(int)])
    descent = lab.Descent(steps, critical_fraction, record=tuple(recorded.tolist()))
    result = lab.side_by_side(net, centred(net, task), descent)
    return float(result.gap("test").max()), float(result.disagreement() or 0.0)


def train_ladder(
    task: SequenceTask,
    grid: Sequence[int],
    *,
    start: int,
    streak: int,
    budget: float,
    accuracy: float,
    clock: SequenceTask | None = None,
    **choices: Any,
) -> dict[str, Any]:
    """Columns of a cell: ``exit_<m>`` at every width that was tried, the linear learner's steps, what diverged.

    ``clock`` is a task on which the linear learner's time is taken instead.
    """
    from lab.measures.thresholds import climb

    fraction = choices.pop("critical_fraction")
    linear = linear_steps(clock or task, accuracy, fraction)
    exits: dict[int, str] = {}

    def passes(width: int) -> bool:
        exits[width] = exit_of(network(task, width, **choices), task, round(budget * linear), accuracy, fraction)
        return exits[width] == REACHED

    tried = climb(passes, grid, start, streak)
    gone = [width for width in tried if exits[width] == DIVERGED]
    return {"linear_steps": linear, **_told(gone), **{f"exit_{width}": exits[width] for width in tried}}


def lazy_ladder(
    task: SequenceTask,
    grid: Sequence[int],
    *,
    start: int,
    streak: int,
    level: float,
    budget: float,
    accuracy: float,
    **choices: Any,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Columns of a cell, the width at which the largest gap falls through ``level``; and the gaps behind it.

    The search goes up from ``start`` until ``streak`` gaps in a row are below the level, down until as many are above:
    far below, a network with hardly an open gate cannot move, and would count as lazy.
    """
    import numpy as np

    from lab.measures.thresholds import climb, falls_through

    fraction = choices.pop("critical_fraction")
    linear = linear_steps(task, accuracy, fraction)
    gaps: dict[int, float] = {}
    floors: dict[int, float] = {}

    def passes(width: int) -> bool:
        net = network(task, width, **choices)
        gaps[width], floors[width] = largest_gap(net, task, round(budget * linear), fraction)
        return gaps[width] < level

    tried = list(climb(passes, grid, start, streak))
    found = falls_through(tried, [gaps[width] for width in tried], level)
    gone = [width for width in tried if not np.isfinite(gaps[width])]
    row = {"linear_steps": linear, "width": found.value, "censored": found.censored}
    row |= {"noise_floor": max(floors.values()), **_told(gone)}
    return row, {"widths": np.array(tried), "gaps": np.array([gaps[width] for width in tried])}


def _told(gone: Sequence[int]) -> dict[str, Any]:
    """Whether some width of a ladder diverged, and which."""
    reason = f"diverged at width {', '.join(map(str, gone))}" if gone else None
    return {"diverged": bool(gone), "reason": reason}


def exits(row: pd.Series) -> dict[int, str]:
    """From a row of a table: widths that were tried, ascending, and how training ended there."""
    found = {int(name[5:]): end for name, end in row.items() if str(name).startswith("exit_") and isinstance(end, str)}
    return dict(sorted(found.items()))


def is_censored(notion: str, row: pd.Series) -> bool:
    """Whether a seed's own width lies outside its ladder."""
    if notion == "lazy":
        return isinstance(row["censored"], str)
    return len({end == REACHED for end in exits(row).values()}) < 2


def runs(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each training run behind rows of a table: z (a column of theirs), width, won, seed."""
    import pandas as pd

    found = [
        (row["z"], width, end == REACHED, row["seed"])
        for _, row in rows.iterrows()
        for width, end in exits(row).items()
    ]
    return pd.DataFrame(found, columns=["z", "width", "won", "seed"])


def width(notion: str, rows: pd.DataFrame) -> Number:
    """The width of one setting: m₉₀ with the interval of its logistic fit, or the geometric mean over seeds."""
    from lab.measures.thresholds import success_place

    if notion == "lazy":
        return _geometric(rows)
    won = runs(rows.assign(z=0.0)).groupby("width")["won"]
    found = success_place(won.sum().index, won.sum(), won.count())
    return Number(found.value, found.interval, int(rows["seed"].nunique()), found.reason)


def _geometric(rows: pd.DataFrame) -> Number:
    sides = rows.loc[[isinstance(side, str) for side in rows["censored"]], ["censored", "width"]]
    if sides.empty:
        return Number.geometric(rows["width"])
    side, place = sides.iloc[0]
    return Number.none(f"{side} censored at {place:.4g} in {len(sides)} of {len(rows)} seeds", len(rows))
