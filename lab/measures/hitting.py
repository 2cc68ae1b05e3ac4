"""Kernel time, and when the linear model arrives: a clock that learners with different rates share.

One unit of *kernel time* is one critical step over the full batch, so that equal times mean equal progress of the
linear model along its fastest direction, whatever the learning rate, the batch and the momentum.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lab.errors import check_number, refuse
from lab.kernels.infinite import infinite_ntk
from lab.kernels.spectrum import Spectrum
from lab.networks.elman import ElmanRNN
from lab.tasks.task import SequenceTask

Array = NDArray[np.float64]

_NEVER = 2**60  # steps; a model that has not arrived by then never will


def kernel_time(
    steps: float, learning_rate: float, lambda_max: float, *, share: float = 1.0, momentum: float = 0.0
) -> float:
    """τ = η·share·t·λ_max/(2(1 − β)) after t steps.

    Parameters
    ----------
    steps, learning_rate, lambda_max
        t, η, and the largest eigenvalue of the tangent kernel of the whole training set at initialization.
    share
        Batch size over training samples.
    momentum
        β of the heavy ball, which moves 1/(1 − β) times as far per step in the long run.
    """
    return learning_rate * share * steps * lambda_max / (2 * (1 - momentum))


def steps_for(kernel_time: float, critical_fraction: float, *, share: float = 1.0, momentum: float = 0.0) -> int:
    """Steps (at least 1) that reach a kernel time at η = c·2(1 + β)/λ_max, rounded up.

    Raises
    ------
    LabError
        A time, critical fraction or share that is not positive, or a momentum outside [0, 1).
    """
    for name, value in (("kernel_time", kernel_time), ("critical_fraction", critical_fraction), ("share", share)):
        check_number(name, value, above=0)
    check_number("momentum", momentum, above=0, below=1, closed=True)
    steps = kernel_time * (1 - momentum) / (critical_fraction * (1 + momentum) * share)
    return max(math.ceil(steps * (1 - 1e-12)), 1)


def linear_mse(spectrum: Spectrum, residual: Array, learning_rate: float, steps: NDArray[np.int64]) -> Array:
    """Mean square residual of the linear model after each of the steps (T,): r_t = (I − ηK)^t r₀ in closed form.

    Parameters
    ----------
    spectrum
        Of the training kernel, N rows.
    residual
        r₀ = f₀ − y: N numbers in any shape, or (n, q), (n, s·q) where q outputs share each row of the kernel.
    learning_rate
        η of plain gradient descent on ½Σ(f − y)².
    """
    sizes, count = _sizes(spectrum, residual)
    with np.errstate(over="ignore"):
        return np.asarray(((spectrum.decay(learning_rate, np.asarray(steps)) * sizes) ** 2).sum(1) / count)


def linear_motion(spectrum: Spectrum, residual: Array, learning_rate: float, steps: NDArray[np.int64]) -> Array:
    """‖θ_t − θ₀‖ of the linear model after each of the steps (T,): √(r₀ᵀK⁻¹(I − (I − ηK)^t)² r₀) in closed form.

    It tends to the length √(r₀ᵀK⁻¹r₀) of the shortest motion that fits. Parameters as for `linear_mse`.
    """
    sizes, _ = _sizes(spectrum, residual)
    filters = spectrum.descent(learning_rate, np.asarray(steps))
    return np.asarray(np.sqrt(((filters * sizes) ** 2 * spectrum.values).sum(1)))


def _sizes(spectrum: Spectrum, residual: Array) -> tuple[Array, int]:
    """Norms (N,) of a residual along each eigenvector, over the outputs that share a kernel, and how many numbers."""
    columns = np.asarray(residual, dtype=np.float64).reshape(len(spectrum.values), -1)
    start = spectrum.vectors.T @ columns
    return start[:, 0] if start.shape[1] == 1 else np.linalg.norm(start, axis=1), columns.size


def hitting_step(spectrum: Spectrum, residual: Array, learning_rate: float, mse: float) -> int | None:
    """First step at which the linear model's mean square residual is below ``mse``; None if it never is.

    Raises
    ------
    LabError
        A threshold that is not positive, or η ≥ 2/λ_max, where the linear model need not fall monotonically.
    """
    check_number("mse", mse, above=0)
    if learning_rate * spectrum.lambda_max >= 2:
        came = f"{learning_rate:.3g}, which is {learning_rate * spectrum.lambda_max / 2:.3g} of the critical rate"
        refuse("learning_rate", came, "below 2/λ_max", "lower the critical fraction below 1")

    def above(step: int) -> bool:
        return bool(linear_mse(spectrum, residual, learning_rate, np.array([step]))[0] >= mse)

    high = 1
    while above(high):
        if high > _NEVER:
            return None
        high *= 2
    low = -1 if not above(0) else high // 2 if high > 1 else 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if above(middle) else (low, middle)
    return high


def hitting_time(spectrum: Spectrum, residual: Array, learning_rate: float, share: float) -> float | None:
    """Kernel time in which the linear model's mean square residual falls below a share of the first; None if never.

    Rates above 1/λ_max are replaced by it, which keeps every mode from alternating. Below it the kernel time hardly
    depends on the rate. Parameters as for `linear_mse`.
    """
    rate = min(learning_rate, 1 / spectrum.lambda_max)
    steps = hitting_step(spectrum, residual, rate, share * float((residual**2).mean()))
    return None if steps is None else kernel_time(steps, rate, spectrum.lambda_max)


def limit_spectrum(task: SequenceTask) -> tuple[Spectrum, Array]:
    """Spectrum of K∞/m on the training set, and the first residual r₀ = −y of centred outputs, flattened.

    Together they are the infinitely wide linear learner on this task, for the paper's network (ReLU, W trained alone),
    whose K∞ is proportional to the width m. The kernel is the one that all outputs share. Everything is in float64.
    """
    network = ElmanRNN.like(task, 1, device="meta")
    kernel = infinite_ntk(network, task.train_inputs, shared=True)
    return Spectrum(kernel, overwrite=True), -task.train_targets.flatten().numpy()


def limit_hitting_steps(task: SequenceTask, accuracy: float, critical_fraction: float) -> int:
    """Steps, at least 1, in which the infinitely wide linear learner brings the mean square residual below a level.

    Parameters
    ----------
    task
        Outputs start at 0, as in `limit_spectrum`.
    accuracy
        The level, positive, in units of the targets squared.
    critical_fraction
        c in η = 2c/λ_max(K∞), below 1.

    Raises
    ------
    LabError
        If it never does: two samples with equal kernel rows have different targets.
    """
    spectrum, residual = limit_spectrum(task)
    steps = hitting_step(spectrum, residual, 2 * critical_fraction / spectrum.lambda_max, accuracy)
    if steps is None:
        came = f"{accuracy:g}, which the linear learner never reaches (λ_min = {spectrum.lambda_min:.2g})"
        refuse("accuracy", came, "a level that it reaches", "raise the accuracy, or separate the samples")
    return max(steps, 1)
