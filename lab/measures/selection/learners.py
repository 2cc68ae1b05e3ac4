"""Candidates of every learner: the same number for all of them, each fitted once on the training samples.

`LEARNERS` has the learners by name; `lab.measures.selection.catalogue` describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import check_choice
from lab.kernels.empirical import empirical_ntk
from lab.kernels.infinite import infinite_ntk
from lab.kernels.sharpness import sharpness
from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.learners.network import descend
from lab.losses import Loss
from lab.measures.selection.catalogue import ALPHAS, CANDIDATES, LARGE_STEP, SMALL_STEP
from lab.networks.elman import ElmanRNN
from lab.networks.scaled import Scaled
from lab.tasks.task import SequenceTask

Array = NDArray[np.float64]

_FIRST = 1 / 32  # of the last kernel time: where the stopping times begin
_TRAINED = ("W", "A", "B")


@dataclass(frozen=True)
class Budget:
    """What all learners have in common.

    Parameters
    ----------
    width, seed
        Of the networks.
    kernel_time
        Last stopping time τ = c·steps·(1 + β)/(1 − β), above 0; the first one is 1/32 of it.
    momentum
        β of the descents, in [0, 1).
    loss
        Name of the loss of the descents.
    """

    width: int
    seed: int
    kernel_time: float
    momentum: float
    loss: str = "squared"

    def pace(self, critical_fraction: float) -> float:
        """Kernel time of one step: ηλ_max/2 over 1 − β, with η = 2c(1 + β)/λ_max."""
        return critical_fraction * (1 + self.momentum) / (1 - self.momentum)

    def stops(self, critical_fraction: float, every: slice = slice(None)) -> list[int]:
        """The steps next to the stopping times, at least 1; some of the first ones may be equal."""
        times = np.geomspace(self.kernel_time * _FIRST, self.kernel_time, CANDIDATES)[every]
        steps: list[int] = np.maximum(np.rint(times / self.pace(critical_fraction)), 1).astype(int).tolist()
        return steps

    def descent(self, critical_fraction: float, stops: Sequence[int]) -> Descent:
        """Gradient descent that is recorded where it may stop."""
        return Descent(stops[-1], critical_fraction, momentum=self.momentum, record=tuple(stops), loss=self.loss)

    def elman(self, task: SequenceTask, **choices: Any) -> ElmanRNN:
        """The network of this width and seed for a task; W, A and B are trained unless ``choices`` say otherwise."""
        return ElmanRNN.like(task, self.width, **{"trained": _TRAINED, "seed": self.seed, **choices})


@dataclass(frozen=True)
class Candidates:
    """What a learner may choose among.

    Attributes
    ----------
    values
        The one choice of each, (k,).
    outputs
        On the held-out samples, (k, n', q); NaN after a divergence.
    choice
        What the values are: "kernel time", "penalty" (in units of the largest eigenvalue) or "neighbours".
    diverged_at
        Gradient step at which the descent diverged, if it did.
    loss
        Name of the loss of the descent; "squared" for least squares and for votes.
    """

    values: Sequence[float]
    outputs: Array
    choice: str
    diverged_at: int | None = None
    loss: str = "squared"


def candidates(name: str, task: SequenceTask, budget: Budget) -> Candidates:
    """Outputs of all candidates of a learner on the test split of a task, after learning its training split.

    Parameters
    ----------
    name
        One of `LEARNERS`.
    task
        Targets ±1 of shape (n, q), with a test split; for the loss "cross_entropy" with a column for each class.

    Raises
    ------
    LabError
        Another name, a task without a test split, or targets that the loss does not take.
    """
    check_choice("name", name, LEARNERS)
    return LEARNERS[name](task, budget)


def stopped_network(
    task: SequenceTask, budget: Budget, critical_fraction: float, alpha: float = 1.0, every: slice = slice(None)
) -> Candidates:
    """A network in float32, centred at initialization and scaled by α, stopped along gradient descent.

    ``every`` takes some of the stopping times. A run that diverges has no outputs, not even before it did.
    """
    network = Scaled(budget.elman(task, dtype=torch.float32), alpha)
    stops, held_out = budget.stops(critical_fraction, every), task.test_split[0].float()
    outputs: dict[int, Array] = {}
    path = descend(network, task, budget.descent(critical_fraction, stops))
    for snapshot in path:
        with torch.no_grad():
            outputs[snapshot.step] = snapshot.network(held_out).double().numpy()
    lost = np.full(tuple(task.test_split[1].shape), np.nan)
    kept = [lost if path.diverged_at is not None else outputs[step] for step in stops]
    times = [step * budget.pace(critical_fraction) for step in stops]
    return Candidates(times, np.stack(kept), "kernel time", path.diverged_at, budget.loss)


def neighbours(task: SequenceTask) -> Candidates:
    """The mean target of the 1, 3, …, 15 nearest training samples, as far as there are so many."""
    flat, fit = _flat(task), len(task.train_inputs)
    counts = [min(2 * place + 1, fit) for place in range(CANDIDATES)]
    nearest = torch.cdist(flat[fit:], flat[:fit]).topk(counts[-1], largest=False).indices
    votes = task.train_targets[nearest].cumsum(1)
    return Candidates(counts, np.stack([(votes[:, k - 1] / k).numpy() for k in counts]), "neighbours")


def _small_scale(task: SequenceTask, budget: Budget) -> Candidates:
    """One network for each α, together; they have diverged only if each of them has."""
    arms = [stopped_network(task, budget, SMALL_STEP, alpha, slice(1, None, len(ALPHAS))) for alpha in ALPHAS]
    ends = [arm.diverged_at for arm in arms if arm.diverged_at is not None]
    outputs = np.concatenate([arm.outputs for arm in arms])
    values = [value for arm in arms for value in arm.values]
    return Candidates(values, outputs, "kernel time", ends[0] if len(ends) == len(arms) else None, budget.loss)


@dataclass(frozen=True)
class _Regression:
    """Kernel regression from f₀ = 0, with a kernel (n, o, n, o), or one for all outputs, (n, n) or (n, 1, n, 1)."""

    task: SequenceTask
    kernel: Tensor
    cross: Tensor

    @classmethod
    def of(cls, task: SequenceTask, kernel: Callable[..., Tensor], network: ElmanRNN) -> _Regression:
        inputs = task.train_inputs
        return cls(task, kernel(network, inputs), kernel(network, task.test_split[0], inputs))

    def regressor(self) -> KernelRegressor:
        train, test = self.task.train_targets, self.task.test_split[1]
        return KernelRegressor(self.kernel, torch.zeros_like(train), train, self.cross, torch.zeros_like(test))

    def stopped(self, budget: Budget) -> Candidates:
        """Gradient descent at c = 0.25, stopped at the stopping times."""
        stops, regressor = budget.stops(SMALL_STEP), self.regressor()
        descent = budget.descent(SMALL_STEP, stops)
        rate = descent.rate(_lambda_max(regressor, descent.criterion))
        assert rate is not None
        path = regressor.trajectory(descent, rate)
        rows, times = np.searchsorted(path.steps, stops), [step * budget.pace(SMALL_STEP) for step in stops]
        return Candidates(times, path.test_outputs[rows], "kernel time", loss=budget.loss)

    def ridge(self) -> Candidates:
        """Ridge regression with penalties λ_max·10⁰ … λ_max·10⁻⁷."""
        regressor, penalties = self.regressor(), 10.0 ** -np.arange(CANDIDATES)
        top = regressor.spectrum.lambda_max
        found = [np.asarray(regressor.ridge(top * penalty)[1]) for penalty in penalties]
        return Candidates(penalties.tolist(), np.stack(found), "penalty")


def _lambda_max(regressor: KernelRegressor, loss: Loss) -> float:
    """λ_max(H₀^½ K H₀^½) from f₀ = 0, where H₀ is the same for all samples.

    Where outputs share the kernel, that is λ_max(K)·λ_max(H₀).
    """
    targets = loss.encode(regressor.targets, tuple(regressor.targets.shape[1:]))
    curvature = loss.curvature(regressor.outputs, targets)
    if curvature is None:
        return regressor.spectrum.lambda_max
    if len(regressor.spectrum.values) < regressor.outputs.numel():
        return regressor.spectrum.lambda_max * float(torch.linalg.eigvalsh(curvature[0]).max())
    return sharpness(regressor.kernel, curvature)


def _infinite(task: SequenceTask, budget: Budget) -> _Regression:
    """The tangent kernel of W, A and B at infinite width, which all outputs share."""
    return _Regression.of(task, partial(infinite_ntk, shared=True), budget.elman(task, device="meta"))


def _linearized(task: SequenceTask, budget: Budget) -> Candidates:
    network = budget.elman(task, dtype=torch.float32)
    return _Regression.of(task, empirical_ntk, network).stopped(budget)


def _features(task: SequenceTask, budget: Budget) -> Candidates:
    network = ElmanRNN(budget.width, task.train_inputs.shape[2], trained=("B",), seed=budget.seed)
    return _Regression.of(task, empirical_ntk, network).ridge()


def _linear(task: SequenceTask, budget: Budget) -> Candidates:
    """Ridge regression on the inputs themselves and a constant."""
    flat, fit = _flat(task), len(task.train_inputs)
    gram = flat @ flat[:fit].T + 1.0
    return _Regression(task, gram[:fit], gram[fit:]).ridge()


def _flat(task: SequenceTask) -> Tensor:
    """Training and held-out inputs as rows."""
    return torch.cat([task.train_inputs, task.test_split[0]]).flatten(1)


#: The network at a small and at a large step, and at small α; its linearization and the infinitely wide network under
#: the same descent; ridge regression on the infinite-width kernel, on the network's last states, on the inputs;
#: nearest neighbours.
LEARNERS: dict[str, Callable[[SequenceTask, Budget], Candidates]] = {
    "network": lambda task, budget: stopped_network(task, budget, SMALL_STEP),
    "network_large_step": lambda task, budget: stopped_network(task, budget, LARGE_STEP),
    "network_small_scale": _small_scale,
    "linearized": _linearized,
    "kernel": lambda task, budget: _infinite(task, budget).stopped(budget),
    "kernel_ridge": lambda task, budget: _infinite(task, budget).ridge(),
    "features": _features,
    "ridge": _linear,
    "neighbours": lambda task, budget: neighbours(task),
}
