import pytest
import torch

import lab
from lab.errors import LabError
from lab.measures.attempts import STUCK, attempt

TASK = lab.tasks.separable(4, 4, 8, 8)


def tried(width, *, accuracy=1e-2, critical_fraction=0.5, patience=100.0, seed=0, centred=True):
    net = lab.ElmanRNN.like(TASK, width, seed=seed)
    net = lab.Scaled(net, 1.0) if centred else net
    return attempt(net, TASK, accuracy, critical_fraction=critical_fraction, patience=patience)


@pytest.mark.parametrize("centred", [True, False])
def test_a_wide_network_succeeds(centred):
    found = tried(48, centred=centred)
    assert found.exit == "success"
    assert found.final_mse < 1e-2
    assert 0 < found.steps <= found.budget
    assert found.pace > 0


def test_a_step_that_is_too_large_diverges_and_leaves_no_numbers():
    found = tried(48, critical_fraction=200.0)
    assert (found.exit, found.final_mse, found.pace) == ("diverged", None, None)


def test_what_needs_more_time_is_slow():
    found = tried(48, accuracy=1e-8, patience=1.0)
    assert found.exit == "slow"
    assert found.steps == found.budget
    assert found.pace * found.budget >= STUCK


def test_a_single_unit_gets_stuck():
    found = tried(1)
    assert found.exit == "stuck"
    assert found.final_mse > 0.01
    assert found.pace * found.budget < STUCK


def test_without_open_gates_there_is_no_gradient():
    """A unit that is dead at every step: the kernel is 0 and the run is stuck where it starts."""
    dead = [found for seed in range(12) if not (found := tried(1, seed=seed, patience=1.0)).steps]
    assert dead
    assert all(found.exit == "stuck" and found.final_mse == pytest.approx(1.0) for found in dead)
    assert all(found.pace == 0.0 for found in dead)


def test_a_network_without_a_limit_is_refused():
    module = lab.as_network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 1)).double())
    with pytest.raises(LabError) as caught:
        attempt(module, TASK, 1e-2, critical_fraction=0.5, patience=1.0)
    assert caught.value.argument == "network"
