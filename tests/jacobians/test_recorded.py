"""Jacobians of modules in factors, against one plain backward pass per output and sample."""

import warnings
from itertools import combinations

import pytest
import torch
from torch import nn

import lab
from lab.errors import LabError, LabWarning
from lab.jacobians import recorded, recorder
from lab.jacobians.autodiff import AutodiffJacobian
from lab.jacobians.recorded import Findings, RecordedJacobian
from tests.networks.kinds import KINDS, make
from tests.references import Allocations, Products, draw, product, pulled_jacobian
from tests.tolerances import EXACT, relative

#: What goes by factors: matrices, rows of embeddings, and "explicit" for biases, scales and what overlaps.
PARTS = {
    "linear": ["explicit", "weight"],
    "a layer twice": ["0.weight", "4.weight", "explicit"],
    "transposed tie": ["explicit"],
    "convolution 1d": ["1.weight", "4.weight", "explicit"],
    "convolution 2d, groups and dilation": ["1.weight[0:2, 0:4]", "1.weight[2:4, 0:4]", "5.weight", "explicit"],
    "convolution 3d": ["1.weight", "4.weight", "explicit"],
    "layer norm": ["0.weight", "3.weight", "explicit"],
    "rnn": ["core.weight_hh_l0", "core.weight_ih_l0", "explicit", "head.weight"],
    "lstm with projection": ["core.weight_hh_l0", "core.weight_hr_l0", "core.weight_ih_l0", "explicit", "head.weight"],
    "gru cell": ["cell.weight_hh", "cell.weight_ih", "explicit", "head.weight"],
    "attention": ["attention.in_proj_weight", "attention.out_proj.weight", "explicit"],
    "embedding": ["3.weight", "explicit", "rows of 0.weight"],
    "embedding with padding": ["3.weight", "explicit", "rows of 0.weight"],
    "embedding bag": ["3.weight", "explicit", "rows of 0.weight"],
    "parameter lists and einsum": ["heads.oneᵀ", "weights.0ᵀ", "weights.1ᵀ"],
    "low-rank adapter": ["down", "up"],
    "weight norm": ["explicit"],
    "generated weights": ["explicit", "maker.weight"],
}
REFUSED = ("checkpointed",)  # a module of KINDS whose passes vmap refuses


def jacobians(name):
    """The Jacobian in factors and the plain one of a kind of module."""
    module, inputs = make(name)
    network = lab.as_network(module)
    return network.jacobian(inputs), AutodiffJacobian(network.module, network.trained, inputs)


@pytest.mark.parametrize("name", KINDS)
def test_every_parameter_goes_by_factors(name):
    found, _ = jacobians(name)
    found.gram()
    assert found._findings.is_refused == (name in REFUSED)
    assert not found._findings.others
    if name in PARTS:
        assert sorted(found._form(found._inputs).parts) == PARTS[name]


@pytest.mark.parametrize("name", KINDS)
def test_kept_factors_have_the_rows_of_plain_passes(name):
    found, plain = jacobians(name)
    rows, kept = pulled_jacobian(plain), found.keep()
    assert relative(pulled_jacobian(kept), rows) <= EXACT
    direction = {key: torch.randn(size, dtype=torch.float64) for key, size in kept._sizes.items()}
    assert relative(kept.push(direction), plain.push(direction)) <= EXACT
    some = torch.tensor([2, 0])
    assert relative(kept.select(some).gram(kept), found.gram()[some]) <= EXACT


@pytest.mark.parametrize("name", KINDS)
def test_reduced_coordinates_change_no_product(name):
    found, plain = jacobians(name)
    other = RecordedJacobian(plain._module, plain._point, plain._inputs[:2]).keep()
    mine, theirs = found.keep().reduced(other)
    cotangent = torch.randn(plain.outputs.shape, dtype=torch.float64)
    motion, reduced = plain.pull(cotangent), mine.pull(cotangent)
    assert relative(mine.push(reduced), plain.push(motion)) <= EXACT
    assert relative(theirs.push(reduced), other.push(motion)) <= EXACT


