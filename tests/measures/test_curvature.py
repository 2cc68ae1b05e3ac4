import math

import pytest
import torch
from torch.func import functional_call, jacrev

import lab
from lab.errors import LabError
from lab.measures.curvature import relative_curvature
from tests.tolerances import EXACT

INPUTS = torch.from_numpy(lab.tasks.digits(train=5, test=0).train_inputs.numpy())


def network(activation="erf", **options):
    return lab.ElmanRNN(12, 9, 2, activation=activation, parametrization="ntk", trained=("W", "B"), **options)


def rows(net, weights):
    """The Jacobian as a matrix (n·o, parameters), by torch alone."""

    def outputs(point):
        return functional_call(net, point, (INPUTS,)).flatten()

    found = jacrev(outputs)({name: value.detach() for name, value in weights.items()})
    return torch.cat([found[name].flatten(1) for name in sorted(found)], 1)


@pytest.mark.parametrize("activation", ["erf", "relu"])
@pytest.mark.parametrize("distance", [1e-2, 3.0])
def test_it_is_the_change_of_torchs_own_jacobian(activation, distance):
    net, residual = network(activation), torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    first = rows(net, net.trained)
    direction = first.T @ residual.flatten()
    moved, start = net.copy(), 0
    for name in sorted(moved.trained):
        value = moved.trained[name].detach()
        step = direction[start : start + value.numel()].view_as(value)
        value.add_(step, alpha=distance / float(direction.norm()))
        start += value.numel()
    change = rows(moved, moved.trained) - first
    expected = float(residual.norm() * change.norm() / (distance * first.norm() ** 2))
    assert relative_curvature(net, INPUTS, residual, distance) == pytest.approx(expected, rel=EXACT)


def test_scaling_the_outputs_divides_it():
    net, residual = network(), torch.ones(5, 2).double()
    one = relative_curvature(lab.Scaled(net, 1.0), INPUTS, residual, 0.5)
    assert relative_curvature(lab.Scaled(net, 100.0), INPUTS, residual, 0.5) == pytest.approx(one / 100, rel=EXACT)


def test_a_linear_model_has_none_and_nothing_moves():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(72, 2)).double()
    before = [value.clone() for value in module.parameters()]
    assert relative_curvature(lab.as_network(module), INPUTS, torch.ones(5, 2).double(), 2.0) < EXACT
    assert all(torch.equal(value, old) for value, old in zip(module.parameters(), before, strict=True))


@pytest.mark.parametrize(("residual", "distance"), [(1.0, 0.0), (1.0, math.nan), (0.0, 1.0)])
def test_nowhere_to_go_is_refused(residual, distance):
    with pytest.raises(LabError):
        relative_curvature(network(), INPUTS, torch.full((5, 2), residual).double(), distance)
