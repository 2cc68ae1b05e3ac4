"""Sequences made to measure: separated ones, pairs at an exact distance, a teacher's, and one neuron's."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lab.arrays import as_array
from lab.errors import check_integer, check_number, check_seed, refuse
from lab.tasks.task import SequenceTask, split

_TRIES = 10_000  # first steps drawn in vain before a separation counts as impossible
_DIRECTION = 2024  # seed of the direction of `single_index`, the same for all data seeds


def separable(
    samples: int = 24, test: int = 24, length: int = 8, features: int = 8, separation: float = 0.3, seed: int = 0
) -> SequenceTask:
    """The paper's assumption with random labels: steps of unit norm, first steps at least ``separation`` apart.

    All first steps, of training and test samples together, keep that distance; targets are ±1 by coin flips, shape
    (samples, 1), so that the test error is ½ by construction.

    Parameters
    ----------
    samples, test, length, features
        Sizes n, n' (may be 0), L, p (at least 2).
    separation
        δ, between 0 and 2.
    seed
        Of inputs and labels.

    Raises
    ------
    LabError
        A size out of range, or more samples than fit on the sphere at this separation.

    References
    ----------
    Allen-Zhu, Li, Song 2019, Assumption 2.1 (δ-separable data).
    """
    _check_sizes(samples, test, length, features, seed)
    check_number("separation", separation, above=0, closed=True, below=2)
    generator = np.random.default_rng(seed)
    inputs = _unit(generator.standard_normal((samples + test, length, features)))
    inputs[:, 0] = _separated(generator, samples + test, features, separation)
    targets = generator.choice([-1.0, 1.0], size=(samples + test, 1))
    return split(inputs, targets, samples, f"separable, δ ≥ {separation:g}")


def pairs(
    samples: int = 24,
    separation: float = 0.3,
    length: int = 8,
    features: int = 8,
    seed: int = 0,
    *,
    test: int = 0,
) -> SequenceTask:
    """Pairs of sequences whose first steps are exactly ``separation`` apart, with equal later steps, opposite labels.

    Samples 2k and 2k+1 are a pair. The separation is attained here, not only a bound, and nothing but the first step
    differs within a pair; all steps have unit norm, targets are ±1, shape (samples, 1).

    Parameters
    ----------
    samples, test
        Even numbers of training and test samples (test may be 0).
    separation
        δ, above 0 and at most 2.
    length, features, seed
        As for `separable`.

    Raises
    ------
    LabError
        An odd number of samples or a size out of range.
    """
    _check_sizes(samples, test, length, features, seed)
    check_number("separation", separation, above=0, below=math.nextafter(2, 3))
    for name, count in (("samples", samples), ("test", test)):
        if count % 2:
            refuse(name, count, "an even number", "pairs come in twos")
    generator = np.random.default_rng(seed)
    half = (samples + test) // 2
    inputs = np.repeat(_unit(generator.standard_normal((half, length, features))), 2, axis=0)
    inputs[1::2, 0] = _at_distance(generator, inputs[::2, 0], separation)
    targets = np.repeat(generator.choice([-1.0, 1.0], size=(half, 1)), 2, axis=0)
    targets[1::2] *= -1
    return split(inputs, targets, samples, f"pairs, δ = {separation:g}")


def teacher(
    function: Callable[[Tensor], Any],
    samples: int = 24,
    test: int = 24,
    length: int = 8,
    features: int = 8,
    seed: int = 0,
    *,
    name: str = "teacher",
) -> SequenceTask:
    """Sequences of independent unit-norm steps, labelled by any function of the whole sequence.

    Parameters
    ----------
    function
        Inputs (n, L, p), a float64 tensor, -> targets (n,), (n, q) or (n, L−1, q), any array-like.
    samples, test, length, features, seed
        As for `separable`.
    name
        How figures and tables call the task.

    Raises
    ------
    LabError
        A size out of range, or targets that are not finite or not of these shapes.
    """
    _check_sizes(samples, test, length, features, seed)
    inputs = _unit(np.random.default_rng(seed).standard_normal((samples + test, length, features)))
    targets = as_array("targets", function(torch.from_numpy(inputs)))
    if targets.shape[:1] != (samples + test,):
        fix = "reduce over time and features, keep the samples"
        refuse("function", f"targets of shape {targets.shape}", f"{samples + test} samples on the first axis", fix)
    return split(inputs, targets, samples, name)


def single_index(samples: int = 64, test: int = 64, length: int = 3, features: int = 32, seed: int = 0) -> SequenceTask:
    """Sequences labelled by one ReLU neuron of their first step: a single-index model.

    Targets are ReLU(√p⟨u, x₁⟩), standardized as for normal √p⟨u, x₁⟩, shape (samples, 1). The unit vector u depends on
    the number of features alone. Time steps are independent and of unit norm in p dimensions; then a constant 1 is
    appended and the step is divided by √2, so that inputs have p + 1 features and unit norm.

    Parameters
    ----------
    samples, test, length, features, seed
        As for `separable`; ``features`` is p, without the constant.

    Raises
    ------
    LabError
        A size out of range.
    """
    _check_sizes(samples, test, length, features, seed)
    direction = _drawn_direction(features)
    mean, variance = 1 / math.sqrt(2 * math.pi), 0.5 - 1 / (2 * math.pi)  # of ReLU(z) for a standard normal z

    def target(inputs: Tensor) -> Tensor:
        along = math.sqrt(features) * (inputs[:, 0] @ direction) / direction.norm()
        return (torch.relu(along) - mean) / math.sqrt(variance)

    task = teacher(target, samples, test, length, features, seed, name="one ReLU neuron of the first step")
    held_out = None if task.test_inputs is None else _with_constant(task.test_inputs)
    return replace(task, train_inputs=_with_constant(task.train_inputs), test_inputs=held_out)


def index_direction(features: int = 32) -> Tensor:
    """The unit vector u (p,) of `single_index` for p features without the constant, in float64 on the processor."""
    direction = _drawn_direction(features)
    unit: Tensor = direction / direction.norm()
    return unit


def _drawn_direction(features: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(_DIRECTION).standard_normal(features))


def _with_constant(inputs: Tensor) -> Tensor:
    """Unit-norm time steps (n, L, p) with a constant of the same size appended, scaled to unit norm."""
    return torch.cat([inputs, torch.ones_like(inputs[:, :, :1])], 2) / math.sqrt(2)


def _check_sizes(samples: int, test: int, length: int, features: int, seed: int) -> None:
    check_seed("seed", seed)
    check_integer("samples", samples, 1)
    check_integer("test", test, 0)
    check_integer("length", length, 1)
    check_integer("features", features, 2)


def _unit(steps: np.ndarray) -> np.ndarray:
    unit: np.ndarray = steps / np.linalg.norm(steps, axis=-1, keepdims=True)
    return unit


def _separated(generator: np.random.Generator, count: int, features: int, separation: float) -> np.ndarray:
    """Unit vectors at least ``separation`` apart, by rejection."""
    kept = np.empty((count, features))
    found = tries = 0
    while found < count:
        candidate = _unit(generator.standard_normal(features))
        near = np.linalg.norm(kept[:found] - candidate, axis=1) < separation
        tries = tries + 1 if near.any() else 0
        if tries > _TRIES:
            came = f"{separation:g} for {count} samples with {features} features"
            refuse("separation", came, f"what fits on the sphere (about {found} here)", "lower it, or raise features")
        if not near.any():
            kept[found], found = candidate, found + 1
    return kept


def _at_distance(generator: np.random.Generator, points: np.ndarray, distance: float) -> np.ndarray:
    """Unit vectors at exactly this chord from unit vectors ``points``, in random directions."""
    normals = generator.standard_normal(points.shape)
    normals = _unit(normals - (normals * points).sum(-1, keepdims=True) * points)
    angle = 2 * math.asin(distance / 2)
    return math.cos(angle) * points + math.sin(angle) * normals
