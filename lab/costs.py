"""What a computation costs, in flops and bytes, from its sizes alone. Pure arithmetic: no torch here.

Symbols as everywhere: m width, n samples, L time steps, p features, o outputs per sample, N = n·o.
A multiply-add counts as two flops.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Work and memory of one computation.

    Attributes
    ----------
    flops
        Floating-point operations.
    bytes
        Largest memory held at one moment.
    """

    flops: float
    bytes: float

    def __add__(self, other: Cost) -> Cost:
        """One after the other: work adds up, memory is the larger of the two."""
        return Cost(self.flops + other.flops, max(self.bytes, other.bytes))


#: How many flops of a fat matrix product one pair of deltas is worth: multiplied by a pair of features, and summed.
#: These two constants are fitted to measured times of both routes (tests/benchmarks/gram_routes.py, one core, float32),
#: and only the crossover of the routes depends on them.
ELEMENTWISE = 80.0

#: The same for one number of an explicit gradient: written once, read by the contraction.
STORING = 7.0


def gram_route_flops(
    rows: int, columns: int, outputs: int, length: int, width: int, features: int, *, share: float = 1.0
) -> float:
    """Flops of the Gram route: ⟨δ,δ'⟩ for all pairs (sample, output, time), times ⟨z,z'⟩, summed over times.

    ``rows`` and ``columns`` are numbers of samples; ``features`` is the size of z; ``share`` is the part of the deltas
    that is not zero, about one half when all steps are read.
    """
    deltas = (rows * outputs * length) * (columns * outputs * length) * share**2
    return (2.0 * width + ELEMENTWISE) * deltas + 2.0 * features * (rows * length) * (columns * length)


def per_sample_route_flops(rows: int, columns: int, outputs: int, length: int, width: int, features: int) -> float:
    """Flops of the per-sample route: form Σ_t δ_t z_tᵀ (width × features) for each output, then contract."""
    forming = 2.0 * (rows + columns) * outputs * length * width * features
    storing = STORING * (rows + columns) * outputs * width * features
    return forming + storing + 2.0 * (rows * outputs) * (columns * outputs) * width * features


def recurrent_pass_flops(samples: int, length: int, width: int, features: int = 0) -> float:
    """Flops of one pass through the recurrence (forward, or backward from one seed), input projection included."""
    return 2.0 * samples * width * (width * max(length - 1, 0) + features * length)


def training_step_flops(samples: int, length: int, width: int) -> float:
    """Flops of one full-network step: forward, backward, and the fused gradient update."""
    return 3 * recurrent_pass_flops(samples, length, width)


def linearized_step_flops(samples: int, length: int, width: int) -> float:
    """Flops of one linearized step in weight form: J₀v and v −= η J₀ᵀr on cached factors."""
    return 2 * recurrent_pass_flops(samples, length, width)


def tangent_kernel_flops(rows: int, columns: int, outputs: int, length: int, width: int) -> float:
    """Flops of one empirical tangent kernel with respect to W: deltas, then the cheaper Gram route."""
    backward = recurrent_pass_flops((rows + columns) * outputs, length, width)
    routes = (gram_route_flops, per_sample_route_flops)
    return backward + min(route(rows, columns, outputs, length - 1, width, width) for route in routes)
