"""What several questions keep of the three learners side by side: columns of a row, trajectories for the explorer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from comparisons.kit import losses
from comparisons.kit.arms import main_readout
from comparisons.kit.comparison import Arrays, Row
from comparisons.kit.keys import Quantity
from comparisons.kit.numbers import Number
from lab.sweeps import Results

if TYPE_CHECKING:
    import pandas as pd

    from lab.learners.trajectory import Trajectory
    from lab.losses import Objective
    from lab.tasks.task import Task
    from lab.together import SideBySide


F0_SHARE = Quantity(
    "f0_share",
    meaning="‖f₀‖²/‖y − f₀‖² on the training set, at the largest width: the share of the initial residual that is the "
    "network's own random output. 0 for centred networks; above 1 where f₀ and y point the same way; the median.",
)


def diverged(result: SideBySide) -> bool:
    """Whether some learner diverged."""
    return any(learner.diverged_at is not None for learner in result.learners.values())


def of_values(
    rows: pd.DataFrame,
    column: str,
    average: Callable[[Iterable[Any]], Number] = Number.median,
    *,
    by: Sequence[str] = (),
) -> Number:
    """Average of a column that compares outputs with targets, or of its means over equal ``by``.

    None for losses whose targets are classes.
    """
    if losses.words_of(rows).has_classes:
        return Number.none(losses.NO_VALUES, rows["seed"].nunique())
    return average(rows.groupby(list(by))[column].mean() if by else rows[column])


def summary(result: SideBySide) -> Row:
    """The summary of three learners as columns, with reasons in one text.

    Losses of classes have no gap in units of the initial residual. The squared loss is not named.
    """
    found, loss = result.summary(), result.objective.loss
    reasons = found.pop("reasons")
    if loss.name == "squared":
        found = {name: value for name, value in found.items() if name not in ("loss", "gap_unit")}
    if not loss.in_output_units:
        lacking = ("gap_initial_train", "gap_initial_test", "f0_share")
        found |= dict.fromkeys(lacking)
        reasons = {**reasons, **dict.fromkeys(lacking, losses.NO_VALUES)}
    return {**found, "reasons": "; ".join(f"{name}: {reason}" for name, reason in reasons.items())}


def trajectories(task: Task, learners: Mapping[str, Trajectory], aim: Objective | None = None) -> Arrays:
    """Test outputs of learners by name, as the page's explorer reads them (`comparisons.report.trajectories`).

    With another loss ``aim`` than the squared one, logits are centred over classes, targets are as the loss takes them,
    such as one-hot rows, and the loss is named.
    """
    outputs, targets = np.stack([learner.test_outputs for learner in learners.values()]), task.test_split[1]
    if aim is not None and aim.loss.name != "squared":
        import torch

        outputs = aim.centred(torch.from_numpy(outputs)).numpy()
        targets = aim.loss.encode(targets, aim.shape, "test_targets")
    return {
        **losses.named("squared" if aim is None else aim.loss.name),
        "steps": next(iter(learners.values())).steps,
        "learners": np.array(list(learners)),
        "test": outputs.astype(np.float32),
        "test_targets": targets.flatten(1).numpy(),
    }


def arrays_of(results: Results, rows: pd.DataFrame, *columns: str, **fields: object) -> list[Arrays]:
    """Arrays of the cells behind some rows, found by the values of these columns and by further fields of the cells.

    Without columns they are found by variant (where there is one), readout, width and seed.
    """
    usual = [name for name in ("variant", "readout", "width", "seed") if name in rows]
    records = rows[list(columns or usual)].to_dict("records")
    return [results.arrays(**{**{str(name): value for name, value in row.items()}, **fields}) for row in records]


def three_widths(results: Results, column: str) -> Iterator[tuple[int, Arrays]]:
    """Smallest, middle and largest width, with the arrays of the first readout and the seed whose column is median."""
    main = main_readout(results.table)
    widths = sorted(main["width"].unique())
    for width in dict.fromkeys((widths[0], widths[len(widths) // 2], widths[-1])):
        yield int(width), median_run(results, main[main["width"] == width], column)


def median_run(results: Results, rows: pd.DataFrame, column: str, *columns: str) -> Arrays:
    """Arrays of the cell among some rows whose value of ``column`` is the median, the lower of two; or of none.

    Rows without a value come last. ``columns`` are those of `arrays_of`.
    """
    ordered = rows.sort_values(column)
    return arrays_of(results, ordered.iloc[[(len(ordered) - 1) // 2]], *columns)[0]
