"""How far the network strays from its linearization."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.learners.linearized import taylor_trajectory
from lab.learners.trajectory import Trajectory
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

UNITS = ("targets", "initial")
_CONSTANT = 1e-12  # spread of targets over their size that is rounding


def rms(values: Array, axis: int | tuple[int, ...] | None = None) -> Array:
    """Root of the mean square over some axes."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(np.mean(np.square(values), axis=axis)))


def target_unit(targets: Array) -> float:
    """RMS of targets (n, o) about their mean over samples, each output about its own; their RMS if all are constant.

    It is the unit of the gap, since a learner that only predicts the mean has learnt nothing.
    """
    values = np.asarray(targets, dtype=np.float64)
    spread = float(rms(values - values.mean(0)))
    size = float(rms(values))
    return spread if spread > _CONSTANT * size else size


def gap_units(targets: Array, outputs: Array) -> dict[str, float]:
    """Units of the gap by name, from targets and initial outputs (n, o) of the training set.

    "targets" is `target_unit`; "initial" is the RMS of (targets − initial outputs), which for an uncentred network is
    mostly the size of its random f₀. Where all targets are 0, "targets" is "initial".
    """
    initial = float(rms(np.asarray(targets, dtype=np.float64) - outputs))
    return {"targets": target_unit(targets) or initial, "initial": initial}


def unit_of(linear: KernelRegressor) -> float:
    """The unit of the gap from a linear model: "targets" of `gap_units`."""
    return gap_units(linear.targets.numpy(), linear.outputs.numpy())["targets"]


def tracking_gap(network: Array, linearized: Array, scale: float) -> Array:
    """RMS over samples and outputs of (network − linearized) at each recorded step, in units of ``scale``.

    Parameters
    ----------
    network, linearized
        Outputs (T, n, o).
    scale
        Unit of the gap, such as `target_unit` of the training split.

    Returns
    -------
    Array
        Shape (T,); inf wherever either has diverged (its row is not finite).
    """
    distance = rms(network - linearized, axis=(1, 2))
    with np.errstate(divide="ignore"):
        gap = np.divide(distance, scale, out=np.zeros_like(distance), where=distance != 0)  # 0/0: nothing to learn
    return np.where(np.isfinite(gap), gap, np.inf)


def with_divergences(gap: Array, steps: NDArray[np.int64], *diverged_at: int | None) -> Array:
    """A gap (T,) at recorded steps (T,), inf from the first of the divergences on; None stands for no divergence."""
    ends = [end for end in diverged_at if end is not None]
    return np.where(steps >= min(ends), np.inf, gap) if ends else gap


def disagreement(linearized: Array, kernel: Array, scale: float) -> float:
    """Largest |linearized − kernel| over all steps, samples and outputs that both reached, in units of ``scale``.

    The two compute one curve in two ways, so this is the noise floor of every gap. At steps where an exploding model
    has outputs above the scale (RMS over samples and outputs), it is in units of these.
    """
    size = np.maximum(scale, rms(linearized, axis=(1, 2)))[:, None, None]
    difference = np.abs(linearized - kernel)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(difference == 0, 0.0, difference / size)
    finite = share[np.isfinite(share)]
    return float(finite.max()) if finite.size else float("nan")


def taylor_disagreement(
    network: Network, task: Task, closed_form: Trajectory, learning_rate: float, scale: float
) -> float:
    """`disagreement` on the test set between a closed form and the Taylor model iterated in weight space.

    Parameters
    ----------
    network, task
        The weights around which both linearize, and a task with a test split.
    closed_form
        Plain descent of the linear model, as `lab.KernelRegressor.trajectory` gives it at a default ``record``.
    learning_rate
        η of that descent.
    scale
        Unit of the gap.
    """
    descent = Descent(int(closed_form.steps[-1]), learning_rate=learning_rate)
    again = taylor_trajectory(network, task, descent, learning_rate)
    return disagreement(again.test_outputs, closed_form.test_outputs, scale)
