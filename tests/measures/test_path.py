import math

import numpy as np
import pytest
import torch

import lab
from lab.measures.path import (
    Pace,
    decay_rate,
    kernel_path,
    linear_decay_rate,
    patient_descent,
    patient_path,
    relative_rates,
)
from tests.references import dense_jacobian, product
from tests.tolerances import EXACT

TASK = lab.tasks.separable(6, 4, 5, 4)


def network(readout="last", width=12, seed=0):
    return lab.ElmanRNN.like(TASK, width, readout=readout, seed=seed)


def linear_model(values, residual):
    """A linear model with a diagonal kernel that starts at 0."""
    kernel = torch.diag(torch.tensor(values, dtype=torch.float64))[:, None, :, None]
    targets = -torch.tensor(residual, dtype=torch.float64)[:, None]
    return lab.KernelRegressor(kernel, 0 * targets, targets)


def smallest_eigenvalue(net, inputs):
    kernel = product(dense_jacobian(net, inputs)["W"])
    size = kernel.shape[0] * kernel.shape[1]
    return np.linalg.eigvalsh(kernel.reshape(size, size).numpy())[0]


def test_a_path_stays_inside_its_own_extremes_and_stops():
    task, net = TASK, network("last", 64)
    before = net.W.detach().clone()
    path = kernel_path(net, task, lab.Descent(200, record="all"), 1e-2)
    assert path.exit == "reached"
    assert path.mse[-1] < 1e-2 <= path.mse[:-1].min()
    assert (2 * path.lambda_min <= path.force * (1 + EXACT)).all()
    assert (path.force <= 2 * path.lambda_max * (1 + EXACT)).all()
    assert torch.equal(net.W, before)
    assert torch.equal(path.motion(), path.network.W.detach() - before)
    with torch.no_grad():
        end = path.network(task.train_inputs)
    assert path.mse[-1] == pytest.approx(float((end - task.train_targets).square().mean()), rel=EXACT)
    assert path.lambda_min[-1] == pytest.approx(smallest_eigenvalue(path.network, task.train_inputs), rel=1e-8)
    leaf = path.network.copy()
    (0.5 * (leaf(task.train_inputs) - task.train_targets).square().sum()).backward()
    loss = 0.5 * path.mse[-1] * task.train_targets.numel()
    assert path.force[-1] == pytest.approx(float(leaf.W.grad.square().sum()) / loss, rel=1e-8)


def test_a_path_says_how_it_ended():
    assert kernel_path(network(width=32), TASK, lab.Descent(3), 1e-9).exit == "undecided"
    path = kernel_path(network(width=32), TASK, lab.Descent(50, 100.0), 1e-9)
    assert path.exit == "diverged"
    assert path.motion() is None


def test_the_decay_rate_is_that_of_the_last_decade():
    steps = np.arange(60.0)
    mse = np.where(steps < 20, np.exp(-0.5 * steps), np.exp(-10 - 0.1 * (steps - 20)))
    assert decay_rate(steps, mse, np.exp(-12.1)) == pytest.approx(0.1, rel=1e-6)
    assert decay_rate(steps[:2], mse[:2], 0.1) is None


def test_the_linear_model_has_the_rate_of_its_slowest_mode():
    """With the residual in the lowest eigenvector, −d log mse/dt = −2 log(1 − ηλ_min)."""
    rate = 0.01
    found = linear_decay_rate(linear_model([1.0, 3.0, 9.0], [1.0, 0.0, 0.0]), rate, 1e-4)
    assert found == pytest.approx(-2 * math.log(1 - rate), rel=1e-8)


def test_a_linear_model_that_does_not_arrive_has_no_rate():
    assert linear_decay_rate(linear_model([1.0, 2.0], [1.0, 1.0]), 1.0, 1e-4) is None  # η = 2/λ_max
    assert linear_decay_rate(linear_model([0.0, 2.0], [1.0, 1.0]), 0.1, 1e-4) is None  # λ_min = 0


