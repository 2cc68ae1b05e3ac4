"""Modules that people bring to a watch: what is measured of them, and what is said of those that it cannot take."""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call, jvp
from torch.nn import functional

import lab
from lab.errors import LabError, LabWarning
from tests.references import draw
from tests.tolerances import SINGLE

CLASSES = torch.arange(24) % 3


class Block(nn.Module):
    """A residual block that rectifies in place."""

    def __init__(self, channels):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs):
        return self.relu(self.norm(self.conv(inputs)) + inputs)


class Reader(nn.Module):
    """An LSTM with dropout on token ids."""

    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(30, 8, padding_idx=0), nn.Linear(12, 3)
        self.core = nn.LSTM(8, 12, 2, batch_first=True, dropout=0.2)

    def forward(self, inputs):
        return self.head(self.core(self.embed(inputs))[0][:, -1])


class Attention(nn.Module):
    """Attention written out. The softmax does not see the bias of its keys, whose gradient is 0 but for rounding."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 8)
        self.query, self.key, self.value = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, inputs):
        x = self.embed(inputs)
        weights = (self.query(x) @ self.key(x).transpose(1, 2) / math.sqrt(8)).softmax(2)
        return (weights @ self.value(x)).mean(1) @ self.embed.weight.T  # tied to the embedding


class Adapted(nn.Module):
    """A frozen layer and a trained update of rank 2."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down, self.up = nn.Parameter(0.3 * torch.randn(2, 5)), nn.Parameter(torch.zeros(16, 2))

    def forward(self, inputs):
        return self.layer(inputs) + inputs @ self.down.T @ self.up.T


def residual():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), Block(4), Block(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def perceptron():
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))


def adapted():
    module = perceptron()
    module[0] = Adapted(module[0])
    module[3].requires_grad_(False)
    return module


def with_a_trained_head():
    module = perceptron()
    module[0].requires_grad_(False)
    return module


def built(make, seed=0):
    torch.manual_seed(seed)
    return make()


def inputs_of(make):
    if make in (Reader, Attention):
        return torch.randint(1, 30, (24, 6), generator=torch.Generator().manual_seed(0))
    return draw(24, 1, 6, 6, dtype=torch.float32) if make is residual else draw(24, 5, dtype=torch.float32)


