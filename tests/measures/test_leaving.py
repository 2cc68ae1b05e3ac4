"""Courses beside the linear model against `lab.side_by_side`, and leaving written out."""

import numpy as np
import pytest
import torch

import lab
from lab.measures.leaving import Course, follow_course
from tests.tolerances import EXACT, relative

LOSSES = {"squared": 1, "huber": 1, "logistic": 1, "cross_entropy": 2}
PACE = {"critical_fraction": 0.4, "kernel_time": 24.0, "watched": 10.0}


@pytest.fixture
def task():
    """Labels that follow the inputs, so that the linear model gets all of them right after some steps."""
    return lab.tasks.digits(train=24, test=6)


def network_for(loss, task, width=64, seed=2):
    return lab.ElmanRNN.like(task, width, outputs=LOSSES[loss], centred=True, seed=seed)


def learners(network, task, course, loss):
    steps = np.rint(course.kernel_time / 0.4).astype(int)
    return lab.side_by_side(network, task, lab.Descent(int(steps[-1]), 0.4, record=tuple(steps), loss=loss))


@pytest.mark.parametrize("loss", LOSSES)
def test_the_course_is_that_of_the_learners_in_weight_space(task, loss):
    network = network_for(loss, task)
    course = follow_course(network, task, loss, **PACE)
    result = learners(network, task, course, loss)
    assert relative(course.kernel_time, result.kernel_time) < EXACT
    assert course.gap_test[0] == 0
    assert relative(course.gap_test[1:], result.gap("test", unit="change")[1:]) < 1e-8
    assert relative(course.loss, np.stack([result.network.loss, result.linearized.loss])) < EXACT
    outputs = result.linearized.train
    outputs = outputs - outputs.mean(-1, keepdims=True) if loss == "cross_entropy" else outputs
    assert relative(course.size, np.sqrt((outputs**2).mean((1, 2)))) < EXACT
    assert course.motion[-1] == pytest.approx(result.motion["weight_motion"], rel=1e-9)
    assert (course.learning_rate, course.lambda_max) == pytest.approx((result.learning_rate, result.lambda_max))
    assert course.linear_noise < EXACT
    signs = np.sign(outputs[1:, :, -1]) == np.sign(task.train_targets.numpy()[:, 0])
    first = 1 + int(signs.all(1).argmax())
    assert course.accurate_at == pytest.approx(course.kernel_time[first])
    assert 1 < first < len(signs)


def test_the_noise_floor_is_the_disagreement_of_both_linear_learners(task):
    """In single precision it is that of `lab.side_by_side` over the watched time, in the same unit."""
    network = lab.ElmanRNN.like(task, 64, centred=True, dtype=torch.float32)
    course = follow_course(network, task, "logistic", **PACE)
    result = lab.side_by_side(network, task, lab.Descent(25, 0.4, loss="logistic"))
    change = np.sqrt(((result.kernel.train - result.kernel.train[0]) ** 2).mean((1, 2))).max()
    wanted = np.abs(result.linearized.test - result.kernel.test).max() / change
    assert 1e-8 < course.linear_noise < 1e-4
    assert course.linear_noise == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("loss", ["squared", "logistic", "cross_entropy"])
def test_the_sharpness_is_that_of_the_hessian_of_the_linearized_loss(task, loss):
    """λ_max of Jᵀ H J, with J and H by autograd at the weights of the watched step: step 25 is τ = 10."""
    network = network_for(loss, task, width=12)
    course = follow_course(network, task, loss, **PACE)
    after = list(lab.descend(network, task, lab.Descent(25, 0.4, loss=loss, record=(25,))))[-1].network
    weights = after.W.detach().clone()

    def outputs(W):
        return torch.func.functional_call(after, {"W": W}, (task.train_inputs,)).reshape(-1)

    J = torch.func.jacrev(outputs)(weights).flatten(1)
    signs = task.train_targets.reshape(-1)

    def value(f):
        if loss == "squared":
            return 0.5 * (f - signs).square().sum()
        margin = f if loss == "logistic" else f.reshape(-1, 2)[:, 1] - f.reshape(-1, 2)[:, 0]
        return torch.log1p(torch.exp(-signs * margin)).sum()

    H = torch.func.hessian(value)(outputs(weights))
    top = torch.linalg.eigvalsh(J.T @ H @ J)[-1]
    assert course.sharpness == pytest.approx(float(course.learning_rate * top / 2), rel=1e-8)