@pytest.mark.parametrize(("fraction", "patience"), [(0.5, 3.0), (0.1, 3.0), (1.5, 2.0)])
def test_a_budget_is_a_multiple_of_what_the_linear_model_takes(fraction, patience):
    linear = linear_model([1.0, 4.0], [1.0, 0.5])
    descent = patient_descent(linear, 1e-3, critical_fraction=fraction, patience=patience)
    assert descent.learning_rate == pytest.approx(2 * fraction / 4.0, rel=EXACT)
    rate, residual, steps = min(descent.learning_rate, 1 / 4.0), np.array([1.0, 0.5]), 0
    while (residual**2).mean() >= 1e-3:
        residual, steps = residual - rate * np.array([1.0, 4.0]) * residual, steps + 1
    assert descent.steps == round(patience * steps)


def test_a_budget_has_ten_steps_and_an_end():
    assert patient_descent(linear_model([1.0], [1.0]), 0.5, critical_fraction=0.5, patience=0.1).steps == 10
    never = linear_model([0.0, 1.0], [1.0, 1.0])
    assert patient_descent(never, 1e-3, critical_fraction=0.5, patience=2.0).steps == 2000


def test_the_pace_is_the_share_that_the_next_step_takes_off_the_loss():
    net, rate = network(width=32), 1e-6
    pace = Pace(TASK.train_targets.flatten(1), 1e-9, rate)
    found = lab.arrive(net, TASK, lab.Descent(2, learning_rate=rate, record="all"), pace)
    assert found.exit == "undecided"
    before, after = found.loss[-2:]
    assert pace.latest == pytest.approx(1 - after / before, rel=1e-3)  # it hardly changes from step to step


def test_a_pace_is_not_looked_at_after_the_arrival():
    pace = Pace(TASK.train_targets.flatten(1), 1e6, 1.0)
    assert lab.arrive(network(), TASK, lab.Descent(5), pace).exit == "reached"
    assert pace.latest == 0.0


def test_a_path_near_its_linear_model_has_the_rate_of_its_linear_model():
    net = network(width=512)
    path = patient_path(net, TASK, 1e-4, critical_fraction=0.05, patience=4.0)
    assert path.exit == "reached"
    slowest, tracked = relative_rates(path, 1e-4)
    assert tracked == pytest.approx(1.0, abs=0.3)
    own = decay_rate(path.steps, path.mse, 1e-4)
    assert slowest == pytest.approx(own / (2 * path.learning_rate * path.linear.spectrum.lambda_min), rel=EXACT)


def test_the_summary_of_a_path_is_made_of_its_arrays():
    path = patient_path(network(width=32), TASK, 1e-2, critical_fraction=0.5, patience=4.0)
    row = path.summary(1e-2, 32)
    assert row["learning_rate"] == pytest.approx(1 / path.lambda_max[0], rel=1e-6)
    assert row["ratio_min"] == 2 * path.lambda_min.min() / 32
    assert row["ratio_max"] == 2 * path.lambda_max.max() / 32
    assert row["ratio_kept"] == pytest.approx(path.lambda_min.min() / path.lambda_min[0], rel=1e-6)
    assert (row["path_ratio_min"], row["path_ratio_max"]) == (path.force.min() / 32, path.force.max() / 32)
    assert row["motion"] == pytest.approx(32**0.5 * float(torch.linalg.svdvals(path.motion())[0]), rel=EXACT)
    assert set(path.arrays()) == {"steps", "mse", "lambda_min", "lambda_max", "force"}


def test_after_a_divergence_a_summary_knows_the_start_alone():
    path = patient_path(network(width=32), TASK, 1e-2, critical_fraction=200.0, patience=4.0)
    row = path.summary(1e-2, 32)
    known = {name for name, value in row.items() if value is not None}
    assert known == {"learning_rate", "lambda_min", "lambda_max"}
