"""The tangent kernel of every kind of module that people bring, against plain autograd; and the module afterwards."""

import copy
import inspect
import sys

import numpy as np
import pytest
import torch
from torch import nn

import lab
from lab.jacobians import autodiff, substitution
from tests.networks.kinds import KINDS, VECTORS, Spectral, make, plain_kernel
from tests.tolerances import EXACT, ROUNDING, relative

each_kind = pytest.mark.parametrize("name", KINDS)


@each_kind
def test_the_kernel_is_that_of_plain_autograd(name):
    module, inputs = make(name)
    expected = plain_kernel(copy.deepcopy(module) if name != "weight norm of old" else make(name)[0], inputs)
    assert relative(lab.empirical_ntk(module, inputs), expected) < EXACT
    assert relative(lab.empirical_ntk(module, inputs, inputs[:2]), expected[:, :, :2]) < EXACT
    network = lab.as_network(module)
    for route in autodiff.ROUTES:
        assert relative(network.jacobian(inputs).gram(route=route), expected) < EXACT
    assert relative(network.jacobian(inputs).keep().gram(), expected) < EXACT


@each_kind
def test_push_and_pull_are_transposes_and_push_is_the_difference_quotient(name):
    module, inputs = make(name)
    network = lab.as_network(module)
    jacobian = network.jacobian(inputs)
    generator = torch.Generator().manual_seed(0)
    cotangent = torch.randn(jacobian.outputs.shape, generator=generator, dtype=torch.float64)
    tangent = {k: torch.randn(v.shape, generator=generator, dtype=torch.float64) for k, v in network.trained.items()}
    pulled = jacobian.pull(cotangent)
    along = sum(float((pulled[key] * tangent[key]).sum()) for key in tangent)
    assert along == pytest.approx(float((jacobian.push(tangent) * cotangent).sum()), rel=1e-8, abs=1e-10)
    check = lab.measures.derivative.check_derivative(network.copy(), jacobian, inputs)
    assert not check.fails, check


def held(module):
    """Identity and type of whatever every part of a module holds, and the values of its tensors."""
    seen = {}
    for path, part in module.named_modules(remove_duplicate=False):
        for name, value in vars(part).items():
            entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            inside = [(key, id(entry), type(entry)) for key, entry in entries]
            seen[path, name] = type(value), None if isinstance(value, (int, float)) else id(value), inside
    values = {name: value.detach().clone() for name, value in module.state_dict().items()}
    flags = {name: (value.requires_grad, value.grad) for name, value in module.named_parameters()}
    return seen, values, flags


def check_unchanged(module, before):
    seen, values, flags = held(module)
    assert seen == before[0]
    assert flags == before[2]
    assert all(torch.equal(value, before[1][name]) for name, value in values.items())


def outputs_of(module, inputs):
    with torch.no_grad():
        return lab.as_network(module)(inputs)


def side_by_side(module, inputs):
    return lab.side_by_side(module, (inputs, outputs_of(module, inputs) + 0.1), lab.Descent(2))


def descend(module, inputs):
    return list(lab.descend(module, (inputs, outputs_of(module, inputs) + 0.1), lab.Descent(2)))


def animate_kernel(module, inputs):
    return lab.animate_kernel(module, (inputs, outputs_of(module, inputs) + 0.1), lab.Descent(2))


def arrive(module, inputs):
    return lab.arrive(module, (inputs, outputs_of(module, inputs) + 0.1), lab.Descent(2), 1e-9)


def at_equal_error(module, inputs):
    network = lab.Scaled(lab.as_network(module), 2.0)
    targets = outputs_of(module, inputs) * 0 + 0.1
    return lab.at_equal_error(network, lab.Task(inputs, targets, inputs, targets), 0.5, fallbacks=0)


def kernel_regressor(module, inputs):
    task = lab.Task(inputs, outputs_of(module, inputs))
    return lab.KernelRegressor.at(lab.as_network(module), task)


def scaled(module, inputs):
    return lab.Scaled(lab.as_network(module), 3.0).jacobian(inputs).gram()


def as_network(module, inputs):
    network = lab.as_network(module)
    jacobian = network.jacobian(inputs)
    return network(inputs), jacobian.push(jacobian.pull(jacobian.outputs)), jacobian.keep().gram(), network.copy()


def watch(module, inputs):
    return lab.Watch(module, inputs).look(1)


def quadratic(module, inputs):
    model = lab.QuadraticNetwork(module)
    model.descend(model.jacobian(inputs), torch.ones_like(model.jacobian(inputs).outputs), 0.01)


ENTRIES = {
    "empirical_ntk": lab.empirical_ntk,
    "side_by_side": side_by_side,
    "descend": descend,
    "animate_kernel": animate_kernel,
    "arrive": arrive,
    "at_equal_error": at_equal_error,
    "KernelRegressor": kernel_regressor,
    "Scaled": scaled,
    "as_network": as_network,
    "QuadraticNetwork": quadratic,
    "Watch": watch,
}