def train(module, X, steps=10):
    optimizer = torch.optim.Adam([value for value in module.parameters() if value.requires_grad], 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        functional.cross_entropy(module(X), CLASSES).backward()
        optimizer.step()


@pytest.mark.parametrize("make", [residual, Reader, Attention, adapted, with_a_trained_head])
def test_the_path_is_judged_as_by_a_jvp_of_the_whole_module(make):
    module, X = built(make).train(), inputs_of(make)
    watch = lab.Watch(module, X, CLASSES, loss="cross_entropy")
    start = {name: value.detach().double() for name, value in module.named_parameters() if value.requires_grad}
    start = {name: value.clone() for name, value in start.items()}
    train(module, X)
    row = watch.look(10)
    plain = built(make).double().eval()
    plain.load_state_dict({name: value.double() for name, value in module.state_dict().items()})
    cast = X if X.dtype == torch.int64 else X.double()
    now = {name: value.detach().double() for name, value in module.named_parameters() if name in start}

    def f(parameters):
        return functional_call(plain, parameters, (cast,)).flatten(1)

    base, along = jvp(f, (start,), ({name: now[name] - start[name] for name in start},))
    change = f(now) - base
    if watch.projection is None:
        expected = float((change - along).norm() / change.norm())
    else:
        matrix = watch._probe.twin.network.module.projection.double()
        expected = float(((change - along) @ matrix).norm() / (change @ matrix).norm())
    assert row["nonlinearity"] == pytest.approx(expected, rel=1e-3, abs=SINGLE)
    assert set(watch.parameters) == set(start)
    assert row["weight_motion"] == pytest.approx(math.sqrt(sum(float((now[n] - start[n]).square().sum()) for n in now)))


def test_training_of_the_last_layer_alone_is_linear():
    module, X = built(with_a_trained_head), inputs_of(with_a_trained_head)
    watch = lab.Watch(module, X, CLASSES, loss="cross_entropy")
    train(module, X, 100)
    row = watch.look(100)
    assert row["nonlinearity"] < SINGLE
    assert row["kernel_distance"] < SINGLE
    assert (row["gate_flips"], row["feature_change"]) == (0, 0)
    assert watch.regime == "lazy"


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_weights_of_half_precision_are_measured_in_single(kind, tmp_path):
    module, X = built(perceptron).to(kind), inputs_of(perceptron)
    same = built(perceptron).to(kind).float()
    watch, plain = (lab.Watch(each, X.to(kind), CLASSES, loss="cross_entropy") for each in (module, same))
    with torch.no_grad():
        for value, other in zip(module.parameters(), same.parameters(), strict=True):
            value.add_(0.02 * draw(*value.shape).to(kind))
            other.copy_(value)
    found, expected = watch.look(1), plain.look(1)
    for name, value in expected.items():
        if name != "seconds" and value is not None:
            assert found[name] == pytest.approx(value, rel=SINGLE), name
    assert {value.dtype for value in module.parameters()} == {kind}
    again = lab.Watch.load(watch.save(tmp_path / "half.npz"), module)
    with torch.no_grad():
        module[0].weight.mul_(1.5)
    assert again.look(2)["nonlinearity"] == watch.look(2)["nonlinearity"]


def test_a_module_goes_on_in_another_precision():
    module, X = built(perceptron), inputs_of(perceptron)
    watch = lab.Watch(module, X)
    module.double()
    with torch.no_grad():
        module[0].weight.mul_(1.1)
    assert 0 < watch.look(1)["nonlinearity"] < 1


def test_a_new_last_layer_needs_a_new_watch():
    module, X = built(perceptron), inputs_of(perceptron)
    watch = lab.Watch(module, X)
    module[3] = nn.Linear(16, 7)
    with pytest.raises(LabError, match=r"module: got a module whose parameters are others now: 3\.weight, 3\.bias"):
        watch.look(1)


def test_parameters_that_are_unfrozen_later_are_named():
    module, X = built(with_a_trained_head), inputs_of(with_a_trained_head)
    watch = lab.Watch(module, X)
    module.requires_grad_(True)
    with pytest.warns(LabWarning, match=r"0\.weight, 0\.bias did not require gradients when the watch was made"):
        watch.look(1)
    module[0].requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.look(2)


class Remembering(nn.Module):
    """Keeps what it saw last, as many modules do for a picture: of another size in training than on the probes."""

    def __init__(self):
        super().__init__()
        self.inner, self.seen = perceptron(), torch.zeros(1)

    def forward(self, inputs):
        self.seen = inputs.detach()
        return self.inner(inputs)


def test_what_a_module_remembers_may_change_its_size():
    module, X = built(Remembering), inputs_of(perceptron)
    watch = lab.Watch(module, X, CLASSES, loss="cross_entropy")
    train(module, X[:8].repeat(3, 1)[:24], 2)
    assert watch.look(2)["nonlinearity"] > 0
    module(X[:5])
    assert watch.look(3)["kernel_velocity"] == 0


@pytest.mark.parametrize(
    ("module", "inputs", "said"),
    [
        (Reader(), torch.ones(8, 6), r"fails on float32 inputs of shape \(8, 6\).*Fix: pass token ids as integers"),
        (perceptron(), torch.ones(8, 4), r"fails on float32 inputs of shape \(8, 4\)"),
        (nn.DataParallel(perceptron()), torch.ones(8, 5), r"in parallel.*Fix: pass its \.module"),
        (torch.compile(perceptron()), torch.ones(8, 5), r"compiled.*Fix: pass its \._orig_mod"),
        (nn.GRU(5, 4), torch.ones(8, 3, 5), r"returns tuple.*outputs=lambda result: result\[0\]"),
        (perceptron().requires_grad_(False), torch.ones(8, 5), r"without trained parameters"),
        ("perceptron", torch.ones(8, 5), r"module: got str"),
    ],
)
def test_what_cannot_be_watched_is_refused_with_a_fix(module, inputs, said):
    with pytest.raises(LabError, match=said):
        lab.Watch(module, inputs)
