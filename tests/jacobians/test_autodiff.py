"""The general Jacobian of any module against one backward pass per output, and against differences."""

import functools
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lab.errors import LabError
from lab.jacobians.autodiff import ROUTES, AutodiffJacobian
from lab.networks.elman import ElmanRNN
from tests.references import Allocations, difference_jacobian, draw, joined, product, pulled_jacobian
from tests.tolerances import DIFFERENCES, EXACT, OUTPUTS, SINGLE, relative


class Tied(nn.Module):
    """One weight used twice, with a buffer that scales the outputs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(draw(3, 3, seed=1))
        self.register_buffer("scale", torch.tensor(2.0, dtype=torch.float64))

    def forward(self, inputs):
        return self.scale * torch.tanh(torch.tanh(inputs @ self.weight) @ self.weight)


class Recurrent(nn.Module):
    """A recurrent layer of torch, read at the last step or at all of them."""

    def __init__(self, kind, read=-1, size=4, **options):
        super().__init__()
        self.core, self.read = kind(3, size, batch_first=True, **options), read

    def forward(self, inputs):
        return self.core(inputs)[0][:, self.read]


class Cells(nn.Module):
    """A user's own loop over a cell of torch."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(3, 4)

    def forward(self, inputs):
        state = None
        for step in inputs.unbind(1):
            state = self.cell(step, state)
        return state[0]


class Attention(nn.Module):
    """One encoder layer, averaged over time."""

    def __init__(self):
        super().__init__()
        self.enter, self.layer = nn.Linear(3, 4), nn.TransformerEncoderLayer(4, 2, 6, dropout=0.1, batch_first=True)

    def forward(self, inputs):
        return self.layer(self.enter(inputs)).mean(1)


class Branching(nn.Module):
    """A branch on data, which vmap refuses."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(draw(3, 2, seed=1))

    def forward(self, inputs):
        outputs = inputs @ self.weight
        return outputs.sin() if outputs.abs().sum() > 0 else outputs


class Square(torch.autograd.Function):
    """A hand-written function of the old form: no transform of torch.func takes it, and it has no forward mode."""

    @staticmethod
    def forward(context, values):
        context.save_for_backward(values)
        return values**2

    @staticmethod
    def backward(context, gradient):
        (values,) = context.saved_tensors
        return 2 * values * gradient


class HandWritten(Branching):
    """An old-fashioned autograd function inside."""

    def forward(self, inputs):
        return Square.apply(inputs @ self.weight)


class Twins(nn.Module):
    """Two layers that share one Parameter, and one that is not used."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.unused = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(1, 2)
        self.second.weight = self.first.weight

    def forward(self, inputs):
        return self.second(torch.tanh(self.first(inputs)))


