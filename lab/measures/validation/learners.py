"""Test errors of the learners that `lab.measures.validation.catalogue` describes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from lab.errors import check_integer, refuse
from lab.kernels.infinite import infinite_ntk
from lab.learners.descent import Descent, plain
from lab.learners.features import RandomFeatures, hidden_features
from lab.learners.kernel import KernelRegressor
from lab.learners.network import descend
from lab.measures.motion import norm
from lab.measures.validation.catalogue import Setting
from lab.networks.elman import ElmanRNN
from lab.networks.network import Network
from lab.networks.scaled import Scaled
from lab.tasks.neuron import neuron_of_sequence
from lab.tasks.task import Task

Array = NDArray[np.float64]
AnyTask = TypeVar("AnyTask", bound=Task)

PENALTIES = np.logspace(-9, 0, 19)  #: of ridge regression, in units of the kernel's largest eigenvalue


@dataclass(frozen=True)
class Stopped:
    """A network at the recorded step where its validation error was smallest; all None if it diverged at any step.

    Attributes
    ----------
    error
        Test error.
    step
        Gradient step.
    motion
        ‖θ − θ₀‖/‖θ₀‖ over the trained weights.
    train_error
        Mean square error on the training set; None also where it is not finite.
    curve
        Recorded steps, validation errors and test errors, (3, T); after a divergence those up to it.
    """

    error: float | None
    step: int | None
    motion: float | None
    train_error: float | None
    curve: Array


def split_errors(task: Task, outputs: ArrayLike, validation: int) -> tuple[float, float]:
    """Mean square errors of outputs (n', …), as many as targets, on the validation and on the test samples.

    Raises
    ------
    LabError
        No validation sample, or a task without a test split.
    """
    check_integer("validation", validation, 1)
    targets = task.test_split[1].flatten(1).numpy()
    squares = (np.asarray(outputs, dtype=np.float64).reshape(targets.shape) - targets).ravel() ** 2
    chosen = validation * task.test_split[1][0].numel()
    return float(squares[:chosen].mean()), float(squares[chosen:].mean())


def hold_out(task: AnyTask, validation: int) -> AnyTask:
    """The task with its last training samples moved to the front of the test split, where they are for validation.

    Raises
    ------
    LabError
        No validation sample, none left for training, or a task without a test split.
    """
    check_integer("validation", validation, 1)
    if validation >= len(task.train_inputs):
        allowed = f"fewer than the {len(task.train_inputs)} training samples"
        refuse("validation", validation, allowed, "leave some for training")
    inputs, targets = task.test_split
    return replace(
        task,
        train_inputs=task.train_inputs[:-validation],
        train_targets=task.train_targets[:-validation],
        test_inputs=torch.cat([task.train_inputs[-validation:], inputs]),
        test_targets=torch.cat([task.train_targets[-validation:], targets]),
    )


def affine_error(task: Task, validation: int) -> float:
    """Test error of the affine predictor fitted to the training samples by least squares; for one output."""
    train, test = (np.column_stack([inputs.flatten(1).numpy(), np.ones(len(inputs))]) for inputs in _inputs(task))
    plane = np.linalg.lstsq(train, task.train_targets.numpy().ravel(), rcond=None)[0]
    return split_errors(task, (test @ plane)[:, None], validation)[1]


def features_error(network: ElmanRNN, task: Task, validation: int) -> float:
    """Test error of a network whose output layer alone is trained, by ridge regression."""
    train, test = (hidden_features(network, inputs) for inputs in _inputs(task))
    learner = RandomFeatures(train, task.train_targets)
    top = float(learner.singular_values[0]) ** 2
    return _chosen(task, (learner.predict(test, top * share) for share in PENALTIES), validation)


def infinite_error(network: ElmanRNN, task: Task, validation: int) -> float:
    """Test error of ridge regression on the tangent kernel of the infinitely wide network; no weight is read."""
    train, test = _inputs(task)
    kernel, cross = (infinite_ntk(network, *inputs, shared=True) for inputs in ((train,), (test, train)))
    starts = [torch.zeros_like(targets) for targets in (task.train_targets, task.test_split[1])]
    regressor = KernelRegressor(kernel, starts[0], task.train_targets, cross, starts[1])
    return _ridge_error(regressor, task, validation, PENALTIES)


@torch.no_grad()
def output_error(network: Network, task: Task, validation: int) -> float:
    """Test error of a network's present outputs, without the validation samples."""
    return split_errors(task, plain(network(task.test_split[0])), validation)[1]


def tangent_errors(network: Network, task: Task, validation: int, start: Network | None = None) -> tuple[float, float]:
    """Test errors of kernel regression on the targets with the tangent kernel at a network's present weights.

    Parameters
    ----------
    start
        The network from whose outputs the regression starts; from 0 if none is given.

    Returns
    -------
    tuple of float
        With the ridge penalty that validation chooses, and with the smallest one, 1e-9 λ_max.
    """
    jacobian, held_out = (network.jacobian(inputs) for inputs in _inputs(task))
    starts = [torch.zeros_like(each.outputs) for each in (jacobian, held_out)]
    if start is not None:
        with torch.no_grad():
            starts = [start(inputs).flatten(1) for inputs in _inputs(task)]
    targets, cross = task.train_targets.flatten(1), held_out.gram(jacobian)
    regressor = KernelRegressor(jacobian.gram(), starts[0], targets, cross, starts[1])
    smallest = PENALTIES[:1]
    chosen, interpolating = (_ridge_error(regressor, task, validation, each) for each in (PENALTIES, smallest))
    return chosen, interpolating


def linear_errors(task: Task, width: int, seed: int, validation: int) -> dict[str, float]:
    """Test errors of what is linear in its weights, for the Elman network in the "ntk" parametrization.

    Returns
    -------
    dict
        "features": the output layer alone is trained, at this width and seed. "features_infinite": the same at infinite
        width. "kernel": the tangent kernel of W, A and B at infinite width.
    """
    frozen, wide = (
        partial(ElmanRNN.like, task, parametrization="ntk", **choices)
        for choices in ({"width": width, "seed": seed}, {"width": 1, "device": "meta"})
    )
    return {
        "features": features_error(frozen(trained=("B",)), task, validation),
        "features_infinite": infinite_error(wide(trained=("B",)), task, validation),
        "kernel": infinite_error(wide(trained=("W", "A", "B")), task, validation),
    }


def stop_early(network: Network, task: Task, descent: Descent, validation: int) -> Stopped:
    """Descend with a copy of the network, and stop where the validation error is smallest.

    Parameters
    ----------
    network, task, descent
        As for `lab.descend`; the recorded steps are those at which it may stop.
    """
    start, curve, best = network.copy().trained, [], None
    path = descend(network, task, descent)
    for snapshot in path:
        with torch.no_grad():
            chosen, tested = split_errors(task, snapshot.network(task.test_split[0]), validation)
        curve.append((snapshot.step, chosen, tested))
        if best is None or chosen < best[0]:
            moved = {name: value - start[name] for name, value in snapshot.network.trained.items()}
            best = chosen, tested, snapshot.step, norm(moved) / norm(start), snapshot.loss
    found = np.array(curve, dtype=np.float64).T
    if best is None or path.diverged_at is not None:
        return Stopped(None, None, None, None, found)
    left = 2 * best[4] / task.train_targets.numel()
    return Stopped(*best[1:4], left if np.isfinite(left) else None, found)


def network_errors(
    task: Task, width: int, alpha: float, seed: int, descent: Descent, validation: int
) -> dict[str, Stopped]:
    """Elman networks of this width in float32, centred at initialization, stopped early.

    Returns
    -------
    dict
        By the names of `catalogue.NETWORKS`; α is the scale of those in the "ntk" parametrization.
    """
    kinds = {"network": ("WAB", "ntk", alpha), "network_wb": ("WB", "ntk", alpha), "network_w": ("W", "paper", 1.0)}
    found = {}
    for name, (trained, style, scale) in kinds.items():
        choices = {"trained": tuple(trained), "parametrization": style, "seed": seed, "dtype": torch.float32}
        start = Scaled(ElmanRNN.like(task, width, **choices), scale)
        found[name] = stop_early(start, task, descent, validation)
    return found


@dataclass(frozen=True)
class Learnt:
    """What all learners make of the same samples.

    Attributes
    ----------
    affine
        Test error of the affine predictor, the unit of the errors in `summary`.
    linear
        Test errors of what is linear in its weights, by name.
    networks
        Networks where they were stopped, by name.
    """

    affine: float
    linear: dict[str, float]
    networks: dict[str, Stopped]

    def summary(self) -> dict[str, float | str | bool | None]:
        """Relative test errors by column, where networks stopped and how far they had gone, and which ones diverged."""
        errors = {**self.linear, **{name: found.error for name, found in self.networks.items()}}
        row: dict[str, float | str | bool | None] = {
            f"error_{name}": self._share(each) for name, each in errors.items()
        }
        for name, found in self.networks.items():
            row |= {f"stopped_at_{name}": found.step, f"motion_{name}": found.motion}
            row |= {f"train_error_{name}": found.train_error}
        lost = [name for name, error in errors.items() if error is None]
        reasons = "; ".join(f"error_{name}: diverged" for name in lost)
        return {**row, "affine_error": self.affine, "diverged": bool(lost), "reasons": reasons}

    def arrays(self) -> dict[str, Array]:
        """The curves of the networks by name; see `Stopped`."""
        return {name: found.curve for name, found in self.networks.items()}

    def _share(self, error: float | None) -> float | None:
        """An error in units of the affine predictor's; None where it is missing or not finite."""
        share = error / self.affine if error is not None and self.affine else None
        return share if share is not None and np.isfinite(share) else None


def learn(task: Task, width: int, alpha: float, seed: int, descent: Descent, validation: int) -> Learnt:
    """All learners of the catalogue on one task; parameters as for `linear_errors` and `network_errors`."""
    return Learnt(
        affine_error(task, validation),
        linear_errors(task, width, seed, validation),
        network_errors(task, width, alpha, seed, descent, validation),
    )


def study(setting: Setting) -> Learnt:
    """All learners of the catalogue on one draw of samples of one neuron."""
    n, sizes = setting.samples, {"length": setting.length, "dimension": setting.dimension, "seed": setting.seed}
    task = neuron_of_sequence(n, n + setting.test, bias=setting.bias, **sizes)
    descent = Descent(setting.steps, setting.critical_fraction)
    return learn(task, setting.width, setting.alpha, setting.seed, descent, n)


def _inputs(task: Task) -> tuple[torch.Tensor, torch.Tensor]:
    return task.train_inputs, task.test_split[0]


def _ridge_error(regressor: KernelRegressor, task: Task, validation: int, penalties: Array) -> float:
    """Test error of ridge regression with one of these penalties, in units of λ_max, chosen by validation."""
    top = regressor.spectrum.lambda_max
    return _chosen(task, (np.asarray(regressor.ridge(top * share)[1]) for share in penalties), validation)


def _chosen(task: Task, candidates: Iterable[ArrayLike], validation: int) -> float:
    """Test error of the candidate with the smallest validation error."""
    return min((split_errors(task, outputs, validation) for outputs in candidates), key=lambda errors: errors[0])[1]
