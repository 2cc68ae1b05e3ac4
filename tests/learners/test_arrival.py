"""Descent until a condition: the three exits, what is recorded, what is left alone."""

import numpy as np
import pytest
import torch

import lab
from lab import Descent, arrive


@pytest.fixture
def task():
    return lab.tasks.separable(samples=8, test=4, length=3, features=4)


def by_hand(task, width, rate, until, budget):
    """The same descent by autograd: errors of every step up to the first one below ``until``."""
    network, errors = lab.ElmanRNN.like(task, width), []
    for _ in range(budget + 1):
        outputs = network(task.train_inputs)
        errors.append(float((outputs - task.train_targets).square().mean().detach()))
        if errors[-1] < until:
            break
        gradient = torch.autograd.grad(0.5 * (outputs - task.train_targets).square().sum(), network.W)[0]
        with torch.no_grad():
            network.W -= rate * gradient
    return np.array(errors), network.W.detach()


def test_a_reached_error_is_the_first_below_and_equals_autograd(task):
    network = lab.ElmanRNN.like(task, 64)
    before = network.W.detach().clone()
    found = arrive(network, task, Descent(500, learning_rate=0.002, record="all"), 0.05)
    errors, weights = by_hand(task, 64, 0.002, 0.05, 500)
    assert (found.exit, found.step, found.diverged_at) == ("reached", len(errors) - 1, None)
    np.testing.assert_allclose(found.mse, errors, rtol=1e-9)
    np.testing.assert_allclose(found.loss, errors * 8 / 2, rtol=1e-9)
    torch.testing.assert_close(found.network.W.detach(), weights, rtol=1e-9, atol=0)
    assert torch.equal(network.W, before), "the user's network stays as it was"


def test_the_condition_is_looked_at_on_recorded_steps_alone(task):
    seen = []
    descent = Descent(20, 0.5, record=(0, 5, 20))
    found = arrive(lab.ElmanRNN.like(task, 16), task, descent, lambda snapshot: seen.append(snapshot.step) or False)
    assert (found.exit, found.step, seen) == ("undecided", 20, [0, 5, 20])
    assert found.steps.tolist() == seen


def test_a_condition_stops_at_once_and_reads_the_snapshot(task):
    found = arrive(lab.ElmanRNN.like(task, 16), task, Descent(20, 0.5, record="all"), lambda each: each.step == 3)
    assert (found.exit, found.step, len(found.loss)) == ("reached", 3, 4)


def test_a_divergence_has_its_step_and_is_no_arrival(task):
    found = arrive(lab.ElmanRNN.like(task, 64), task, Descent(400, 400.0, record="all"), 1e-3)
    assert found.exit == "diverged"
    assert found.step == found.diverged_at
    path = lab.descend(lab.ElmanRNN.like(task, 64), task, Descent(400, 400.0, record="all"))
    assert len(list(path)) == len(found.steps)
    assert path.diverged_at == found.diverged_at


def test_in_place_moves_the_network_itself(task):
    network = lab.ElmanRNN.like(task, 16)
    found = arrive(network, task, Descent(5, 0.5), 1e-12, in_place=True)
    assert found.network is network


@pytest.mark.parametrize("until", [0, -1.0, float("nan"), "soon", None, True])
def test_a_condition_that_is_none_is_refused(task, until):
    with pytest.raises(lab.LabError, match="until"):
        arrive(lab.ElmanRNN.like(task, 4), task, Descent(2), until)
