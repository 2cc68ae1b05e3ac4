"""One ReLU neuron of a whole sequence: what a network has to find that moves its features."""

from __future__ import annotations

import numpy as np

from lab.errors import check_integer, check_number, check_seed, refuse
from lab.tasks.task import SequenceTask, split


def neuron_of_sequence(
    samples: int = 256, test: int = 256, length: int = 4, dimension: int = 16, bias: float = 0.0, seed: int = 0
) -> SequenceTask:
    """Sequences that are one normal vector cut into pieces, labelled by one ReLU neuron of that vector.

    Inputs are x ~ N(0, I_d), cut into L time steps of d/L numbers each; the target is relu(⟨w, x⟩ + b) with a random w
    of unit norm, shape (samples, 1). Nothing is scaled.

    Parameters
    ----------
    samples, test
        Sizes n and n' (may be 0).
    length, dimension
        L and d; L divides d.
    bias
        b.
    seed
        Of inputs and w.

    Raises
    ------
    LabError
        A size out of range, or a length that does not divide the dimension.
    """
    check_integer("samples", samples, 1)
    check_integer("test", test, 0)
    check_integer("length", length, 1)
    check_integer("dimension", dimension, 1)
    check_number("bias", bias)
    check_seed("seed", seed)
    if dimension % length:
        came, fix = f"{length} for a dimension of {dimension}", "x is cut into pieces of equal size"
        refuse("length", came, "a divisor of the dimension", fix)
    generator = np.random.default_rng([seed, dimension])
    inputs = generator.standard_normal((samples + test, dimension))
    direction = generator.standard_normal(dimension)
    targets = np.maximum(inputs @ direction / np.linalg.norm(direction) + bias, 0.0)
    return split(inputs.reshape(len(inputs), length, -1), targets, samples, "one neuron of the sequence")
