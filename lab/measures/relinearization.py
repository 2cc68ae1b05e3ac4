"""A linearization that is taken on the way, after large steps, beside the one at initialization.

References
----------
Fort, Dziugaite, Paul, Kharaghani, Roy, Ganguli, "Deep learning versus kernel learning", NeurIPS 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.learners.arrival import Exit, arrive
from lab.learners.descent import Descent
from lab.learners.kernel import KernelRegressor
from lab.learners.network import train_network
from lab.learners.trajectory import Trajectory
from lab.measures.conditions import AfterPeak
from lab.measures.evolution import cosine_distance
from lab.measures.gap import rms, taylor_disagreement, tracking_gap
from lab.measures.hitting import hitting_step
from lab.measures.random_matrix import singular_values_over_edge
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

_BEYOND = 1.1  # times the edge of a random matrix: larger singular values are no fluctuations


@dataclass(frozen=True, eq=False)
class FirstPhase:
    """Descent until the residual ‖f − y‖ is a share of its first value, after its peak if it has one.

    Attributes
    ----------
    exit
        "reached", "diverged", or "undecided": the steps were spent.
    path
        The residual over its first value at every step that was taken, (T,).
    network, step
        The network at the share, and the step of it; None unless it was reached.
    """

    exit: Exit
    path: Array
    network: Network | None
    step: int | None

    def summary(self) -> dict[str, float | int | str | None]:
        """One flat row of JSON values.

        phase_one_length: ``step``. peak: largest residual on the way, None after a divergence. outcome: ``exit``.
        diverged: whether it did. reasons: why the share was not reached.
        """
        reached, diverged = self.exit == "reached", self.exit == "diverged"
        return {
            "phase_one_length": self.step,
            "peak": None if diverged else float(self.path.max()),
            "outcome": self.exit,
            "diverged": diverged,
            "reasons": "" if reached else f"phase one {self.exit} at step {len(self.path) - 1}",
        }


def first_phase(
    network: Network, task: Task, linear: KernelRegressor, fraction: float, *, share: float, steps: int
) -> FirstPhase:
    """Descend with a copy of a network at η = 2c/λ_max(K₀) until its residual is small.

    Parameters
    ----------
    network, task, linear
        The network at initialization, what it learns, and `lab.KernelRegressor.at(network, task)`.
    fraction
        c. From 1 on, all steps are taken: a residual that rises above its first value later on starts the search again.
    share
        Of the first residual, between 0 and 1.
    steps
        Budget.
    """
    first = 0.5 * float((linear.outputs - linear.targets).square().sum())
    descent = Descent(steps, learning_rate=2 * fraction / linear.spectrum.lambda_max, record="all")
    watch = AfterPeak(first, share, at_once=fraction < 1)
    found = arrive(network, task, descent, watch)
    path = np.sqrt(found.loss / first)
    if found.exit == "diverged" or watch.network is None:
        return FirstPhase("undecided" if found.exit == "reached" else found.exit, path, None, None)
    return FirstPhase("reached", path, watch.network, watch.step)


@dataclass(frozen=True, eq=False)
class SecondPhase:
    """A network from W_k on, beside two linear models that start where it does and differ in their kernel.

    Attributes
    ----------
    start, task
        The network at W_k, and what it learns.
    before, after
        The linear models around W₀ and around W_k.
    learning_rate, steps
        η, and how many steps were taken.
    capped
        Whether the budget ended the phase.
    scale
        RMS(y − f(W_k)) on the training set, the unit of the gaps.
    times
        Kernel time ηtλ_max(K_k)/2 at the recorded steps, (T,).
    network, frozen, renewed
        Trajectories of the network and of the models with the kernel of the start, K₀, and with K_k.
    """

    start: Network
    task: Task
    before: KernelRegressor
    after: KernelRegressor
    learning_rate: float
    steps: int
    capped: bool
    scale: float
    times: Array
    network: Trajectory
    frozen: Trajectory
    renewed: Trajectory

    def gaps(self) -> tuple[Array, Array]:
        """Test gaps (T,) of the network to the models with K₀ and with K_k, in units of the scale."""
        frozen, renewed = (
            tracking_gap(self.network.test_outputs, model.test_outputs, self.scale)
            for model in (self.frozen, self.renewed)
        )
        return frozen, renewed

    def summary(self, *, noise: bool) -> dict[str, float | int | str | None]:
        """One flat row of JSON values; what is not finite is None.

        gap_from_init, gap_from_phase_one: largest test gap to the model with K₀ and with K_k. kernel_distance: of these
        two, `lab.measures.evolution.cosine_distance`. spectrum_kept, spectrum_top: share of the singular values of W_k
        within 1.1 times the edge of a random matrix, and the largest one over that edge. capped: 1 if the budget
        ended the phase, else 0. phase_two_length, small_step: steps and η. final_mse: the network's last error over its
        first one. noise: see there; None unless wanted. outcome: "reached" or "diverged". diverged: the step of that,
        or False. reasons: the same in words.
        """
        frozen, renewed = (float(gap.max()) for gap in self.gaps())
        singular, end = singular_values_over_edge(self.start), self.network.diverged_at
        return {
            "gap_from_init": frozen if np.isfinite(frozen) else None,
            "gap_from_phase_one": renewed if np.isfinite(renewed) else None,
            "kernel_distance": cosine_distance(self.before.kernel, self.after.kernel),
            "spectrum_kept": float((singular <= _BEYOND).double().mean()),
            "spectrum_top": float(singular[0]),
            "capped": float(self.capped),
            "phase_two_length": self.steps,
            "small_step": self.learning_rate,
            "final_mse": None if end is not None else float(self.losses()[0, -1]),
            "noise": self.noise() if noise else None,
            "outcome": "reached" if end is None else "diverged",
            "diverged": end or False,
            "reasons": "" if end is None else f"phase two diverged at step {end}",
        }

    def losses(self) -> Array:
        """Losses (3, T) of the network and of the two models, over the network's first one."""
        losses: Array = np.stack([self.network.loss, self.frozen.loss, self.renewed.loss]) / self.network.loss[0]
        return losses

    def noise(self) -> float:
        """Disagreement of two computations of the model with K_k, in units of the gap."""
        return taylor_disagreement(self.start, self.task, self.renewed, self.learning_rate, self.scale)


