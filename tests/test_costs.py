"""Priced flops are those of the matrix products that are done, priced operations those that are called."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lab import Descent, as_network, costs, side_by_side
from lab.jacobians.gram import contract
from lab.learners.network import descend
from lab.networks.elman import ElmanRNN
from tests.references import Products, draw


def counted(work):
    with Products() as counter:
        work()
    return counter.flops


def sides(rows, columns, outputs, length, width, features):
    return [
        (draw(samples, outputs, length, width, seed=samples), draw(samples, length, features, seed=samples))
        for samples in (rows, columns)
    ]


SIZES = [(5, 3, 2, 4, 6, 7), (2, 9, 1, 3, 11, 2), (1, 1, 1, 1, 1, 1)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_gram_route_flops_are_two_products_and_an_elementwise_pass(sizes):
    left, right = sides(*sizes)
    rows, columns, outputs, length = sizes[:4]
    elementwise = costs.ELEMENTWISE * rows * columns * (outputs * length) ** 2
    products = counted(lambda: contract(*left, right, route="gram"))
    assert costs.gram_route_flops(*sizes) == products + elementwise


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_per_sample_route_flops_are_forming_contracting_and_storing(sizes):
    left, right = sides(*sizes)
    rows, columns, outputs, _, width, features = sizes
    storing = costs.STORING * (rows + columns) * outputs * width * features
    products = counted(lambda: contract(*left, right, route="per_sample"))
    assert costs.per_sample_route_flops(*sizes) == products + storing


@pytest.mark.parametrize("length", [1, 2, 6])
def test_passes_and_steps_of_a_recurrent_network(length):
    n, p, m, q = costs.THINNEST, 3, 16, 1
    network, x = ElmanRNN(m, p, q), draw(n, length, p)
    read = seeds = 2 * n * m * q  # the one time step that is read, and what its residual sends back
    forward = counted(lambda: network.jacobian(x))
    assert costs.recurrent_pass(n, length, m, p).flops == forward - read
    jacobian, cotangent = network.jacobian(x), torch.ones(n, q, dtype=torch.float64)
    backward = counted(lambda: network.descend(jacobian, cotangent, 0.0))
    whole = costs.recurrent_pass(n, length, m).flops + backward - seeds
    assert abs(costs.training_step(n, length, m).flops - whole) <= 2 * n * m * m * (length > 1)  # one product less


def test_a_linearized_step_is_two_products_with_kept_factors():
    n, length, p, m = costs.THINNEST, 6, 3, 16
    network, x = ElmanRNN(m, p), draw(n, length, p)
    kept, direction = network.jacobian(x).keep(), {"W": torch.ones(m, m, dtype=torch.float64)}
    flops = counted(lambda: kept.push(direction)) + counted(lambda: kept.pull(kept.outputs))
    small = 4 * n * (length - 1) * m  # contractions with the deltas
    assert costs.linearized_step(n, length, m).flops == flops - small


def test_a_tangent_kernel_takes_the_cheaper_route():
    for length in (2, 4, 200):
        routes = [
            route(8, 6, 2, length - 1, 64, 64) for route in (costs.gram_route_flops, costs.per_sample_route_flops)
        ]
        backward = costs.recurrent_pass(14 * 2, length, 64).flops
        assert costs.tangent_kernel(8, 6, 2, length, 64).flops == backward + min(routes)


def test_long_sequences_turn_the_choice_round():
    def gram_is_cheaper(length):
        sizes = (32, 32, 1, length, 256, 256)
        return costs.gram_route_flops(*sizes) <= costs.per_sample_route_flops(*sizes)

    choices = [gram_is_cheaper(length) for length in range(1, 64)]
    assert choices[0]
    assert not choices[-1]
    assert choices == sorted(choices, reverse=True)  # it turns once


def test_costs_in_a_row_add_work_and_share_memory():
    assert costs.Cost(3, 10, 2) + costs.Cost(4, 7, 1) == costs.Cost(7, 10, 3)
    assert 3 * costs.Cost(3, 10, 2) == costs.Cost(9, 10, 6)
    assert costs.Cost(3, 10, 2).holding(4) == costs.Cost(3, 4, 2)


def test_seconds_are_those_of_the_products_and_of_the_operations():
    machine = costs.Machine(flops_per_second=10.0, seconds_per_operation=0.5)
    assert costs.Cost(20.0, operations=3).seconds(machine) == 2.0 + 1.5
    assert costs.Cost(0.0).work == 1  # nothing is free: cells are put in order and counted by it
    assert costs.Cost(0.0, operations=3).work == round(3e9 * costs.NOMINAL.seconds_per_operation)


def test_thin_products_wait_for_the_weights():
    assert costs.recurrent_pass(1, 4, 64).flops == costs.recurrent_pass(costs.THINNEST, 4, 64).flops
    assert costs.recurrent_pass(2 * costs.THINNEST, 4, 64).flops == 2 * costs.recurrent_pass(1, 4, 64).flops


class Operations(TorchDispatchMode):
    """Counts tensor operations."""

    called = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.called += 1
        return function(*args, **(kwargs or {}))


def operations_per_step(descend, short=20, long=40):
    """What a step calls, whatever is called before the first and after the last."""
    called = []
    for steps in (short, long):
        with Operations() as counter:
            descend(Descent(steps, learning_rate=1e-6, record=(0, steps)))
        called.append(counter.called)
    return (called[1] - called[0]) / (long - short)


@pytest.mark.parametrize("length", [2, 4, 16])
def test_steps_call_no_more_operations_than_priced(length):
    network, data = ElmanRNN(16, 3), (draw(6, length, 3), draw(6, 1))
    step = operations_per_step(lambda descent: list(descend(network, data, descent)))
    both = operations_per_step(lambda descent: side_by_side(network, data, descent))
    priced = [price(6, length, 16).operations for price in (costs.training_step, costs.linearized_step)]
    assert 0.95 * priced[0] <= step <= priced[0] + 0.2  # a batch is drawn now and then
    assert 0.85 * priced[1] <= both - step <= priced[1]  # the same at any length: no loop over time


@pytest.mark.parametrize("length", [2, 4, 16])
def test_passes_and_kernels_call_no_more_operations_than_priced(length):
    network, inputs = ElmanRNN(16, 3), draw(6, length, 3)
    with Operations() as forward:
        jacobian = network.jacobian(inputs)
    with Operations() as kernel:
        jacobian.gram()
    assert forward.called <= costs.recurrent_pass(6, length, 16).operations <= 1.5 * forward.called
    assert kernel.called <= costs.tangent_kernel(6, 6, 1, length, 16).operations <= 2 * kernel.called


def test_costs_do_not_need_torch():
    code = "import sys, lab.costs; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def test_a_convolution_step_prices_the_products_of_forward_and_backward_pass():
    """Two 3×3 convolutions, 1 to c channels at all places and c to c at about a third of them, 3 passes, factor 8."""
    channels, places, samples = 6, 12, 5
    first = torch.nn.Conv2d(1, channels, 3, padding=1, dtype=torch.float64)
    second = torch.nn.Conv2d(channels, channels, 3, padding=1, dtype=torch.float64)
    image, smaller = torch.zeros(samples, 1, 3, 4).double(), torch.zeros(samples, channels, 2, 2).double()
    multiply_adds = first(image).numel() * 9 + second(smaller).numel() * 9 * channels  # 12 places, then 4
    assert costs.convolution_step(samples, channels, places).flops == pytest.approx(8 * 3 * 2 * multiply_adds)


def test_a_population_fit_holds_six_matrices_and_takes_the_cube_of_its_features():
    assert costs.population_fit(100).bytes == 6 * 8 * 100**2
    ratio = costs.population_fit(10**5).flops / costs.population_fit(10**4).flops
    assert ratio == pytest.approx(1000, rel=0.01)


def test_a_network_holds_copies_of_its_weights_and_two_arrays_of_all_states():
    weights, states = torch.zeros(4, 16, 16), torch.zeros(2, 6, 3, 5, 16)
    assert costs.network_bytes(6, 3, 5, 16) == weights.nbytes + states.nbytes
    assert costs.network_bytes(6, 3, 5, 16, copies=1, item=8) == 2 * (weights[:1].nbytes + states.nbytes)


MODULES = {"gru": (3, 4), "mlp": (1, 1)}


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("width", [16, 64])
def test_a_kernel_of_a_module_costs_its_passes_and_the_cheaper_route(name, width):
    n, length, features = 6, 5, 3
    if name == "gru":
        module = torch.nn.GRU(features, width, batch_first=True, bias=False).double()
        matrices = [costs.Matrix(3 * width, size, length) for size in (features, width)]
        loops = length
    else:
        first, second = torch.nn.Linear(length * features, width), torch.nn.Linear(width, width)
        module = torch.nn.Sequential(torch.nn.Flatten(), first, torch.nn.Tanh(), second).double()
        matrices, loops = [costs.Matrix(width, length * features), costs.Matrix(width, width)], 0

    class Mean(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, inputs):
            found = self.inner(inputs)
            return (found[0][:, -1] if loops else found).mean(1, keepdim=True)

    network, x = as_network(Mean()), draw(n, length, features)
    network.jacobian(x).gram()  # compares factors with plain passes the first time
    jacobian = network.jacobian(x)
    priced = costs.factored_kernel(n, n, 1, matrices, loops)
    flops = counted(lambda: jacobian.gram(route="factors"))
    assert 0.4 <= flops / (priced.flops - beside_products(n, matrices)) <= 1.6


def beside_products(n, matrices):
    """What the price counts beside products: sums over pairs of deltas, or explicit gradients that are written."""
    found = 0.0
    for matrix in matrices:
        sizes = (n, n, 1, matrix.places, matrix.width, matrix.features)
        gram, each = costs.gram_route_flops(*sizes), costs.per_sample_route_flops(*sizes)
        pairs, numbers = (n * matrix.places) ** 2, 2 * n * matrix.width * matrix.features
        found += costs.ELEMENTWISE * pairs if gram <= each else costs.STORING * numbers
    return found
