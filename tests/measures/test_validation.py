"""What is chosen by validation, against scikit-learn, dense solves and the lab's own trajectories."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

import lab
from lab.errors import LabError
from lab.measures.validation.catalogue import LABELS, NETWORKS, Setting, check_sizes, learning_cost
from lab.measures.validation.learners import (
    PENALTIES,
    affine_error,
    features_error,
    infinite_error,
    learn,
    linear_errors,
    network_errors,
    split_errors,
    stop_early,
    study,
)
from lab.tasks import neuron_of_sequence

N = 24  # training samples, and as many for validation


@pytest.fixture(scope="module")
def task():
    return neuron_of_sequence(N, N + 30, length=2, dimension=4)


def network(task, trained, **choices):
    return lab.ElmanRNN.like(task, 12, parametrization="ntk", trained=trained, seed=0, **choices)


def test_errors_are_mean_squares_on_both_kinds_of_samples(task):
    outputs = np.random.default_rng(0).normal(size=(N + 30, 1))
    squares = (outputs - task.test_targets.numpy()) ** 2
    assert split_errors(task, outputs, N) == pytest.approx((squares[:N].mean(), squares[N:].mean()))
    with pytest.raises(LabError, match="validation"):
        split_errors(task, outputs, 0)


def test_the_affine_predictor_is_scikit_learns(task):
    plane = LinearRegression().fit(task.train_inputs.flatten(1), task.train_targets)
    left = task.test_targets[N:].numpy() - plane.predict(task.test_inputs[N:].flatten(1))
    assert affine_error(task, N) == pytest.approx(float((left**2).mean()))


def chosen_by_dense_solves(task, kernel, cross):
    """Test error of ridge regression with the penalty that validation chooses."""
    K, cross = (each.flatten(2).flatten(0, 1).detach() for each in (kernel, cross))
    penalties = torch.linalg.eigvalsh(K)[-1] * torch.from_numpy(PENALTIES)
    outputs = [cross @ torch.linalg.solve(K + penalty * torch.eye(N), task.train_targets) for penalty in penalties]
    squares = [(each - task.test_targets).square() for each in outputs]
    return float(min(squares, key=lambda each: float(each[:N].mean()))[N:].mean())


def test_random_features_are_ridge_regression_on_their_kernel(task):
    frozen = network(task, ("B",))
    kernels = (
        lab.empirical_ntk(frozen, task.train_inputs),
        lab.empirical_ntk(frozen, task.test_inputs, task.train_inputs),
    )
    expected = chosen_by_dense_solves(task, *kernels)
    assert features_error(frozen, task, N) == pytest.approx(expected, rel=1e-4)
    assert linear_errors(task, 12, 0, N)["features"] == features_error(frozen, task, N)


@pytest.mark.parametrize(("name", "trained"), [("features_infinite", ("B",)), ("kernel", ("W", "A", "B"))])
def test_infinite_width_is_ridge_regression_on_its_kernel(task, name, trained):
    wide = network(task, trained, device="meta")
    kernels = lab.infinite_ntk(wide, task.train_inputs), lab.infinite_ntk(wide, task.test_inputs, task.train_inputs)
    expected = chosen_by_dense_solves(task, *kernels)
    assert infinite_error(wide, task, N) == pytest.approx(expected, rel=1e-4)
    assert linear_errors(task, 12, 0, N)[name] == pytest.approx(expected, rel=1e-4)


def test_a_network_stops_where_its_validation_error_is_smallest(task):
    start, descent = lab.Scaled(network(task, ("W", "A", "B")), 0.1), lab.Descent(60, 0.2)
    found = stop_early(start, task, descent, N)
    best = found.curve[1].argmin()
    assert (found.step, found.error) == (found.curve[0, best], found.curve[2, best])
    assert found.curve[2, 0] == pytest.approx(float(task.test_targets[N:].square().mean()))  # centred
    result = lab.side_by_side(start, task, descent)
    outputs = result.network.test[best]
    assert found.error == pytest.approx(float(((outputs - task.test_targets.numpy())[N:] ** 2).mean()))
    assert found.train_error == pytest.approx(2 * result.network.loss[best] / N)
    path = lab.descend(start, task, lab.Descent(max(found.step, 1), 0.2))
    *_, last = path
    pairs = [(last.network.trained[name].detach(), weight.detach()) for name, weight in start.trained.items()]
    moved = sum(float((now - then).square().sum()) for now, then in pairs)
    assert found.motion == pytest.approx((moved / sum(float(then.square().sum()) for _, then in pairs)) ** 0.5)


def test_the_three_networks_are_stopped_alike(task):
    descent = lab.Descent(30, 0.2)
    found = network_errors(task, 12, 0.1, 0, descent, N)
    assert tuple(found) == NETWORKS
    single = {"seed": 0, "dtype": torch.float32}
    starts = {
        "network": lab.Scaled(network(task, ("W", "A", "B"), dtype=torch.float32), 0.1),
        "network_wb": lab.Scaled(network(task, ("W", "B"), dtype=torch.float32), 0.1),
        "network_w": lab.Scaled(lab.ElmanRNN.like(task, 12, trained=("W",), parametrization="paper", **single), 1.0),
    }
    for name, start in starts.items():
        assert np.array_equal(found[name].curve, stop_early(start, task, descent, N).curve)


def test_a_network_that_diverges_has_no_error(task):
    found = stop_early(lab.Scaled(network(task, ("W", "A", "B")), 1.0), task, lab.Descent(200, 50.0), N)
    assert (found.error, found.step, found.motion, found.train_error) == (None, None, None, None)
    assert found.curve.shape[0] == 3


def test_all_learners_of_the_catalogue_in_units_of_the_affine_predictor(task):
    found = learn(task, 12, 0.1, 0, lab.Descent(30, 0.2), N)
    row = found.summary()
    assert {f"error_{name}" for name in LABELS} == {name for name in row if name.startswith("error_")}
    assert row["error_kernel"] == linear_errors(task, 12, 0, N)["kernel"] / affine_error(task, N)
    assert row["error_network"] == found.networks["network"].error / row["affine_error"]
    assert (row["diverged"], row["reasons"]) == (False, "")
    assert set(found.arrays()) == set(NETWORKS)


def test_a_network_that_diverges_is_named_and_loses_nothing_else(task):
    row = learn(task, 12, 0.1, 0, lab.Descent(200, 50.0), N).summary()
    assert (row["error_network"], row["motion_network"], row["diverged"]) == (None, None, True)
    assert "error_network: diverged" in row["reasons"]
    assert row["error_kernel"] > 0


SETTING = Setting(
    dimension=4, length=2, bias=0.0, samples=N, test=30, seed=0, width=12, alpha=0.1, critical_fraction=0.2, steps=30
)


def test_a_study_is_of_one_neuron_of_a_sequence(task):
    assert study(SETTING).summary() == learn(task, 12, 0.1, 0, lab.Descent(30, 0.2), N).summary()


def test_the_cost_of_learning_grows_with_steps_and_width():
    cost = learning_cost(SETTING)
    assert learning_cost(replace(SETTING, steps=60)).flops == pytest.approx(2 * cost.flops)
    assert learning_cost(replace(SETTING, width=120)).bytes > 8 * cost.bytes


@pytest.mark.parametrize(("sizes", "name"), [((7, 4, 24), "length"), ((4, 2, 4), "samples")])
def test_sizes_that_do_not_go_together_are_refused(sizes, name):
    with pytest.raises(LabError) as caught:
        check_sizes(*sizes)
    assert caught.value.argument == name