def test_every_public_function_that_takes_a_module_is_among_the_entries():
    public = {name: getattr(lab, name) for name in lab.__all__ if callable(getattr(lab, name))}
    public = {name: value for name, value in public.items() if value not in (lab.LabError, lab.LabWarning)}
    taking = {name for name, f in public.items() if {"network", "module"} & set(inspect.signature(f).parameters)}
    own = {"infinite_ntk", "infinite_nngp", "GateFrozen"}  # they take networks of the lab alone
    records = {"SideBySide", "Snapshot", "Arrival", "EqualError"}  # results, which hold a network
    assert taking - own - records <= set(ENTRIES)


SENSITIVE = ["a layer twice", "a layer under two names", "aliases", "siamese branches", "shared PReLU"]
SENSITIVE += ["shared batch norm", "gru, two layers", "weight norm of old", "keeps what it computed", "symmetric"]
SENSITIVE += ["complex weights", "embedding"]


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("name", SENSITIVE)
def test_the_module_is_what_it_was(name, entry):
    module, inputs = make(name)
    before, state = held(module), torch.random.get_rng_state()
    ENTRIES[entry](module, inputs)
    check_unchanged(module, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    if name not in ("weight norm of old",):  # torch itself cannot copy what such a module holds
        copy.deepcopy(module)
    ENTRIES[entry](module, inputs)


class Stops(nn.Module):
    """Raises at the k-th forward pass, counted from 1."""

    def __init__(self, k, error):
        super().__init__()
        self.shared, self.counter = make("a layer under two names")[0], {"left": k}
        self.__dict__["error"] = error

    def forward(self, inputs):
        outputs = self.shared(inputs)
        counts = COUNTS
        counts["calls"] += 1
        if counts["calls"] == counts["stop"]:
            # a new one each time: with the traceback of all raises before it could not be copied where dask is at work
            raise self.error if isinstance(self.error, type) else type(self.error)(*self.error.args)
        return outputs


COUNTS = {"calls": 0, "stop": 0}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError("out of order"), MemoryError])
@pytest.mark.parametrize("entry", ["empirical_ntk", "side_by_side", "as_network"])
def test_the_module_is_what_it_was_after_an_error_in_any_forward_pass(entry, error):
    module = Stops(0, error)
    COUNTS.update(calls=0, stop=0)
    ENTRIES[entry](module, VECTORS)
    passes = COUNTS["calls"]
    assert passes > 3
    raised = 0
    for stop in range(1, passes + 1):
        before = held(module)
        COUNTS.update(calls=0, stop=stop)
        try:
            ENTRIES[entry](module, VECTORS)
        except (KeyboardInterrupt, RuntimeError, lab.LabError, MemoryError):
            raised += 1
        check_unchanged(module, before)
    assert raised > passes / 3  # some errors of vmap are tried again another way


def interrupted_at(line, action):
    """Run ``action`` and raise KeyboardInterrupt at the k-th line that is executed in two files of the lab."""
    files, count = {substitution.__file__, autodiff.__file__}, 0

    def trace(frame, event, _):
        nonlocal count
        if frame.f_code.co_filename not in files or frame.f_code.co_name == "__exit__":
            return None
        if event == "line":
            count += 1
            if count == line:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def test_the_module_is_what_it_was_after_an_interrupt_at_any_line():
    module, _ = make("a layer under two names")
    before, line, tried = held(module), 1, 0
    while interrupted_at(line, lambda: lab.empirical_ntk(module, VECTORS)):
        check_unchanged(module, before)
        line, tried = line + 1 + line // 50, tried + 1
    assert tried > 100


def test_the_users_own_training_goes_on_after_a_kernel():
    module, inputs = make("a layer twice")
    twin = copy.deepcopy(module)
    lab.empirical_ntk(module, inputs)
    lab.side_by_side(module, (inputs, torch.ones(5, 2)), lab.Descent(3))
    for each in (module, twin):
        optimizer = torch.optim.SGD(each.parameters(), lr=0.1)
        each(inputs).square().sum().backward()
        optimizer.step()
    assert relative(module.state_dict(), twin.state_dict()) == 0


def test_complex_parameters_are_pairs_of_real_ones():
    task = (VECTORS, np.ones((5, 2)))
    whole, pairs = (lab.side_by_side(make_spectral(pairs), task, lab.Descent(20)) for pairs in (False, True))
    assert whole.lambda_max == pytest.approx(pairs.lambda_max, rel=EXACT)
    for learner in ("network", "linearized", "kernel"):
        assert relative(getattr(whole, learner).train, getattr(pairs, learner).train) < EXACT
    assert whole.motion.weight_motion == pytest.approx(pairs.motion.weight_motion, rel=EXACT)
    assert whole.disagreement() < ROUNDING**0.5
    adam = lab.Descent(5, optimizer=lambda p: torch.optim.Adam(p, lr=1e-2))
    whole, pairs = (lab.side_by_side(make_spectral(pairs), task, adam) for pairs in (False, True))
    assert relative(whole.network.train, pairs.network.train) < EXACT


def make_spectral(pairs):
    module = Spectral(pairs)
    module.head = nn.Linear(4, 2, dtype=torch.float64)
    nn.init.ones_(module.head.weight)
    nn.init.zeros_(module.head.bias)
    return module
