"""Models are the functions that they are called after, and give standardised targets."""

import numpy as np
import pytest
import torch

import lab
from lab.errors import LabError
from lab.tasks import models
from tests.tolerances import EXACT, ROUNDING

INPUTS = np.random.default_rng(1).standard_normal((50, 3, 2))


def draw(seed=0):
    return np.random.default_rng(seed)


def by_hand(sample, seed=0):
    """z_t of one sample, one number at a time."""
    w = draw(seed).standard_normal(2)
    columns = [[float(w @ row[t]) for row in INPUTS] for t in range(3)]
    return [(column[sample] - np.mean(column)) / np.std(column) for column in columns]


@pytest.mark.parametrize("sample", [0, 17, 49])
def test_models_are_what_they_are_called(sample):
    z = by_hand(sample)
    assert models.parity(INPUTS, draw())[sample] == np.prod(np.sign(z))
    assert models.additive(INPUTS, draw())[sample] == pytest.approx(sum(np.tanh(2 * step) for step in z), rel=EXACT)
    assert models.neuron(INPUTS, draw())[sample] == pytest.approx(max(sum(z), 0.0), rel=EXACT)


def test_random_labels_do_not_depend_on_the_sequences():
    labels = models.random_labels(INPUTS, draw())
    assert set(labels) == {-1.0, 1.0}
    assert (models.random_labels(2 * INPUTS, draw()) == labels).all()
    assert (models.random_labels(INPUTS, draw(1)) != labels).any()


@pytest.mark.parametrize("value", [0.0, 0.1, 3.7])
def test_a_time_step_that_is_the_same_everywhere_counts_as_zero(value):
    """Also where the mean over the samples has a rounding error."""
    inputs = INPUTS.copy()
    inputs[:, 1] = value
    steps = models.projections(inputs, draw())
    assert not steps[:, 1].any()
    assert np.isfinite(steps).all()


def test_new_labels_are_standardised_on_the_training_set():
    task = lab.tasks.separable(6, 4, 3, 2)
    both = torch.cat([task.train_inputs, task.test_inputs]).numpy()
    made = models.relabelled(task, lambda inputs: inputs[:, 0, 0], "first entry")
    assert torch.equal(made.train_inputs, task.train_inputs)
    assert torch.equal(made.test_inputs, task.test_inputs)
    assert made.name == "first entry"
    first = both[:, 0, 0]
    expected = (first - first[:6].mean()) / first[:6].std()
    np.testing.assert_allclose(torch.cat([made.train_targets, made.test_targets])[:, 0], expected, rtol=ROUNDING)


def test_new_labels_without_a_test_split_and_without_spread():
    task = lab.tasks.separable(6, 0, 3, 2)
    made = models.relabelled(task, lambda inputs: np.full(len(inputs), 3.0), "constant")
    assert not made.has_test
    assert not made.train_targets.any()


@pytest.mark.parametrize(
    ("function", "name"),
    [(lambda inputs: inputs, "function"), (lambda inputs: np.full(len(inputs), np.nan), "train_targets")],
)
def test_what_is_no_number_for_each_sample_is_refused(function, name):
    with pytest.raises(LabError) as caught:
        models.relabelled(lab.tasks.separable(6, 4, 3, 2), function, "none")
    assert caught.value.argument == name
