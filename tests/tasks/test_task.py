"""What a task lets in, in which form, and what it refuses."""

import numpy as np
import pytest
import torch

from lab.errors import LabError
from lab.tasks import SequenceTask, Task, as_task

X, Y = np.arange(12.0).reshape(3, 2, 2), np.array([1.0, -1.0, 1.0])


@pytest.mark.parametrize(
    "make", [np.asarray, torch.as_tensor, np.ndarray.tolist, lambda x: torch.as_tensor(x).float().requires_grad_()]
)
def test_any_array_becomes_float64_on_the_cpu(make):
    task = Task(make(X), make(Y), make(X), make(Y), name="mine")
    assert task.name == "mine"
    assert task.has_test
    for inputs, targets in ((task.train_inputs, task.train_targets), (task.test_inputs, task.test_targets)):
        assert inputs.dtype == targets.dtype == torch.float64
        assert not inputs.requires_grad
        assert inputs.tolist() == X.tolist()
        assert targets.tolist() == Y[:, None].tolist()


def test_integers_and_booleans_are_numbers():
    task = Task(X.astype(int), Y > 0)
    assert task.train_targets.dtype == torch.float64
    assert task.train_targets.tolist() == [[1], [0], [1]]


def test_a_task_does_not_share_memory_with_what_it_was_made_of():
    array, tensor = X.copy(), torch.ones(3, dtype=torch.float64)
    task = Task(array, tensor)
    array[:], tensor[:] = 0, 0
    assert task.train_inputs.tolist() == X.tolist()
    assert task.train_targets.tolist() == [[1], [1], [1]]


def test_without_a_test_split():
    task = Task(X, Y)
    assert not task.has_test
    assert task.test_inputs is None
    assert task.test_targets is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:2]), "train_targets: got 2 targets for 3 inputs"),
        ((X * np.nan, Y), "train_inputs: got 12 NaN or infinite values of 12"),
        ((X, Y + np.array([0, np.inf, 0])), "train_targets: got 1 NaN or infinite"),
        ((X, Y, X, Y * np.inf), "test_targets: got 3 NaN"),
        ((X[:0], Y[:0]), r"train_inputs: got shape \(0, 2, 2\)"),
        ((X, 1.0), "train_targets: got shape"),
        ((X, ["cat", "dog", "cat"]), r"train_targets: got list .*Fix: convert labels"),
        ((X, [[1], [1, 2], [3]]), "train_targets: got list"),
        ((None, Y), "train_inputs"),
        ((X, Y, X), "test split: got only one"),
        ((X, Y, None, Y), "test split: got only one"),
        ((X, Y, X[:, :1], Y), r"test_inputs: got \(1, 2\) per test sample, \(2, 2\)"),
        ((X, Y, X, np.ones((3, 2))), r"test_targets: got \(2,\) per test sample"),
        ((X, Y, X[:2], Y), "test_targets: got 3 targets for 2 inputs"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(LabError, match=message):
        Task(*arguments)


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (X[:, 0], Y, r"train_inputs: got shape \(3, 2\).*inputs\[:, :, None\]"),
        (X, np.ones((3, 2, 1)), r"train_targets: got shape \(3, 2, 1\); allowed: .*\(samples, 1, outputs\)"),
        (X, np.ones((3, 1, 1, 1)), "train_targets: got shape"),
    ],
)
def test_sequences_have_three_axes_and_targets_for_the_last_or_all_steps(inputs, targets, message):
    with pytest.raises(LabError, match=message):
        SequenceTask(inputs, targets)


def test_targets_at_every_step_repeat_the_one_target():
    inputs = np.ones((3, 5, 2))
    task = SequenceTask(inputs, np.stack([Y, 2 * Y], 1), inputs[:1], np.ones((1, 2)), name="twice")
    everywhere = task.at_every_step()
    assert type(everywhere) is SequenceTask
    assert everywhere.name == "twice"
    assert everywhere.train_targets.shape == (3, 4, 2)
    assert everywhere.test_targets.shape == (1, 4, 2)
    assert all(torch.equal(everywhere.train_targets[:, t], task.train_targets) for t in range(4))
    assert everywhere.at_every_step() is everywhere
    assert SequenceTask(inputs, Y).at_every_step().test_targets is None
    with pytest.raises(LabError, match="length: got 1"):
        SequenceTask(inputs[:, :1], Y).at_every_step()


def test_as_task_takes_a_task_or_a_pair():
    task = Task(X, Y)
    assert as_task(task) is task
    assert as_task((X, Y)).train_inputs.tolist() == X.tolist()
    for wrong in (X, [X, Y], (X, Y, X), None):
        with pytest.raises(LabError, match="task: got"):
            as_task(wrong)
