"""Any torch module as a network of the lab, unless its outputs are no function of one sample and the weights."""

import pytest
import torch
from torch import nn

import lab
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
    "attention dropout": lambda: nn.MultiheadAttention(4, 2, dropout=0.1),
    "encoder dropout": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, batch_first=True), 1),
}


@pytest.mark.parametrize("make", NOISY.values(), ids=NOISY)
def test_noise_in_training_mode_is_refused_and_fine_in_evaluation_mode(make):
    module = make()
    with pytest.raises(LabError, match=r"network: got a module in training mode.*module\.eval\(\)"):
        as_network(module)
    assert isinstance(as_network(module.eval()), ModuleNetwork)


def test_modules_without_noise_pass_in_training_mode():
    quiet = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2), nn.Dropout(0.0))
    for module in (perceptron(), nn.GRU(3, 2, 2), quiet, nn.TransformerEncoderLayer(4, 2, dropout=0.0)):
        assert module.training
        as_network(module)


def test_batch_norm_without_statistics_of_its_own_is_refused_in_any_mode():
    with pytest.raises(LabError, match="without running statistics, with 1"):
        as_network(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2, track_running_stats=False)).eval())


def test_lazy_parameters_are_refused_until_they_have_a_shape():
    module = nn.Sequential(nn.LazyLinear(2)).double()
    with pytest.raises(LabError, match=r"network: got a module with lazy parameters.*module\(inputs\[:1\]\)"):
        as_network(module)
    module(X[:1])
    assert as_network(module)(X).shape == (4, 2)


class Mixing(nn.Module):
    """Subtracts the mean over samples."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, inputs):
        outputs = self.linear(inputs)
        return outputs - outputs.mean(0)


class Noise(Mixing):
    """Dropout that no list of modules can know."""

    def forward(self, inputs):
        return nn.functional.dropout(self.linear(inputs), 0.5)


class Reader(nn.Module):
    """A recurrent layer of torch, read at the last time step by a linear layer."""

    def __init__(self, core):
        super().__init__()
        self.core, self.head = core, nn.Linear(core.hidden_size * (1 + core.bidirectional), 1)

    def forward(self, inputs):
        outputs, _ = self.core(inputs)
        return self.head(outputs[:, -1])


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (Mixing, (4, 3)),
        (Noise, (4, 3)),
        (lambda: Reader(nn.GRU(3, 2)), (4, 4, 3)),
    ],
    ids=["mean over samples", "noise", "time first"],
)
def test_outputs_that_depend_on_other_samples_are_refused_at_the_first_jacobian(make, sizes):
    torch.manual_seed(0)
    network = as_network(make().double())
    with pytest.raises(LabError, match=r"depend on the other samples, or on chance.*batch_first=True"):
        network.jacobian(draw(*sizes))


class TakeLast(nn.Module):
    """The outputs of a recurrent layer at the last step."""

    def forward(self, returned):
        outputs, _ = returned
        return outputs[:, -1]


class Encoder(nn.Module):
    """A very small transformer."""

    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(5, 8), nn.Linear(8, 1)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)

    def forward(self, inputs):
        return self.head(self.encoder(self.enter(inputs)).mean(1))


def convolutional():
    layers = nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 1)
    return nn.Sequential(nn.Unflatten(1, (1, -1)), *layers)


FOREIGN = {
    "rnn": lambda: Reader(nn.RNN(5, 6, batch_first=True, nonlinearity="relu")),
    "gru": lambda: Reader(nn.GRU(5, 6, batch_first=True)),
    "gru in a sequence": lambda: nn.Sequential(nn.GRU(5, 6, 2, batch_first=True), TakeLast(), nn.Linear(6, 1)),
    "lstm": lambda: Reader(nn.LSTM(5, 6, num_layers=2, bidirectional=True, batch_first=True)),
    "convolutional": convolutional,
    "transformer": lambda: Encoder().eval(),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_module_goes_through_side_by_side_unchanged(make):
    torch.manual_seed(0)
    module, task = make().double(), lab.tasks.separable(8, 4, 4, 5, seed=1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    result = lab.side_by_side(module, task, lab.Descent(30, 0.1, record="all"))
    assert result.disagreement() < 1e-9
    assert result.network.loss[-1] < result.network.loss[0]
    assert result.gap("test").max() > 1e-6  # the network is not its own linearization
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    twin = result.trained_network.module
    optimizer = torch.optim.SGD(module.parameters(), lr=result.learning_rate)
    for _ in range(30):
        optimizer.zero_grad()
        (0.5 * (module(task.train_inputs) - task.train_targets).square().sum()).backward()
        optimizer.step()
    assert relative(twin.state_dict(), module.state_dict()) <= EXACT
    assert relative(result.network.train[-1], module(task.train_inputs)) <= EXACT


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
