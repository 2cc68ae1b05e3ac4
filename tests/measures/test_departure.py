import numpy as np
import pytest
import torch

import lab
from lab.measures.departure import departure, other_draw
from tests.tolerances import EXACT

TASK = lab.tasks.separable(8, 4, 5, 6)
DESCENT = lab.Descent(20, 0.5, record="all")
SHARES = [0.25, 1.0]


def network(**choices):
    return lab.ElmanRNN.like(TASK, 16, **choices)


def error(net, targets=TASK.train_targets):
    with torch.no_grad():
        return float((net(TASK.train_inputs) - targets).square().mean() / targets.square().mean())


def test_descent_starts_at_distance_zero_and_ends_where_plain_descent_does():
    net = network()
    found = departure(net, TASK, DESCENT, 7, SHARES)
    path = lab.descend(net, TASK, DESCENT)
    *_, last = path
    unit = float((network(seed=7).W - net.W).detach().norm())
    assert found.diverged_at is None
    assert found.distance[0] == 0
    assert found.error[0] == pytest.approx(error(net), rel=EXACT)
    assert found.distance[-1] == pytest.approx(float((last.network.W - net.W).detach().norm()) / unit, rel=EXACT)
    assert found.error[-1] == pytest.approx(error(last.network), rel=EXACT)
    assert len(found.error) == 21


def test_the_line_ends_at_the_other_draw_with_the_same_a_and_b():
    net, other = network(), network(seed=7)
    found = departure(net, TASK, DESCENT, 7, SHARES)
    assert found.line_distance.tolist() == SHARES
    for share, value in zip(SHARES, found.line_error, strict=True):
        between = net.copy()
        with torch.no_grad():
            between.W.copy_((1 - share) * net.W + share * other.W)
        assert value == pytest.approx(error(between), rel=EXACT)
    assert torch.equal(net.W, network().W), "the network itself stays"


@pytest.mark.parametrize("choices", [{}, {"parametrization": "ntk", "activation": "erf"}, {"dtype": torch.float32}])
def test_another_draw_is_that_of_another_seed_and_two_root_m_away(choices):
    net = network(**choices)
    drawn = other_draw(net, 3)
    assert torch.equal(drawn, network(seed=3, **choices).W)
    spread = net.scales["W"].deviation
    assert float((drawn - net.W).detach().norm()) == pytest.approx(2**0.5 * 16 * spread, rel=0.2)


def test_a_divergence_is_named():
    found = departure(network(), TASK, lab.Descent(200, 40.0), 7, SHARES)
    assert found.diverged_at is not None
    assert np.isfinite(found.line_error).all()
