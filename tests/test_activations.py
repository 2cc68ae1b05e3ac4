"""Every gain is the derivative that torch computes, also at the kink and far out."""

import math

import pytest
import torch

from lab.activations import ACTIVATIONS, activation
from lab.errors import LabError
from tests.references import FUNCTIONS
from tests.tolerances import DIFFERENCE_STEP, DIFFERENCES, OUTPUTS, ROUNDING, relative

POINTS = torch.cat(
    [torch.linspace(-6, 6, 121, dtype=torch.float64), torch.tensor([-800.0, -25, 19.9, 20.1, 25, 800]).double()]
)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gains_are_torchs_own_derivatives(name):
    found, g = activation(name), POINTS.clone().requires_grad_()
    states = found.function(g)
    (expected,) = torch.autograd.grad(states.sum(), g)
    gains = found.gain(g.detach(), states.detach())
    assert relative(gains, expected) <= OUTPUTS
    assert torch.isfinite(gains).all()
    assert torch.equal(g.detach(), POINTS)  # the pre-activations are left as they were


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_functions_are_what_their_names_say_and_gains_are_their_slopes(name):
    found, g = activation(name), torch.linspace(-3, 3, 20, dtype=torch.float64)  # none of the points is 0
    assert relative(found.function(g), FUNCTIONS[name](g.numpy())) <= OUTPUTS
    sides = [FUNCTIONS[name](g.numpy() + sign * DIFFERENCE_STEP) for sign in (1, -1)]
    slopes = (sides[0] - sides[1]) / (2 * DIFFERENCE_STEP)
    assert relative(found.gain(g, found.function(g)), slopes) <= DIFFERENCES


def test_only_relu_has_gates_and_its_kink_is_closed():
    assert [name for name, found in ACTIVATIONS.items() if found.gated] == ["relu"]
    g = torch.tensor([-1.0, 0.0, 2.0])
    assert activation("relu").gain(g, torch.relu(g)).tolist() == [0, 0, 1]


def test_slopes_at_the_origin():
    zero = torch.zeros(1, dtype=torch.float64)
    for name, slope in (("erf", 2 / math.sqrt(math.pi)), ("tanh", 1.0), ("softplus", 0.5)):
        found = activation(name)
        assert abs(float(found.gain(zero, found.function(zero))) - slope) <= ROUNDING


@pytest.mark.parametrize("name", ["gelu", "ReLU", "", None])
def test_unknown_names_are_refused(name):
    with pytest.raises(LabError, match=r"activation: got .*erf, relu, softplus, tanh"):
        activation(name)
