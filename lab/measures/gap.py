"""How far the network strays from its linearization."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.learners.linearized import taylor_trajectory
from lab.learners.trajectory import Trajectory
from lab.losses import Loss, LossFunction
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

UNITS = ("targets", "initial", "change")
_ABOVE_NOISE = 100.0  # times the noise floor: a smaller change of outputs is no unit
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


def change_unit(linearized: Array, kernel: Array | None, precision: float) -> Array:
    """RMS change of the linear learner's training outputs since step 0, the unit of the gap for losses without one.

    Parameters
    ----------
    linearized, kernel
        Training outputs (T, n, o) of the linearized network and, where there is one, of the kernel regressor, both
        centred over classes where the loss does not see their mean.
    precision
        ε of the network's floating type.

    Returns
    -------
    Array
        Shape (T,). NaN at step 0, and where the change is below 100 times the noise floor: the RMS difference of the
        two computations, or ε times the RMS of the outputs if that is more.
    """
    change, floor = rms(linearized - linearized[0], axis=(1, 2)), precision * rms(linearized, axis=(1, 2))
    if kernel is not None:
        floor = np.fmax(floor, rms(linearized - kernel, axis=(1, 2)))
    return np.where(change > _ABOVE_NOISE * floor, change, np.nan)


def largest(gap: Array) -> float:
    """The largest entry of a gap (T,), those without a unit left out; NaN if none has one."""
    known = gap[~np.isnan(gap)]
    return float(known.max()) if known.size else float("nan")


def tracking_gap(network: Array, linearized: Array, scale: float | Array) -> Array:
    """RMS over samples and outputs of (network − linearized) at each recorded step, in units of ``scale``.

    Parameters
    ----------
    network, linearized
        Outputs (T, n, o).
    scale
        Unit of the gap, such as `target_unit` of the training split; or one for each step, (T,), such as `change_unit`.

    Returns
    -------
    Array
        Shape (T,); inf wherever either has diverged (its row is not finite), NaN where there is no unit.
    """
    distance = rms(network - linearized, axis=(1, 2))
    with np.errstate(divide="ignore"):
        gap = np.divide(distance, scale, out=np.zeros_like(distance), where=distance != 0)  # 0/0: nothing to learn
    gap = np.where(np.isnan(scale) & np.isfinite(distance), np.nan, np.where(np.isfinite(gap), gap, np.inf))
    return np.asarray(gap)


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
    network: Network,
    task: Task,
    closed_form: Trajectory,
    learning_rate: float,
    scale: float,
    loss: str | Loss | LossFunction = "squared",
) -> float:
    """`disagreement` on the test set between the linear model's kernel regressor and its iteration in weight space.

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
    loss
        As for `lab.Descent`; other losses than the squared one have a recursion in place of the closed form.
    """
    descent = Descent(int(closed_form.steps[-1]), learning_rate=learning_rate, loss=loss)
    again = taylor_trajectory(network, task, descent, learning_rate)
    return disagreement(again.test_outputs, closed_form.test_outputs, scale)