def second_phase(
    network: Network,
    task: Task,
    before: KernelRegressor,
    fraction: float,
    *,
    done: float,
    budget: int,
) -> SecondPhase:
    """Small steps of a copy of a network from W_k on, by η = 2c/max(λ_max(K₀), λ_max(K_k)).

    Parameters
    ----------
    network, task
        The network at W_k, and a task with a test split.
    before
        The linear model around W₀.
    fraction
        c, below 1.
    done
        Share of its first mean squared error that the model with K_k has to fall below; that ends the phase.
    budget
        Most steps.
    """
    after = KernelRegressor.at(network, task)
    rate = 2 * fraction / max(before.spectrum.lambda_max, after.spectrum.lambda_max)
    scale = float(rms(after.residual))
    wanted = hitting_step(after.spectrum, after.residual, rate, done * scale**2)
    descent = Descent(budget if wanted is None else min(max(wanted, 1), budget), learning_rate=rate)
    return SecondPhase(
        start=network,
        task=task,
        before=before,
        after=after,
        learning_rate=rate,
        steps=descent.steps,
        capped=wanted is None or wanted > budget,
        scale=scale,
        times=descent.recorded() * rate * after.spectrum.lambda_max / 2,
        network=train_network(network.copy(), task, descent, rate),
        frozen=before.starting_from(after).trajectory(descent, rate),
        renewed=after.trajectory(descent, rate),
    )
