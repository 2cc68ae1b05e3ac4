"""Shifted targets train the centred network."""

import numpy as np
import pytest
import torch

import lab
from lab.learners.centring import centred_task
from tests.tolerances import EXACT


@pytest.mark.parametrize("test", [0, 4])
def test_training_is_that_of_the_centred_network(test):
    task = lab.tasks.separable(6, test, 3, 4)
    network, descent = lab.ElmanRNN.like(task, 16), lab.Descent(10)
    shifted = lab.side_by_side(network, centred_task(network, task), descent)
    centred = lab.side_by_side(lab.Scaled(network, 1.0), task, descent)
    np.testing.assert_allclose(shifted.network.loss, centred.network.loss, rtol=EXACT)
    np.testing.assert_allclose(
        shifted.trained_network.W.detach(), centred.trained_network.network.W.detach(), rtol=1e-9
    )
    if test:
        np.testing.assert_allclose(shifted.gap("test"), centred.gap("test"), atol=EXACT)


def test_shifts_are_in_float64_and_the_task_is_left_alone():
    task = lab.tasks.separable(6, 2, 3, 4).at_every_step()
    before = task.train_targets.clone()
    network = lab.ElmanRNN.like(task, 16, dtype=torch.float32)
    shifted = centred_task(network, task)
    assert shifted.train_targets.dtype == torch.float64
    start = network(task.train_inputs).detach().double()
    torch.testing.assert_close(shifted.train_targets, task.train_targets + start, rtol=0, atol=0)
    assert torch.equal(task.train_targets, before)
