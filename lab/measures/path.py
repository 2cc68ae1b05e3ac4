"""Descent to an accuracy: its budget, kernel and gradient on the way, and how fast the error falls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import check_number, refuse
from lab.kernels.singular import spectral_norm
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
    linear
        The linear model around the network before descent.
    learning_rate
        η.
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
    linear: KernelRegressor
    learning_rate: float
    start: Network
    network: Network
    exit: Exit

    def motion(self, name: str = "W") -> Tensor | None:
        """How far one trained weight moved in all, θ_T − θ₀; None after a divergence."""
        if self.exit == "diverged":
            return None
        return (self.network.trained[name] - self.start.trained[name]).detach()

    def arrays(self) -> dict[str, Array]:
        """The attributes of shape (T,), by name."""
        return {name: getattr(self, name) for name in ("steps", "mse", "lambda_min", "lambda_max", "force")}

    def summary(self, accuracy: float, width: int) -> dict[str, float | None]:
        """Numbers of a path to ``accuracy``, by name; None where there is none or it is not finite.

        ``learning_rate``; ``lambda_min`` and ``lambda_max`` of K₀; ``rate_over_prediction`` and ``rate_over_linear``
        (`relative_rates`); ``ratio_min`` and ``ratio_max``, the smallest 2λ_min(K)/m and the largest 2λ_max(K)/m for
        the width m; ``ratio_kept``, the smallest λ_min(K) over λ_min(K₀); ``path_ratio_min`` and ``path_ratio_max``,
        the extremes of ‖∇f‖²/(m f); ``final_mse``; ``motion``, √m‖W_T − W₀‖₂. After a divergence the first three alone
        have values.
        """
        start = self.linear.spectrum
        rates, moved = relative_rates(self, accuracy), self.motion()
        kept = float(self.lambda_min.min()) / start.lambda_min if start.lambda_min > 0 else None
        fixed = {"learning_rate": self.learning_rate, "lambda_min": start.lambda_min, "lambda_max": start.lambda_max}
        values = {
            "rate_over_prediction": rates[0],
            "rate_over_linear": rates[1],
            "ratio_min": 2 * float(self.lambda_min.min()) / width,
            "ratio_max": 2 * float(self.lambda_max.max()) / width,
            "ratio_kept": kept,
            "path_ratio_min": float(self.force.min()) / width,
            "path_ratio_max": float(self.force.max()) / width,
            "final_mse": float(self.mse[-1]),
            "motion": math.nan if moved is None else width**0.5 * spectral_norm(moved),
        }
        gone = self.exit == "diverged"
        known = {
            name: None if gone or value is None or not np.isfinite(value) else value for name, value in values.items()
        }
        return fixed | known


def kernel_path(
    network: Network, task: Task, descent: Descent, accuracy: float, *, linear: KernelRegressor | None = None
) -> KernelPath:
    """Descend with a copy of the network until a recorded step has a mean square error below ``accuracy``.

    Parameters
    ----------
    network, task, descent
        As for `lab.descend`.
    accuracy
        Positive, in units of the targets' square.
    linear
        The linear model around the network (`lab.KernelRegressor.at`), where it is at hand already.

    Raises
    ------
    LabError
        As `lab.descend` does; an accuracy that is not positive; a descent with an optimizer, which has no η.
    """
    check_number("accuracy", accuracy, above=0)
    targets, rows = task.train_targets.flatten(1), []

    def look(snapshot: Snapshot) -> bool:
        force, mse = gradient_force(snapshot, targets), 2 * snapshot.loss / targets.numel()
        rows.append((snapshot.step, mse, *_extremes(snapshot.jacobian.gram()), force))
        return mse < accuracy

    linear = linear or KernelRegressor.at(network, task)
    rate = descent.rate(linear.spectrum.lambda_max)
    if rate is None:
        refuse("descent", "one with an optimizer", "plain gradient descent", "give a learning rate instead")
    found = arrive(network, task, descent, look)
    steps, errors, low, high, forces = np.array(rows, dtype=np.float64).T
    return KernelPath(steps, errors, low, high, forces, linear, rate, network, found.network, found.exit)


def patient_path(
    network: Network, task: Task, accuracy: float, *, critical_fraction: float, patience: float
) -> KernelPath:
    """The `kernel_path` of a `patient_descent` with the network's own linear model; parameters as for these."""
    linear = KernelRegressor.at(network, task)
    descent = patient_descent(linear, accuracy, critical_fraction=critical_fraction, patience=patience)
    return kernel_path(network, task, descent, accuracy, linear=linear)


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


def relative_rates(path: KernelPath, accuracy: float) -> tuple[float | None, float | None]:
    """The `decay_rate` of a path over 2ηλ_min(K₀), and over the `linear_decay_rate`.

    2ηλ_min(K₀) is the rate of the linear model's slowest mode. Both are None for a path that did not reach the
    accuracy, and where λ_min(K₀) is not positive.
    """
    lowest = path.linear.spectrum.lambda_min
    own = decay_rate(path.steps, path.mse, accuracy) if path.exit == "reached" else None
    if own is None or lowest <= 0:
        return None, None
    tracked = linear_decay_rate(path.linear, path.learning_rate, accuracy)
    return own / (2 * path.learning_rate * lowest), None if tracked is None else own / tracked


def _extremes(kernel: Tensor) -> tuple[float, float]:
    size = kernel.shape[0] * kernel.shape[1]
    matrix = kernel.double().reshape(size, size)
    if not bool(torch.isfinite(matrix).all()):
        return float("nan"), float("nan")
    values = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
    return max(float(values[0]), 0.0), float(values[-1])
