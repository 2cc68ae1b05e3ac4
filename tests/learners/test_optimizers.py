"""Every optimizer of torch.optim: trained by it as a loop of torch's own autograd does, or refused in words."""

import functools

import pytest
import torch

import lab
from tests.learners.test_three import small_network, small_task, torch_training
from tests.references import dense_jacobian
from tests.tolerances import EXACT, relative

OPTIMIZERS = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
}
#: rates at which these few steps move the outputs; where a choice matters, the one with more state
SETTINGS = {
    "ASGD": {"lr": 1e-3, "t0": 3},
    "Adadelta": {"lr": 1.0},
    "Adafactor": {"lr": 1e-2},
    "Adagrad": {"lr": 1e-2, "lr_decay": 0.1},
    "Adam": {"lr": 1e-2, "amsgrad": True},
    "AdamW": {"lr": 1e-2, "weight_decay": 0.1},
    "Adamax": {"lr": 1e-2},
    "Muon": {"lr": 1e-2},
    "NAdam": {"lr": 1e-2},
    "RAdam": {"lr": 1e-2},
    "RMSprop": {"lr": 1e-3, "momentum": 0.5, "centered": True},
    "Rprop": {"lr": 1e-3},
    "SGD": {"lr": 1e-3, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
}
REFUSED = {"LBFGS": "evaluates the loss itself", "SparseAdam": "needs sparse gradients"}
STEPS = 12


def test_every_optimizer_of_torch_has_its_line():
    assert OPTIMIZERS.keys() == SETTINGS.keys() | REFUSED.keys()


def trained(name, batch_size):
    """A task, a network and what the lab makes of them by this optimizer."""
    task = small_task()
    network = small_network(task, trained=("W", "A", "B"))
    factory = functools.partial(OPTIMIZERS[name], **SETTINGS[name])
    descent = lab.Descent(STEPS, optimizer=factory, batch_size=batch_size, record="all")
    return task, network, lab.side_by_side(network, task, descent)


def reference(name, predict, parameters, task, descent):
    """Outputs at every step of a loop of autograd, far enough from the first ones to tell optimizers apart."""
    optimizer = OPTIMIZERS[name](parameters, **SETTINGS[name])
    outputs = torch_training(predict, None, task, optimizer, descent)
    assert relative(outputs[-1], outputs[0]) > 1e-3
    return outputs


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_network_trains_as_a_loop_of_autograd_does(name, batch_size):
    task, network, result = trained(name, batch_size)
    twin = network.copy()
    expected = reference(name, twin, list(twin.parameters()), task, result.descent)
    assert relative(result.network.train, expected) < EXACT


@pytest.mark.parametrize("name", SETTINGS)
def test_the_linearized_network_trains_as_a_loop_of_autograd_does(name):
    """f₀ + J₀(θ − θ₀) with a dense J₀ of torch.func; the optimizer sees θ, for its weight decay."""
    task, network, result = trained(name, None)
    dense = {each: value.detach() for each, value in dense_jacobian(network, task.train_inputs).items()}
    start, origin = network(task.train_inputs).detach(), network.copy().trained
    weights = {each: value.detach().clone().requires_grad_(True) for each, value in origin.items()}

    def predict(_):
        change = sum(dense[each] @ (weights[each] - origin[each].detach()).flatten() for each in dense)
        return start + change

    expected = reference(name, predict, list(weights.values()), task, result.descent)
    assert relative(result.linearized.train, expected) < EXACT


@pytest.mark.parametrize("name", SETTINGS)
def test_the_network_that_is_given_stays_where_it_is(name):
    _, network, result = trained(name, None)
    start = small_network(small_task(), trained=("W", "A", "B")).trained
    assert all(torch.equal(value, start[each]) for each, value in network.trained.items())
    assert all(not torch.equal(value, start[each]) for each, value in result.trained_network.trained.items())


@pytest.mark.parametrize("start", [lab.side_by_side, lab.descend])
@pytest.mark.parametrize("name", REFUSED)
def test_what_no_single_gradient_feeds_is_refused(name, start):
    task = small_task()
    with pytest.raises(lab.LabError, match=f"{name}, which {REFUSED[name]}") as caught:
        start(small_network(task), task, lab.Descent(2, optimizer=OPTIMIZERS[name]))
    assert caught.value.argument == "optimizer"


def never(parameters):
    raise ValueError("no such rate")


def steps_only_with_a_closure(parameters):
    class Searching(torch.optim.Optimizer):
        def step(self, closure):
            return closure()

    return Searching(parameters, {})


@pytest.mark.parametrize("start", [lab.side_by_side, lab.descend])
@pytest.mark.parametrize(
    "factory",
    [never, list, lambda: None, lambda parameters: None, steps_only_with_a_closure, torch.optim.Optimizer],
)
def test_a_factory_of_no_optimizer_is_refused_before_a_derivative_is_taken(factory, start, monkeypatch):
    task = small_task()
    network = small_network(task)
    monkeypatch.setattr(network, "jacobian", lambda _: pytest.fail("work has begun"))
    with pytest.raises(lab.LabError, match="optimizer"):
        start(network, task, lab.Descent(2, optimizer=factory))


def test_muon_wants_matrices_alone():
    task = small_task()
    network = small_network(task, trained=("W", "b"), parametrization=lab.Parametrization(style="ntk", sigma_b=0.1))
    with pytest.raises(lab.LabError, match="2D"):
        lab.side_by_side(network, task, lab.Descent(2, optimizer=torch.optim.Muon))
