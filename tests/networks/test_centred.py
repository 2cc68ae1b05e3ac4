"""A centred network is f(θ) − f(θ₀), held without a second copy of its weights."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import lab
from lab.networks import elman
from tests.references import draw
from tests.tolerances import EXACT, SINGLE, relative

KINDS = {
    "paper": {},
    "all steps": {"readout": "all"},
    "erf, all weights": {"activation": "erf", "parametrization": "ntk", "trained": ("W", "A", "B")},
    "float32": {"dtype": torch.float32},
}
RULES = {"descent": {}, "momentum": {"momentum": 0.5}, "batches": {"batch_size": 5}}
each_kind = pytest.mark.parametrize("kind", KINDS)


def pair(kind, width=24):
    """A task, a centred network and the same network not centred."""
    task = lab.tasks.digits(train=16, test=12)
    task = task.at_every_step() if kind == "all steps" else task
    return task, *(lab.ElmanRNN.like(task, width, centred=centred, **KINDS[kind]) for centred in (True, False))


@each_kind
@pytest.mark.parametrize("rule", RULES)
def test_it_trains_as_the_scaled_network_with_alpha_1(kind, rule):
    task, centred, plain = pair(kind)
    descent = lab.Descent(30, **RULES[rule])
    ours, scaled = lab.side_by_side(centred, task, descent), lab.side_by_side(lab.Scaled(plain, 1.0), task, descent)
    for name, learner in ours.learners.items():
        tolerance = SINGLE if kind == "float32" else EXACT
        assert relative(learner.train, getattr(scaled, name).train) < tolerance
        assert relative(learner.test, getattr(scaled, name).test) < tolerance
    mine, theirs = ours.summary(), scaled.summary()
    assert mine.pop("reasons") == theirs.pop("reasons")
    for name in ("derivative_check", "linearized_kernel_disagreement"):  # of the size of rounding
        mine.pop(name), theirs.pop(name)
    same = {name: value for name, value in mine.items() if value is None or isinstance(value, str)}
    assert same == {name: theirs[name] for name in same}
    numbers = {name: value for name, value in mine.items() if name not in same}
    assert numbers == pytest.approx({name: theirs[name] for name in numbers}, rel=1e-4 if kind == "float32" else 1e-6)
    assert ours.f0_share == 0


@each_kind
def test_outputs_are_zero_at_first_and_the_change_afterwards(kind):
    task, centred, plain = pair(kind)
    inputs, unseen = task.train_inputs, draw(3, 8, 9)
    for network in (centred, centred.copy(), copy.deepcopy(centred)):
        assert float(network(inputs).abs().max()) < (1e-5 if kind == "float32" else 1e-13)
        assert not network.jacobian(inputs).outputs.any()
    with torch.no_grad():
        for each in (centred, plain):
            each.W.add_(torch.ones_like(each.W), alpha=0.01)
    start = lab.ElmanRNN.like(task, 24, **KINDS[kind])
    for each in (inputs, unseen, unseen.numpy()):
        expected = (plain(each) - start(each)).detach()
        tolerance = 1e-6 if kind == "float32" else EXACT
        for network in (centred, centred.copy(), copy.deepcopy(centred), pickle.loads(pickle.dumps(centred))):
            assert relative(network(each), expected) < tolerance
            assert relative(network.jacobian(each).outputs, expected.flatten(1)) < tolerance


def test_changed_inputs_are_new_inputs():
    network, inputs = lab.ElmanRNN(8, 3, centred=True), draw(4, 5, 3)
    with torch.no_grad():
        network.W.mul_(1.1)
    first = network(inputs).detach().clone()
    inputs.mul_(2)  # ReLU: outputs double
    assert relative(network(inputs), 2 * first) < EXACT


def test_nothing_is_drawn_again_while_three_learners_train(monkeypatch):
    task, drawn = lab.tasks.digits(train=16, test=12), []
    network = lab.ElmanRNN.like(task, 24, centred=True)
    monkeypatch.setattr(elman, "fill", lambda *a, **k: drawn.append(a))
    lab.side_by_side(network, task, lab.Descent(10, batch_size=5))
    lab.side_by_side(network, task, lab.Descent(10), in_place=True)
    assert not drawn


def test_derivatives_by_the_inputs_and_under_transforms_are_those_of_the_difference():
    network, plain = lab.ElmanRNN(8, 3, centred=True), lab.ElmanRNN(8, 3)
    start = plain.copy()
    with torch.no_grad():
        for each in (network, plain):
            each.W.add_(0.1)
    gradients = []
    for function in (network, lambda x: plain(x) - start(x)):
        inputs = draw(4, 5, 3).requires_grad_()
        function(inputs).sum().backward()
        gradients.append(inputs.grad)
    assert relative(*gradients) < EXACT
    together = torch.func.vmap(lambda x: network(x[None])[0])(draw(4, 5, 3))
    assert relative(together, network(draw(4, 5, 3))) < EXACT
    foreign = lab.networks.modules.ModuleNetwork(network)
    assert relative(foreign.jacobian(draw(4, 5, 3)).gram(), plain.jacobian(draw(4, 5, 3)).gram()) < EXACT


def test_it_is_saved_and_loaded_as_any_module():
    network, file = lab.ElmanRNN(8, 3, centred=True, seed=4), io.BytesIO()
    network(draw(4, 5, 3))
    torch.save(network.state_dict(), file)
    file.seek(0)
    other = lab.ElmanRNN(8, 3, centred=True, seed=4)
    other.load_state_dict(torch.load(file))
    assert not other(draw(4, 5, 3)).any()
    assert "centred=True" in repr(network)


def test_any_module_is_centred_by_as_network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    network = lab.as_network(module, centred=True)
    assert isinstance(network, lab.Scaled)
    assert not network(draw(5, 6)).any()
    assert torch.equal(lab.empirical_ntk(network, draw(5, 6)), lab.empirical_ntk(module, draw(5, 6)))
