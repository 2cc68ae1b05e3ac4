"""Descent until a condition: the three exits, what is recorded, what is left alone."""

import numpy as np
import pytest
import torch

import lab
from lab import Descent, arrive
from lab.learners import arrival


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


@pytest.mark.parametrize("batch_size", [None, 3])
@pytest.mark.parametrize("record", ["all", (0, 7, 30, 60)])
@pytest.mark.parametrize(
    ("rate", "until", "exit"), [(0.005, 0.4, "reached"), (9.0, 1e-3, "diverged"), (1e-6, 1e-3, "undecided")]
)
def test_a_number_is_the_same_condition_as_a_function(task, rate, until, exit, record, batch_size):
    descent = Descent(60, learning_rate=rate, record=record, batch_size=batch_size, momentum=0.5)
    found = arrive(lab.ElmanRNN.like(task, 64), task, descent, until)
    other = arrive(lab.ElmanRNN.like(task, 64), task, descent, lambda snapshot: snapshot.loss / 4 < until)
    assert found.exit == exit
    assert (found.exit, found.step, found.diverged_at) == (other.exit, other.step, other.diverged_at)
    assert found.steps.tolist() == other.steps.tolist()
    np.testing.assert_array_equal(found.loss, other.loss)
    assert torch.equal(found.network.W, other.network.W)


def test_a_number_needs_no_jacobians(task, monkeypatch):
    monkeypatch.setattr("lab.learners.network.Snapshot", None)
    monkeypatch.setattr("lab.networks.elman.FactoredJacobian", None)
    network = lab.ElmanRNN.like(task, 16)
    assert arrive(network, task, Descent(20, learning_rate=1e-3, record="all"), 1e-9).exit == "undecided"


def test_an_interrupt_leaves_the_steps_so_far(task, monkeypatch):
    steps = []

    def look(self, *arguments):
        steps.append(arguments)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return add(self, *arguments)

    add = arrival._Looks.add
    monkeypatch.setattr(arrival._Looks, "add", look)
    network, untrained = lab.ElmanRNN.like(task, 16), lab.ElmanRNN.like(task, 16)
    descent = Descent(20, learning_rate=1e-3, record="all")
    with pytest.raises(KeyboardInterrupt):
        arrive(network, task, descent, 1e-9, in_place=True)
    expected = arrive(untrained, task, Descent(3, learning_rate=1e-3), 1e-9).network
    assert torch.equal(network.W, expected.W)


def test_in_place_moves_the_network_itself(task):
    network = lab.ElmanRNN.like(task, 16)
    found = arrive(network, task, Descent(5, 0.5), 1e-12, in_place=True)
    assert found.network is network


@pytest.mark.parametrize("until", [0, -1.0, float("nan"), "soon", None, True])
def test_a_condition_that_is_none_is_refused(task, until):
    with pytest.raises(lab.LabError, match="until"):
        arrive(lab.ElmanRNN.like(task, 4), task, Descent(2), until)