class Layers(nn.Module):
    """Recurrent layers read at some steps."""

    def __init__(self, core, size, read=-1):
        super().__init__()
        self.core, self.head, self.read = core, nn.Linear(size, 2), read

    def forward(self, inputs):
        return self.head(self.core(inputs)[0][:, self.read])


MODULES = {
    "gru": (lambda: Layers(nn.GRU(3, 4, batch_first=True), 4), (4, 5, 3)),
    "lstm, all steps": (lambda: Layers(nn.LSTM(3, 4, batch_first=True), 4, slice(1, None)), (3, 4, 3)),
    "both directions, two layers": (
        lambda: Layers(nn.GRU(3, 2, 2, bidirectional=True, batch_first=True), 4),
        (3, 4, 3),
    ),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 2, groups=2), nn.Flatten()
        ),
        (3, 2, 5, 6),
    ),
    "transformer": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(4, 2, 6, 0.0, batch_first=True), nn.Flatten(), nn.Linear(12, 2)
        ),
        (3, 3, 4),
    ),
}


@pytest.mark.parametrize("name", MODULES)
def test_kernels_in_any_trained_subset(name):
    maker, sizes = MODULES[name]
    torch.manual_seed(0)
    module, inputs = maker().double(), draw(*sizes)
    parameters = dict(module.named_parameters())
    subsets = [*combinations(parameters, 1), *combinations(parameters, 2), tuple(parameters)]
    for subset in subsets[:: 1 if len(subsets) < 40 else 5]:
        for key, value in parameters.items():
            value.requires_grad_(key in subset)
        trained = {key: parameters[key] for key in subset}
        found, plain = RecordedJacobian(module, trained, inputs), AutodiffJacobian(module, trained, inputs)
        rows = pulled_jacobian(plain)
        assert relative(found.gram(route="factors"), product(rows)) <= EXACT
        assert not found._findings.others
        assert not found._findings.is_refused


class Embedded(nn.Module):
    """Tokens in, scores of the tokens out, by one matrix for both; learned positions and a learned first state."""

    def __init__(self, tied=True):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(7, 4), nn.Parameter(draw(5, 4, seed=2))
        self.core, self.start = nn.GRU(4, 4, batch_first=True), nn.Parameter(draw(1, 1, 4, seed=3))
        self.out = nn.Linear(4, 7, bias=False)
        if tied:
            self.out.weight = self.tokens.weight

    def forward(self, inputs):
        states = self.core(self.tokens(inputs) + self.positions, self.start.expand(1, len(inputs), 4).contiguous())[0]
        return self.out(states[:, -1])


@pytest.mark.parametrize("largest", [2**20, 16], ids=["explicit", "alone"])
def test_ties_learned_positions_and_learned_states(largest, monkeypatch):
    monkeypatch.setattr(recorder, "LARGEST_ROW", largest)
    monkeypatch.setattr("lab.jacobians.assembly.LARGEST_ROW", largest)
    module, tokens = Embedded().double(), torch.randint(0, 7, (4, 5), generator=torch.Generator().manual_seed(0))
    trained = dict(module.named_parameters())
    found, plain = RecordedJacobian(module, trained, tokens), AutodiffJacobian(module, trained, tokens)
    rows, kernel = pulled_jacobian(plain), found.gram()
    assert relative(kernel, product(rows)) <= EXACT
    assert found._findings.others == (set() if largest > 16 else {"tokens.weight", "positions"})
    direction = {key: torch.randn_like(value) for key, value in trained.items()}
    expected = plain.push(direction)
    kept = found.keep()
    assert relative(kept.push(direction), expected) <= EXACT
    assert relative(pulled_jacobian(kept), rows) <= EXACT
    assert relative(kept.gram(RecordedJacobian(module, trained, tokens[:2])), kernel[:, :, :2]) <= EXACT
    assert (kept.reduced(None)[0] is kept) == (largest == 16)


