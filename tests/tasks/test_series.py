"""Templates: known curves under known changes."""

import numpy as np
import pytest
import torch

from lab.errors import LabError
from lab.tasks import templates
from lab.tasks.series import _SMOOTHED, _hidden, curve
from tests.tolerances import SIGMAS


def test_shapes_targets_and_seeds():
    task, again, other = (templates(10, 50, 20, seed=seed) for seed in (1, 1, 2))
    assert task.train_inputs.shape == (50, 40, 2)
    assert task.train_targets.shape == (50, 10)
    assert (task.train_targets > 0).sum(0).tolist() == [5] * 10
    assert torch.equal(task.train_inputs, again.train_inputs)
    assert not torch.equal(task.train_inputs, other.train_inputs)
    two = templates(2, 9, 0)
    assert two.train_targets.abs().sum() == 9
    assert not two.has_test


def test_curves_are_one_task_for_all_seeds_and_apart():
    curves = np.stack([curve(label) for label in range(10)])
    assert np.abs(curves[:, [0, -1]]).max() < 1e-12
    assert np.corrcoef(curves)[np.triu_indices(10, 1)].max() < 0.95


class Plain(np.random.Generator):
    """Draws the middle of every interval, no noise and the first place."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def uniform(self, low, high):
        return (low + high) / 2

    def integers(self, low, high):
        return low


def test_without_changes_the_curve_itself_is_hidden():
    series = _hidden(curve(3), 40, 0.0, Plain())
    size = round(40 * 0.4 * 1.025)
    assert np.array_equal(series[size:], np.zeros(40 - size))
    expected = np.interp(np.linspace(0, 63, size), np.arange(64), curve(3))
    assert np.abs(series[:size] - expected).max() < 1e-12


def test_the_noise_has_the_asked_deviation_and_is_correlated():
    flat = np.zeros(64)
    generator = np.random.default_rng(0)
    noise = np.stack([_hidden(flat, 40, 0.5, generator) for _ in range(4000)])
    noise -= noise @ np.linspace(-1, 1, 40)[:, None] * np.linspace(-1, 1, 40) / np.square(np.linspace(-1, 1, 40)).sum()
    middle = noise[:, 20]
    assert abs(middle.std() - 0.5) < SIGMAS * 0.5 / np.sqrt(2 * 4000) + 0.02  # the tilt took a little of it
    assert np.corrcoef(noise[:, 20], noise[:, 21])[0, 1] > 0.7
    assert abs(np.corrcoef(noise[:, 10], noise[:, 25])[0, 1]) < 0.2
    assert 0.3 < _SMOOTHED < 0.5


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"classes": 1}, "classes"), ({"train": 9}, "train"), ({"length": 7}, "length"), ({"noise": -1}, "noise")],
)
def test_sizes_out_of_range_are_refused(settings, name):
    with pytest.raises(LabError, match=f"{name}: got"):
        templates(**settings)
