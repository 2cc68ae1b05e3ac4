"""One neuron of a whole sequence, learnt from samples by learners that move their features and by some that do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from comparisons._exponents import finite

NETWORKS = {"network": ("W", "A", "B"), "network_wb": ("W", "B"), "network_w": ("W",)}
PENALTIES = np.logspace(-9, 0, 19)  # in units of the largest eigenvalue


def build(cell: Mapping[str, Any]) -> tuple[Any, float]:
    """The task, and the test error of the affine predictor that is fitted to the same training samples.

    Inputs x ~ N(0, I_d) are cut into ``length`` pieces; the target is relu(⟨w, x⟩ + bias), |w| = 1. The test split is
    as many validation samples as there are training samples, and then ``test`` more.
    """
    import lab

    n, d = cell["samples"], cell["dimension"]
    generator = np.random.default_rng([cell["seed"], d])
    inputs = generator.standard_normal((2 * n + cell["test"], d))
    direction = generator.standard_normal(d)
    targets = np.maximum(inputs @ direction / np.linalg.norm(direction) + cell["bias"], 0.0)
    design = np.column_stack([inputs, np.ones(len(inputs))])
    plane = np.linalg.lstsq(design[:n], targets[:n], rcond=None)[0]
    affine = float(np.mean((design[2 * n :] @ plane - targets[2 * n :]) ** 2))
    steps = inputs.reshape(len(inputs), cell["length"], -1)
    return lab.SequenceTask(steps[:n], targets[:n], steps[n:], targets[n:], "one neuron of the sequence"), affine


def network(cell: Mapping[str, Any], task: Any, name: str) -> Any:
    """A network of `NETWORKS`, centred: "network_w" is the paper's at α = 1, the others have the cell's α."""
    import torch

    import lab

    paper = name == "network_w"
    choices = {"trained": NETWORKS[name], "parametrization": "paper" if paper else "ntk", "seed": cell["seed"]}
    start = lab.ElmanRNN.like(task, cell["width"], dtype=torch.float32, **choices)
    return lab.Scaled(start, 1.0 if paper else cell["alpha"])


def learn_linearly(cell: Mapping[str, Any], task: Any) -> dict[str, float]:
    """Test errors of random features at the network's width and at infinite width, and of the tangent kernel."""
    import lab
    from lab.learners.features import RandomFeatures, hidden_features

    frozen = lab.ElmanRNN.like(task, cell["width"], parametrization="ntk", trained=("B",), seed=cell["seed"])
    train, test = (hidden_features(frozen, inputs) for inputs in (task.train_inputs, task.test_inputs))
    learner = RandomFeatures(train, task.train_targets)
    top = float(learner.singular_values[0]) ** 2
    errors = {"features": _chosen(task, [learner.predict(test, top * share) for share in PENALTIES])}
    for name, trained in (("features_infinite", ("B",)), ("kernel", ("W", "A", "B"))):
        wide = lab.ElmanRNN.like(task, 1, parametrization="ntk", trained=trained, device="meta")
        kernel = lab.infinite_ntk(wide, task.train_inputs)
        cross = lab.infinite_ntk(wide, task.test_inputs, task.train_inputs)
        starts = [0 * targets for targets in (task.train_targets, task.test_targets)]
        regressor = lab.KernelRegressor(kernel, starts[0], task.train_targets, cross, starts[1])
        top = regressor.spectrum.lambda_max
        errors[name] = _chosen(task, [regressor.ridge(top * share)[1] for share in PENALTIES])
    return errors


def train(cell: Mapping[str, Any], task: Any, name: str) -> tuple[dict[str, Any], np.ndarray]:
    """Descend with a network of `NETWORKS`.

    Returns
    -------
    tuple
        Test error, step, relative motion ‖θ − θ₀‖/‖θ₀‖ and training error where the validation error was smallest (all
        None if it diverged); and the curve (3, T) of step, validation error and test error.
    """
    import torch

    import lab
    from lab.measures.motion import norm

    moving = network(cell, task, name)
    start = {key: value.detach().clone() for key, value in moving.trained.items()}
    path, curve, best = lab.descend(moving, task, lab.Descent(cell["steps"], cell["critical_fraction"])), [], None
    for snapshot in path:
        with torch.no_grad():
            validation, test = _errors(task, snapshot.network(task.test_inputs))
        curve.append((snapshot.step, validation, test))
        if best is None or validation < best[0]:
            moved = {key: value - start[key] for key, value in snapshot.network.trained.items()}
            best = (validation, test, snapshot.step, norm(moved) / norm(start), snapshot.loss)
    if path.diverged_at is not None or best is None:
        return dict.fromkeys(("error", "stopped_at", "motion", "train_error")), np.array(curve).T
    left = finite(2 * best[4] / len(task.train_inputs))
    return {"error": best[1], "stopped_at": best[2], "motion": best[3], "train_error": left}, np.array(curve).T


def _errors(task: Any, outputs: Any) -> tuple[float, float]:
    """Mean square errors of outputs (n + n', 1) on the validation and on the test samples."""
    squares = (np.asarray(outputs, dtype=np.float64) - task.test_targets.numpy()).ravel() ** 2
    n = len(task.train_inputs)
    return float(squares[:n].mean()), float(squares[n:].mean())


def _chosen(task: Any, candidates: list[Any]) -> float:
    """Test error of the candidate with the smallest validation error."""
    return min(_errors(task, outputs) for outputs in candidates)[1]
