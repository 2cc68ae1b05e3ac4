"""Both phases against `lab.descend`, `lab.side_by_side` and dense linear algebra."""

import numpy as np
import pytest
import torch

import lab
from lab.measures.relinearization import first_phase, second_phase
from tests.tolerances import EXACT, relative


@pytest.fixture
def task():
    return lab.tasks.digits(train=8, test=6)


@pytest.fixture
def network(task):
    return lab.Scaled(lab.ElmanRNN.like(task, 16, seed=1), 1.0)


def dense(network, inputs):
    """Outputs (n,) and Jacobian in W (n, m²) by autograd."""
    rows = [torch.autograd.grad(network(x[None]).sum(), network.trained.values())[0].flatten() for x in inputs]
    return network(inputs).detach().flatten().numpy(), torch.stack(rows).numpy()


def test_a_regressor_moved_to_another_start_descends_from_there_with_its_own_kernel(task, network):
    descent = lab.Descent(7, learning_rate=1e-4)
    moved = lab.side_by_side(network, task, descent).trained_network
    model = lab.KernelRegressor.at(network, task).starting_from(lab.KernelRegressor.at(moved, task))
    found = model.trajectory(descent, 1e-4)
    y = task.train_targets.flatten().numpy()
    _, J = dense(network, task.train_inputs)
    start, test = (dense(moved, inputs)[0] for inputs in (task.train_inputs, task.test_inputs))
    left = np.linalg.matrix_power(np.eye(len(y)) - 1e-4 * J @ J.T, 7) @ (start - y)
    assert relative(found.train[-1].ravel(), y + left) < EXACT
    weights = np.linalg.pinv(J) @ (y + left - start)
    cross = dense(network, task.test_inputs)[1]
    assert relative(found.test[-1].ravel(), test + cross @ weights) < 1e-8


def residuals(network, task, fraction, steps):
    """Residuals over the first one, and the weights, at every step."""
    path = lab.descend(network, task, lab.Descent(steps, fraction, record="all"))
    found = [(each.loss, each.network.network.W.detach().clone()) for each in path]
    losses = np.array([loss for loss, _ in found])
    return np.sqrt(losses / losses[0]), [weights for _, weights in found]


def test_a_first_phase_below_the_edge_ends_at_the_first_passage(network, task):
    left, weights = residuals(network, task, 0.4, 200)
    found = first_phase(network, task, lab.KernelRegressor.at(network, task), 0.4, share=0.5, steps=200)
    assert (found.exit, found.step) == ("reached", int(np.argmax(left <= 0.5)))
    assert relative(found.path, left[: found.step + 1]) < EXACT
    assert relative(found.network.network.W, weights[found.step]) < EXACT
    assert found.summary()["peak"] == pytest.approx(1)
    assert found.summary()["reasons"] == ""


def test_a_first_phase_beyond_the_edge_ends_after_the_peak(network, task):
    left, weights = residuals(network, task, 1.6, 200)
    peak = int(left.argmax())
    assert left[peak] > 1.5
    found = first_phase(network, task, lab.KernelRegressor.at(network, task), 1.6, share=0.5, steps=200)
    assert (found.exit, found.step) == ("reached", peak + int(np.argmax(left[peak:] <= 0.5)))
    assert len(found.path) == 201, "it is watched to the end"
    assert relative(found.network.network.W, weights[found.step]) < EXACT
    assert found.summary()["peak"] == pytest.approx(left[peak])


@pytest.mark.parametrize(("fraction", "steps", "ended"), [(0.01, 3, "undecided"), (500.0, 50, "diverged")])
def test_a_first_phase_that_does_not_get_there_says_how_it_ended(network, task, fraction, steps, ended):
    found = first_phase(network, task, lab.KernelRegressor.at(network, task), fraction, share=0.5, steps=steps)
    assert (found.exit, found.network, found.step) == (ended, None, None)
    row = found.summary()
    assert (row["outcome"], row["diverged"]) == (ended, ended == "diverged")
    assert row["reasons"] == f"phase one {ended} at step {len(found.path) - 1}"
    assert (row["peak"] is None) == (ended == "diverged")


def test_from_initialization_both_models_are_the_linearized_network(network, task):
    before = lab.KernelRegressor.at(network, task)
    found = second_phase(network, task, before, 0.25, done=1e-2, budget=40)
    result = lab.side_by_side(network, task, lab.Descent(40, 0.25))
    assert (found.steps, found.capped, found.learning_rate) == (40, True, pytest.approx(result.learning_rate))
    for gap in found.gaps():
        assert relative(gap, result.gap("test")) < 1e-8
    wanted = np.stack([result.network.loss, result.linearized.loss, result.linearized.loss]) / result.network.loss[0]
    assert relative(found.losses(), wanted) < 1e-8
    assert found.noise() < 1e-9
    assert found.times[-1] == pytest.approx(0.25 * 40)
    row = found.summary(noise=False)
    assert (row["noise"], row["outcome"], row["spectrum_kept"]) == (None, "reached", 1.0)
    assert row["kernel_distance"] == pytest.approx(0, abs=EXACT)
    assert row["gap_from_init"] == pytest.approx(result.gap("test").max())


def test_a_second_phase_ends_when_the_model_with_the_new_kernel_is_done(network, task):
    before = lab.KernelRegressor.at(network, task)
    found = second_phase(network, task, before, 0.25, done=0.3, budget=10_000)
    assert not found.capped
    losses = found.renewed.loss / found.renewed.loss[0]
    assert losses[-1] < 0.3 < losses[-2]
