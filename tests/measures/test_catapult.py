"""Runs at one learning rate against `lab.side_by_side` and autograd; limits on grids that are known."""

import numpy as np
import pytest
import torch

import lab
from lab.measures import catapult
from lab.measures.catapult import RateLimits, train_at
from lab.measures.kernels import limit_lambda_max
from lab.measures.linear_model import LONGEST, LinearModel
from tests.tolerances import EXACT, relative

OPTIONS = {"goal": 0.1, "kernel_time": 10.0, "least_steps": 20, "patience": 5.0, "reference": 0.5}


@pytest.mark.parametrize("fraction", [0.3, 1.6])
def test_errors_and_gap_are_those_of_the_three_learners(network, task, fraction):
    run = train_at(fraction, network, task, **OPTIONS)
    result = lab.side_by_side(network, task, lab.Descent(int(np.ceil(10 / fraction)), fraction))
    assert run.learning_rate == pytest.approx(result.learning_rate, rel=EXACT)
    assert run.gap == pytest.approx(result.gap("test"), rel=1e-8)
    steps = result.network.steps
    assert relative(run.errors[steps], result.network.loss / result.network.loss[0]) < EXACT
    assert relative(run.linear_errors(steps[:8]), (result.linearized.loss / result.linearized.loss[0])[:8]) < 1e-8
    assert run.arrival.exit == "reached"
    assert run.errors[-1] < 0.1
    assert run.linear_noise() < 1e-8
    assert run.f0_share() == 0


def test_the_row_of_the_end_is_that_of_the_trained_network(network, task):
    run = train_at(1.6, network, task, **OPTIONS)
    row = run.summary()
    assert (row["steps"], row["final_mse"], row["peak_mse"]) == (len(run.errors) - 1, run.errors[-1], run.errors.max())
    assert row["peak_mse"] > 1
    after = list(lab.descend(network, task, lab.Descent(row["steps"], 1.6)))[-1].network
    gradients = [
        torch.autograd.grad(after(x[None]).sum(), after.trained.values())[0].flatten() for x in task.train_inputs
    ]
    top = torch.linalg.matrix_norm(torch.stack(gradients), ord=2) ** 2
    assert row["sharpness"] == pytest.approx(float(run.learning_rate * top / 2), rel=1e-8)
    assert row["live_gates"] == pytest.approx(float(after.gates(task.train_inputs).double().mean()), rel=EXACT)
    assert row["live_gates_start"] == pytest.approx(float(network.gates(task.train_inputs).double().mean()), rel=EXACT)


def test_the_budget_is_the_linear_models_own_time_in_units_of_patience(network, task):
    """Below the reference it is an equal kernel time; the linear model's steps are counted on its closed form."""
    linear = lab.KernelRegressor.at(network, task)
    errors = linear.trajectory(lab.Descent(500, 0.5, record="all"), 1 / linear.spectrum.lambda_max).loss
    steps = int(np.argmax(errors < 0.1 * errors[0]))
    short = {**OPTIONS, "goal": 0.1, "kernel_time": 1e-3, "least_steps": 1, "patience": 0.3}
    for fraction, slower in ((0.5, 1.0), (0.1, 5.0)):
        run = train_at(fraction, network, task, **short)
        assert run.arrival.exit == "undecided"
        assert len(run.errors) - 1 == np.ceil(0.3 * steps * slower)
        assert run.motion is None


def test_no_budget_is_longer_than_the_largest_one(network, task, monkeypatch):
    monkeypatch.setattr(catapult, "_MOST", 30)
    run = train_at(0.1, network, task, **{**OPTIONS, "goal": 1e-9, "kernel_time": 1.0, "patience": 1e9})
    assert (run.arrival.exit, len(run.errors) - 1) == ("undecided", 30)


def test_a_divergence_leaves_no_row_of_the_end(network, task):
    run = train_at(500.0, network, task, **{**OPTIONS, "kernel_time": 5000.0})
    row = run.summary()
    assert run.arrival.exit == "diverged"
    assert row["steps"] == run.arrival.diverged_at
    assert [row[name] for name in ("final_mse", "peak_mse", "motion", "sharpness", "live_gates")] == [None] * 5
    assert row["live_gates_start"] > 0
    assert np.isinf(run.gap[-1])


