"""Any torch module as a network of the lab, unless its outputs are no function of one sample and the weights."""

import pytest
import torch
from torch import nn

from lab.errors import LabError
from lab.networks.elman import ElmanRNN
from lab.networks.modules import ModuleNetwork, as_network
from lab.networks.network import Network
from lab.networks.scaled import Scaled
from tests.references import draw
from tests.tolerances import EXACT, ROUNDING, relative

X = draw(4, 3)


def perceptron(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).to(dtype)


def test_the_network_is_the_module():
    module = perceptron()
    network = as_network(module)
    assert isinstance(network, Network)
    assert torch.equal(network(X), module(X))
    assert list(network.trained) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert network.trained["0.weight"] is module[0].weight
    assert network.gates(X) is None


def test_networks_of_the_lab_pass_unchanged():
    for network in (ElmanRNN(3, 2), Scaled(ElmanRNN(3, 2), 2.0), as_network(perceptron())):
        assert as_network(network) is network


@pytest.mark.parametrize("wrong", [None, 3, torch.ones(2), lambda x: x, nn.Linear])
def test_what_is_no_module_is_refused(wrong):
    with pytest.raises(LabError, match="network: got"):
        as_network(wrong)


NOISY = {
    "dropout": lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.1)),
    "spatial dropout": lambda: nn.Sequential(nn.Conv1d(3, 2, 1), nn.Dropout1d(0.1)),
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)),
    "recurrent dropout": lambda: nn.LSTM(3, 2, num_layers=2, dropout=0.1),
    "attention dropout": lambda: nn.TransformerEncoderLayer(4, 2, dropout=0.1),
}


@pytest.mark.parametrize("make", NOISY.values(), ids=NOISY)
def test_noise_in_training_mode_is_refused_and_fine_in_evaluation_mode(make):
    module = make()
    with pytest.raises(LabError, match=r"network: got a module in training mode.*module\.eval\(\)"):
        as_network(module)
    assert isinstance(as_network(module.eval()), ModuleNetwork)


def test_modules_without_noise_pass_in_training_mode():
    for module in (perceptron(), nn.GRU(3, 2), nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))):
        assert module.training
        as_network(module)


@pytest.mark.parametrize("module", [nn.ReLU(), nn.Linear(3, 2).requires_grad_(False)])
def test_modules_without_trained_parameters_are_refused(module):
    with pytest.raises(LabError, match="network: got a module without trained parameters"):
        as_network(module)


def test_frozen_parameters_are_not_trained():
    module = perceptron()
    module[0].requires_grad_(False)
    network = as_network(module)
    assert list(network.trained) == ["2.weight", "2.bias"]
    assert list(network.jacobian(X).pull(torch.ones(4, 2, dtype=torch.float64))) == ["2.weight", "2.bias"]


def test_descend_is_the_gradient_step_in_place():
    network, residual = as_network(perceptron()), draw(4, 2, seed=1)
    gradients = torch.autograd.grad(network(X), list(network.trained.values()), residual)
    expected = {k: v.detach() - 0.3 * g for (k, v), g in zip(network.trained.items(), gradients, strict=True)}
    places = [value.data_ptr() for value in network.trained.values()]
    jacobian = network.jacobian(X)
    network.descend(jacobian, residual, 0.3)
    assert relative(network.trained, expected) <= ROUNDING
    assert places == [value.data_ptr() for value in network.trained.values()]
    with pytest.raises(LabError, match="moved"):
        jacobian.pull(residual)


def test_a_copy_is_deep():
    network = as_network(perceptron())
    twin, before = network.copy(), network(X).detach().clone()
    assert torch.equal(twin(X), before)
    twin.descend(twin.jacobian(X), torch.ones(4, 2, dtype=torch.float64), 0.1)
    assert torch.equal(network(X), before)
    assert not torch.equal(twin(X), before)


def test_float32_modules_stay_float32_whatever_comes_in():
    network = as_network(perceptron(torch.float32))
    jacobian = network.jacobian(X.numpy())
    direction = {name: torch.ones_like(value) for name, value in network.trained.items()}
    results = [
        network(X),
        jacobian.outputs,
        jacobian.push(direction),
        jacobian.gram(),
        *jacobian.pull(jacobian.outputs).values(),
    ]
    assert {result.dtype for result in results} == {torch.float32}
    network.descend(jacobian, jacobian.outputs, 0.1)
    assert {value.dtype for value in network.trained.values()} == {torch.float32}


def test_an_elman_network_wrapped_as_a_foreign_module_has_the_same_kernel():
    network, x = ElmanRNN(6, 3, 2, readout="all", trained=("W", "B"), seed=2), draw(2, 4, 3)
    foreign = ModuleNetwork(network)
    assert relative(foreign.jacobian(x).gram(), network.jacobian(x).gram()) <= EXACT
