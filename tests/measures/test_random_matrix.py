import math

import numpy as np
import pytest
import torch

import lab
from lab.errors import LabError
from lab.measures.random_matrix import singular_values_over_edge
from tests.tolerances import EXACT, relative


@pytest.mark.parametrize("parametrization", ["paper", "ntk"])
def test_a_random_weight_ends_at_the_edge_and_follows_the_quarter_circle(parametrization):
    """The share of singular values below x is that of a quarter circle, 2/π (x√(1 − x²) + arcsin x)."""
    values = singular_values_over_edge(lab.ElmanRNN(400, 3, parametrization=parametrization, seed=2)).numpy()
    assert values.max() == pytest.approx(1, abs=3 * 400 ** (-2 / 3))
    for x in (0.25, 0.5, 0.75):
        circle = 2 / math.pi * (x * math.sqrt(1 - x**2) + math.asin(x))
        assert np.mean(values <= x) == pytest.approx(circle, abs=0.01)


def test_they_are_those_of_w_over_the_papers_edge():
    network = lab.ElmanRNN(12, 3, seed=1)
    with torch.no_grad():
        network.W.add_(torch.ones(12, 12))
    expected = np.linalg.svd(network.W.detach().numpy(), compute_uv=False) / (2 * math.sqrt(2))
    found = singular_values_over_edge(network)
    assert relative(found, expected) < EXACT
    assert found[0] > 2, "the direction of ones lies far beyond the edge"
    assert torch.equal(singular_values_over_edge(lab.Scaled(network, 7.0)), found)


def test_other_networks_are_refused():
    other = lab.as_network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 1)))
    for network in (other, lab.Scaled(other, 1.0)):
        with pytest.raises(LabError, match="ElmanRNN"):
            singular_values_over_edge(network)
