"""Simple models that data may come from: targets for given sequences, with mean 0 and variance 1 on the training set.

Parity, sum and neuron read the sequences through one random direction, z_t = ⟨w, x_t⟩ brought to mean 0 and variance 1
over the samples, so that they mean the same for unit vectors and for rows of pixels. Sums over time steps are what
Allen-Zhu and Li (arXiv 1902.01028) show a recurrent network to learn; parity is an example of Panigrahi and Goyal
(2106.00047, section 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from comparisons import _tasks

if TYPE_CHECKING:
    import numpy as np

    from lab.tasks.task import SequenceTask

RANDOM = "random"
#: Every model, and how figures call it.
MODELS = {
    "random": "random labels",
    "parity": "parity of signs",
    "additive": "additive over time steps",
    "neuron": "one ReLU neuron",
    "teacher": "wide Elman network",
}
LABELS = "labels"  # the task's own, where they mean something
_TEACHER_WIDTH = 512
_OTHER = 2**31  # added to seeds, so that a teacher is no student


def build(cell: Mapping[str, Any]) -> SequenceTask:
    """The task of a cell with the fields task, model, samples, test, length, features, data_seed and seed.

    Inputs depend on the seeds alone, so that the models of one seed share them.
    """
    import numpy as np

    from lab.tasks.task import SequenceTask

    seed, n = cell["data_seed"] + cell["seed"], cell["samples"]
    inputs, labels = _inputs(cell, seed)
    values = labels if cell["model"] == LABELS else targets(cell["model"], inputs, seed)
    spread = values[:n].std()
    values = (values - values[:n].mean()) / (spread or 1.0)
    split = inputs[:n], values[:n, None], inputs[n:], values[n:, None]
    return SequenceTask(*map(np.ascontiguousarray, split), name=cell["model"])


def _inputs(cell: Mapping[str, Any], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (N, L, p), training samples first, and the task's own labels (N,)."""
    import numpy as np

    from lab import tasks

    if cell["task"] == "digits":
        task = tasks.digits(train=cell["samples"], test=cell["test"], seed=seed)
    else:
        task = tasks.separable(cell["samples"], cell["test"], cell["length"], cell["features"], 0.0, seed)
    parts = (task.train_inputs, task.test_inputs), (task.train_targets, task.test_targets)
    inputs, labels = (np.concatenate([part.numpy() for part in pair]) for pair in parts)
    return inputs, labels[:, 0]


def targets(model: str, inputs: np.ndarray, seed: int) -> np.ndarray:
    """Targets (N,) of a model for sequences (N, L, p), before they are standardised."""
    import numpy as np

    generator = np.random.default_rng([seed, 1])
    if model == RANDOM:
        return generator.choice([-1.0, 1.0], size=len(inputs))
    if model == "teacher":
        return _teacher(inputs, seed)
    steps = _projections(inputs, generator)
    if model == "parity":
        return np.asarray(np.prod(np.where(steps > 0, 1.0, -1.0), axis=1))
    if model == "additive":
        return np.asarray(np.tanh(2 * steps).sum(1))
    return np.asarray(np.maximum(steps.sum(1), 0.0))  # the neuron


def _projections(inputs: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """z_t (N, L), each step with mean 0 and variance 1 over the samples."""
    steps = inputs @ generator.standard_normal(inputs.shape[2])
    spread = steps.std(0)
    return (steps - steps.mean(0)) / (spread + (spread == 0))  # type: ignore[no-any-return]


def _teacher(inputs: np.ndarray, seed: int) -> np.ndarray:
    """What a wide Elman network of another seed gives at its initialization."""
    import torch

    import lab

    network = lab.ElmanRNN(_TEACHER_WIDTH, inputs.shape[2], seed=(seed + _OTHER) % 2**32, device="cpu")
    with torch.no_grad():
        return network(torch.from_numpy(inputs))[:, 0].numpy()


def shape(cell: Mapping[str, Any]) -> tuple[int, int]:
    """Length and features of the sequences."""
    size = _tasks.SIZES["digits"]
    return (size.length, size.features) if cell["task"] == "digits" else (cell["length"], cell["features"])
