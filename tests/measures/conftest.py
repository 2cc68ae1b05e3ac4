"""A small task, and a centred network for it."""

import pytest

import lab


@pytest.fixture
def task():
    return lab.tasks.separable(samples=8, test=4, length=3, features=4)


@pytest.fixture
def network(task):
    return lab.Scaled(lab.ElmanRNN.like(task, 64), 1.0)
