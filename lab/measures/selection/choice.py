"""Data are resampled; one candidate is chosen by validation and tested without another fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lab.data.labelled import Labelled, shorten
from lab.errors import check_integer
from lab.losses import Loss, Squared, as_loss
from lab.measures.classification import mistakes
from lab.measures.selection.catalogue import columns, learnt
from lab.measures.selection.learners import Budget, Candidates, candidates
from lab.tasks.files import prepare
from lab.tasks.task import SequenceTask, split


@dataclass(frozen=True)
class Selection:
    """Which candidate was chosen, and the mistakes of all of them.

    Attributes
    ----------
    found
        The candidates.
    validation, test
        Their mistakes (k,) on the samples that choose and on the others.
    sizes
        How many samples chose, and how many others there are.
    best
        Index of the chosen candidate; None if the learner diverged.
    """

    found: Candidates
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    sizes: tuple[int, int]
    best: int | None

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Values of the candidates, and their mistakes."""
        return {"values": np.array(self.found.values), "validation": self.validation, "test": self.test}

    def summary(self) -> dict[str, float | str | bool | None]:
        """Shares of mistakes of the chosen candidate, its value, and whether it is the first or last one."""
        best, (chose, tested) = self.best, self.sizes
        return {
            "error": None if best is None else float(self.test[best] / tested),
            "mistakes": None if best is None else int(self.test[best]),
            "validation_error": None if best is None else float(self.validation[best] / chose),
            "choice": self.found.choice,
            "chosen": None if best is None else float(self.found.values[best]),
            "at_the_edge": None if best is None else best in (0, len(self.found.values) - 1),
            "diverged": best is None,
            "reasons": f"diverged at step {self.found.diverged_at}" if best is None else "",
        }


def resample(data: Labelled, samples: int, test: int, longest: int, seed: int, loss: str = "squared") -> SequenceTask:
    """A task from a random part of a set: its training split is learnt, its test split is for validation and test.

    Parameters
    ----------
    data
        Labelled series with classes.
    samples, test
        Training samples n, validation included, and test samples at most. Of the n, three quarters are the training
        split; the others come first in the test split. Series are standardised by all n (`lab.tasks.files.prepare`).
    longest
        Time steps at most; longer series are averaged over neighbouring steps.
    seed
        Of the choice of samples, from both splits of the source together.
    loss
        With "cross_entropy" two classes have a column of ±1 each, as more classes have in any case.

    Raises
    ------
    LabError
        Fewer series than n, or fewer samples than classes.
    """
    rows = data.choose(samples, min(test, len(data.series) - samples), seed, pool=True)
    inputs = prepare(shorten(data.series[rows], longest), samples)
    targets = data.targets[rows]
    if columns(len(data.classes or ()), loss) > targets.shape[1]:
        targets = np.concatenate([-targets, targets], axis=1)
    return split(inputs, targets, learnt(samples), data.name)


def select(found: Candidates, targets: ArrayLike, validation: int) -> Selection:
    """Choose by the first ``validation`` held-out samples: fewest mistakes, of these the smallest mean loss there.

    The loss is the one that the candidates were trained with, the mean square for those that were not trained.

    Parameters
    ----------
    targets
        ±1 of shape (n', q), of all held-out samples.

    Raises
    ------
    LabError
        No sample to choose by, or shapes that do not match.
    """
    check_integer("validation", validation, 1)
    known, unseen = np.split(np.asarray(targets, dtype=np.float64), [validation])
    chosen, tested = np.split(found.outputs, [validation], axis=1)
    counts = mistakes(chosen, known)
    losses = np.nan_to_num(_mean_losses(chosen, known, as_loss(found.loss)), nan=np.inf)
    best = int(np.lexsort((losses, counts))[0]) if found.diverged_at is None else None
    return Selection(found, counts, mistakes(tested, unseen), (len(known), len(unseen)), best)


def _mean_losses(outputs: NDArray[np.float64], targets: NDArray[np.float64], loss: Loss) -> NDArray[np.float64]:
    """The mean loss of each candidate (k,) of outputs (k, n, q) for ±1 (n, q)."""
    if isinstance(loss, Squared):
        return np.asarray(np.square(outputs - targets).mean((1, 2)))
    aims = loss.encode(torch.from_numpy(targets), targets.shape[1:])
    return np.array([float(loss.value(torch.from_numpy(each), aims).mean()) for each in outputs])


def choose(name: str, task: SequenceTask, validation: int, budget: Budget) -> Selection:
    """What the learner of this name chooses on a task by the first ``validation`` held-out samples; see `select`."""
    return select(candidates(name, task, budget), task.test_split[1], validation)
