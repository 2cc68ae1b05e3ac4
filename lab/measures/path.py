"""The tangent kernel along gradient descent, and how fast the error falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lab.errors import check_number
from lab.learners.arrival import Exit, arrive
from lab.learners.descent import Descent
from lab.learners.network import Snapshot
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]


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
    network
        The network at the last of these steps.
    exit
        "reached" the accuracy, "diverged", or "undecided": the steps were spent.
    """

    steps: Array
    mse: Array
    lambda_min: Array
    lambda_max: Array
    force: Array
    network: Network
    exit: Exit


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
        residual = snapshot.jacobian.outputs - targets.to(snapshot.jacobian.outputs)
        pulled = snapshot.jacobian.pull(residual).values()
        square = sum(float(part.double().square().sum()) for part in pulled)
        force = square / snapshot.loss if snapshot.loss else np.nan
        mse = 2 * snapshot.loss / targets.numel()
        rows.append((snapshot.step, mse, *_extremes(snapshot.jacobian.gram()), force))
        return mse < accuracy

    found = arrive(network, task, descent, look)
    steps, errors, low, high, forces = np.array(rows, dtype=np.float64).T
    return KernelPath(steps, errors, low, high, forces, found.network, found.exit)


def decay_rate(steps: Array, mse: Array, accuracy: float) -> float | None:
    """−d log mse/dt per step, least squares over the last decade before ``accuracy``; None below three points."""
    late = np.flatnonzero(mse > 10 * accuracy)
    first = late[-1] + 1 if late.size else 0
    if len(steps) - first < 3:
        return None
    return -float(np.polyfit(steps[first:], np.log(mse[first:]), 1)[0])


def _extremes(kernel: Tensor) -> tuple[float, float]:
    size = kernel.shape[0] * kernel.shape[1]
    matrix = kernel.double().reshape(size, size)
    if not bool(torch.isfinite(matrix).all()):
        return float("nan"), float("nan")
    values = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
    return max(float(values[0]), 0.0), float(values[-1])
