"""Sizes of sets against the sets themselves."""

import numpy as np
import pytest

from lab.data import archive, digits
from lab.data.sets import shape
from lab.errors import LabError


@pytest.mark.parametrize("name", ["digits", "ItalyPowerDemand"])
def test_sizes_are_those_of_the_set(name):
    data = digits.load() if name == "digits" else archive.load(name)
    found = shape(name)
    assert (found.train + found.test, found.length, found.features) == data.series.shape
    assert (found.train, found.classes) == (data.train, len(data.classes))
    assert found.samples == len(data.series)


def test_a_file_is_read_for_its_sizes(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, X=np.random.default_rng(0).normal(size=(50, 5)), y=np.arange(50) % 3)
    assert shape(str(path)) == archive.Shape(train=50, test=0, length=5, features=1, classes=3)


def test_targets_that_are_numbers_are_refused(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, train_inputs=np.random.default_rng(0).normal(size=(50, 5)), train_targets=np.arange(50.0))
    with pytest.raises(LabError, match="sets with classes"):
        shape(str(path))
