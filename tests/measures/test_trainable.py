"""Rates that train against a direct scan by autograd and torch.optim."""

import math

import numpy as np
import pytest
import torch

import lab
from lab.measures.trainable import Trainable, try_rates

FRACTIONS = (0.5, 0.9, 1.3, 4.0, 300.0)
EFFORT = {"goal": 0.1, "least_steps": 20, "patience": 4.0, "reference": 0.5}


def summed_loss(loss, outputs, signs):
    if loss == "squared":
        return 0.5 * ((outputs - signs) ** 2).sum()
    return torch.logaddexp(torch.zeros_like(outputs), -signs * outputs).sum()


def descend(start, outputs, signs, loss, rate, budget, least):
    """Losses over the first one of plain SGD, until one from step ``least`` on is below 0.1, or one above a million."""
    weights = start.clone().requires_grad_()
    optimizer, losses = torch.optim.SGD([weights], lr=rate), []
    while len(losses) <= budget:
        value = summed_loss(loss, outputs(weights), signs)
        losses.append(value.item())
        done = len(losses) > least and losses[-1] < 0.1 * losses[0]
        if done or not losses[-1] <= 1e6 * losses[0]:
            break
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return np.array(losses) / losses[0]


def models(network, task):
    """W₀, and outputs of the network and of its first-order Taylor model as functions of W."""
    start, inputs = network.W.detach().clone(), task.train_inputs

    def ours(W):
        return torch.func.functional_call(network, {"W": W}, (inputs,)).reshape(-1)

    first, J = ours(start).detach(), torch.func.jacrev(ours)(start).detach().flatten(1)
    return start, J, (ours, lambda W: first + J @ (W - start).flatten())


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_rates_that_train_are_those_of_a_direct_scan(loss, task):
    network = lab.ElmanRNN.like(task, 24, centred=True, seed=1)
    found = try_rates(network, task, loss, fractions=FRACTIONS, **EFFORT)
    (start, J, both), signs = models(network, task), task.train_targets.reshape(-1)
    top = float(torch.linalg.matrix_norm(J, ord=2)) ** 2 * (1 if loss == "squared" else 0.25)  # H₀ = I, or I/4 at 0
    ticks = len(descend(start, both[1], signs, loss, 2 * 0.5 / top, 2000, 0)) - 1
    assert 20 < 4 * ticks < 2000
    for place, fraction in enumerate(FRACTIONS):
        for row, outputs in enumerate(both):
            losses = descend(start, outputs, signs, loss, 2 * fraction / top, 4 * ticks, 20)
            reached = len(losses) > 20 and losses[-1] < 0.1
            assert found.trains[row, place] == reached, (fraction, row)
            peak = losses.max() if losses.max() <= 1e6 else math.inf
            assert found.peaks[row, place] == pytest.approx(peak, rel=1e-6)
    assert found.trains[0, 0]
    assert not found.trains[0].all()
    assert found.trains[1].all() == (loss == "logistic"), "bounded gradients: the linear model always arrives"


def test_the_sharpness_is_that_where_the_goal_is_reached(task):
    network = lab.ElmanRNN.like(task, 24, centred=True, seed=1)
    found = try_rates(network, task, "logistic", fractions=(0.5, 300.0), **EFFORT)
    assert math.isnan(found.sharpness[1])
    path = lab.descend(network, task, lab.Descent(500, 0.5, loss="logistic", record="all"))
    first = next(path).loss
    after = next(each for each in path if each.step >= 20 and each.loss < 0.1 * first).network
    _, J, (outputs, _) = models(after, task)
    chances = torch.sigmoid(outputs(after.W.detach()))
    weighted = (chances * (1 - chances)).sqrt()[:, None] * J
    start = models(network, task)[1]
    ratio = float(torch.linalg.matrix_norm(weighted, ord=2) ** 2 / (torch.linalg.matrix_norm(start, ord=2) ** 2 / 4))
    assert found.sharpness[0] == pytest.approx(0.5 * ratio, rel=1e-6)


def made_up(network, linear):
    k = len(network)
    peaks = np.arange(2.0 * k).reshape(2, k)
    return Trainable(2.0 ** np.arange(k), np.array([network, linear]), peaks, 10 + np.arange(float(k)))


def test_limits_hold_at_all_smaller_rates():
    row = made_up([True, True, False, True], [True] * 4).summary()
    assert (row["network_limit"], row["network_limit_censored"]) == (2, None)
    assert (row["network_peak"], row["sharpness_at_limit"]) == (1, 11)
    assert (row["linear_limit"], row["linear_limit_censored"], row["linear_peak"]) == (8, "right", 7)
    none = made_up([False, True], [False, False]).summary()
    assert (none["network_limit"], none["network_limit_censored"]) == (1, "left")
    assert none["network_peak"] is none["sharpness_at_limit"] is none["linear_peak"] is None


def test_a_budget_may_be_bounded(task):
    network, effort = lab.ElmanRNN.like(task, 24, centred=True, seed=1), EFFORT | {"least_steps": 2}
    found = try_rates(network, task, fractions=(0.5, 0.9), most_steps=3, **effort)
    assert not found.trains.any()
    assert try_rates(network, task, fractions=(0.5, 0.9), most_steps=10**6, **effort).trains.all()
