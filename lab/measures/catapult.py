"""Training at learning rates below and beyond the edge of stability, and the largest ones that still do something.

Beyond the edge, c = ηλ_max(K₀)/2 > 1, the linear model diverges. A network may catapult instead: its error rises, its
kernel shrinks, and then it trains.

References
----------
Lewkowycz, Bahri, Dyer, Sohl-Dickstein, Gur-Ari, "The large learning rate phase of deep learning", 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.kernels.spectrum import largest_eigenvalue
from lab.learners.arrival import Arrival, arrive
from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.learners.trajectory import Trajectory
from lab.measures.conditions import Passage
from lab.measures.gap import taylor_disagreement, tracking_gap, unit_of, with_divergences
from lab.measures.hitting import hitting_step, linear_mse, steps_for
from lab.measures.interpolation import ratio_in_logs, value_at_last_fall
from lab.measures.motion import open_gates
from lab.measures.thresholds import Threshold, first_hit, holds_up_to
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

_REFERENCE, _NEAR = 0.25, 0.8  # c, and share of the network's limit, between which motion is compared


@dataclass(frozen=True, eq=False)
class RateRun:
    """A network trained at one learning rate, and its linear model; errors are in units of the first one.

    Attributes
    ----------
    network, task
        The network at initialization, and what it learnt.
    regressor, linear
        Its linear model, and the trajectory of that over the window, in closed form.
    learning_rate
        η.
    arrival
        How the training ended, and the trained network.
    mse
        Mean squared errors of the network at every step, (T,).
    gap
        Test gap |network − linear model| at ``linear.steps``, in units of the RMS of the training targets about their
        mean; inf after a divergence.
    motion
        ‖θ_t − θ₀‖_F where the error passes the goal, between steps; None unless the goal was reached.
    """

    network: Network
    task: Task
    regressor: KernelRegressor
    linear: Trajectory
    learning_rate: float
    arrival: Arrival
    mse: Array
    gap: Array
    motion: float | None

    def linear_mse(self, steps: ArrayLike) -> Array:
        """Mean squared error of the linear model after each of the steps (T,)."""
        linear, taken = self.regressor, np.asarray(steps, dtype=np.int64)
        return linear_mse(linear.spectrum, linear.residual, self.learning_rate, taken) / _first_mse(linear)

    def linear_noise(self) -> float:
        """`lab.measures.gap.taylor_disagreement` of the linear model over the window, in units of the gap."""
        return taylor_disagreement(self.network, self.task, self.linear, self.learning_rate, unit_of(self.regressor))

    def f0_share(self) -> float:
        """‖f₀‖²/‖y − f₀‖² on the training set."""
        outputs = self.regressor.outputs
        return float(outputs.square().sum()) / (_first_mse(self.regressor) * outputs.numel())

    def summary(self) -> dict[str, float | int | None]:
        """One flat row of JSON values; those of the end are None after a divergence.

        steps: taken in all. final_mse, peak_mse: last and largest error. motion. sharpness: ηλ_max(K_T)/2 of the
        trained network's kernel, 1 being the edge of stability. live_gates, live_gates_start: share of open ReLU gates
        on the training set after and before, None without gates.
        """
        inputs, after = self.task.train_inputs, self.arrival.network
        died = self.arrival.diverged_at is not None
        return {
            "steps": len(self.mse) - 1,
            "final_mse": None if died else float(self.mse[-1]),
            "peak_mse": None if died else float(self.mse.max()),
            "motion": self.motion,
            "sharpness": None if died else self.learning_rate * largest_eigenvalue(after.jacobian(inputs).gram()) / 2,
            "live_gates": None if died else open_gates(after.gates(inputs)),
            "live_gates_start": open_gates(self.network.gates(inputs)),
        }


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
) -> RateRun:
    """Train a copy of a network by full-batch descent at η = 2c/λ_max(K₀) until its error is small.

    Parameters
    ----------
    fraction
        c; it may be above 1.
    network, task
        A network at initialization, and a task with a test split.
    goal
        Share of the first mean squared error to fall below.
    kernel_time
        τ = c·t over which the network is compared with its linear model.
    least_steps
        The run ends neither before τ nor before so many steps.
    patience
        Budget in units of the steps in which the linear model reaches the goal at the critical fraction ``reference``,
        or in which the kernel time passes there if it never does. Below the reference the budget is that of an equal
        kernel time.
    reference
        Below 1.
    """
    regressor = KernelRegressor.at(network, task)
    first, rate = _first_mse(regressor), 2 * fraction / regressor.spectrum.lambda_max
    window = steps_for(kernel_time, fraction)
    linear = regressor.trajectory(Descent(window, learning_rate=rate), rate)
    earliest = max(window, least_steps)
    watch = Passage(network, task, first, goal, earliest, linear.steps)
    ticks = _linear_steps(regressor, goal, reference) or kernel_time / reference
    budget = max(math.ceil(patience * ticks * max(reference / fraction, 1.0)), earliest)
    found = arrive(network, task, Descent(budget, learning_rate=rate, record="all"), watch)
    mse, gap = found.mse / first, tracking_gap(watch.test, linear.test_outputs, unit_of(regressor))
    gap = with_divergences(gap, linear.steps, found.diverged_at, linear.diverged_at)
    motion = value_at_last_fall(mse, watch.motion, goal) if found.exit == "reached" else None
    return RateRun(network, task, regressor, linear, rate, found, mse, gap, motion)


def _first_mse(regressor: KernelRegressor) -> float:
    return float((regressor.residual**2).mean())


def _linear_steps(regressor: KernelRegressor, goal: float, reference: float) -> int | None:
    """Steps in which the linear model falls below a share of its first error; None if it never does."""
    rate, accuracy = 2 * reference / regressor.spectrum.lambda_max, goal * _first_mse(regressor)
    return hitting_step(regressor.spectrum, regressor.residual, rate, accuracy)


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
