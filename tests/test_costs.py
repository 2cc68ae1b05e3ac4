"""Priced flops are those of the matrix products that are done."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lab import costs
from lab.jacobians.gram import contract
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
    n, p, m, q = 5, 3, 16, 1
    network, x = ElmanRNN(m, p, q), draw(n, length, p)
    read = seeds = 2 * n * m * q  # the one time step that is read, and what its residual sends back
    forward = counted(lambda: network.jacobian(x))
    assert costs.recurrent_pass_flops(n, length, m, p) == forward - read
    jacobian, cotangent = network.jacobian(x), torch.ones(n, q, dtype=torch.float64)
    backward = counted(lambda: network.descend(jacobian, cotangent, 0.0))
    whole = costs.recurrent_pass_flops(n, length, m) + backward - seeds
    assert abs(costs.training_step_flops(n, length, m) - whole) <= 2 * n * m * m * (length > 1)  # one product less


def test_a_linearized_step_is_two_products_with_kept_factors():
    n, length, p, m = 5, 6, 3, 16
    network, x = ElmanRNN(m, p), draw(n, length, p)
    kept, direction = network.jacobian(x).keep(), {"W": torch.ones(m, m, dtype=torch.float64)}
    flops = counted(lambda: kept.push(direction)) + counted(lambda: kept.pull(kept.outputs))
    small = 4 * n * (length - 1) * m  # contractions with the deltas
    assert costs.linearized_step_flops(n, length, m) == flops - small


def test_a_tangent_kernel_takes_the_cheaper_route():
    for length in (2, 4, 200):
        routes = [
            route(8, 6, 2, length - 1, 64, 64) for route in (costs.gram_route_flops, costs.per_sample_route_flops)
        ]
        backward = costs.recurrent_pass_flops(14 * 2, length, 64)
        assert costs.tangent_kernel_flops(8, 6, 2, length, 64) == backward + min(routes)


def test_long_sequences_turn_the_choice_round():
    def gram_is_cheaper(length):
        sizes = (32, 32, 1, length, 256, 256)
        return costs.gram_route_flops(*sizes) <= costs.per_sample_route_flops(*sizes)

    choices = [gram_is_cheaper(length) for length in range(1, 64)]
    assert choices[0]
    assert not choices[-1]
    assert choices == sorted(choices, reverse=True)  # it turns once


def test_costs_in_a_row_add_work_and_share_memory():
    assert costs.Cost(3, 10) + costs.Cost(4, 7) == costs.Cost(7, 10)


def test_costs_do_not_need_torch():
    code = "import sys, lab.costs; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
