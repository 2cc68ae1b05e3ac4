"""Steps whose Jacobian is not read: the bits of steps that go through it, whatever the network and the descent."""

import pytest
import torch

import lab
from lab import Descent, ElmanRNN
from lab.learners import descent as descent_module
from lab.networks.passes import GeneralPasses, PlainPasses

SAMPLES, STEPS = 7, 12
NETWORKS = {
    "paper": {},
    "float32": {"dtype": torch.float32},
    "uncentred": {"centred": False},
    "mean": {"readout": "mean"},
    "tanh": {"activation": "tanh"},
    "erf": {"activation": "erf"},
    "ntk": {"parametrization": "ntk", "activation": "softplus"},
    "all weights": {"trained": ("W", "A", "B")},
    "bias": {"parametrization": lab.Parametrization(style="ntk", sigma_b=0.3), "trained": ("W", "B", "b")},
}
DESCENTS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "batches": {"batch_size": 3},  # of 3, 3 and 1 samples
    "momentum, batches": {"momentum": 0.9, "batch_size": 2},
    "logistic": {"loss": "logistic"},
    "beyond the edge": {"learning_rate": 50.0},
}


def make(settings):
    """A task, and a network of odd width that fits it."""
    task = lab.tasks.separable(samples=SAMPLES, test=4, length=4, features=3)
    if settings.get("readout") == "all":
        task = task.at_every_step()
    settings = {"centred": True} | {name: value for name, value in settings.items() if value != "all"}
    return task, ElmanRNN.like(task, 13, **settings)


def trace(settings, choices, record=(0, 5, STEPS)):
    """What a descent leaves: steps, losses and outputs that it recorded, weights, and where it diverged."""
    task, network = make(settings)
    path = lab.descend(network, task, Descent(STEPS, **{"learning_rate": 0.01} | choices, record=record), in_place=True)
    seen = [(each.step, each.loss, each.jacobian.outputs.tolist()) for each in path]
    return seen, path.diverged_at, {name: value.tolist() for name, value in network.trained.items()}


def by_jacobians(monkeypatch):
    """Make every step go through the Jacobian, as recorded steps do."""
    monkeypatch.setattr(descent_module, "_brief", lambda model, objective: model.evaluate)


@pytest.mark.parametrize("choices", DESCENTS.values(), ids=DESCENTS)
@pytest.mark.parametrize("settings", [*NETWORKS.values(), {"readout": "all"}], ids=[*NETWORKS, "every step"])
def test_steps_have_the_bits_of_steps_through_jacobians(monkeypatch, settings, choices):
    found = trace(settings, choices)
    by_jacobians(monkeypatch)
    assert found == trace(settings, choices)
    assert found[2] != trace(settings, choices | {"learning_rate": 1e-9})[2], "it moved"


def test_which_steps_are_recorded_changes_no_bit():
    for choices in DESCENTS.values():
        assert trace({}, choices, (STEPS,))[1:] == trace({}, choices, "all")[1:]


def test_written_out_passes_are_those_of_the_papers_network_alone():
    kinds = {name: type(network.evaluator(task.train_inputs).step) for name, (task, network) in made().items()}
    plain = {"paper", "float32", "uncentred", "tanh"}
    assert kinds == {name: PlainPasses if name in plain else GeneralPasses for name in NETWORKS}


def made():
    return {name: make(settings) for name, settings in NETWORKS.items()}


def test_a_subclass_goes_its_own_way():
    class Twice(ElmanRNN):
        def _recur(self, unrolled, slopes=None):
            super()._recur(unrolled, slopes)
            unrolled.states.mul_(2)

    task, _ = make({})
    network = Twice.like(task, 13)
    assert not hasattr(network.evaluator(task.train_inputs), "step")


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 2, 5), (2, 1, 3), (64, 3, 8), (300, 24, 4)])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_bits_do_not_depend_on_sizes(sizes, kind):
    width, samples, length = sizes
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(samples, length, 2, generator=generator, dtype=torch.float64)
    cotangent = torch.randn(samples, 1, generator=generator, dtype=torch.float64).to(kind)
    network = ElmanRNN(width, 2, dtype=kind, centred=False, seed=1)
    evaluate = network.evaluator(inputs)
    jacobian = network.jacobian(inputs)
    with torch.no_grad():
        outputs, backward = evaluate.step(None)
        assert torch.equal(outputs, jacobian.outputs)
        assert torch.equal(backward.pull(cotangent)["W"], jacobian.pull(cotangent)["W"])
