import numpy as np
import pytest
import torch

import lab
from lab.errors import LabError
from lab.learners.features import RandomFeatures, hidden_features
from tests.tolerances import EXACT, relative

READOUTS = ["last", "all", "mean"]


def case(readout, width=12, parametrization="ntk", samples=10):
    task = lab.tasks.separable(samples, 6, 5, 4)
    task = task.at_every_step() if readout == "all" else task
    network = lab.ElmanRNN.like(task, width, readout=readout, trained=("B",), parametrization=parametrization, seed=2)
    return task, network


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("parametrization", ["paper", "ntk"])
def test_features_are_what_the_output_layer_multiplies(readout, parametrization):
    task, network = case(readout, parametrization=parametrization)
    features = hidden_features(network, task.train_inputs)
    with torch.no_grad():
        outputs = network(task.train_inputs)
    assert relative((features @ network.B.T).detach().reshape(outputs.shape), outputs) < EXACT
    kernel = lab.empirical_ntk(network, task.train_inputs)
    assert relative((features @ features.T).reshape(kernel.shape), kernel) < EXACT


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("width", [3, 60])
def test_ridge_is_the_kernel_regressor_of_the_output_layer(readout, width):
    task, network = case(readout, width)
    train, test = (hidden_features(network, inputs) for inputs in (task.train_inputs, task.test_inputs))
    learner = RandomFeatures(train, task.train_targets.reshape(-1, 1))
    targets, held_out = (values.flatten(1) for values in (task.train_targets, task.test_targets))
    kernels = (
        lab.empirical_ntk(network, task.train_inputs),
        lab.empirical_ntk(network, task.test_inputs, task.train_inputs),
    )
    regressor = lab.KernelRegressor(kernels[0], 0 * targets, targets, kernels[1], 0 * held_out)
    for penalty in (1e-3, 1.0):
        expected = regressor.ridge(penalty)
        for outputs, features in zip(expected, (train, test), strict=True):
            assert relative(learner.predict(features, penalty).reshape(outputs.shape), outputs) < 1e-9


@pytest.mark.parametrize("width", [4, 40])
def test_without_penalty_it_is_torchs_least_squares_of_smallest_norm(width):
    generator = torch.Generator().manual_seed(0)
    features, targets = (torch.randn(15, k, generator=generator, dtype=torch.float64) for k in (width, 2))
    readout = RandomFeatures(features, targets).readout()
    assert readout.shape == (2, width)
    assert relative(readout, (torch.linalg.pinv(features) @ targets).T) < EXACT


def test_descent_of_the_output_layer_ends_there():
    task, network = case("last", 40, samples=3)
    centred = lab.Scaled(network, 1.0)
    result = lab.side_by_side(centred, task, lab.Descent(600, 0.9, record=(0, 600)))
    learner = RandomFeatures(hidden_features(network, task.train_inputs), task.train_targets)
    assert float(result.gap("test").max()) < EXACT  # linear in B
    assert relative(result.network.test[-1], learner.predict(hidden_features(network, task.test_inputs))) < EXACT


def test_rank_deficient_features_have_a_finite_readout():
    features = torch.ones(4, 3)
    learner = RandomFeatures(features, torch.arange(4.0))
    assert relative(learner.predict(features), torch.full((4, 1), 1.5, dtype=torch.float64)) < EXACT
    assert np.allclose(learner.readout(), 0.5)


@pytest.mark.parametrize(
    ("features", "targets", "name"),
    [
        (torch.ones(3), torch.ones(3), "features"),
        (torch.full((3, 2), torch.nan), torch.ones(3), "features"),
        (torch.ones(3, 2), torch.ones(4), "targets"),
        (torch.ones(3, 2), torch.ones(3, 1, 1), "targets"),
    ],
)
def test_bad_features_name_themselves(features, targets, name):
    with pytest.raises(LabError) as caught:
        RandomFeatures(features, targets)
    assert caught.value.argument == name


def test_a_negative_penalty_is_refused():
    with pytest.raises(LabError, match="penalty"):
        RandomFeatures(torch.eye(2), torch.ones(2)).readout(-1.0)
