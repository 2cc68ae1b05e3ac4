"""How cost grows with width, samples and length, and what the closed form saves.

Run as ``python -m tests.benchmarks.scaling``. One process, one core, float32; each work takes turns with itself at all
sizes, medians are fitted by a line in log-log scale. The exponent of the priced work (`lab.costs`) stands beside the
measured one, its operations counted at what this machine takes for one.
"""

from __future__ import annotations

import functools
import math

import scipy.stats
import torch

import lab
from comparisons.runs.forecast import look
from comparisons.runs.options import prepare_process
from lab import costs
from lab.learners.kernel import KernelRegressor
from tests.benchmarks.steps import clocked, ours
from tests.benchmarks.steps import linearized as kept
from tests.benchmarks.steps import seconds as medians

MIDDLE = {"samples": 48, "length": 16, "width": 512}
SIZES = {"width": (128, 256, 512, 1024, 2048), "samples": (16, 32, 64, 128, 256), "length": (4, 8, 16, 32, 64)}
TURNS = 9


def data(samples, length):
    """Inputs and targets of order 1."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(samples, length, 4, generator=generator), torch.randn(samples, 1, generator=generator)


def training(samples, length, width):
    """A step of the full network."""
    return ours(lab.ElmanRNN(width, 4, dtype=torch.float32), *data(samples, length))


def linearized(samples, length, width):
    """A step of the linearized network in weight form."""
    return kept(lab.ElmanRNN(width, 4, dtype=torch.float32), *data(samples, length))


def kernel(samples, length, width):
    """A tangent kernel of the training set."""
    network, (X, _) = lab.ElmanRNN(width, 4, dtype=torch.float32), data(samples, length)
    return functools.partial(lab.empirical_ntk, network, X)


PRICES = {
    training: costs.training_step,
    linearized: costs.linearized_step,
    kernel: lambda samples, length, width: costs.tangent_kernel(samples, 0, 1, length, width),
}


def slope(sizes, values):
    """Exponent and its standard error."""
    line = scipy.stats.linregress([math.log(size) for size in sizes], [math.log(value) for value in values])
    return line.slope, line.stderr


def tell_exponents(machine):
    """One line for each work and each size that varies."""
    print("work        varies    exponent       priced   seconds at each size")
    for work, price in PRICES.items():
        for name, sizes in SIZES.items():
            grid = [MIDDLE | {name: size} for size in sizes]
            turns = {size: clocked(work(**place), 1) for size, place in zip(sizes, grid, strict=True)}
            taken = list(medians(turns, TURNS).values())
            (found, error), (priced, _) = (
                slope(sizes, values) for values in (taken, [price(**place).seconds(machine) for place in grid])
            )
            times = "  ".join(f"{size}: {value:.2g}" for size, value in zip(sizes, taken, strict=True))
            print(f"{work.__name__:10s}  {name:8s} {found:5.2f} ± {error:4.2f}  {priced:6.2f}   {times}", flush=True)


def tell_closed_form():
    """The kernel learner's whole path: powers of eigenvalues beside iteration."""
    print("\nkernel learner of 48 samples, 64 recorded steps: iterating over closed form")
    network, (X, y) = lab.ElmanRNN(256, 4), data(48, 16)
    gram, outputs = lab.empirical_ntk(network, X), network.jacobian(X).outputs
    for steps in (300, 10_000, 100_000):
        regressor = KernelRegressor(gram, outputs, y.double())
        descent = lab.Descent(steps, 0.5)
        rate = descent.rate(regressor.spectrum.lambda_max)
        ways = {"recursion": 1, "trajectory": 20}  # how often in a row
        turns = {
            way: clocked(functools.partial(getattr(regressor, way), descent, rate), row) for way, row in ways.items()
        }
        found = medians(turns, TURNS if steps < 1000 else 3)
        iterated, closed = found.values()
        print(f"{steps:7d} steps: {iterated:.3g} s over {closed:.3g} s = {iterated / closed:.0f}", flush=True)


if __name__ == "__main__":
    prepare_process(1, "cpu")
    tell_exponents(look("float32"))
    tell_closed_form()
