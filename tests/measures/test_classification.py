"""Mistakes against scikit-learn's count, and at the edges."""

import numpy as np
import pytest
from sklearn.metrics import zero_one_loss

from lab.errors import LabError
from lab.measures.classification import mistakes


def one_hot(labels, q):
    return 2.0 * (labels[:, None] == np.arange(q)) - 1.0


@pytest.mark.parametrize("q", [1, 3, 10])
def test_mistakes_are_those_that_scikit_learn_counts(q):
    generator = np.random.default_rng(q)
    labels = generator.integers(0, max(q, 2), 50)
    outputs = generator.normal(size=(4, 50, q))
    targets = 2.0 * labels[:, None] - 1 if q == 1 else one_hot(labels, q)
    said = (outputs[..., 0] > 0).astype(int) if q == 1 else outputs.argmax(-1)
    expected = [zero_one_loss(labels, each, normalize=False) for each in said]
    assert mistakes(outputs, targets).tolist() == expected
    assert mistakes(targets, targets) == 0


def test_outputs_that_are_no_numbers_are_mistakes():
    targets = np.array([[-1.0], [1.0], [-1.0]])
    assert mistakes([[np.nan], [np.inf], [-1.0]], targets) == 2


def test_an_output_of_nothing_says_the_first_class():
    assert mistakes(np.zeros((2, 1)), [[-1.0], [1.0]]) == 1
    assert mistakes(np.zeros((2, 3)), one_hot(np.array([0, 2]), 3)) == 1


def test_shapes_must_match():
    with pytest.raises(LabError, match="outputs: got shapes"):
        mistakes(np.zeros((3, 2)), np.zeros((3, 1)))
