"""What several questions keep of the three learners side by side: columns of a row, trajectories for the explorer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from comparisons.kit.comparison import Arrays
from comparisons.kit.keys import Quantity
from lab.sweeps import Results

if TYPE_CHECKING:
    import pandas as pd

    from lab.learners.trajectory import Trajectory
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


def trajectories(task: Task, learners: Mapping[str, Trajectory]) -> Arrays:
    """Test outputs of learners by name, as the page's explorer reads them (`comparisons.report.trajectories`)."""
    return {
        "steps": next(iter(learners.values())).steps,
        "learners": np.array(list(learners)),
        "test": np.stack([learner.test_outputs for learner in learners.values()]).astype(np.float32),
        "test_targets": task.test_split[1].flatten(1).numpy(),
    }


def arrays_of(results: Results, rows: pd.DataFrame, *columns: str, **fields: object) -> list[Arrays]:
    """Arrays of the cells behind some rows, found by the values of these columns and by further fields of the cells.

    Without columns they are found by variant (where there is one), readout, width and seed.
    """
    usual = [name for name in ("variant", "readout", "width", "seed") if name in rows]
    records = rows[list(columns or usual)].to_dict("records")
    return [results.arrays(**{**{str(name): value for name, value in row.items()}, **fields}) for row in records]
