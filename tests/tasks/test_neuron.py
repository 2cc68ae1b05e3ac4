"""One neuron of a sequence, found again by least squares where it is active."""

import pytest
import torch

from lab.errors import LabError
from lab.tasks import neuron_of_sequence


@pytest.mark.parametrize("bias", [0.0, 0.5])
def test_targets_are_one_neuron_of_the_sequence(bias):
    task = neuron_of_sequence(24, 54, length=2, dimension=4, bias=bias, seed=3)
    test_inputs, test_targets = task.test_split
    assert task.train_inputs.shape == (24, 2, 2)
    assert test_inputs.shape == (54, 2, 2)
    inputs, targets = (
        torch.cat([task.train_inputs, test_inputs]).flatten(1),
        torch.cat([task.train_targets, test_targets]),
    )
    active = targets[:, 0] > 0
    direction = torch.linalg.lstsq(inputs[active], targets[active] - bias).solution
    assert float(direction.norm()) == pytest.approx(1)
    assert torch.allclose(torch.relu(inputs @ direction + bias), targets)


def test_a_seed_is_one_task():
    one, again, other = (neuron_of_sequence(8, 8, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.train_inputs, again.train_inputs)
    assert not torch.equal(one.train_targets, other.train_targets)
    assert neuron_of_sequence(8, 0).test_inputs is None


@pytest.mark.parametrize(
    ("sizes", "name"),
    [
        ({"samples": 0}, "samples"),
        ({"test": -1}, "test"),
        ({"length": 3, "dimension": 4}, "length"),
        ({"dimension": 0}, "dimension"),
        ({"bias": float("nan")}, "bias"),
        ({"seed": -1}, "seed"),
    ],
)
def test_sizes_out_of_range_are_refused(sizes, name):
    with pytest.raises(LabError) as caught:
        neuron_of_sequence(**sizes)
    assert caught.value.argument == name
