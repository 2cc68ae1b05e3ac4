"""The linear model of a network under any loss: its errors along plain full-batch descent, and when it arrives.

The squared loss has closed forms (`lab.measures.hitting`). Other losses take the recursion a ← a − η g(f₀ + K₀a), g
being the loss's gradient in the outputs, which costs n²o² per step.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from lab.jacobians.dual import DualJacobian
from lab.kernels.sharpness import sharpness
from lab.learners.descent import Descent, Visits, follow
from lab.learners.kernel import KernelRegressor
from lab.learners.linearized import LinearizedNetwork
from lab.learners.network import objective
from lab.learners.trajectory import Trajectory
from lab.losses import Loss, LossFunction, Objective, Squared
from lab.measures.hitting import hitting_step, linear_mse
from lab.measures.kernels import limit_lambda_max
from lab.networks.network import Network
from lab.tasks.task import Task

Array = NDArray[np.float64]

LONGEST = 2_000  #: steps after which a recursion that has not arrived is given up


def error_unit(aim: Objective) -> float:
    """The summed loss of a mean error of 1.

    The error is the mean (f − y)² over samples and outputs for the squared loss, and the loss per sample for others.
    """
    return aim.targets.numel() / 2 if isinstance(aim.loss, Squared) else float(len(aim))


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A network's linear model around its present weights, and the loss that it descends on.

    Attributes
    ----------
    regressor
        Kernel, outputs f₀ and targets on both splits.
    aim
        The loss on the training set, in float64.
    lambda_max
        Largest eigenvalue of H₀^½ K₀ H₀^½, with H₀ the loss's curvature at f₀: of K₀ itself for the squared loss.
    first
        The error at f₀ (see `error_unit`).
    """

    regressor: KernelRegressor
    aim: Objective
    lambda_max: float
    first: float

    @classmethod
    def at(cls, network: Network, task: Task, loss: str | Loss | LossFunction = "squared") -> LinearModel:
        """Around a network's present weights.

        Raises
        ------
        LabError
            Targets that the loss does not take, a zero kernel, a loss that is not convex at f₀.
        """
        regressor = KernelRegressor.at(network, task, loss)
        aim = objective(network, task, loss).to(regressor.outputs)
        if isinstance(aim.loss, Squared):
            return cls(regressor, aim, regressor.spectrum.lambda_max, float((regressor.residual**2).mean()))
        curvature = aim.curvature(regressor.outputs)
        top = regressor.spectrum.lambda_max if curvature is None else sharpness(regressor.kernel, curvature)
        return cls(regressor, aim, top, aim(regressor.outputs)[0] / error_unit(aim))

    @property
    def is_closed(self) -> bool:
        """Whether there are closed forms."""
        return isinstance(self.aim.loss, Squared)

    def trajectory(self, descent: Descent, learning_rate: float) -> Trajectory:
        """Outputs and loss at the recorded steps of plain descent; ``descent`` has the loss of this model."""
        if self.is_closed:
            return self.regressor.trajectory(descent, learning_rate)
        return self.regressor.recursion(descent, learning_rate, self.aim)

    def errors(self, learning_rate: float, steps: ArrayLike) -> Array:
        """Errors over the first one after each of the steps (T,), integers; inf from a divergence on."""
        taken = np.asarray(steps, dtype=np.int64)
        if self.is_closed:
            linear = self.regressor
            with np.errstate(over="ignore"):  # far beyond the edge
                return linear_mse(linear.spectrum, linear.residual, learning_rate, taken) / self.first
        wanted = tuple(np.unique(taken).tolist())
        losses = {visit.step: visit.loss for visit in self._visits(learning_rate, wanted)}
        return np.array([losses.get(step, np.inf) for step in taken.tolist()]) / error_unit(self.aim) / self.first

    def steps_to(self, share: float, learning_rate: float) -> int | None:
        """First step at which the error is below a share of the first one; None if it never is.

        A recursion is given up after `LONGEST` steps.

        Raises
        ------
        LabError
            A share that is not positive; for the squared loss a rate η ≥ 2/λ_max.
        """
        if self.is_closed:
            linear = self.regressor
            return hitting_step(linear.spectrum, linear.residual, learning_rate, share * self.first)
        level = share * self.first * error_unit(self.aim)
        visits = self._visits(learning_rate, tuple(range(LONGEST + 1)))
        return next((visit.step for visit in visits if visit.loss < level), None)

    def limit_lambda_max(self, network: Network, inputs: Tensor) -> float | None:
        """λ_max(H₀^½ K∞ H₀^½) on the training inputs (n, …), K∞ being the kernel of infinite width.

        That is λ_max(K∞)·λ_max(H₀) where all outputs start at 0, since outputs share K∞ and samples H₀. None where K∞
        has no closed form, and where outputs do not start at 0, unless H₀ is the identity.
        """
        curvature = self.aim.curvature(self.regressor.outputs)
        if curvature is not None and bool(self.regressor.outputs.any()):
            return None
        factor = 1.0 if curvature is None else float(torch.linalg.eigvalsh(curvature[0]).max())
        limit = limit_lambda_max(network, inputs)
        return None if limit is None else factor * limit

    def _visits(self, learning_rate: float, record: tuple[int, ...]) -> Visits:
        """The recursion on coefficients at these steps."""
        start = self.regressor.outputs
        model = LinearizedNetwork(DualJacobian(self.regressor.kernel, start), {"a": torch.zeros_like(start)})
        descent = Descent(max(*record, 1), learning_rate=learning_rate, record=record)
        return follow(model, self.aim, descent, learning_rate, "linear model")
