"""Learners of one choice each: against the lab's own learners, dense solutions and scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor

import lab
from lab.data import digits
from lab.data.labelled import shorten
from lab.errors import LabError
from lab.measures.selection.catalogue import LABELS, NETWORKS, learning_cost
from lab.measures.selection.choice import choose, resample, select
from lab.measures.selection.learners import LEARNERS, Budget, Candidates, candidates, stopped_network
from lab.tasks.task import split
from tests.tolerances import EXACT, relative

BUDGET = Budget(width=12, seed=1, kernel_time=30.0, momentum=0.5)


def made_up(samples=20, outputs=1, length=4):
    """Half of the samples are learnt."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(samples, length, 3, dtype=torch.float64, generator=generator)
    labels = torch.arange(samples) % max(outputs, 2)
    targets = 2.0 * labels[:, None].double() - 1 if outputs == 1 else 2.0 * torch.eye(outputs)[labels].double() - 1
    return split(inputs, targets, samples // 2, "made up")


def descent(critical_fraction):
    return BUDGET.descent(critical_fraction, BUDGET.stops(critical_fraction))


def test_every_name_has_a_learner_and_a_cost():
    assert list(LEARNERS) == list(LABELS)
    sizes = {"samples": 40, "test": 30, "classes": 3, "length": 8, "kernel_time": 100.0, "momentum": 0.5}
    for name in LABELS:
        narrow, wide = (learning_cost(name, width=width, **sizes) for width in (64, 640))
        descends = name in (*NETWORKS, "linearized")
        assert wide.flops > 4 * narrow.flops if descends else wide == narrow
    with pytest.raises(LabError, match="name"):
        learning_cost("perceptron", width=8, **sizes)
    with pytest.raises(LabError, match="name"):
        candidates("perceptron", made_up(), BUDGET)


@pytest.mark.parametrize("name", LABELS)
def test_every_learner_has_eight_candidates_for_every_held_out_sample(name):
    found = candidates(name, made_up(outputs=3), BUDGET)
    assert found.outputs.shape == (8, 10, 3)
    assert len(found.values) == 8
    assert np.isfinite(found.outputs).all()
    assert found.diverged_at is None


def test_the_choice_is_by_validation_then_by_squares():
    """Three samples choose: outputs of the candidates by their distance from the targets there, mistakes elsewhere."""
    targets = np.array([[1.0], [1.0], [-1.0], [1.0]])
    outputs = np.array([[-1.0, 1.0, -1.0, 1.0], [0.5, 1.0, -1.0, -1.0], [0.9, 1.0, -1.0, -1.0]])[:, :, None]
    chosen = select(Candidates([1, 3, 5], outputs, "neighbours"), targets, 3)
    assert (chosen.validation.tolist(), chosen.test.tolist(), chosen.best) == ([1, 0, 0], [0, 1, 1], 2)
    assert {name: values.tolist() for name, values in chosen.arrays().items()} == {
        "values": [1, 3, 5],
        "validation": [1, 0, 0],
        "test": [0, 1, 1],
    }
    assert chosen.summary() == {
        "error": 1.0,
        "mistakes": 1,
        "validation_error": 0.0,
        "choice": "neighbours",
        "chosen": 5.0,
        "at_the_edge": True,
        "diverged": False,
        "reasons": "",
    }
    outputs[2] = np.nan  # three mistakes
    assert select(Candidates([1, 3, 5], outputs, "neighbours"), targets, 3).best == 1
    with pytest.raises(LabError, match="validation"):
        select(Candidates([1, 3, 5], outputs, "neighbours"), targets, 0)


def test_a_learner_chooses_among_its_candidates_by_the_first_held_out_samples():
    task = made_up()
    chosen = choose("neighbours", task, 4, BUDGET)
    expected = select(candidates("neighbours", task, BUDGET), task.test_split[1], 4)
    assert chosen.summary() == expected.summary()
    assert chosen.sizes == (4, 6)


def test_a_learner_that_diverged_has_no_choice():
    lost = Candidates([1.0, 2.0], np.full((2, 4, 1), np.nan), "kernel time", diverged_at=3)
    chosen = select(lost, np.ones((4, 1)), 2)
    assert chosen.best is None
    summary = chosen.summary()
    assert summary["diverged"]
    assert (summary["error"], summary["chosen"], summary["reasons"]) == (None, None, "diverged at step 3")


def test_data_are_resampled_shortened_and_standardised_by_all_training_samples():
    data = digits.load()
    task, other = (resample(data, 40, 30, 4, seed) for seed in (0, 1))
    assert task.train_inputs.shape == (30, 4, 9)
    assert task.test_split[0].shape == (10 + 30, 4, 9)
    assert not torch.equal(task.train_inputs, other.train_inputs)
    everything = torch.cat([task.train_inputs, task.test_split[0][:10]])
    scaled = everything[:, :, :-1] / everything[:, :, -1:]  # the constant feature undoes the division by the norm
    assert torch.allclose(scaled.mean((0, 1)), torch.zeros(8, dtype=torch.float64), atol=1e-12)
    rows = data.choose(40, 30, 0, pool=True)
    assert np.array_equal(task.train_targets, data.targets[rows[:30]])
    assert resample(data, 1700, 300, 8, 0).test_split[1].shape == (425 + 97, 10)


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_linearized_learner_is_that_of_the_lab(outputs):
    task = made_up(outputs=outputs)
    found = candidates("linearized", task, BUDGET)
    network = lab.ElmanRNN(12, 3, outputs, trained=("W", "A", "B"), seed=1)
    result = lab.side_by_side(lab.Scaled(network, 1.0), task, descent(0.25))
    steps = {step: place for place, step in enumerate(result.linearized.steps.tolist())}
    expected = result.linearized.test[[steps[step] for step in result.descent.record]]
    assert relative(found.outputs, expected) < 1e-4  # the kernel there is of a network in float32


def test_the_network_is_that_of_the_lab_at_equal_kernel_times():
    task = made_up()
    small, large = (candidates(name, task, BUDGET) for name in ("network", "network_large_step"))
    assert small.values[-1] == pytest.approx(30, abs=0.375)  # half a step of c(1 + β)/(1 − β) = 0.75
    assert large.values[-1] == pytest.approx(30, abs=3)
    network = lab.Scaled(lab.ElmanRNN(12, 3, 1, trained=("W", "A", "B"), seed=1, dtype=torch.float32), 1.0)
    result = lab.side_by_side(network, task, descent(0.25))
    assert relative(small.outputs[-1], result.network.test[-1]) < 1e-5


@pytest.mark.parametrize("outputs", [1, 3])
def test_ridges_solve_their_normal_equations(outputs):
    task = made_up(outputs=outputs)
    inputs = torch.cat([task.train_inputs, task.test_split[0]])
    network = lab.ElmanRNN(12, 3, 1, trained=("B",), seed=1)
    states = network.unroll(inputs).states[-1]
    flat = torch.cat([inputs.flatten(1), torch.ones(20, 1, dtype=torch.float64)], 1)
    for name, features in (("features", states), ("ridge", flat)):
        found = candidates(name, task, BUDGET)
        known, asked = features[:10], features[10:]
        largest = torch.linalg.matrix_norm(known, 2) ** 2
        for penalty, outputs_there in zip(found.values, found.outputs, strict=True):
            ridge = penalty * largest * torch.eye(features.shape[1], dtype=torch.float64)
            weights = torch.linalg.solve(known.T @ known + ridge, known.T @ task.train_targets)
            assert relative(outputs_there, asked @ weights) < 1e-6, (name, penalty)


def test_infinite_width_needs_one_kernel_for_all_outputs():
    task = made_up(outputs=3)
    found = candidates("kernel_ridge", task, BUDGET)
    network = lab.ElmanRNN(12, 3, 3, trained=("W", "A", "B"))
    kernel, cross = (lab.infinite_ntk(network, x, task.train_inputs) for x in (task.train_inputs, task.test_split[0]))
    start = torch.zeros(10, 3)
    whole = lab.KernelRegressor(kernel, start, task.train_targets, cross, start)
    expected = whole.ridge(whole.spectrum.lambda_max * 1e-3)[1]
    assert relative(found.outputs[3], expected) < EXACT


def test_the_network_at_small_scale_takes_every_other_stopping_time_of_each_scale():
    task = made_up()
    found = candidates("network_small_scale", task, BUDGET)
    assert found.values[:4] == found.values[4:] == candidates("network", task, BUDGET).values[1::2]
    for alpha, outputs in ((0.3, found.outputs[:4]), (0.1, found.outputs[4:])):
        assert np.array_equal(outputs, stopped_network(task, BUDGET, 0.25, alpha).outputs[1::2])


def test_neighbours_vote():
    task = made_up(outputs=3)
    found = candidates("neighbours", task, BUDGET)
    assert found.values == [1, 3, 5, 7, 9, 10, 10, 10]
    for k, outputs in zip(found.values, found.outputs, strict=True):
        regressor = KNeighborsRegressor(k).fit(task.train_inputs.flatten(1), task.train_targets)
        assert relative(outputs, regressor.predict(task.test_split[0].flatten(1))) < EXACT


@pytest.mark.parametrize("alpha", [1.0, 0.1])
def test_a_network_that_diverges_has_no_outputs(alpha):
    long = Budget(width=12, seed=1, kernel_time=4000.0, momentum=0.9)
    found = stopped_network(made_up(), long, 40.0, alpha)
    assert found.diverged_at is not None
    assert np.isnan(found.outputs).all()


def with_classes(task):
    """The task with a column for each of its two classes."""
    inputs = torch.cat([task.train_inputs, task.test_split[0]])
    targets = torch.cat([task.train_targets, task.test_split[1]])
    return split(inputs, torch.cat([-targets, targets], 1), len(task.train_inputs), task.name)


@pytest.mark.parametrize(
    ("loss", "outputs"), [("huber", 1), ("logistic", 3), ("cross_entropy", 2), ("cross_entropy", 3)]
)
def test_under_any_loss_descents_are_those_of_the_lab(loss, outputs):
    task = with_classes(made_up()) if outputs == 2 else made_up(outputs=outputs)
    budget = Budget(width=12, seed=1, kernel_time=30.0, momentum=0.5, loss=loss)
    network = lab.Scaled(lab.ElmanRNN(12, 3, outputs, trained=("W", "A", "B"), seed=1, dtype=torch.float32), 1.0)
    result = lab.side_by_side(network, task, budget.descent(0.25, budget.stops(0.25)))
    own, linear = (candidates(name, task, budget) for name in ("network", "linearized"))
    assert own.loss == linear.loss == loss
    assert relative(own.outputs[-1], result.network.test[-1]) < 1e-4
    assert relative(linear.outputs[-1], result.kernel.test[-1]) < 1e-4


@pytest.mark.parametrize("loss", ["huber", "logistic", "cross_entropy"])
def test_infinite_width_descends_on_one_kernel_as_on_that_of_all_outputs(loss):
    task = made_up(outputs=3)
    budget = Budget(width=12, seed=1, kernel_time=30.0, momentum=0.5, loss=loss)
    found = candidates("kernel", task, budget)
    network = lab.ElmanRNN(12, 3, 3, trained=("W", "A", "B"))
    kernel, cross = (lab.infinite_ntk(network, x, task.train_inputs) for x in (task.train_inputs, task.test_split[0]))
    start, stops = torch.zeros(10, 3, dtype=torch.float64), budget.stops(0.25)
    whole = lab.KernelRegressor(kernel, start, task.train_targets, cross, start)
    one = torch.eye(3, dtype=torch.float64)
    curvature = {"huber": one, "logistic": one / 4, "cross_entropy": one / 3 - 1 / 9}[loss]
    hessian = kernel.reshape(30, 30) @ torch.block_diag(*[curvature] * 10)
    top = float(torch.linalg.eigvals(hessian).real.max())
    path = whole.trajectory(budget.descent(0.25, stops), 0.25 * 2 * 1.5 / top)
    assert relative(found.outputs, path.test[np.searchsorted(path.steps, stops)]) < 1e-8


def test_ridge_and_neighbours_are_what_they_are_under_every_loss():
    """Two classes have two columns then, whose larger one is the sign of the one column that they have otherwise."""
    task = made_up()
    for name in ("features", "ridge", "neighbours"):
        usual = candidates(name, task, BUDGET)
        found = candidates(name, with_classes(task), replace(BUDGET, loss="cross_entropy"))
        assert found.loss == "squared"
        assert relative(found.outputs[..., 1:], usual.outputs) < EXACT
        assert relative(found.outputs[..., 0], -usual.outputs[..., 0]) < EXACT


def test_a_tie_is_broken_by_the_loss_of_the_descent():
    """Logits far beyond the target are near the targets by cross-entropy and far by squares."""
    targets = np.array([[-1.0, 1.0], [1.0, -1.0], [1.0, -1.0]])
    near, far = np.array([[-1.0, 1.0], [1.0, -1.0], [1.0, -1.0]]), 9 * np.array([[-1.0, 1.0], [1.0, -1.0], [1.0, -1.0]])
    outputs = np.stack([near, far, np.full((3, 2), np.nan)])
    for loss, best in (("squared", 0), ("huber", 0), ("logistic", 1), ("cross_entropy", 1)):
        assert select(Candidates([1, 2, 3], outputs, "kernel time", loss=loss), targets, 2).best == best


def test_two_classes_have_two_columns_for_cross_entropy_alone():
    data = digits.load()
    two = replace(
        data, series=data.series[:200], targets=np.where(data.labels()[:200, None] > 4, 1.0, -1.0), classes=("a", "b")
    )
    shapes = {loss: resample(two, 24, 8, 8, 0, loss).train_targets for loss in ("squared", "logistic", "cross_entropy")}
    assert [tuple(targets.shape) for targets in shapes.values()] == [(18, 1), (18, 1), (18, 2)]
    assert torch.equal(shapes["cross_entropy"][:, 1:], shapes["squared"])
    assert torch.equal(shapes["cross_entropy"].sum(1), torch.zeros(18, dtype=torch.float64))
    assert resample(data, 24, 8, 8, 0, "cross_entropy").train_targets.shape == (18, 10)


def test_recursions_cost_more():
    sizes = {"samples": 400, "test": 30, "classes": 3, "length": 8, "width": 64, "kernel_time": 1e4, "momentum": 0.5}
    for name in ("linearized", "kernel"):
        assert learning_cost(name, loss="cross_entropy", **sizes).flops > 1.1 * learning_cost(name, **sizes).flops
    assert learning_cost("ridge", loss="cross_entropy", **sizes) == learning_cost("ridge", **sizes)


def test_shortening_averages_over_neighbouring_steps():
    series = np.arange(12.0).reshape(1, 12, 1)
    assert shorten(series, 4)[0, :, 0].tolist() == [1, 4, 7, 10]
    assert shorten(series, 12) is series
    series[0, :4] = np.nan
    short = shorten(series, 4)[0, :, 0]
    assert np.isnan(short[0])
    assert short[1:].tolist() == [4.5, 7, 10]
    assert shorten(np.ones((2, 7, 3)), 3).shape == (2, 3, 3)