def test_a_use_that_is_not_seen_takes_the_slow_way_alone(monkeypatch):
    module, inputs = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double(), draw(5, 3)
    recorded_product = recorder.Recorder.product

    def unseen(self, inputs, matrix, bias=None, *, turned=False):
        hidden = matrix.shape == (2, 4)
        return None if hidden else recorded_product(self, inputs, matrix, bias, turned=turned)

    monkeypatch.setattr(recorder.Recorder, "product", unseen)
    monkeypatch.setattr(recorder.Recorder, "_copy", lambda self, value: value)
    trained = dict(module.named_parameters())
    found, plain = RecordedJacobian(module, trained, inputs), AutodiffJacobian(module, trained, inputs)
    assert relative(found.gram(), plain.gram()) <= EXACT
    assert "2.weight" in found._findings.others
    assert "0.weight" not in found._findings.others


def test_wrong_factors_are_found_and_named(monkeypatch):
    module, inputs = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double(), draw(5, 3)
    note = recorder.Recorder._note

    def doubled(self, weight, result, arrange, acting=None, features=None):
        scale = 2.0 if features is not None and features.shape[-1] == 4 else 1.0
        note(self, weight, result, arrange, acting, None if features is None else scale * features)

    monkeypatch.setattr(recorder.Recorder, "_note", doubled)
    trained = dict(module.named_parameters())
    found, plain = RecordedJacobian(module, trained, inputs), AutodiffJacobian(module, trained, inputs)
    with pytest.warns(LabWarning, match=r"uses of 2\.weight do not give the gradient"):
        kernel = found.gram()
    assert relative(kernel, plain.gram()) <= EXACT


def test_a_module_that_cannot_be_recorded_is_tried_once():
    module, inputs = make("checkpointed")
    network = lab.as_network(module)
    kernel = network.jacobian(inputs).gram()
    assert network.jacobian(inputs)._findings.is_refused
    assert relative(network.jacobian(inputs).gram(), kernel) <= EXACT


def test_blocks_of_samples_bound_the_memory():
    torch.manual_seed(0)
    module, inputs = Layers(nn.GRU(8, 16, batch_first=True), 16).double(), draw(12, 4, 8)
    trained = dict(module.named_parameters())
    found = RecordedJacobian(module, trained, inputs)
    whole = found.gram()
    factors = sum(
        value.nbytes
        for part in found._form(inputs).parts.values()
        for value in vars(part).values()
        if isinstance(value, torch.Tensor)
    )
    memory = factors // 4
    with Allocations() as seen:
        kernel = found.gram(memory=memory)
    assert relative(kernel, whole) <= EXACT
    assert len(found._sample_blocks(memory)) > 4
    assert seen.largest <= max(memory, kernel.nbytes)
    other = RecordedJacobian(module, trained, inputs[:7])
    assert relative(found.gram(other, memory=memory), whole[:, :, :7]) <= EXACT


def test_what_is_too_large_to_be_kept_keeps_the_module(monkeypatch):
    monkeypatch.setattr(recorded, "KEPT", 1000)
    found, plain = jacobians("gru, two layers")
    kept = found.keep()
    assert kept._factors is None
    direction = {key: torch.ones_like(value) for key, value in plain._point.items()}
    assert relative(kept.push(direction), plain.push(direction)) <= EXACT
    assert kept.reduced(None) == (kept, None)


def test_factors_and_explicit_rows_of_one_parameter_meet():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv1d(1, 2, 2), nn.Tanh(), nn.AdaptiveAvgPool1d(1), nn.Flatten()).double()
    trained, long, short = dict(module.named_parameters()), draw(3, 1, 30), draw(4, 1, 2)
    findings = Findings()
    first, second = (RecordedJacobian(module, trained, inputs, findings).keep() for inputs in (long, short))
    assert set(first._factors.parts) != set(second._factors.parts)
    expected = pulled_jacobian(AutodiffJacobian(module, trained, long))
    expected = product(expected, pulled_jacobian(AutodiffJacobian(module, trained, short)))
    assert relative(first.gram(second), expected) <= EXACT