def test_cross_entropy_of_two_outputs_is_the_logistic_loss_of_their_difference(task):
    """Output weights b₂ − b₁ make one output of two; its logit is twice a centred one."""
    one, two = (lab.ElmanRNN.like(task, 64, outputs=outputs) for outputs in (1, 2))
    assert torch.equal(one.W, two.W)
    with torch.no_grad():
        one.B.copy_(two.B[1:] - two.B[:1])
    pairs = (two, "cross_entropy"), (one, "logistic")
    logits, margins = (follow_course(lab.Scaled(net, 1.0), task, loss, **PACE) for net, loss in pairs)
    assert relative(2 * logits.size, margins.size) < 1e-9
    assert relative(logits.gap_test, margins.gap_test) < 1e-8
    assert relative(logits.motion, margins.motion) < 1e-9
    assert logits.sharpness == pytest.approx(margins.sharpness, rel=1e-9)
    assert logits.accurate_at == margins.accurate_at


def test_leaving_is_written_out(task):
    network = network_for("logistic", task)
    course = follow_course(network, task, "logistic", **PACE)
    gap, size = course.gap_test, course.size
    level = float(gap[3:].max() * 0.999)
    after = next(k for k in range(len(gap)) if gap[k] > level)
    share = (level - gap[after - 1]) / (gap[after] - gap[after - 1])
    time, outputs = course.leaves(level)
    assert time.censored is outputs.censored is None
    assert time.value == pytest.approx((1 - share) * course.kernel_time[after - 1] + share * course.kernel_time[after])
    assert outputs.value == pytest.approx((1 - share) * size[after - 1] + share * size[after])
    never = course.leaves(10 * gap.max())
    assert [(each.value, each.censored) for each in never] == [(course.kernel_time[-1], "right"), (size[-1], "right")]


def made_up(**changes):
    times = np.arange(6.0)
    values = {"gap_test": np.array([0, 0.3, 0.05, 0.2, 0.4, 0.1]), "size": times, "motion": 10 * times}
    rest = {
        "loss": np.ones((2, 6)),
        "accurate_at": 2.0,
        "sharpness": 0.5,
        "linear_noise": 0.0,
        "learning_rate": 1.0,
        "lambda_max": 2.0,
    }
    return Course(**{"kernel_time": times, "diverged_at": None, **values, **rest, **changes})


def test_a_row_has_the_largest_gap_so_far_and_what_there_is_then():
    row = made_up().summary(0.35, {"3": 3.0, "9": 9.0})
    assert (row["gap_test_3"], row["motion_3"], row["size_3"]) == (0.3, 30, 3)
    assert (row["gap_test_accuracy"], row["motion_accuracy"], row["size_accuracy"]) == (0.3, 20, 2)
    assert row["gap_test_9"] is row["motion_9"] is row["size_9"] is None
    assert (row["leaves"], row["size_at_leaving"], row["censored"]) == (pytest.approx(3.75), pytest.approx(3.75), None)
    assert (row["accurate_at"], row["accurate_censored"], row["diverged"]) == (2, None, False)


def test_what_is_not_reached_is_censored_or_empty():
    row = made_up(accurate_at=None).summary(1.0, {})
    assert (row["accurate_at"], row["accurate_censored"]) == (5, "right")
    assert row["gap_test_accuracy"] is row["motion_accuracy"] is None
    assert (row["leaves"], row["censored"]) == (5, "right")
    diverged = made_up(diverged_at=4, gap_test=np.array([0, 0.3, 0.05, 0.2, np.inf, np.inf])).summary(0.1, {"5": 5.0})
    assert diverged["leaves"] is diverged["size_at_leaving"] is diverged["gap_test_5"] is None
    assert diverged["gap_test_accuracy"] == 0.3
    assert diverged["diverged"]


def test_a_network_that_diverges_has_an_infinite_gap_and_no_later_motion(task):
    network = network_for("squared", task, width=8)
    course = follow_course(network, task, critical_fraction=300.0, kernel_time=6000.0, watched=3000.0)
    assert course.diverged_at is not None
    assert np.isinf(course.gap_test[-1])
    assert np.isnan(course.motion[-1])
    assert course.sharpness is None


def test_a_singular_kernel_in_single_precision_is_no_indefinite_one():
    """More outputs than weights: eigenvalues of 0 are rounding of the network's own precision, whatever the loss."""
    task = lab.tasks.digits(train=24, test=6).at_every_step()
    network = lab.ElmanRNN.like(task, 8, readout="all", centred=True, dtype=torch.float32)
    course = follow_course(network, task, "huber", critical_fraction=0.5, kernel_time=2.0, watched=1.0)
    assert course.lambda_max == pytest.approx(follow_course(network, task, "squared", **PACE).lambda_max)
