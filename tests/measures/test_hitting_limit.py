"""The infinitely wide linear learner: iterated by hand, and what it cannot reach."""

import numpy as np
import pytest

import lab
from lab.errors import LabError
from lab.measures.hitting import limit_hitting_steps, limit_spectrum
from tests.tolerances import EXACT


@pytest.fixture
def task():
    return lab.tasks.separable(4, 4, 3, 3, seed=1)


@pytest.mark.parametrize("accuracy", [0.5, 0.03])
def test_the_linear_learner_is_iterated_until_it_arrives(task, accuracy):
    kernel = lab.infinite_ntk(lab.ElmanRNN.like(task, 7, device="meta"), task.train_inputs)[:, 0, :, 0].numpy()
    residual, rate = -task.train_targets[:, 0].numpy(), 1 / np.linalg.eigvalsh(kernel)[-1]
    steps = 0
    while (residual**2).mean() >= accuracy:
        residual, steps = residual - rate * kernel @ residual, steps + 1
    assert limit_hitting_steps(task, accuracy, 0.5) == steps


def test_the_spectrum_is_that_of_the_kernel_over_the_width(task):
    kernel = lab.infinite_ntk(lab.ElmanRNN.like(task, 7, device="meta"), task.train_inputs)[:, 0, :, 0].numpy()
    spectrum, residual = limit_spectrum(task)
    np.testing.assert_allclose(spectrum.values, np.linalg.eigvalsh(kernel) / 7, rtol=EXACT)
    np.testing.assert_array_equal(residual, -task.train_targets[:, 0].numpy())


def test_at_least_one_step(task):
    assert limit_hitting_steps(task, 2.0, 0.5) == 1, "it is there from the start"


def test_what_it_cannot_reach_is_refused():
    inputs = np.ones((2, 3, 2))
    twins = lab.SequenceTask(inputs, np.array([[1.0], [-1.0]]), inputs, np.ones((2, 1)))
    with pytest.raises(LabError) as caught:
        limit_hitting_steps(twins, 0.1, 0.5)
    assert caught.value.argument == "accuracy"
