"""A network and its linear learner at equal training error, against the learners side by side."""

import json

import numpy as np
import pytest
import torch

import lab
from lab.errors import LabError
from tests.tolerances import EXACT, relative

TASK = lab.tasks.digits(train=24, test=20)


def scaled(alpha=2.0, activation="relu", **choices):
    network = lab.ElmanRNN.like(TASK, 48, activation=activation, parametrization="ntk", **choices)
    return lab.Scaled(network, alpha)


def test_it_agrees_with_the_learners_side_by_side():
    network = scaled()
    found = lab.at_equal_error(network, TASK, 0.3)
    assert found.reached
    assert found.reason == ""
    descent = lab.Descent(int(found.network.steps[-1]), found.critical_fraction, record=found.network.steps)
    result = lab.side_by_side(network, TASK, descent)
    assert relative(found.network.test, result.network.test) < EXACT
    for split in ("train", "test"):
        assert relative(found.gap(split), result.gap(split)) < 1e-8  # two computations of the linear learner
    row = found.summary()
    json.dumps(row, allow_nan=False)
    for name in ("weight_motion", "relative_weight_motion", "kernel_drift", "gate_flips"):
        assert row[name] == pytest.approx(result.motion[name], rel=EXACT)
    assert row["gap_test"] == found.gap().max()
    assert row["steps"] == result.descent.steps
    missed = result.network.test[-1] - TASK.test_targets.numpy()
    assert row["test_error"] == pytest.approx(float((missed**2).mean()), rel=EXACT)  # targets are ±1


def test_it_stops_at_the_first_step_below_the_error_and_so_does_the_linear_learner():
    network = scaled()
    found = lab.at_equal_error(network, TASK, 0.3)
    first = float((network(TASK.train_inputs) - TASK.train_targets).detach().square().mean())
    assert found.level == pytest.approx(0.3 * first)
    every = lab.Descent(1000, learning_rate=found.learning_rate, record="all")
    whole = [2 * snapshot.loss / 24 for snapshot in lab.descend(network, TASK, every)]
    assert found.network.steps[-1] == np.argmax(np.array(whole) <= found.level)
    linear = found.linear.trajectory(every, found.learning_rate).loss * 2 / 24
    assert found.linear_steps == np.argmax(linear <= found.level)
    assert found.mse[-1] <= found.level < found.mse[-2]
    assert found.kernel_time[-1] == 0.5 * found.network.steps[-1]


def test_curvature_is_kappa_over_the_linear_motion():
    network = scaled(activation="erf")
    found = lab.at_equal_error(network, TASK, 0.3)
    residual = network(TASK.train_inputs).detach() - TASK.train_targets
    jacobian = torch.autograd.functional.jacobian(lambda W: _outputs(network, W), network.network.W.detach())
    rows = jacobian.reshape(24, -1)  # weight-space descent of the linear model, step by step
    moved = torch.zeros(rows.shape[1], dtype=torch.float64)
    for _ in range(found.linear_steps):
        moved -= found.learning_rate * rows.T @ (residual[:, 0] + rows @ moved)
    distance = float(moved.norm())
    expected = lab.measures.curvature.relative_curvature(network, TASK.train_inputs, residual, distance)
    assert found.curvature() == pytest.approx(expected, rel=1e-6)


def _outputs(network, W):
    changed = torch.func.functional_call(network.network, {"W": W}, (TASK.train_inputs,))
    return network.alpha * changed[:, 0]


def test_the_critical_fraction_falls_until_descent_arrives():
    found = lab.at_equal_error(scaled(0.1), TASK, 0.3)
    assert [fraction for fraction, _ in found.tries] == [0.5 / 4**k for k in range(len(found.tries))]
    assert [ended for _, ended in found.tries][-1] == "reached"
    assert len(found.tries) > 1


@pytest.mark.parametrize(
    ("network", "options", "exits", "reason"),
    [
        (scaled(1e-3), {"fallbacks": 0}, ["diverged"], "at any c"),
        (scaled(10.0), {"patience": 0.1, "fallbacks": 1}, ["undecided", "undecided"], "at any c"),
        (scaled(0.02, "erf"), {}, ["undecided"], "out of reach"),
    ],
)
def test_what_does_not_arrive_has_an_exit_and_a_reason(network, options, exits, reason):
    found = lab.at_equal_error(network, TASK, 0.1, **options)
    assert [ended for _, ended in found.tries] == exits
    assert reason in found.reason
    row = found.summary()
    json.dumps(row, allow_nan=False)
    assert row["diverged"] == (exits == ["diverged"])
    assert row["gap_test"] is row["test_error"] is row["steps"] is row["mse"] is None
    with pytest.raises(LabError, match="reached"):
        _ = found.network


def test_summaries_have_the_same_columns_with_and_without_an_arrival():
    rows = [lab.at_equal_error(scaled(alpha), TASK, 0.3, fallbacks=0).summary() for alpha in (1e-3, 2.0)]
    assert list(rows[0]) == list(rows[1])


@pytest.mark.parametrize(
    ("options", "name"),
    [({"share": 1.0}, "share"), ({"critical_fraction": 1.0}, "critical_fraction"), ({"fallbacks": -1}, "fallbacks")],
)
def test_arguments_out_of_range_are_refused(options, name):
    with pytest.raises(LabError) as caught:
        lab.at_equal_error(scaled(), TASK, **{"share": 0.3, **options})
    assert caught.value.argument == name


def test_an_error_that_the_linear_learner_never_reaches_is_refused():
    inputs = torch.ones(3, 2, 2, dtype=torch.float64)
    task = lab.SequenceTask(inputs, torch.tensor([[1.0], [-1.0], [1.0]]), inputs, torch.ones(3, 1))
    with pytest.raises(LabError, match="never reaches"):
        lab.at_equal_error(lab.ElmanRNN.like(task, 8), task, 0.1)
