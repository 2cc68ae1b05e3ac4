"""Simple models that targets can come from: functions of whole sequences with parameters drawn at random.

`parity`, `additive` and `neuron` read a sequence through one random direction, z_t = ⟨w, x_t⟩, standardised over the
samples at each time step. They therefore mean the same for unit vectors as for rows of pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.arrays import as_array
from lab.errors import refuse
from lab.tasks.task import SequenceTask, split

Array = NDArray[np.float64]
_ROUNDING = 1e-13  # a spread below this share of the values is one of rounding

Model = Callable[[Array, np.random.Generator], Array]  #: from sequences (N, L, p) to targets (N,)


def random_labels(inputs: Array, generator: np.random.Generator) -> Array:
    """±1 by coin flips (N,), whatever the sequences (N, L, p)."""
    labels: Array = generator.choice([-1.0, 1.0], size=len(inputs))
    return labels


def parity(inputs: Array, generator: np.random.Generator) -> Array:
    """Product over time steps of the signs of z_t, (N,) from (N, L, p): ±1.

    References
    ----------
    Panigrahi, Goyal, arXiv 2106.00047, section 5 (parity as an example).
    """
    return np.asarray(np.prod(np.where(projections(inputs, generator) > 0, 1.0, -1.0), axis=1))


def additive(inputs: Array, generator: np.random.Generator) -> Array:
    """Σ_t tanh(2 z_t), (N,) from (N, L, p).

    References
    ----------
    Allen-Zhu, Li, arXiv 1902.01028 (recurrent networks learn sums over time steps).
    """
    return np.asarray(np.tanh(2 * projections(inputs, generator)).sum(1))


def neuron(inputs: Array, generator: np.random.Generator) -> Array:
    """One ReLU neuron on the whole sequence, max(Σ_t z_t, 0), (N,) from (N, L, p)."""
    return np.asarray(np.maximum(projections(inputs, generator).sum(1), 0.0))


def projections(inputs: Array, generator: np.random.Generator) -> Array:
    """z_t = ⟨w, x_t⟩ with one Gaussian w for all time steps, (N, L) from (N, L, p).

    Each time step has mean 0 and variance 1 over the samples, or is 0 where all samples are equal.
    """
    steps = inputs @ generator.standard_normal(inputs.shape[2])
    spread = steps.std(0)
    equal = spread <= _ROUNDING * np.abs(steps).max(0)
    return np.where(equal, 0.0, (steps - steps.mean(0)) / np.where(equal, 1.0, spread))


#: Every model, by name.
MODELS: dict[str, Model] = {"random": random_labels, "parity": parity, "additive": additive, "neuron": neuron}


def relabelled(task: SequenceTask, function: Callable[[Array], ArrayLike], name: str) -> SequenceTask:
    """The sequences of a task with a function's values as targets, of mean 0 and variance 1 over the training set.

    Parameters
    ----------
    task
        Its targets are not read.
    function
        From the sequences of both splits together, training samples first, (n + n', L, p), to values (n + n',).
        Values that are equal on the training set are only centred.
    name
        Name of the new task.

    Raises
    ------
    LabError
        Values that are not finite numbers, or of another shape.
    """
    parts = (task.train_inputs,) if task.test_inputs is None else (task.train_inputs, task.test_inputs)
    inputs, samples = np.concatenate([part.numpy() for part in parts]), len(task.train_inputs)
    values = as_array("targets", function(inputs))
    if values.shape != (len(inputs),):
        refuse("function", f"values of shape {values.shape}", f"({len(inputs)},)", "give one number for each sample")
    spread = values[:samples].std()
    standard = (values - values[:samples].mean()) / (spread or 1.0)
    return split(inputs, standard[:, None], samples, name)