def test_a_linearized_step_is_two_products_for_each_matrix():
    n, length, m = 6, 5, 16
    module = Layers(nn.GRU(3, m, batch_first=True), m).double().requires_grad_(False)
    module.core.weight_hh_l0.requires_grad_(True)
    kept = lab.as_network(module).jacobian(draw(n, length, 3)).keep()
    direction = {"core.weight_hh_l0": torch.ones(3 * m, m, dtype=torch.float64)}
    with Products() as counted:
        kept.push(direction)
        kept.pull(kept.outputs)
    places, o = length, 2
    assert counted.flops == 2 * (2 * n * places * 3 * m * m) + 2 * (2 * n * o * places * 3 * m)


def test_routes_are_named_and_kept_factors_have_no_other():
    found, plain = jacobians("linear")
    with pytest.raises(LabError, match="contraction, factors, vector_products"):
        found.gram(route="dense")
    with pytest.raises(LabError, match=r"route.*kept Jacobian holds factors alone"):
        found.keep().gram(route="contraction")
    with pytest.raises(LabError, match="keep"):
        RecordedJacobian(plain._module, plain._point, plain._inputs).select(torch.tensor([0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_types(dtype):
    module = nn.Sequential(nn.Linear(3, 40), nn.Tanh(), nn.Linear(40, 2)).to(dtype)
    network, inputs = lab.as_network(module), draw(4, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabWarning)
        kept, exact = network.jacobian(inputs).keep(), lab.as_network(module.double()).jacobian(inputs)
    mine, _ = kept.reduced(None)
    motion = mine.pull(torch.ones_like(mine.outputs))
    expected = exact.push(exact.pull(torch.ones_like(exact.outputs)))
    assert mine.push(motion).dtype == dtype
    assert relative(mine.push(motion).double(), expected) <= 20 * torch.finfo(dtype).eps


def test_factors_that_are_slower_than_passes_are_not_kept():
    many = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 400)).double()
    network, inputs = lab.as_network(many), draw(3, 2)
    kept = network.jacobian(inputs).keep()
    assert kept._factors is None
    expected = pulled_jacobian(AutodiffJacobian(many, network.trained, inputs))
    assert relative(pulled_jacobian(kept), expected) <= EXACT


class Refusing(nn.Module):
    """A branch on data for long sequences alone, which vmap refuses."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)

    def forward(self, inputs):
        if inputs.shape[1] > 3 and float(inputs.sum()) == 0.5:
            return self.layer(inputs[:, 0])
        return self.layer(inputs.mean(1))


def test_what_is_refused_later_takes_the_other_route():
    network = lab.as_network(Refusing().double())
    network.jacobian(draw(3, 2, 2)).gram()
    assert not network._findings.is_refused
    inputs = draw(3, 5, 2)
    found, plain = network.jacobian(inputs), AutodiffJacobian(network.module, network.trained, inputs)
    assert relative(found.gram(), product(pulled_jacobian(plain))) <= EXACT
    assert network._findings.is_refused
    assert network.jacobian(inputs).keep()._factors is None


@pytest.mark.parametrize(("size", "large"), [(4, False), (24, True)])
def test_large_images_take_the_gradients_of_convolutions(size, large):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1))
    network, inputs = lab.as_network(module.double()), draw(3, 1, size, size)
    kernel = network.jacobian(inputs).gram()
    assert network._findings.has_large_features == large
    assert relative(network.jacobian(inputs).gram(route="factors"), kernel) <= EXACT
    assert relative(network.jacobian(inputs).keep().gram(), kernel) <= EXACT


@pytest.mark.parametrize("kind", ["gru cell", "checkpointed"])
def test_keeping_twice_is_keeping_once(kind):
    module, inputs = make(kind)
    jacobian = lab.as_network(module).jacobian(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabWarning)
        first = jacobian.keep().gram()
        assert relative(jacobian.keep().gram(), first) < EXACT
