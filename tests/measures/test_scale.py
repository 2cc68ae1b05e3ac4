"""What limits a scaled network: rounding, and bounded outputs."""

import numpy as np
import pytest
import torch

import lab
from lab.measures.scale import least_mse, rounding_noise
from tests.tolerances import ROUNDING

TASK = lab.tasks.digits(train=12, test=0)
CHOICES = {"activation": "erf", "parametrization": "ntk"}


def scaled(alpha=0.1, centred=True, width=32, task=TASK, **choices):
    return lab.Scaled(lab.ElmanRNN.like(task, width, **{**CHOICES, **choices}), alpha, centred)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("readout", ["last", "mean", "all"])
@pytest.mark.parametrize("activation", ["erf", "tanh"])
def test_no_weights_go_below_the_least_error(readout, activation, centred):
    task = TASK.at_every_step() if readout == "all" else TASK
    network = scaled(centred=centred, task=task, readout=readout, activation=activation)
    least, moved, generator = least_mse(network, task), network.copy(), torch.Generator().manual_seed(0)
    assert least > 0
    with torch.no_grad():
        for size in np.geomspace(0.1, 1e3, 20):
            moved.network.W.normal_(std=size, generator=generator)
            assert (moved(task.train_inputs) - task.train_targets).square().mean() >= least - ROUNDING


@pytest.mark.parametrize("sample", range(4))
def test_one_sample_comes_as_near_as_the_bound_says(sample):
    """With every unit saturated in the direction of the target, |f| is c_B ‖B‖₁."""
    one = lab.SequenceTask(TASK.train_inputs[[sample]], TASK.train_targets[[sample]])
    network = scaled()
    best = network.copy()
    with torch.no_grad():
        before = network.network.unroll(one.train_inputs).states[-2][0]
        best.network.W.copy_(1e4 * one.train_targets[0] * torch.outer(network.network.B[0].sign(), before))
        reached = float((best(one.train_inputs) - one.train_targets).square().mean())
    assert reached == pytest.approx(least_mse(network, one), rel=1e-6)


def test_there_is_no_bound_without_a_bounded_network_and_none_at_a_large_scale():
    assert least_mse(scaled(activation="relu"), TASK) == 0
    assert least_mse(scaled(trained=("W", "B")), TASK) == 0
    assert least_mse(scaled(alpha=100.0), TASK) == 0
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(72, 1, dtype=torch.float64))
    assert least_mse(lab.Scaled(lab.as_network(module), 0.1), TASK) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("alpha", [1.0, 1e4])
def test_rounding_noise_is_the_size_of_what_an_ulp_does(alpha, dtype):
    """Weights that move by one unit in the last place change the centred outputs by about the noise."""
    network = scaled(alpha, dtype=dtype)
    noise, moved = rounding_noise(network, TASK.train_inputs), network.copy()
    with torch.no_grad():
        assert not network(TASK.train_inputs).any()
        moved.network.B.mul_(1 + torch.finfo(dtype).eps)
        seen = float(moved(TASK.train_inputs).square().mean().sqrt())
    assert noise / 3 < seen < 3 * noise
    assert rounding_noise(scaled(centred=False), TASK.train_inputs) == 0
