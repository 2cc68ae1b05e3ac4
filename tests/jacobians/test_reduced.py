"""Jacobians in coordinates of what descent can reach: smaller tangents, and the same of everything else."""

import pytest
import torch

import lab
from lab.jacobians.jacobian import Reducible
from lab.learners.descent import follow
from lab.learners.linearized import LinearizedNetwork, linearize
from lab.losses import Objective
from lab.networks.parametrization import Parametrization
from tests.references import draw
from tests.tolerances import EXACT, relative

BIASED = Parametrization(style="ntk", sigma_w=1.2, sigma_u=0.9, sigma_v=1.1, sigma_b=0.5)
X, TEST = draw(3, 4, 2, seed=1), draw(5, 4, 2, seed=2)
TRAINED = [("W",), ("A",), ("B",), ("b",), ("W", "A", "B", "b")]


def network(width=20, trained=("W",), readout="last", scaled=False):
    net = lab.ElmanRNN(width, 2, 2, readout=readout, trained=trained, parametrization=BIASED, activation="tanh")
    return lab.Scaled(net, 3.0) if scaled else net


@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled"])
@pytest.mark.parametrize("readout", ["last", "all", "mean"])
@pytest.mark.parametrize("trained", TRAINED, ids="".join)
def test_kernels_stay_what_they_are(trained, readout, scaled):
    net = network(trained=trained, readout=readout, scaled=scaled)
    train, test = net.jacobian(X).keep(), net.jacobian(TEST).keep()
    assert isinstance(train, Reducible)
    mine, theirs = train.reduced(test)
    cotangent = draw(*train.outputs.shape, seed=3)
    motion, reduced = train.pull(cotangent), mine.pull(cotangent)
    assert all(reduced[name].numel() <= value.numel() for name, value in motion.items())
    assert relative(mine.push(reduced), train.push(motion)) <= EXACT
    assert relative(theirs.push(reduced), test.push(motion)) <= EXACT
    assert relative(mine.gram(), train.gram()) <= EXACT
    assert relative(theirs.gram(mine), test.gram(train)) <= EXACT
    assert torch.equal(mine.outputs, train.outputs)
    assert train.reduced(None)[1] is None


def test_tangents_have_a_row_for_each_delta_and_a_column_for_each_feature():
    train = network(trained=("W", "A", "B")).jacobian(X).keep()
    reduced = train.reduced(None)[0].pull(torch.ones_like(train.outputs))
    assert {name: tuple(value.shape) for name, value in reduced.items()} == {"W": (20, 12), "A": (20, 2), "B": (2, 3)}
    wide = network(width=60).jacobian(X).keep()
    assert wide.reduced(None)[0].pull(torch.ones_like(wide.outputs))["W"].shape == (3 * 2 * 3, 3 * 3)


def test_samples_twice_have_no_basis_of_their_own():
    net, twice = network(width=60), torch.cat([X, X])
    train = net.jacobian(twice).keep()
    mine, _ = train.reduced(None)
    assert relative(mine.gram(), train.gram()) <= EXACT


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"batch_size": 2}], ids=["plain", "momentum", "batches"])
def test_descent_goes_the_same_way(settings):
    net, targets = network(width=40, trained=("W", "A")), draw(3, 2, seed=4)
    descent = lab.Descent(30, learning_rate=1e-3, record="all", **settings)
    paths = []
    for steps in (30, 1):  # so few steps that no basis is made
        model, test = linearize(net.jacobian(X).keep(), net.jacobian(TEST).keep(), net.trained, lab.Descent(steps))
        visits = follow(model, Objective.squared(targets), descent, descent.learning_rate)
        paths.append(torch.stack([torch.cat([visit.outputs, model.on(test)]) for visit in visits]))
    assert relative(*paths) <= EXACT


def test_an_optimizer_sees_the_weights_themselves():
    net = network(width=40)
    adam = lab.Descent(30, optimizer=lambda parameters: torch.optim.Adam(parameters))
    model, _ = linearize(net.jacobian(X).keep(), None, net.trained, adam)
    assert isinstance(model, LinearizedNetwork)
    assert torch.equal(model.parameters["W"], net.W)
