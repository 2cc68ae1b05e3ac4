"""Chizat's scaling: nothing at the start, α times the change, α² times the kernel."""

import pytest
import torch
from torch import nn

from lab.errors import LabError
from lab.networks.elman import ElmanRNN
from lab.networks.modules import as_network
from lab.networks.network import Network
from lab.networks.scaled import Scaled
from tests.references import draw
from tests.tolerances import DIFFERENCE_STEP, DIFFERENCES, EXACT, OUTPUTS, relative

ALPHA = 7.5
X = draw(3, 4, 2)


def elman():
    return ElmanRNN(6, 2, 2, readout="all", trained=("W", "B"), activation="tanh", seed=1)


def module():
    torch.manual_seed(0)
    return as_network(nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1)).double())


INNER = pytest.mark.parametrize("make", [elman, module])


@torch.no_grad()
def move(network):
    for value in network.trained.values():
        value.add_(0.1 * torch.ones_like(value))


@INNER
def test_outputs_are_zero_at_first_and_then_alpha_times_the_change(make):
    network = make()
    scaled, start = Scaled(network, ALPHA), network(X).detach().clone()
    assert isinstance(scaled, Network)
    assert scaled(X).shape == start.shape
    assert not scaled(X).any()
    assert scaled.jacobian(X).outputs.abs().max() <= OUTPUTS
    move(network)
    assert relative(scaled(X), ALPHA * (network(X) - start)) <= OUTPUTS
    assert relative(scaled.jacobian(X).outputs, scaled(X).reshape(3, -1)) <= EXACT


@INNER
def test_without_centring_outputs_are_alpha_times_the_networks(make):
    network = make()
    scaled = Scaled(network, ALPHA, centred=False)
    assert relative(scaled(X), ALPHA * network(X)) <= OUTPUTS
    assert relative(scaled.jacobian(X).outputs, ALPHA * network(X).reshape(3, -1)) <= OUTPUTS


@INNER
@pytest.mark.parametrize("keep", [False, True], ids=["live", "kept"])
def test_the_jacobian_is_alpha_times_and_the_kernel_its_square(make, keep):
    network = make()
    scaled = Scaled(network, ALPHA)
    inner, outer = network.jacobian(X), scaled.jacobian(X)
    if keep:
        assert outer.keep() is outer
    cotangent, direction = (
        draw(*inner.outputs.shape, seed=1),
        {k: torch.ones_like(v) for k, v in network.trained.items()},
    )
    assert relative(outer.push(direction), ALPHA * inner.push(direction)) <= EXACT
    assert relative(outer.pull(cotangent), {k: ALPHA * v for k, v in inner.pull(cotangent).items()}) <= EXACT
    assert relative(outer.gram(), ALPHA**2 * inner.gram()) <= EXACT
    other = Scaled(network, 2.0).jacobian(X[:2])
    assert relative(outer.gram(other), 2 * ALPHA * inner.gram(network.jacobian(X[:2]))) <= EXACT
    sums = {k: torch.ones_like(v) for k, v in network.trained.items()}
    outer.add_pull(sums, cotangent, -0.5)
    assert relative(sums, {k: 1 - 0.5 * ALPHA * v for k, v in inner.pull(cotangent).items()}) <= EXACT


@INNER
def test_the_jacobian_is_the_derivative_of_the_scaled_outputs(make):
    network = make()
    scaled = Scaled(network, ALPHA)
    move(network)
    cotangent = draw(*scaled.jacobian(X).outputs.shape, seed=1)
    gradients = torch.autograd.grad(scaled(X).reshape(3, -1), list(scaled.trained.values()), cotangent)
    assert relative(scaled.jacobian(X).pull(cotangent), dict(zip(scaled.trained, gradients, strict=True))) <= EXACT


@INNER
def test_descend_moves_the_weights_it_wraps(make):
    network = make()
    scaled = Scaled(network, ALPHA)
    assert all(scaled.trained[name] is value for name, value in network.trained.items())
    cotangent = draw(*scaled.jacobian(X).outputs.shape, seed=1)
    expected = {k: v - 0.1 * ALPHA * network.jacobian(X).pull(cotangent)[k] for k, v in network.trained.items()}
    scaled.descend(scaled.jacobian(X), cotangent, 0.1)
    assert relative(network.trained, expected) <= EXACT


@INNER
def test_copies_are_independent_and_keep_their_origin(make):
    scaled = Scaled(make(), ALPHA)
    move(scaled.network)
    before, twin = scaled(X).detach().clone(), scaled.copy()
    assert torch.equal(twin(X), before)
    move(twin.network)
    assert torch.equal(scaled(X), before)
    assert not torch.equal(twin(X), before)
    moved = twin(X).detach().clone()
    move(scaled.network)
    assert torch.equal(twin(X), moved)
    assert Scaled(make(), ALPHA, centred=False).copy().origin is None


@INNER
@pytest.mark.parametrize("centred", [True, False])
def test_an_evaluator_gives_the_jacobians_of_all_or_some_samples_and_asks_for_the_start_once(make, centred):
    scaled, calls = Scaled(make(), ALPHA, centred=centred), []
    evaluate = scaled.evaluator(X)
    if centred:
        start = scaled.origin
        scaled.origin = lambda inputs: calls.append(1) or start(inputs)
    for batch in (None, torch.tensor([2, 0]), None):
        move(scaled.network)
        found = evaluate(batch)
        assert not calls
        reference = scaled.jacobian(X if batch is None else X[batch])
        calls.clear()
        assert relative(found.outputs, reference.outputs) <= EXACT
        assert relative(found.gram(), reference.gram()) <= EXACT


@INNER
def test_derivatives_by_the_inputs_and_batched_calls_are_right(make):
    scaled, step = Scaled(make(), ALPHA), DIFFERENCE_STEP
    move(scaled.network)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda sample: scaled(sample[None])[0].sum()))(X)
    direction = draw(*X.shape, seed=2)
    slope = (scaled(X + step * direction) - scaled(X - step * direction)).flatten(1).sum(1) / (2 * step)
    assert relative((jacobian * direction).sum((1, 2)), slope.detach()) <= DIFFERENCES


def test_a_stale_jacobian_refuses_and_a_kept_one_selects():
    scaled = Scaled(elman(), ALPHA)
    live, kept = scaled.jacobian(X), scaled.jacobian(X).keep()
    before, rows = kept.gram(), torch.tensor([2, 0])
    part = kept.select(rows)
    assert relative(part.gram(), before[rows][:, :, rows]) <= EXACT
    assert torch.equal(part.outputs, kept.outputs[rows])
    move(scaled.network)
    assert torch.equal(kept.gram(), before)
    with pytest.raises(LabError, match="W, B moved"):
        live.gram()
    with pytest.raises(LabError, match="keep"):
        scaled.jacobian(X).select(rows)


def test_gates_are_the_inner_ones():
    network = ElmanRNN(6, 2)
    assert torch.equal(Scaled(network, 2).gates(X), network.gates(X))
    assert Scaled(elman(), 2).gates(X) is None


@pytest.mark.parametrize("alpha", [0, -1, float("inf"), float("nan"), "big", None])
def test_alpha_is_a_positive_number(alpha):
    with pytest.raises(LabError, match="alpha: got"):
        Scaled(elman(), alpha)
