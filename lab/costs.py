"""What a computation costs, in flops, bytes and operations, from its sizes alone. Pure arithmetic: no torch here.

Symbols as everywhere: m width, n samples, L time steps, p features, o outputs per sample, N = n·o.
A multiply-add counts as two flops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Machine:
    """How fast something computes.

    Attributes
    ----------
    flops_per_second
        In the matrix products of a recurrent network: a few dozen rows times a square matrix.
    seconds_per_operation
        What calling one tensor operation takes, however small its tensors.
    """

    flops_per_second: float
    seconds_per_operation: float


#: A processor core of today in float32. Only the quotient of both numbers counts where work is compared, not timed.
NOMINAL = Machine(1e11, 2e-6)


@dataclass(frozen=True)
class Cost:
    """Work and memory of one computation.

    Attributes
    ----------
    flops
        Floating-point operations.
    bytes
        Largest memory held at one moment.
    operations
        Tensor operations called one after the other: what small networks spend their time on.
    """

    flops: float
    bytes: float = 0.0
    operations: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """One after the other: work adds up, memory is the larger of the two."""
        return Cost(self.flops + other.flops, max(self.bytes, other.bytes), self.operations + other.operations)

    def __rmul__(self, times: float) -> Cost:
        """So many times in a row: the memory is that of once."""
        return Cost(times * self.flops, self.bytes, times * self.operations)

    def holding(self, size: float) -> Cost:
        """The same work with ``size`` bytes as its largest memory."""
        return replace(self, bytes=size)

    def seconds(self, machine: Machine) -> float:
        """Predicted seconds: operations do not overlap the arithmetic on a processor."""
        return self.flops / machine.flops_per_second + self.operations * machine.seconds_per_operation

    @property
    def work(self) -> int:
        """Nanoseconds on the nominal machine, at least 1: what decides who goes first and how far a run is.

        Whole numbers, so that sums are the same in any order.
        """
        return max(round(1e9 * self.seconds(NOMINAL)), 1)


#: How many flops of a fat matrix product one pair of deltas is worth: multiplied by a pair of features, and summed.
#: These two constants are fitted to measured times of both routes (tests/benchmarks/gram_routes.py, one core, float32),
#: and only the crossover of the routes depends on them.
ELEMENTWISE = 80.0

#: The same for one number of an explicit gradient: written once, read by the contraction.
STORING = 7.0

#: Rows below which a product with W takes as long as with these: it waits for W, not for the arithmetic.
THINNEST = 16

#: How many flops of a fat product one number of an eigen-decomposition, cubed, is worth.
EIGEN = 40.0

#: Tensor operations of a pass, a step with its loss, a linearized step and a kernel, those of each time step aside:
#: counted, and bounded by a test (tests/test_costs.py).
PASS_OPERATIONS, STEP_OPERATIONS, LINEARIZED_OPERATIONS, KERNEL_OPERATIONS = 16, 11, 25, 60

#: The same of a module's kernel in factors; those of a time step are of a GRU or LSTM (an RNN has half as many).
MODULE_OPERATIONS = 210


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


def recurrent_pass(samples: int, length: int, width: int, features: int = 0) -> Cost:
    """One pass through the recurrence (forward, or backward from one seed), input projection included."""
    flops = 2.0 * max(samples, THINNEST) * width * (width * max(length - 1, 0) + features * length)
    return Cost(flops, operations=PASS_OPERATIONS + 2 * length)


def training_step(samples: int, length: int, width: int) -> Cost:
    """One full-network step: forward, loss, backward, and the fused gradient update, which calls no loop."""
    work = 3 * recurrent_pass(samples, length, width)
    return replace(work, operations=STEP_OPERATIONS + 4 * length)


def linearized_step(samples: int, length: int, width: int) -> Cost:
    """One linearized step in weight form: J₀v and v −= η J₀ᵀr on cached factors."""
    return replace(2 * recurrent_pass(samples, length, width), operations=LINEARIZED_OPERATIONS)


def convolution_step(samples: int, channels: int, places: int) -> Cost:
    """One step of a network of two 3×3 convolutions with stride 2, whose first one has so many output places.

    Convolutions of few channels run at about an eighth of the speed of matrix products, hence the factor 8.
    """
    products = 6.0 * samples * places * 9 * channels * (1 + channels / 3)
    return Cost(8 * products, operations=300)


def tangent_kernel(rows: int, columns: int, outputs: int, length: int, width: int) -> Cost:
    """One empirical tangent kernel with respect to W: deltas, then the cheaper Gram route."""
    backward = recurrent_pass((rows + columns) * outputs, length, width)
    routes = (gram_route_flops, per_sample_route_flops)
    contraction = min(route(rows, columns, outputs, length - 1, width, width) for route in routes)
    return backward + Cost(contraction, operations=KERNEL_OPERATIONS + 18 * length)


@dataclass(frozen=True)
class Matrix:
    """A matrix (m, d) of a module that acts at T places of a sample."""

    width: int
    features: int
    places: int = 1

    @property
    def flops(self) -> float:
        """Of its products in one pass of one sample."""
        return 2.0 * self.width * self.features * self.places

    def numbers(self, outputs: int) -> int:
        """That one sample keeps: deltas and features, or its rows of J where these are fewer."""
        return min(self.places * (outputs * self.width + self.features), outputs * self.width * self.features)


def factored_kernel(rows: int, columns: int, outputs: int, matrices: Sequence[Matrix], loops: int = 0) -> Cost:
    """A tangent kernel in factors: a pass forward, one back for each output, and the cheaper route for each matrix.

    ``loops`` is the number of time steps that are computed one after the other.
    """
    passes = (1 + 2 * outputs) * columns * sum(matrix.flops for matrix in matrices)
    routes = (gram_route_flops, per_sample_route_flops)
    contracted = sum(
        min(route(rows, columns, outputs, matrix.places, matrix.width, matrix.features) for route in routes)
        for matrix in matrices
    )
    return Cost(passes + contracted, operations=MODULE_OPERATIONS + 72 * loops)


def factored_step(samples: int, outputs: int, matrices: Sequence[Matrix]) -> Cost:
    """A step of the linearized module: two products for each matrix, in coordinates of what descent reaches."""
    flops = 0.0
    for matrix in matrices:
        rows = samples * matrix.places
        width, features = min(matrix.width, rows * outputs), min(matrix.features, rows)
        explicit = 4.0 * samples * outputs * min(matrix.width * matrix.features, samples * outputs)
        flops += min(4.0 * rows * width * features, explicit)
    return Cost(flops, operations=LINEARIZED_OPERATIONS * len(matrices))


def network_bytes(samples: int, outputs: int, length: int, width: int, *, copies: int = 4, item: int = 4) -> float:
    """Memory of some arrays of the size of W, and of the states and deltas of all samples; ``item`` is bytes each."""
    return item * (copies * width**2 + 2 * samples * outputs * length * width)


def eigenvectors(size: int) -> Cost:
    """All eigenvalues and eigenvectors of a symmetric matrix, or its singular vectors."""
    return Cost(EIGEN * size**3)


def kernel_recursion(size: int) -> Cost:
    """One step of the linear model on coefficients of a kernel with so many rows, for losses without a closed form."""
    return Cost(2.0 * size**2, operations=LINEARIZED_OPERATIONS)


def population_fit(features: int) -> Cost:
    """Least squares over all Gaussian inputs: a Gram matrix in closed form, its factors and eigenvectors."""
    entries = features**2
    return Cost(200.0 * entries, 8.0 * 6 * entries) + eigenvectors(features)
