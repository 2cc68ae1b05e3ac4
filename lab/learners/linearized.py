"""The linearized network: the first-order Taylor model around initialization, iterated in weight space."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lab.jacobians.factored import FactoredJacobian
from lab.jacobians.jacobian import Jacobian, Reducible, Tangent
from lab.learners.descent import Descent, follow, plain
from lab.learners.network import labels, objective
from lab.learners.trajectory import Labels, Recorder, Trajectory
from lab.losses import Objective
from lab.networks.network import Network
from lab.tasks.task import Task

_WORTHWHILE = 20  # steps from which a basis of the reachable motions pays


class LinearizedNetwork:
    """f(v) = f₀ + J₀ v with v = θ − θ₀, on cached Jacobians.

    Its base point cannot move: kept Jacobians share nothing with the network.

    Parameters
    ----------
    jacobian
        Kept Jacobian J₀ on the training inputs.
    weights
        The initial weights θ₀, for their shapes.
    track_weights
        Iterate θ instead of v: for optimizers that look at the weights themselves (weight decay).

    References
    ----------
    Lee et al., "Wide Neural Networks of Any Depth Evolve as Linear Models", NeurIPS 2019, section 2.2.
    """

    def __init__(self, jacobian: Jacobian, weights: Mapping[str, Tensor], *, track_weights: bool = False) -> None:
        self.jacobian = jacobian
        self._origin = {name: value.detach().clone() for name, value in weights.items()} if track_weights else None
        start = self._origin if self._origin is not None else {name: torch.zeros_like(v) for name, v in weights.items()}
        self._point: Tangent = {name: value.detach().clone() for name, value in start.items()}

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """What a step writes to: v, or θ where weights are tracked."""
        return self._point

    @property
    def motion(self) -> Tangent:
        """v = θ − θ₀."""
        if self._origin is None:
            return self._point
        return {name: value - self._origin[name] for name, value in self._point.items()}

    @property
    def replayable(self) -> bool:
        """Whether the Jacobian is one whose products are known to read no number on the host."""
        return isinstance(self.jacobian, FactoredJacobian)

    def evaluate(self, batch: Tensor | None) -> tuple[Tensor, Jacobian]:
        """f₀ + J₀ v on some or all training samples, shape (b, o), and J₀ there."""
        jacobian = self.jacobian if batch is None else self.jacobian.select(batch)
        return self.on(jacobian), jacobian

    def step(self, batch: Tensor | None) -> tuple[Tensor, Jacobian]:
        """The same: there is no shorter way."""
        return self.evaluate(batch)

    def on(self, jacobian: Jacobian) -> Tensor:
        """f₀ + J₀ v on the inputs of another kept Jacobian at the same weights, shape (n', o)."""
        return jacobian.outputs + jacobian.push(self.motion)


def linearize(
    jacobian: Jacobian, test: Jacobian | None, weights: Mapping[str, Tensor], descent: Descent
) -> tuple[LinearizedNetwork, Jacobian | None]:
    """A linearized network on kept Jacobians, and the test Jacobian that goes with it.

    Plain descent and momentum do not depend on the coordinates of v, so that they go on in as few as are needed, unless
    there are so few steps that finding these would take longer.
    """
    if descent.optimizer is None and descent.steps >= _WORTHWHILE and isinstance(jacobian, Reducible):
        jacobian, test = jacobian.reduced(test)
        weights = jacobian.pull(torch.zeros_like(jacobian.outputs))
    return LinearizedNetwork(jacobian, weights, track_weights=descent.optimizer is not None), test


def train_linearized(
    model: LinearizedNetwork,
    test_jacobian: Jacobian | None,
    aim: Objective,
    descent: Descent,
    learning_rate: float | None,
    known: Labels | None = None,
) -> Trajectory:
    """Train a linearized network in place and record its outputs on both splits.

    ``aim`` is in the dtype and on the device of the Jacobian; ``test_jacobian`` is kept; ``known`` are the classes.
    """
    test = None if test_jacobian is None else tuple(test_jacobian.outputs.shape)
    recorder = Recorder(descent.recorded(), tuple(model.jacobian.outputs.shape), test, known)
    visits = follow(model, aim, descent, learning_rate, "linearized network")
    for visit in visits:
        held_out = None if test_jacobian is None else plain(model.on(test_jacobian))
        recorder.record(visit.step, plain(visit.outputs), held_out, visit.loss)
    return recorder.trajectory(visits.diverged_at)


def taylor_trajectory(network: Network, task: Task, descent: Descent, learning_rate: float) -> Trajectory:
    """The Taylor model around a network's present weights, iterated in weight space from v = 0 on both splits.

    Its difference from the closed form of `lab.KernelRegressor.at` is the noise floor of both.
    """
    jacobian = network.jacobian(task.train_inputs).keep()
    test = None if task.test_inputs is None else network.jacobian(task.test_inputs).keep()
    model, test = linearize(jacobian, test, network.trained, descent)
    aim = objective(network, task, descent.loss)
    return train_linearized(model, test, aim, descent, learning_rate, labels(aim, task))
