"""The general Jacobian of any module against one backward pass per output, and against differences."""

import pytest
import torch
from torch import nn

from lab.errors import LabError
from lab.jacobians.autodiff import AutodiffJacobian
from lab.networks.elman import ElmanRNN
from tests.references import difference_jacobian, draw, joined, product, pulled_jacobian
from tests.tolerances import DIFFERENCES, EXACT, OUTPUTS, SINGLE, relative


class Tied(nn.Module):
    """One weight used twice, with a buffer that scales the outputs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(draw(3, 3, seed=1))
        self.register_buffer("scale", torch.tensor(2.0, dtype=torch.float64))

    def forward(self, inputs):
        return self.scale * torch.tanh(torch.tanh(inputs @ self.weight) @ self.weight)


class Last(nn.Module):
    """torch's own recurrent network, read at the last step."""

    def __init__(self):
        super().__init__()
        self.core = nn.RNN(3, 4, batch_first=True)

    def forward(self, inputs):
        return self.core(inputs)[0][:, -1]


def perceptron():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def partly_frozen():
    module = perceptron()
    module[0].requires_grad_(False)
    return module


def normalized():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Softplus(), nn.Linear(4, 1), nn.Flatten(0)).eval()
    module[1].running_mean += 0.3
    return module


MODULES = {
    "perceptron": (perceptron, (4, 3)),
    "partly frozen": (partly_frozen, (4, 3)),
    "tied weights": (Tied, (4, 3)),
    "batch norm, one output": (normalized, (4, 3)),
    "recurrent": (Last, (2, 3, 3)),
    "elman": (lambda: ElmanRNN(4, 3, 2, activation="erf", readout="all", trained=("W", "B")), (2, 4, 3)),
}


def make(name):
    torch.manual_seed(0)
    builder, sizes = MODULES[name]
    module = builder().double()
    trained = {key: value for key, value in module.named_parameters() if value.requires_grad}
    return module, trained, draw(*sizes)


def backward_jacobian(module, trained, inputs):
    """J (n, o, P) by one backward pass per output."""
    outputs = module(inputs).reshape(len(inputs), -1)
    rows = [torch.autograd.grad(value, list(trained.values()), retain_graph=True) for value in outputs.reshape(-1)]
    return torch.stack([torch.cat([part.reshape(-1) for part in row]) for row in rows]).view(*outputs.shape, -1)


@pytest.mark.parametrize("keep", [False, True], ids=["live", "kept"])
@pytest.mark.parametrize("name", MODULES)
def test_push_pull_and_gram_are_those_of_backward_passes_and_differences(name, keep):
    module, trained, x = make(name)
    by_differences = joined(difference_jacobian(module, x), trained)
    jacobian, dense = AutodiffJacobian(module, trained, x), backward_jacobian(module, trained, x)
    if keep:
        assert jacobian.keep() is jacobian
    assert relative(dense, by_differences) <= DIFFERENCES
    assert relative(jacobian.outputs, module(x).reshape(len(x), -1)) <= OUTPUTS
    assert relative(pulled_jacobian(jacobian), dense) <= EXACT
    direction = {key: draw(*value.shape, seed=2) for key, value in trained.items()}
    joined_direction = torch.cat([value.reshape(-1) for value in direction.values()])
    assert relative(jacobian.push(direction), dense @ joined_direction) <= EXACT
    assert relative(jacobian.gram(), product(dense)) <= EXACT
    assert relative(jacobian.gram(memory=1), product(dense)) <= EXACT
    other = AutodiffJacobian(module, trained, x[:1])
    assert relative(jacobian.gram(other, memory=1), product(dense, dense[:1])) <= EXACT


def test_add_pull_adds_in_place():
    module, trained, x = make("perceptron")
    jacobian, cotangent = AutodiffJacobian(module, trained, x), draw(4, 2)
    tangent = {key: torch.ones_like(value) for key, value in trained.items()}
    jacobian.add_pull(tangent, cotangent, -0.5)
    expected = {key: 1 - 0.5 * value for key, value in jacobian.pull(cotangent).items()}
    assert relative(tangent, expected) <= EXACT


@torch.no_grad()
def _write(value):
    value.add_(1)


@pytest.mark.parametrize("what", ["weight", "scale"])
def test_stale_refuses_and_kept_stays_to_the_bit(what):
    module, trained, x = make("tied weights")
    live, kept = AutodiffJacobian(module, trained, x), AutodiffJacobian(module, trained, x).keep()
    ones, direction = torch.ones_like(live.outputs), {"weight": torch.ones_like(module.weight)}
    before = kept.gram(), kept.push(direction), kept.pull(ones)["weight"], kept.outputs.clone()
    _write(getattr(module, what))
    for use in (lambda: live.pull(ones), lambda: live.push(direction), live.gram, live.keep, lambda: kept.gram(live)):
        with pytest.raises(LabError, match=f"{what} moved"):
            use()
    after = kept.gram(), kept.push(direction), kept.pull(ones)["weight"], kept.outputs
    assert all(torch.equal(first, second) for first, second in zip(before, after, strict=True))


def test_select_wants_a_kept_jacobian():
    module, trained, x = make("recurrent")
    rows = torch.tensor([1])
    chosen = AutodiffJacobian(module, trained, x).keep().select(rows)
    assert relative(chosen.gram(), AutodiffJacobian(module, trained, x[rows]).gram()) <= EXACT
    assert chosen.outputs.shape == (1, 4)
    with pytest.raises(LabError, match="keep"):
        AutodiffJacobian(module, trained, x).select(rows)


def test_wrong_shapes_are_refused():
    module, trained, x = make("perceptron")
    jacobian = AutodiffJacobian(module, trained, x)
    with pytest.raises(LabError, match="cotangent"):
        jacobian.pull(torch.ones(8, dtype=torch.float64))
    with pytest.raises(LabError, match="tangent"):
        jacobian.push({"0.weight": torch.zeros(4, 3)})


@pytest.mark.parametrize("name", ["perceptron", "batch norm, one output"])
def test_float32_stays_float32(name):
    module, trained, x = make(name)
    exact = AutodiffJacobian(module, trained, x).keep()
    module.float()
    single = AutodiffJacobian(module, dict(module.named_parameters()), x.float())
    direction = {key: draw(*value.shape) for key, value in trained.items()}
    results = (single.outputs, single.push(direction), single.gram(), *single.pull(single.outputs).values())
    assert {result.dtype for result in results} == {torch.float32}
    assert relative(single.gram(), exact.gram()) <= SINGLE
