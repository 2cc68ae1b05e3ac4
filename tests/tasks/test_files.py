"""Tasks of files: standardised by the training samples, unit steps, short series at their own length."""

import numpy as np
import pytest
import torch

from lab.errors import LabError
from lab.networks.elman import ElmanRNN
from lab.tasks import archive, from_file
from lab.tasks.files import prepare
from tests.tolerances import OUTPUTS, ROUNDING, relative


@pytest.fixture
def path(tmp_path):
    generator = np.random.default_rng(0)
    series = generator.normal(size=(40, 7, 2)) * [3.0, 0.1] + [100.0, 0.0]
    np.savez(tmp_path / "mine.npz", X=series, y=np.array(["no", "yes"] * 20))
    return tmp_path / "mine.npz"


def test_a_file_becomes_a_task(path):
    task = from_file(path, 16, 8, seed=2)
    assert task.name == "mine"
    assert task.train_inputs.shape == (16, 7, 3)
    assert task.test_inputs.shape == (8, 7, 3)
    assert (task.train_inputs.norm(dim=2) - 1).abs().max() <= ROUNDING
    assert float(task.train_targets.sum()) == float(task.test_targets.sum()) == 0
    scaled = task.train_inputs[..., :2] / task.train_inputs[..., 2:]  # undo the norm: the appended 1 tells it
    assert scaled.mean((0, 1)).abs().max() < 1e-12
    assert (scaled.std((0, 1), correction=0) - 1).abs().max() < 1e-12
    test = task.test_inputs[..., :2] / task.test_inputs[..., 2:]
    assert test.mean((0, 1)).abs().max() > 1e-3  # the test split had no say in the scale


def test_defaults_are_48_samples_or_what_there_is(path):
    task = from_file(path)
    assert (len(task.train_inputs), len(task.test_inputs)) == (20, 20)
    assert not from_file(path, 40, 0).has_test
    with pytest.raises(LabError, match="at most 40 samples of mine"):
        from_file(path, 40, 1)


def test_zero_steps_in_front_leave_the_last_step_as_it_is():
    series = np.random.default_rng(1).normal(size=(5, 6, 2))
    series[3, :2] = np.nan
    inputs = torch.from_numpy(prepare(series, 4))
    assert torch.equal(inputs[3, :2], torch.zeros(2, 3, dtype=torch.float64))
    assert torch.isfinite(inputs).all()
    for activation in ("relu", "erf", "tanh"):
        network = ElmanRNN(20, 3, activation=activation, trained=("W", "A", "B"))
        with torch.no_grad():
            assert relative(network(inputs[3:4]), network(inputs[3:4, 2:])) <= OUTPUTS
        padded, alone = (network.jacobian(x).gram() for x in (inputs[3:4], inputs[3:4, 2:]))
        assert relative(padded, alone) <= OUTPUTS


def test_a_constant_feature_is_only_centred():
    series = np.random.default_rng(1).normal(size=(4, 5, 2))
    series[:, :, 1] = 0.1
    inputs = prepare(series, 4)
    assert np.abs(inputs[:, :, 1]).max() < 1e-12
    assert np.isfinite(inputs).all()


@pytest.mark.parametrize("exponent", [-1000, -600, 300, 600, 1000])
def test_series_of_any_scale_are_the_same_task(exponent):
    """A power of two moves the exponent of a float alone; its square would leave the range of float64."""
    series = np.random.default_rng(1).normal(size=(6, 5, 2)) + np.array([0.0, 3.0])
    series[4, :2] = np.nan
    assert np.array_equal(prepare(np.ldexp(series, exponent), 4), prepare(series, 4))
    assert np.array_equal(prepare(series * [2.0**exponent, 1.0], 4), prepare(series, 4))


def test_a_test_sample_on_another_scale_has_unit_steps_or_is_refused():
    series = np.random.default_rng(1).normal(size=(6, 5, 2))
    direction = series[5] / np.linalg.norm(series[5], axis=1, keepdims=True)
    series[5] *= 1e250
    inputs = prepare(series, 5)
    assert np.abs(np.linalg.norm(inputs, axis=2) - 1).max() <= ROUNDING
    deviation = series[:5].std((0, 1))
    expected = direction / deviation / np.linalg.norm(direction / deviation, axis=1, keepdims=True)
    assert np.abs(inputs[5, :, :2] - expected).max() <= 1e-12
    series[:5] *= 1e-100
    with pytest.raises(LabError, match="so far from the training samples"):
        prepare(series, 5)


def test_a_set_of_the_archives_is_a_task_too():
    pytest.importorskip("aeon")
    task = archive("JapaneseVowels", 40, 30, seed=1)
    assert task.train_inputs.shape == (40, 29, 13)
    assert task.train_targets.shape == (40, 9)
    assert (task.train_inputs.norm(dim=2) == 0).any()  # shorter ones
    with pytest.raises(LabError, match="name: got 'Coffee'"):
        archive("Coffee")
