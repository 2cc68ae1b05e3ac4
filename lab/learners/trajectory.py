"""What a learner leaves behind: its outputs and loss at the recorded steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.errors import refuse
from lab.html import Facts

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class Trajectory(Facts):
    """Outputs and training loss along descent; NumPy float64 on the CPU.

    Attributes
    ----------
    steps
        Recorded steps (T,), integers; the same for all learners, whether they diverged or not.
    train, test
        Outputs (T, n, o) and (T, n', o), time first within a sample; ``test`` is None without a test split.
    loss
        ½ Σ (f − y)² over the training set, shape (T,).
    diverged_at
        First step at which the loss was not finite or above 1e6 · max(first loss, ½Σy²); None if there was none.
        Descent stops there, later rows are NaN.
    """

    steps: NDArray[np.int64]
    train: Array
    test: Array | None
    loss: Array
    diverged_at: int | None

    @property
    def test_outputs(self) -> Array:
        """Outputs (T, n', o) on the test split; raises `LabError` without one."""
        if self.test is None:
            refuse(
                "test", "a task without a test split", "a task with one", "give the task test_inputs and test_targets"
            )
        return self.test

    @property
    def final_loss(self) -> float:
        """Loss at the last recorded step; NaN after a divergence."""
        return float(self.loss[-1])

    def __repr__(self) -> str:
        ends = f"loss {self.loss[0]:.3g} to {self.final_loss:.3g}" if self.diverged_at is None else self._end()
        test = "" if self.test is None else f", {self.test.shape[1]} for testing"
        steps = f"{len(self.steps)} recorded steps from {self.steps[0]} to {self.steps[-1]}"
        return f"Trajectory({steps}, {self.train.shape[1]} training samples{test}, {ends})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        return "Trajectory", {
            "recorded steps": f"{len(self.steps)}, from {self.steps[0]} to {self.steps[-1]}",
            "training outputs (n, o)": self.train.shape[1:],
            "test outputs (n', o)": None if self.test is None else self.test.shape[1:],
            "first loss": self.loss[0],
            "last loss": None if np.isnan(self.final_loss) else self.final_loss,
            "diverged at step": self.diverged_at,
        }

    def _end(self) -> str:
        return f"diverged at step {self.diverged_at}"

    def to_frame(self) -> pd.DataFrame:
        """Outputs as a tidy table: one row for each step, split, sample and output, with the columns of these names.

        The column ``value`` has the output, and ``loss`` the training loss at that step.
        """
        import pandas as pd

        tables = []
        for split, values in (("train", self.train), ("test", self.test)):
            if values is not None:
                axes = [self.steps, np.arange(values.shape[1]), np.arange(values.shape[2])]
                index = pd.MultiIndex.from_product(axes, names=["step", "sample", "output"])
                tables.append(pd.DataFrame({"split": split, "value": values.ravel()}, index).reset_index())
        losses = pd.Series(self.loss, self.steps)
        table = pd.concat(tables, ignore_index=True)
        return table.assign(loss=table["step"].map(losses))


class Recorder:
    """Collects a trajectory row by row; rows that never come stay NaN.

    Parameters
    ----------
    steps
        Recorded steps (T,).
    train, test
        Shapes (n, o) and (n', o), or None.
    """

    def __init__(self, steps: NDArray[np.int64], train: tuple[int, ...], test: tuple[int, ...] | None) -> None:
        self._steps, self._row = steps, {int(step): row for row, step in enumerate(steps)}
        self._train = np.full((len(steps), *train), np.nan)
        self._test = None if test is None else np.full((len(steps), *test), np.nan)
        self._loss = np.full(len(steps), np.nan)

    def record(self, step: int, train: Array, test: Array | None, loss: float) -> None:
        """Fill the row of one recorded step; outputs (n, o) and (n', o)."""
        row = self._row[step]
        self._train[row], self._loss[row] = train, loss
        if self._test is not None:
            self._test[row] = test

    def trajectory(self, diverged_at: int | None) -> Trajectory:
        """The trajectory collected so far."""
        return Trajectory(self._steps, self._train, self._test, self._loss, diverged_at)
