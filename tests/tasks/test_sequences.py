"""Made sequences have exactly the geometry that they promise."""

import numpy as np
import pytest
import torch

from lab.errors import LabError
from lab.tasks import pairs, separable, single_index, teacher
from tests.tolerances import ROUNDING

MAKERS = {
    "separable": separable,
    "pairs": pairs,
    "teacher": lambda *sizes, **settings: teacher(lambda x: x[:, 0, 0], *sizes, **settings),
}


def everything(task):
    return torch.cat([task.train_inputs, task.test_inputs]), torch.cat([task.train_targets, task.test_targets])


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_shapes_norms_and_seeds(make):
    settings = {"samples": 10, "test": 4, "length": 5, "features": 3}
    task, again, other = (make(**settings, seed=seed) for seed in (7, 7, 8))
    assert task.train_inputs.shape == (10, 5, 3)
    assert task.test_inputs.shape == (4, 5, 3)
    assert task.train_targets.shape == (10, 1)
    assert task.test_targets.shape == (4, 1)
    assert (task.train_inputs.norm(dim=2) - 1).abs().max() <= ROUNDING
    assert torch.equal(task.train_inputs, again.train_inputs)
    assert torch.equal(task.test_targets, again.test_targets)
    assert not torch.isclose(task.train_inputs, other.train_inputs).any()
    assert not make(**{**settings, "test": 0}).has_test


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("wrong", "value"),
    [("samples", 0), ("samples", 2.5), ("test", -1), ("length", 0), ("features", 1), ("features", True)],
)
def test_sizes_out_of_range_are_refused(make, wrong, value):
    with pytest.raises(LabError, match=f"{wrong}: got {value}"):
        make(**{"samples": 4, "test": 2, "length": 3, "features": 3, wrong: value})


def distances(points):
    return (points[:, None] - points[None]).norm(dim=2)[~torch.eye(len(points), dtype=torch.bool)]


def test_separable_first_steps_are_apart_across_both_splits():
    x, y = everything(separable(40, 40, features=4, separation=0.5, seed=3))
    assert distances(x[:, 0]).min() >= 0.5
    assert distances(x[:, 1]).min() < 0.5  # the promise is about the first step only
    assert set(y.flatten().tolist()) == {-1.0, 1.0}
    assert distances(separable(40, 40, features=4, separation=0, seed=3).train_inputs[:, 0]).min() < 0.5


def test_separable_labels_are_coin_flips():
    x, y = everything(separable(2000, 2000, length=2, separation=0, seed=1))
    assert abs(float(y.mean())) < 5 / np.sqrt(4000)
    assert abs(float((y * x[:, 0]).mean(0).norm())) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("separation", [-0.1, 2, 3, float("nan"), "wide"])
def test_separable_refuses_impossible_separations(separation):
    with pytest.raises(LabError, match="separation: got"):
        separable(separation=separation)


def test_separable_refuses_what_does_not_fit_on_the_sphere():
    with pytest.raises(LabError, match=r"separation: got 1.5 for 10 samples with 2 features.*Fix: lower it"):
        separable(8, 2, features=2, separation=1.5)


@pytest.mark.parametrize("separation", [1e-3, 0.3, 2])
def test_a_pair_differs_in_its_first_step_alone_by_exactly_the_separation(separation):
    x, y = everything(pairs(12, separation, test=4, seed=5))
    gaps = (x[::2, 0] - x[1::2, 0]).norm(dim=1)
    assert (gaps - separation).abs().max() <= ROUNDING
    assert torch.equal(x[::2, 1:], x[1::2, 1:])
    assert torch.equal(y[::2], -y[1::2])
    assert set(y.flatten().tolist()) == {-1.0, 1.0}
    assert len(set(y[::2].flatten().tolist())) == 2  # which of the two is positive is drawn
    assert distances(x[::2, 1]).min() > 0


@pytest.mark.parametrize("arguments", [{"samples": 5}, {"test": 3}])
def test_pairs_come_in_twos(arguments):
    with pytest.raises(LabError, match=f"{next(iter(arguments))}: got .*even"):
        pairs(**arguments)


@pytest.mark.parametrize("separation", [0, 2.001, -1])
def test_pairs_refuse_impossible_separations(separation):
    with pytest.raises(LabError, match="separation: got"):
        pairs(separation=separation)


def first_feature(x):
    return x[:, :, 0]


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: first_feature(x)[:, 0], (6, 1)),
        (lambda x: first_feature(x)[:, :2], (6, 2)),
        (lambda x: x[:, 1:], (6, 3, 2)),
        (lambda x: first_feature(x)[:, 0].numpy(), (6, 1)),
        (lambda x: first_feature(x)[:, 0].tolist(), (6, 1)),
        (lambda x: first_feature(x)[:, 0] * torch.ones(1, dtype=torch.float64, requires_grad=True), (6, 1)),
    ],
)
def test_a_teacher_labels_the_inputs_that_one_gets(function, shape):
    task = teacher(function, 6, 3, 4, 2, seed=2, name="first")
    assert task.name == "first"
    assert task.train_targets.shape == shape
    for inputs, targets in ((task.train_inputs, task.train_targets), (task.test_inputs, task.test_targets)):
        expected = torch.as_tensor(function(inputs), dtype=torch.float64).detach().reshape(targets.shape)
        assert torch.equal(targets, expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.sum(), r"function: got targets of shape \(\); allowed: 8 samples"),
        (lambda x: x.mean(0), r"function: got targets of shape \(4, 2\)"),
        (lambda x: x, r"train_targets: got shape \(5, 4, 2\)"),
        (lambda x: x[:, 0, 0] / 0, "train_targets: got 5 NaN or infinite"),
    ],
)
def test_teachers_that_do_not_label_samples_are_refused(function, message):
    with pytest.raises(LabError, match=message):
        teacher(function, 5, 3, 4, 2)


def test_a_single_index_model_is_one_direction_of_the_first_step():
    task = single_index(samples=200, test=100, length=3, features=6, seed=1)
    inputs, targets = everything(task)
    assert inputs.shape == (300, 3, 7)
    assert (inputs.norm(dim=2) - 1).abs().max() <= ROUNDING
    closed = torch.isclose(targets, targets.min())
    assert 0.4 < closed.double().mean() < 0.6  # the neuron is off for half of all directions
    first, active = inputs[:, 0], ~closed[:, 0]
    line = torch.linalg.lstsq(first[active], targets[active]).solution
    assert (first[active] @ line - targets[active]).abs().max() <= 1e-12
    assert (first[~active] @ line < targets.min()).all()


def test_targets_of_a_single_index_model_are_standardized_and_their_direction_is_fixed():
    tasks = [single_index(samples=4000, test=0, features=100, length=1, seed=seed) for seed in (1, 2)]
    for task in tasks:
        assert not task.has_test
        assert float(task.train_targets.mean()) == pytest.approx(0, abs=0.05)
        assert float(task.train_targets.std()) == pytest.approx(1, abs=0.05)
    directions = [torch.linalg.lstsq(task.train_inputs[:, 0], task.train_targets).solution[:100, 0] for task in tasks]
    assert torch.cosine_similarity(*directions, dim=0) > 0.95
