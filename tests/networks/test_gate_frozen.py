"""The gate-frozen network against its formula, autograd, and the second-order model of a short sequence."""

import pytest
import torch
from torch.func import functional_call, jacrev

import lab
from tests.references import draw
from tests.tolerances import EXACT, relative

INPUTS = draw(3, 4, 3)


def moved(network, size=0.5):
    twin = network.copy()
    with torch.no_grad():
        for place, value in enumerate(twin.trained.values()):
            value.add_(size * draw(*value.shape, seed=place))
    return twin


@pytest.mark.parametrize("readout", ["last", "all", "mean"])
def test_states_are_those_of_the_first_gates(readout):
    first = lab.ElmanRNN(6, 3, 2, readout=readout, trained=("W", "A", "B"), seed=3, parametrization="ntk")
    frozen = lab.GateFrozen(moved(first), first)
    gates, network, c = first.gates(INPUTS), frozen.network, first.multipliers
    state, outputs = torch.zeros(3, 6, dtype=torch.float64), []
    for t in range(4):
        state = gates[t] * (c["W"] * state @ network.W.T + c["A"] * INPUTS[:, t] @ network.A.T)
        outputs.append(c["B"] * state @ network.B.T)
    every = torch.stack(outputs, 1)
    expected = {"last": every[:, -1], "all": every[:, 1:], "mean": every.mean(1)}[readout]
    assert relative(frozen(INPUTS).detach(), expected.detach()) < EXACT
    jacobian = frozen.jacobian(INPUTS)
    assert relative(jacobian.outputs, expected.flatten(1).detach()) < EXACT
    some = torch.tensor([2, 0])
    assert relative(frozen.evaluator(INPUTS)(some).outputs, expected.flatten(1)[some].detach()) < EXACT


def test_derivatives_are_those_of_autograd():
    first = lab.ElmanRNN(5, 3, centred=True, seed=1)
    frozen = lab.GateFrozen(moved(first), first)
    slopes = first.unroll(INPUTS).slopes

    class Through(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = frozen.network

        def forward(self, inputs):
            return self.inner.through(inputs, slopes)

    module = Through()
    rows = jacrev(lambda W: functional_call(module, {"inner.W": W}, (INPUTS,)))(frozen.network.W.detach())
    rows = rows.flatten(2).flatten(0, 1)
    assert relative(frozen.jacobian(INPUTS).gram().flatten(2).flatten(0, 1), rows @ rows.T) < EXACT


def test_with_three_steps_it_is_the_second_order_model():
    network, inputs = lab.ElmanRNN(7, 3, 2, seed=4), INPUTS[:, :3]  # W acts twice
    motion = {"W": 0.5 * draw(7, 7)}
    twin = network.copy()
    with torch.no_grad():
        twin.W.add_(motion["W"])
    frozen = lab.GateFrozen(twin, network).jacobian(inputs)
    second = network.expansion(inputs).at(motion)
    assert relative(second.outputs, frozen.outputs) < EXACT
    assert relative(second.gram(), frozen.gram()) < EXACT


def test_it_starts_as_the_network_and_trains_beside_it():
    task = lab.tasks.digits(train=12, test=8)
    network = lab.ElmanRNN.like(task, 16, centred=True)
    frozen = lab.GateFrozen(network)
    plain, result = (lab.side_by_side(each, task, lab.Descent(40)) for each in (network, frozen))
    assert relative(result.linearized.test, plain.linearized.test) < EXACT
    assert abs(result.network.test - plain.network.test).max() > 0.02  # gates of the network do flip
    assert torch.equal(frozen.network.W, network.W)  # only a copy descended
    assert result.motion.gate_flips == 0


@pytest.mark.parametrize("network", [lab.ElmanRNN(4, 3, activation="tanh"), torch.nn.Linear(2, 1)])
def test_what_has_no_gates_is_refused(network):
    with pytest.raises(lab.LabError, match=r"network: .*relu"):
        lab.GateFrozen(network)
    with pytest.raises(lab.LabError, match=r"origin: .*relu"):
        lab.GateFrozen(lab.ElmanRNN(4, 3), network)


def test_gates_of_another_width_are_refused():
    with pytest.raises(lab.LabError, match="origin: got width 5; allowed: width 4"):
        lab.GateFrozen(lab.ElmanRNN(4, 3), lab.ElmanRNN(5, 3))