class Scalar(nn.Module):
    """One number per sample, 0-d for a single one, times a Python float."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(draw(3, seed=1))

    def forward(self, inputs):
        return 2.0 * (inputs @ self.weight).squeeze()


def convolutional():
    return nn.Sequential(
        nn.Unflatten(1, (1, -1)), nn.Conv2d(1, 2, 2), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(2, 2)
    )


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
    "recurrent": (lambda: Recurrent(nn.RNN), (2, 3, 3)),
    "gru": (lambda: Recurrent(nn.GRU), (2, 3, 3)),
    "gru at all steps": (lambda: Recurrent(nn.GRU, slice(1, None), size=2, bias=False), (3, 3, 3)),
    "lstm": (lambda: Recurrent(nn.LSTM, size=2, num_layers=2, bidirectional=True), (2, 2, 3)),
    "lstm projected": (lambda: Recurrent(nn.LSTM, proj_size=2), (2, 3, 3)),
    "cells": (Cells, (2, 3, 3)),
    "convolutional": (convolutional, (3, 4, 3)),
    "attention": (lambda: Attention().eval(), (2, 3, 3)),
    "branching": (Branching, (3, 3)),
    "hand-written": (HandWritten, (3, 3)),
    "twins": (Twins, (3, 3)),
    "scalar": (Scalar, (3, 3)),
    "elman": (lambda: ElmanRNN(4, 3, 2, activation="erf", readout="all", trained=("W", "B")), (2, 4, 3)),
}


GRAM_OPTIONS = [{}, {"memory": 5_000}, *({"route": route, "memory": 1} for route in ROUTES)]


def make(name):
    torch.manual_seed(0)
    builder, sizes = MODULES[name]
    module = builder().double()
    trained = {key: value for key, value in module.named_parameters() if value.requires_grad}
    return module, trained, draw(*sizes)


def backward_jacobian(module, trained, inputs):
    """J (n, o, P) by one backward pass per output."""
    outputs = module(inputs).reshape(len(inputs), -1)
    settings = {"retain_graph": True, "materialize_grads": True}
    rows = [torch.autograd.grad(value, list(trained.values()), **settings) for value in outputs.reshape(-1)]
    return torch.stack([torch.cat([part.reshape(-1) for part in row]) for row in rows]).view(*outputs.shape, -1)


@functools.cache
def dense_jacobian(name):
    """J (n, o, P) of a module by backward passes, which are checked against differences."""
    module, trained, x = make(name)
    dense = backward_jacobian(module, trained, x)
    assert relative(dense, joined(difference_jacobian(module, x), trained)) <= DIFFERENCES
    return dense


@pytest.mark.parametrize("keep", [False, True], ids=["live", "kept"])
@pytest.mark.parametrize("name", MODULES)
def test_push_pull_and_gram_are_those_of_backward_passes_and_differences(name, keep):
    module, trained, x = make(name)
    jacobian, dense = AutodiffJacobian(module, trained, x), dense_jacobian(name)
    if keep:
        assert jacobian.keep() is jacobian
    assert relative(jacobian.outputs, module(x).reshape(len(x), -1)) <= OUTPUTS
    assert relative(pulled_jacobian(jacobian), dense) <= EXACT
    direction = draw(dense.shape[2], seed=2)
    tangent = dict(zip(trained, direction.split([value.numel() for value in trained.values()]), strict=True))
    tangent = {key: value.view_as(trained[key]) for key, value in tangent.items()}
    assert relative(jacobian.push(tangent), dense @ direction) <= EXACT
    other = AutodiffJacobian(module, trained, x[:1])
    for options in GRAM_OPTIONS:
        assert relative(jacobian.gram(**options), product(dense)) <= EXACT
        assert relative(jacobian.gram(other, **options), product(dense, dense[:1])) <= EXACT
        assert relative(other.gram(jacobian, **options), product(dense[:1], dense)) <= EXACT


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


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("name", ["perceptron", "batch norm, one output", "gru", "attention", "scalar"])
def test_float32_stays_float32(name, samples):
    module, trained, x = make(name)
    x = x[:samples]
    exact = AutodiffJacobian(module, trained, x).keep()
    module.float()
    single = AutodiffJacobian(module, dict(module.named_parameters()), x.float())
    direction = {key: draw(*value.shape) for key, value in trained.items()}
    results = (single.outputs, single.push(direction), *single.pull(single.outputs).values())
    kernels = [single.gram(route=route) for route in ROUTES]
    assert {result.dtype for result in (*results, *kernels)} == {torch.float32}
    assert all(relative(kernel, exact.gram()) <= SINGLE for kernel in kernels)


SHAPES = st.fixed_dictionaries(
    {
        "width": st.integers(1, 5),
        "inputs": st.integers(1, 3),
        "outputs": st.integers(1, 3),
        "activation": st.sampled_from(["erf", "tanh", "softplus"]),  # smooth, for the differences
        "readout": st.sampled_from(["last", "all", "mean"]),
        "trained": st.sampled_from([("W",), ("A", "B"), ("W", "A", "B")]),
        "seed": st.integers(0, 1000),
    }
)


@settings(max_examples=20)
@given(shapes=SHAPES, samples=st.integers(1, 4), length=st.integers(2, 4), memory=st.integers(1, 20_000))
def test_the_kernel_comes_out_the_same_in_every_way(shapes, samples, length, memory):
    network, x = ElmanRNN(**shapes, parametrization="ntk"), draw(samples, length, shapes["inputs"])
    factored, general = network.jacobian(x), AutodiffJacobian(network, network.trained, x)
    kernels = {f"factored, {route}": factored.gram(route=route, memory=memory) for route in ("gram", "per_sample")}
    kernels |= {route: general.gram(route=route, memory=memory) for route in ROUTES}
    for first, second in combinations(kernels, 2):
        assert relative(kernels[first], kernels[second]) <= EXACT, (first, second)
    by_differences = product(joined(difference_jacobian(network, x), network.trained))
    for name, kernel in kernels.items():
        assert relative(kernel, by_differences) <= DIFFERENCES, name
        assert torch.equal(kernel, kernel.permute(2, 3, 0, 1)), name


@pytest.mark.parametrize("name", ["gru at all steps", "lstm", "convolutional", "attention", "cells"])
def test_nothing_is_refused_by_vmap_or_forward_mode(name):
    module, trained, x = make(name)
    jacobian = AutodiffJacobian(module, trained, x)
    jacobian.push({key: torch.ones_like(value) for key, value in trained.items()})
    for route in ROUTES:
        jacobian.gram(route=route)
    assert not jacobian._refused


def test_what_vmap_refuses_is_tried_once():
    module, trained, x = make("branching")
    calls = []
    module.register_forward_pre_hook(lambda *_: calls.append(1))
    jacobian = AutodiffJacobian(module, trained, x)
    first = jacobian.gram(route="contraction")
    begun = len(calls)
    assert torch.equal(jacobian.gram(route="contraction"), first)
    assert len(calls) - begun == len(x) + 1  # one pass per sample, and one that counts the work
    assert jacobian._refused == {"backward pass under vmap"}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", ["perceptron", "gru"])
def test_rows_of_the_jacobian_stay_under_the_bound(name, route):
    torch.manual_seed(0)
    core = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 4)) if name == "perceptron" else Tail(nn.GRU(3, 24))
    module, x = core.double(), draw(6, *((3,) if name == "perceptron" else (4, 3)))
    jacobian = AutodiffJacobian(module, dict(module.named_parameters()), x).keep()
    whole = 8 * jacobian.outputs.numel() * max(value.numel() for value in module.parameters())
    kernel_bytes, bound, seen = 8 * jacobian.outputs.numel() ** 2, whole // 3, {}
    for memory in (bound, 2**30):
        with Allocations() as watch:
            jacobian.gram(route=route, memory=memory)
        seen[memory] = watch.largest
    assert seen[bound] <= max(bound, kernel_bytes)
    assert seen[2**30] >= whole  # the bound did bind


class Tail(nn.Module):
    """Some of the last states of a layer."""

    def __init__(self, core):
        super().__init__()
        self.core = core

    def forward(self, inputs):
        return self.core(inputs.transpose(0, 1))[0][-1, :, :3]


def test_many_outputs_take_vector_products_and_shared_weights_take_contraction():
    wide, x = nn.Linear(40, 60).double(), draw(8, 40)
    jacobian = AutodiffJacobian(wide, dict(wide.named_parameters()), x)
    assert jacobian._cheaper_route(jacobian, jacobian._forward_work(), 2**28) == "vector_products"
    module, trained, x = make("gru")
    jacobian = AutodiffJacobian(module, trained, x)
    assert jacobian._cheaper_route(jacobian, jacobian._forward_work(), 2**28) == "contraction"
    with pytest.raises(LabError, match=r"route.*contraction, vector_products"):
        jacobian.gram(route="dense")


class Counting(Branching):
    """Writes a buffer at every pass."""

    def __init__(self):
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, inputs):
        self.passes += 1
        return inputs @ self.weight


@pytest.mark.parametrize(
    ("module", "sizes", "message"),
    [
        (nn.GRU(3, 4, batch_first=True), (2, 5, 3), "outputs of type tuple.*one tensor"),
        (nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)), (2, 5, 3), r"outputs of shape \(10,\) for 2 samples"),
        (Counting(), (2, 3), r"writes passes.*module\.eval\(\)"),
    ],
)
def test_what_has_no_rows_is_refused(module, sizes, message):
    module = module.double()
    with pytest.raises(LabError, match=message):
        AutodiffJacobian(module, dict(module.named_parameters()), draw(*sizes))
