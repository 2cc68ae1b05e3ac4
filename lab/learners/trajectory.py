"""What a learner leaves behind: its outputs and loss at the recorded steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lab.data.signs import places_of
from lab.errors import refuse
from lab.html import Facts

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """The classes that targets mean.

    Attributes
    ----------
    train, test
        Class indices (n, …) and (n', …), one for each sample and time step; ``test`` is None without a test split.
    columns
        Outputs of a sample and step: 1 for two classes that a sign tells apart, else one for each class.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64] | None
    columns: int

    def accuracy(self, outputs: Array, split: str) -> Array:
        """Share (T,) of outputs (T, n, o) whose class is right; NaN where an output is not finite."""
        known = getattr(self, split)
        found = places_of(outputs.reshape(len(outputs), *known.shape, self.columns))
        right = (found == known).reshape(len(outputs), -1).mean(1)
        return np.where(np.isfinite(outputs).all((1, 2)), right, np.nan)


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
        The loss summed over the training set, shape (T,): ½ Σ (f − y)² unless the descent has another.
    diverged_at
        First step at which the loss was not finite or above 1e6 · max(first loss, ½Σy²), for other losses than the
        squared one above 1e6 · first loss; None if there was none. Descent stops there, later rows are NaN.
    labels
        The classes that the targets mean; None where they are no classes.
    """

    steps: NDArray[np.int64]
    train: Array
    test: Array | None
    loss: Array
    diverged_at: int | None
    labels: Labels | None = None

    @property
    def accuracy(self) -> Array | None:
        """Share of training samples (and time steps) classified rightly, (T,); None unless targets are classes."""
        return None if self.labels is None else self.labels.accuracy(self.train, "train")

    @property
    def test_accuracy(self) -> Array | None:
        """The same on the test split, (T,); None without one."""
        if self.labels is None or self.labels.test is None or self.test is None:
            return None
        return self.labels.accuracy(self.test, "test")

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
            "last accuracy": _last(self.accuracy),
            "last test accuracy": _last(self.test_accuracy),
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


def _last(values: Array | None) -> float | None:
    """The last of some numbers; None where there is none, or it is NaN."""
    return None if values is None or np.isnan(values[-1]) else float(values[-1])


class Recorder:
    """Collects a trajectory row by row; rows that never come stay NaN.

    Parameters
    ----------
    steps
        Recorded steps (T,).
    train, test
        Shapes (n, o) and (n', o), or None.
    labels
        The classes that the targets mean, or None.
    """

    def __init__(
        self,
        steps: NDArray[np.int64],
        train: tuple[int, ...],
        test: tuple[int, ...] | None,
        labels: Labels | None = None,
    ) -> None:
        self._labels = labels
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
        return Trajectory(self._steps, self._train, self._test, self._loss, diverged_at, self._labels)
