"""Descent to an accuracy: its budget, kernel and gradient on the way, and how fast the error falls."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import check_number
from lab.learners.arrival import Exit, arrive
from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.learners.network import Snapshot
from lab.measures.hitting import hitting_step, linear_mse
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

_LEAST_STEPS = 10  # of a budget
_UNKNOWN_STEPS = 1000  # counted for a linear model that never arrives
_RATE_POINTS = 100  # at which the linear model's error is looked at for its rate


@dataclass(frozen=True)
class KernelPath:
    """What was seen at the recorded steps of one descent, up to the first one below the accuracy.

    Attributes
    ----------
    steps, mse
        Steps (T,), and mean (f − y)² over samples and outputs there.
    lambda_min, lambda_max
        Extreme eigenvalues of the tangent kernel on the training set, (T,); NaN where it is not finite.
    force
        ‖∇f‖²/f for the loss f = ½Σ(f − y)², (T,): between 2λ_min and 2λ_max, since it is 2 rᵀKr/rᵀr.
    start, network
        The network before descent, and at the last of these steps.
    exit
        "reached" the accuracy, "diverged", or "undecided": the steps were spent.
    """

    steps: Array
    mse: Array
    lambda_min: Array
    lambda_max: Array
    force: Array
    start: Network
    network: Network
    exit: Exit

    def motion(self, name: str = "W") -> Tensor | None:
        """How far one trained weight moved in all, θ_T − θ₀; None after a divergence."""
        if self.exit == "diverged":
            return None
        return (self.network.trained[name] - self.start.trained[name]).detach()


def kernel_path(network: Network, task: Task, descent: Descent, accuracy: float) -> KernelPath:
    """Descend with a copy of the network until a recorded step has a mean square error below ``accuracy``.

    Parameters
    ----------
    network, task, descent
        As for `lab.descend`.
    accuracy
        Positive, in units of the targets' square.
    """
    check_number("accuracy", accuracy, above=0)
    targets, rows = task.train_targets.flatten(1), []

    def look(snapshot: Snapshot) -> bool:
        force, mse = gradient_force(snapshot, targets), 2 * snapshot.loss / targets.numel()
        rows.append((snapshot.step, mse, *_extremes(snapshot.jacobian.gram()), force))
        return mse < accuracy

    found = arrive(network, task, descent, look)
    steps, errors, low, high, forces = np.array(rows, dtype=np.float64).T
    return KernelPath(steps, errors, low, high, forces, network, found.network, found.exit)


def gradient_force(snapshot: Snapshot, targets: Tensor) -> float:
    """‖∇f‖²/f of the loss f = ½ Σ (f − y)² at a snapshot, for targets (n, o); NaN where the loss is 0."""
    residual = snapshot.jacobian.outputs - targets.to(snapshot.jacobian.outputs)
    square = sum(float(part.double().square().sum()) for part in snapshot.jacobian.pull(residual).values())
    return square / snapshot.loss if snapshot.loss else np.nan


@dataclass
class Pace:
    """An ``until`` of `lab.arrive`: stops below an accuracy, and keeps the pace of the last step before that.

    Attributes
    ----------
    targets
        Training targets (n, o).
    accuracy
        Mean square error to fall below.
    learning_rate
        η of the descent.
    latest
        η‖∇f‖²/f at the last step that was looked at and had not arrived: the share that one more step takes off the
        loss, to first order. 0.0 before any.
    """

    targets: Tensor
    accuracy: float
    learning_rate: float
    latest: float = field(default=0.0, init=False)

    def __call__(self, snapshot: Snapshot) -> bool:
        """Whether the accuracy is reached."""
        if 2 * snapshot.loss / self.targets.numel() < self.accuracy:
            return True
        self.latest = self.learning_rate * gradient_force(snapshot, self.targets)
        return False


def patient_descent(linear: KernelRegressor, accuracy: float, *, critical_fraction: float, patience: float) -> Descent:
    """Descent at η = 2c/λ_max whose budget is a multiple of the steps that the linear model needs for an accuracy.

    Parameters
    ----------
    linear
        The linear model; λ_max is that of its kernel.
    accuracy
        Mean square error to fall below, positive.
    critical_fraction
        c. Beyond ½ the budget is that at c = ½: the linear model need not arrive any sooner.
    patience
        The multiple. The budget is 10 steps or more, and ``patience`` times 1000 where the linear model never arrives.
    """
    critical = linear.spectrum.lambda_max
    hit = hitting_step(linear.spectrum, linear.residual, 2 * min(critical_fraction, 0.5) / critical, accuracy)
    steps = max(round(patience * (hit or _UNKNOWN_STEPS)), _LEAST_STEPS)
    return Descent(steps, learning_rate=2 * critical_fraction / critical)


def decay_rate(steps: Array, mse: Array, accuracy: float) -> float | None:
    """−d log mse/dt per step, least squares over the last decade before ``accuracy``; None below three points."""
    late = np.flatnonzero(mse > 10 * accuracy)
    first = late[-1] + 1 if late.size else 0
    if len(steps) - first < 3:
        return None
    return -float(np.polyfit(steps[first:], np.log(mse[first:]), 1)[0])


def linear_decay_rate(linear: KernelRegressor, learning_rate: float, accuracy: float) -> float | None:
    """The `decay_rate` of a linear model in the same decade of its own error, from its closed form.

    None where it does not fall monotonically (η ≥ 2/λ_max) or never arrives, and below three points.
    """
    spectrum, residual = linear.spectrum, linear.residual
    if learning_rate * spectrum.lambda_max >= 2:
        return None
    ends = [hitting_step(spectrum, residual, learning_rate, level) for level in (10 * accuracy, accuracy)]
    if ends[0] is None or ends[1] is None:
        return None
    steps = np.unique(np.linspace(ends[0], ends[1], _RATE_POINTS).round().astype(int))
    return decay_rate(steps, linear_mse(spectrum, residual, learning_rate, steps), accuracy)


def _extremes(kernel: Tensor) -> tuple[float, float]:
    size = kernel.shape[0] * kernel.shape[1]
    matrix = kernel.double().reshape(size, size)
    if not bool(torch.isfinite(matrix).all()):
        return float("nan"), float("nan")
    values = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
    return max(float(values[0]), 0.0), float(values[-1])
