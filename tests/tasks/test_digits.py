"""Digits as sequences: the rows of the pictures, balanced classes, no sample twice."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lab.errors import LabError
from lab.tasks import digits
from tests.tolerances import EXACT, ROUNDING, relative


def pictures(inputs):
    """Undo the scaling: the appended 1 tells the norm that a row was divided by."""
    return 16 * inputs[..., :8] / inputs[..., 8:]


def test_inputs_are_rows_of_the_pictures_with_a_constant_at_unit_norm():
    task = digits(train=10, test=6)
    assert task.train_inputs.shape == (10, 8, 9)
    assert task.test_inputs.shape == (6, 8, 9)
    assert (task.train_inputs.norm(dim=2) - 1).abs().max() <= ROUNDING
    images, labels = load_digits(return_X_y=True)
    for picture, target in zip(pictures(task.train_inputs), task.train_targets, strict=True):
        distances = np.linalg.norm(images.reshape(-1, 8, 8) - picture.numpy(), axis=(1, 2))
        assert relative(picture, images[distances.argmin()].reshape(8, 8)) <= EXACT
        assert float(target) == {3: -1.0, 8: 1.0}[labels[distances.argmin()]]


@pytest.mark.parametrize(("train", "test"), [(48, 48), (2, 2), (7, 5), (200, 100), (2, 0), (340, 10)])
def test_two_classes_are_balanced_and_no_sample_comes_twice(train, test):
    task = digits((3, 8), train, test, seed=1)
    assert len(task.train_inputs) == train
    assert task.has_test == bool(test)
    splits = [task.train_targets] + ([task.test_targets] if test else [])
    assert [len(split) for split in splits] == [train, test][: len(splits)]
    for split in splits:
        assert split.shape[1] == 1
        assert abs(float(split.sum())) <= max(1, 0.06 * len(split))
    both = torch.cat([task.train_inputs] + ([task.test_inputs] if test else []))
    assert len(both.flatten(1).unique(dim=0)) == train + test


def test_more_classes_have_a_column_each():
    task = digits((0, 4, 7), 30, 12)
    assert task.train_targets.shape == (30, 3)
    assert torch.equal(task.train_targets.sum(1), torch.full((30,), -1.0, dtype=torch.float64))
    assert (task.train_targets == 1).sum(0).tolist() == [10, 10, 10]
    assert (task.test_targets == 1).sum(0).tolist() == [4, 4, 4]
    assert torch.equal(
        digits((4, 0, 7), 30, 12).train_targets[:, 0] == 1, digits((4, 0, 7), 30, 12).train_targets[:, 0] > 0
    )


@pytest.mark.parametrize("classes", [(3, 8), tuple(range(10)), (1, 2, 3)])
@pytest.mark.parametrize("extra", [0, 1, 3])
def test_the_smallest_splits_hold_every_class(classes, extra):
    for seed in range(3):
        task = digits(classes, len(classes) + extra, len(classes), seed=seed)
        for targets in (task.train_targets, task.test_targets):
            labels = (targets > 0).flatten() if len(classes) == 2 else targets.argmax(1)
            assert len(labels.unique()) == len(classes)


def test_the_order_of_two_classes_is_the_sign():
    one, other = digits((3, 8), 20, 0), digits((8, 3), 20, 0)
    assert torch.equal(one.train_inputs, other.train_inputs)
    assert torch.equal(one.train_targets, -other.train_targets)


def test_one_seed_is_one_choice():
    for sizes in ((20, 20), (356, 0)):
        first, again, other = (digits((3, 8), *sizes, seed=seed).train_inputs for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


@pytest.mark.parametrize("classes", [(3,), (), (3, 3), (3, 12), (3, -1), ("3", "8")])
def test_what_cannot_be_told_apart_is_refused(classes):
    with pytest.raises(LabError, match="classes: got"):
        digits(classes)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (400, 48, r"train \+ test: got 448; allowed: at most 357"),
        (1, 0, "train: got 1"),
        (10, 1, "test: got 1"),
        (10, -1, "test: got -1"),
        (4.5, 2, "train: got 4.5"),
    ],
)
def test_numbers_of_samples_out_of_range_are_refused(train, test, message):
    with pytest.raises(LabError, match=message):
        digits((3, 8), train, test)


@pytest.mark.parametrize("bad", [{"seed": -1}, {"seed": "x"}, {"seed": None}, {"seed": 2**32}])
def test_seeds_are_checked(bad):
    with pytest.raises(LabError, match="seed"):
        digits(**bad)


@pytest.mark.parametrize("classes", [3, None, {3, 8}, (3.0, 8.0), (True, 3), ("3", "8")])
def test_classes_are_a_list_of_digits(classes):
    with pytest.raises(LabError, match="classes"):
        digits(classes=classes)