def test_limits_are_read_off_the_grid():
    c = np.array([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8])
    found = RateLimits.of(
        c,
        [0.2, 0.2, 0.2, 0.24, 0.5, None, None, None],
        c > 1,
        [True, True, True, True, True, True, False, True],
        np.sqrt(c),
        factor=1.25,
    )
    assert (found.tracking.value, found.linear.value, found.network.value) == (0.8, 1.6, 3.2)
    assert found.trains_again
    assert found.motion_ratio == pytest.approx(np.sqrt(0.8 * 3.2 / 0.25), rel=EXACT)


@pytest.mark.parametrize(("trains", "mark"), [([True] * 3, "right"), ([False] * 3, "left")])
def test_a_limit_outside_the_grid_is_censored_and_has_no_motion(trains, mark):
    found = RateLimits.of([0.1, 0.3, 0.9], [1, 1, 1], [False] * 3, trains, [1, 2, 3], factor=1.25)
    assert (found.network.censored, found.tracking.censored, found.linear.censored) == (mark, "right", "right")
    assert (found.motion_ratio, found.trains_again) == (None, False)


def test_the_limit_of_the_largest_eigenvalue_is_that_of_the_infinite_kernel(task, network):
    kernel = lab.infinite_ntk(network.network, task.train_inputs).reshape(8, 8)
    assert limit_lambda_max(network, task.train_inputs) == pytest.approx(np.linalg.eigvalsh(kernel)[-1], rel=EXACT)
    module = lab.as_network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1)))
    assert limit_lambda_max(module, task.train_inputs) is None


@pytest.mark.parametrize("loss", ["huber", "logistic", "cross_entropy"])
@pytest.mark.parametrize("fraction", [0.4, 1.6])
def test_under_any_loss_errors_and_gap_are_those_of_the_three_learners(task, loss, fraction):
    """The linear curve is the Taylor model iterated in weight space, sharpness that of autograd's Hessian JᵀHJ.

    HJJᵀ, a matrix of outputs instead of weights, has the same eigenvalues but for zeros.
    """
    network = lab.ElmanRNN.like(task, 64, outputs=2 if loss == "cross_entropy" else 1, centred=True)
    run = train_at(fraction, network, task, loss=loss, **OPTIONS)
    descent = lab.Descent(int(np.ceil(10 / fraction)), fraction, loss=loss)
    result = lab.side_by_side(network, task, descent)
    assert run.learning_rate == pytest.approx(result.learning_rate, rel=EXACT)
    assert np.isnan(run.gap[0])
    assert run.gap == pytest.approx(result.gap("test"), rel=1e-8, nan_ok=True)
    steps = result.network.steps
    assert relative(run.errors[steps], result.network.loss / result.network.loss[0]) < EXACT
    assert relative(run.linear_errors(steps), result.linearized.loss / result.linearized.loss[0]) < 1e-8
    assert run.linear_noise() < 1e-8
    assert (run.f0_share() is None) == (loss != "huber")
    after = run.arrival.network
    y, outputs = task.train_targets, after(task.train_inputs).detach()
    of_outputs = {
        "huber": lambda f: (f - y).square().sum() / 2,  # the bound of its curvature
        "logistic": lambda f: torch.nn.functional.softplus(-y * f).sum(),
        "cross_entropy": lambda f: torch.nn.functional.cross_entropy(f, (y[:, 0] > 0).long(), reduction="sum"),
    }
    H = torch.autograd.functional.hessian(of_outputs[loss], outputs).reshape(outputs.numel(), -1)
    J = torch.autograd.functional.jacobian(
        lambda W: torch.func.functional_call(after, {"W": W}, (task.train_inputs,)).flatten(), after.W.detach()
    ).flatten(1)
    top = float(torch.linalg.eigvals(H @ (J @ J.T)).real.max())
    assert run.summary()["sharpness"] == pytest.approx(run.learning_rate * top / 2, rel=1e-8)


def test_the_budget_of_a_recursion_is_the_linear_models_own_time(task):
    network = lab.ElmanRNN.like(task, 64, outputs=2, centred=True)
    descent = lab.Descent(500, 0.5, record="all", loss="cross_entropy")
    errors = lab.side_by_side(network, task, descent).linearized.loss
    short = {**OPTIONS, "kernel_time": 1e-3, "least_steps": 1, "patience": 0.3, "loss": "cross_entropy"}
    run = train_at(0.5, network, task, **short)
    assert run.arrival.exit == "undecided"
    assert len(run.errors) - 1 == np.ceil(0.3 * int(np.argmax(errors < 0.1 * errors[0])))
    slow = LinearModel.at(network, task, "cross_entropy")
    assert slow.steps_to(1e-9, 1e-9) is None
    assert slow.errors(1e9, [0, LONGEST])[1] > 1
