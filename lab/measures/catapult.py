"""Training at learning rates below and beyond the edge of stability, and the largest ones that still do something.

Beyond the edge, c = ηλ_max(K₀)/2 > 1, the linear model diverges. A network may catapult instead: its error rises, its
kernel shrinks, and then it trains. For other losses than the squared one λ_max is that of H₀^½ K₀ H₀^½, H₀ being the
loss's curvature at the initial outputs; their gradients are bounded, so that the linear model need not diverge.

References
----------
Lewkowycz, Bahri, Dyer, Sohl-Dickstein, Gur-Ari, "The large learning rate phase of deep learning", 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lab.kernels.sharpness import curved
from lab.kernels.spectrum import largest_eigenvalue
from lab.learners.arrival import Arrival, arrive
from lab.learners.descent import Descent, plain
from lab.learners.trajectory import Trajectory
from lab.losses import Loss, LossFunction, Objective
from lab.measures.conditions import Passage
from lab.measures.gap import (
    change_unit,
    largest,
    rms,
    taylor_disagreement,
    tracking_gap,
    unit_of,
    with_divergences,
)
from lab.measures.hitting import steps_for
from lab.measures.interpolation import ratio_in_logs, value_at_last_fall
from lab.measures.linear_model import LONGEST, LinearModel
from lab.measures.motion import open_gates
from lab.measures.thresholds import Threshold, first_hit, holds_up_to
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

_MOST = 50_000  # steps of a run, where a small eigenvalue would ask for millions
_REFERENCE, _NEAR = 0.25, 0.8  # c, and share of the network's limit, between which motion is compared


@dataclass(frozen=True, eq=False)
class RateRun:
    """A network trained at one learning rate, and its linear model; errors are in units of the first one.

    The error is the mean (f − y)² over training samples and outputs; for other losses than the squared one it is the
    loss per sample.

    Attributes
    ----------
    network, task
        The network at initialization, and what it learnt.
    model, linear
        Its linear model, and the trajectory of that over the window: in closed form for the squared loss, by recursion
        for others.
    learning_rate
        η.
    arrival
        How the training ended, and the trained network.
    errors
        Errors of the network at every step, (T,).
    gap
        Test gap |network − linear model| at ``linear.steps``; inf after a divergence. It is in units of the RMS of the
        training targets about their mean; for other losses than the squared one in units of the linear model's own
        change of training outputs (`lab.measures.gap.change_unit`), NaN where that is no unit.
    motion
        ‖θ_t − θ₀‖_F where the error passes the goal, between steps; None unless the goal was reached.
    """

    network: Network
    task: Task
    model: LinearModel
    linear: Trajectory
    learning_rate: float
    arrival: Arrival
    errors: Array
    gap: Array
    motion: float | None

    def linear_errors(self, steps: ArrayLike) -> Array:
        """Errors of the linear model after each of the steps (T,)."""
        return self.model.errors(self.learning_rate, steps)

    def linear_noise(self) -> float:
        """Largest disagreement on the test set with the Taylor model iterated in weight space, over the window.

        In units of the targets; for other losses than the squared one in units of the largest change of the linear
        model's training outputs (see `lab.measures.gap.disagreement`).
        """
        change = rms(self.linear.train - self.linear.train[0], axis=(1, 2))
        scale = unit_of(self.model.regressor) if self.model.is_closed else largest(change)
        run = (self.network, self.task, self.linear, self.learning_rate)
        return taylor_disagreement(*run, scale, self.model.aim.loss)

    def f0_share(self) -> float | None:
        """‖f₀‖²/‖y − f₀‖² on the training set; None for losses whose targets are not values of the outputs."""
        if not self.model.aim.loss.in_output_units:
            return None
        regressor = self.model.regressor
        outputs, square = regressor.outputs, float((regressor.residual**2).mean())
        return float(outputs.square().sum()) / (square * outputs.numel())

    def summary(self, error: str = "mse") -> dict[str, float | int | None]:
        """One flat row of JSON values; those of the end are None after a divergence.

        steps: taken in all. final_mse, peak_mse: last and largest error, under the name ``error``. motion. sharpness:
        ηλ_max/2 of the trained network, 1 being the edge of stability, where λ_max is that of its kernel K_T, or of
        H_T^½ K_T H_T^½ with the loss's curvature at its outputs. live_gates, live_gates_start: share of open ReLU gates
        on the training set after and before, None without gates.
        """
        inputs, after = self.task.train_inputs, self.arrival.network
        died = self.arrival.diverged_at is not None
        return {
            "steps": len(self.errors) - 1,
            f"final_{error}": None if died else float(self.errors[-1]),
            f"peak_{error}": None if died else float(self.errors.max()),
            "motion": self.motion,
            "sharpness": None if died else self.learning_rate * self._lambda_max() / 2,
            "live_gates": None if died else open_gates(after.gates(inputs)),
            "live_gates_start": open_gates(self.network.gates(inputs)),
        }

    def context(self) -> dict[str, float | int | str | None]:
        """More columns of that row: rates, ``diverged`` (False, or the step) and why, and the largest gap.

        lambda_max is that of H₀^½ K₀ H₀^½, lambda_min that of K₀; gap_test is None after a divergence.
        """
        end, gap = self.arrival.diverged_at, largest(self.gap)
        return {
            "learning_rate": self.learning_rate,
            "lambda_max": self.model.lambda_max,
            "lambda_min": self.model.regressor.spectrum.lambda_min,
            "f0_share": self.f0_share(),
            "diverged": end or False,
            "reasons": "" if end is None else f"network diverged at step {end}",
            "gap_test": gap if math.isfinite(gap) else None,
        }

    def _lambda_max(self) -> float:
        """λ_max(H_T^½ K_T H_T^½) of the trained network; 0 where the loss is flat or no gate is open."""
        jacobian = self.arrival.network.jacobian(self.task.train_inputs)
        curvature = self.model.aim.curvature(jacobian.outputs.to(self.model.regressor.outputs))
        if curvature is None:
            return largest_eigenvalue(jacobian.gram())
        return largest_eigenvalue(curved(jacobian.gram(), curvature)) if bool(curvature.any()) else 0.0


def train_at(
    fraction: float,
    network: Network,
    task: Task,
    *,
    goal: float,
    kernel_time: float,
    least_steps: int,
    patience: float,
    reference: float,
    loss: str | Loss | LossFunction = "squared",
) -> RateRun:
    """Train a copy of a network by full-batch descent at η = 2c/λ_max until its error is small.

    Parameters
    ----------
    fraction
        c; it may be above 1.
    network, task
        A network at initialization, and a task with a test split.
    goal
        Share of the first error to fall below.
    kernel_time
        τ = c·t over which the network is compared with its linear model.
    least_steps
        The run ends neither before τ nor before so many steps.
    patience
        Budget in units of the steps in which the linear model reaches the goal at the critical fraction ``reference``,
        or in which the kernel time passes there if it never does; `LONGEST` steps where a recursion was given up. Below
        the reference the budget is that of an equal kernel time. It is 50,000 steps at most.
    reference
        Below 1.
    loss
        As for `lab.Descent`. λ_max is that of H₀^½ K₀ H₀^½, of K₀ for the squared loss.
    """
    model = LinearModel.at(network, task, loss)
    rate, window = 2 * fraction / model.lambda_max, steps_for(kernel_time, fraction)
    linear = model.trajectory(Descent(window, learning_rate=rate, loss=loss), rate)
    earliest = max(window, least_steps)
    watch = Passage(network, task, model.first, goal, earliest, linear.steps, model.aim)
    never = kernel_time / reference if model.is_closed else LONGEST
    ticks = model.steps_to(goal, 2 * reference / model.lambda_max) or never
    budget = max(min(math.ceil(patience * ticks * max(reference / fraction, 1.0)), _MOST), earliest)
    found = arrive(network, task, Descent(budget, learning_rate=rate, record="all", loss=loss), watch)
    errors, gap = found.mse / model.first, _gap(watch.test, linear, model, network)
    gap = with_divergences(gap, linear.steps, found.diverged_at, linear.diverged_at)
    motion = value_at_last_fall(errors, watch.motion, goal) if found.exit == "reached" else None
    return RateRun(network, task, model, linear, rate, found, errors, gap, motion)


def _gap(test: Array, linear: Trajectory, model: LinearModel, network: Network) -> Array:
    """Gap (T,) of the network's test outputs (T, n', o) in its unit, logits centred over classes."""
    if model.is_closed:
        return tracking_gap(test, linear.test_outputs, unit_of(model.regressor))
    precision = torch.finfo(next(iter(network.trained.values())).dtype).eps
    unit = change_unit(_centred(linear.train, model.aim), None, precision)
    return tracking_gap(_centred(test, model.aim), _centred(linear.test_outputs, model.aim), unit)


def _centred(outputs: Array, aim: Objective) -> Array:
    return plain(aim.centred(torch.from_numpy(outputs)))


@dataclass(frozen=True)
class RateLimits:
    """The largest critical fractions c of one network, as places on a grid.

    Attributes
    ----------
    tracking
        Up to here the gap stays within a factor of that at the smallest c.
    linear
        The smallest c at which the linear model diverges.
    network
        The network trains here and at all smaller c.
    trains_again
        Whether it does at some c beyond.
    motion_ratio
        Motion at 0.8 of the network's limit over that at c = ¼, interpolated in logs; None where the grid up to the
        limit does not hold both, and where the limit is not inside the grid.
    """

    tracking: Threshold
    linear: Threshold
    network: Threshold
    trains_again: bool
    motion_ratio: float | None

    @classmethod
    def of(
        cls,
        fractions: ArrayLike,
        gaps: ArrayLike,
        linear_diverges: ArrayLike,
        trains: ArrayLike,
        motion: ArrayLike,
        *,
        factor: float,
    ) -> RateLimits:
        """From what was seen at ascending c (k,): gaps, motions and booleans of the same shape.

        ``factor`` says up to how many times the gap at the smallest c the network still tracks its linear model.
        """
        c, gap = np.asarray(fractions, dtype=np.float64), np.asarray(gaps, dtype=np.float64)
        trained, moved = np.asarray(trains, dtype=bool), np.asarray(motion, dtype=np.float64)
        network = holds_up_to(c, trained)
        near, inside = c <= network.value, network.censored is None
        return cls(
            tracking=holds_up_to(c, gap <= factor * gap[0]),
            linear=first_hit(c, linear_diverges),
            network=network,
            trains_again=bool(trained[c > network.value].any()),
            motion_ratio=ratio_in_logs(c[near], moved[near], _NEAR * network.value, _REFERENCE) if inside else None,
        )
