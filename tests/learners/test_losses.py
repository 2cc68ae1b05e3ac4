"""The three learners under other losses than the squared one."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call, jvp
from torch.nn import functional

import lab
from lab.errors import LabError
from lab.losses import LOSSES
from tests.references import draw
from tests.tolerances import EXACT, relative

KEPT = Path(__file__).parent / "kept"
DESCENTS = {"descent": {}, "momentum": {"momentum": 0.9}, "batches": {"batch_size": 5, "momentum": 0.5}}
AGREE = 1e-9  # over a thousand steps


def power(outputs, targets):
    """|f − y|^2.5, twice differentiable."""
    return (outputs - targets).abs().pow(2.5).flatten(1).sum(1)


#: each loss by its own name in torch, summed: written without the lab
TORCH = {
    "squared": lambda f, y: 0.5 * functional.mse_loss(f, y, reduction="sum"),
    "logistic": lambda f, y: functional.soft_margin_loss(f, y, reduction="sum"),
    "cross_entropy": lambda f, y: functional.cross_entropy(f, y.argmax(1), reduction="sum"),
    "huber": lambda f, y: functional.huber_loss(f, y, reduction="sum"),
    power: lambda f, y: power(f, y).sum(),
}
EACH = pytest.mark.parametrize("loss", TORCH, ids=lambda loss: getattr(loss, "__name__", loss))


@pytest.fixture(scope="module")
def task():
    return lab.tasks.digits((0, 1, 2), train=15, test=9)


def small(task, **settings):
    return lab.ElmanRNN.like(task, 24, parametrization="ntk", trained=("W", "A", "B"), **settings)


@EACH
@pytest.mark.parametrize("how", DESCENTS)
def test_weight_space_and_function_space_give_one_curve(task, loss, how):
    descent = lab.Descent(1000 if how == "descent" else 300, 0.8, loss=loss, **DESCENTS[how])
    result = lab.side_by_side(small(task), task, descent)
    assert result.linearized.diverged_at is None
    assert result.disagreement() < AGREE
    assert result.linearized.loss[-1] < 0.5 * result.linearized.loss[0]


@EACH
@pytest.mark.parametrize("how", DESCENTS)
def test_network_and_taylor_model_are_those_of_autograd_and_torch_optim(task, loss, how):
    descent = lab.Descent(40, 0.05, loss=loss, record="all", **DESCENTS[how])
    network = small(task)
    result = lab.side_by_side(network, task, descent)
    start = {name: value.detach().clone() for name, value in network.trained.items()}

    def full(point, inputs):
        return functional_call(network, point, (inputs,))

    def taylor(point, inputs):
        motion = {name: point[name] - start[name] for name in start}
        value, change = jvp(lambda at: full(at, inputs), (start,), (motion,))
        return value + change

    for model, learner in ((full, result.network), (taylor, result.linearized)):
        outputs, losses = _trained(model, start, task, descent, TORCH[loss], result.learning_rate)
        assert relative(learner.train, outputs) < EXACT
        assert relative(learner.loss, losses) < EXACT


def _trained(model, start, task, descent, loss, rate):
    """Outputs (T, n, o) and losses (T,) at every step of torch.optim.SGD."""
    point = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.SGD(point.values(), lr=rate, momentum=descent.momentum)
    outputs, losses, batches = [], [], descent.batches(len(task.train_inputs))
    for _ in range(descent.steps + 1):
        now = model(point, task.train_inputs)
        outputs.append(now.detach())
        losses.append(float(loss(now, task.train_targets).detach()))
        rows = next(batches)
        rows = slice(None) if rows is None else rows
        optimizer.zero_grad()
        loss(model(point, task.train_inputs[rows]), task.train_targets[rows]).backward()
        optimizer.step()
    return torch.stack(outputs), np.array(losses)


@EACH
def test_the_critical_rate_is_that_of_the_hessian_in_the_weights(task, loss):
    """λ_max of ∇²Σℓ(f₀ + J₀v) at v = 0, with J₀ from autograd."""
    network = small(task)
    inputs, names = task.train_inputs, list(network.trained)
    flat = torch.autograd.functional.jacobian(
        lambda *point: functional_call(network, dict(zip(names, point, strict=True)), (inputs,)).flatten(),
        tuple(network.trained.values()),
    )
    matrix = torch.cat([part.flatten(1) for part in flat], 1)
    outputs = network(inputs).detach()

    def of_outputs(f):
        return TORCH[loss](f.view_as(outputs), task.train_targets)

    curvature = torch.autograd.functional.hessian(of_outputs, outputs.flatten())
    if loss == "huber":  # whose curvature is bounded by 1
        curvature = torch.eye(len(curvature)).double()
    expected = float(torch.linalg.eigvalsh(matrix.T @ curvature @ matrix)[-1])
    descent = lab.Descent(10, 0.2, momentum=0.5, loss=loss)
    result = lab.side_by_side(network, task, descent)
    assert abs(result.lambda_max / expected - 1) < EXACT
    assert abs(result.learning_rate / (0.2 * 2 * 1.5 / expected) - 1) < EXACT
    assert abs(result.kernel_time[-1] / (0.2 * 10 * 1.5 / 0.5) - 1) < EXACT
    path = lab.descend(network, task, descent)
    losses = [snapshot.loss for snapshot in path]
    assert relative(np.array(losses), result.network.loss) < EXACT


@pytest.mark.parametrize("loss", ["cross_entropy", "logistic"])
def test_small_steps_tend_to_gradient_flow_as_neural_tangents_integrates_it(loss):
    """Outputs at time t after steps of η and η/2: the error falls in proportion, and extrapolates to the flow."""
    kept = json.loads((KEPT / "flow.json").read_text())[loss]
    kernel, test_kernel, initial, test_initial = (
        torch.tensor(kept[name], dtype=torch.float64) for name in ("kernel", "test_kernel", "initial", "test_initial")
    )
    targets = torch.tensor(kept["targets"]).double()[:, None]
    if loss == "cross_entropy":
        targets = LOSSES[loss].encode(targets, (3,))
    regressor = lab.KernelRegressor(kernel, initial, targets, test_kernel, test_initial)
    at = 4  # one unit of 1/λ_max
    time, flow = kept["times"][at], np.concatenate([kept["train"][at], kept["test"][at]])
    ends = []
    for steps in (500, 1000, 2000):
        path = regressor.trajectory(lab.Descent(steps, learning_rate=time / steps, loss=loss), time / steps)
        ends.append(np.concatenate([path.train[-1], path.test_outputs[-1]]))
    errors = [np.abs(end - flow).max() for end in ends]
    assert errors[0] < 1e-3
    assert np.allclose(np.divide(errors[:-1], errors[1:]), 2, rtol=0.02)
    once = [2 * fine - coarse for coarse, fine in itertools.pairwise(ends)]
    assert np.abs((4 * once[1] - once[0]) / 3 - flow).max() < 1e-9


def test_the_gap_is_in_units_of_the_linear_learners_change(task):
    result = lab.side_by_side(small(task), task, lab.Descent(60, loss="cross_entropy"))
    centred = {
        name: outputs - outputs.mean(-1, keepdims=True)
        for name, outputs in (
            ("network", result.network.test_outputs),
            ("linearized", result.linearized.test_outputs),
            ("train", result.linearized.train),
        )
    }
    unit = np.sqrt(((centred["train"] - centred["train"][0]) ** 2).mean((1, 2)))
    expected = np.sqrt(((centred["network"] - centred["linearized"]) ** 2).mean((1, 2)))[1:] / unit[1:]
    assert relative(result.gap("test")[1:], expected) < EXACT
    assert np.isnan(result.gap("test")[0])
    summary = result.summary()
    assert summary["gap_unit"] == "change"
    assert summary["gap_test"] == np.nanmax(result.gap("test"))
    assert summary["f0_share"] is None
    assert "in units of the linear learner's change" in repr(result)
    with pytest.raises(LabError, match="unit: got 'targets' for loss='cross_entropy'"):
        result.gap("test", unit="targets")


def test_a_change_below_the_noise_is_no_unit(task):
    result = lab.side_by_side(small(task), task, lab.Descent(3, learning_rate=1e-17, loss="huber"))
    assert np.isnan(result.gap("train")).all()
    assert result.summary()["gap_train"] is None
    assert "noise floor" in result.summary()["reasons"]["gap_train"]


def test_both_units_of_the_squared_loss_are_at_hand(task):
    result = lab.side_by_side(small(task, centred=True), task, lab.Descent(30))
    change = np.sqrt(((result.linearized.train - result.linearized.train[0]) ** 2).mean((1, 2)))
    ratio = result.gap("train")[1:] * result.units["targets"] / change[1:]
    assert relative(result.gap("train", unit="change")[1:], ratio) < EXACT


@pytest.mark.parametrize("loss", ["squared", "logistic", "cross_entropy"])
def test_accuracy_is_the_share_of_largest_outputs_in_the_right_place(task, loss):
    result = lab.side_by_side(small(task), task, lab.Descent(30, loss=loss))
    for learner in result.learners.values():
        places = learner.test_outputs.argmax(-1)
        assert (learner.test_accuracy == (places == task.test_targets.argmax(-1).numpy()).mean(1)).all()
        assert (learner.accuracy == (learner.train.argmax(-1) == task.train_targets.argmax(-1).numpy()).mean(1)).all()


def test_targets_that_are_no_classes_have_no_accuracy(task):
    numbers = (task.train_inputs, draw(15, 3))
    result = lab.side_by_side(small(task), numbers, lab.Descent(3))
    assert result.network.accuracy is None
    assert result.network.test_accuracy is None


def test_classes_come_as_indices_as_rows_as_signs_and_as_text(task):
    inputs, places = task.train_inputs, task.train_targets.argmax(1)
    named = lab.Task.from_labels(inputs, np.array(["a", "b", "c"])[places], task.test_inputs, ["c"] * 9)
    ways = [places, places[:, None], functional.one_hot(places, 3), 2 * functional.one_hot(places, 3) - 1]
    descent = lab.Descent(10, loss="cross_entropy")
    expected = lab.side_by_side(small(task), task, descent).network.train
    for each in [*((inputs, way) for way in ways), named]:
        assert (lab.side_by_side(small(task), each, descent).network.train == expected).all()


@pytest.mark.parametrize(
    ("targets", "loss", "said"),
    [
        (torch.arange(15) % 4, "cross_entropy", "train_targets: got 3 among class indices"),
        (2 * (torch.arange(15) % 2) - 1, "cross_entropy", "got ±1 for a network of 3 outputs"),
        (torch.ones(15, 3), "cross_entropy", "one sums to 3"),
        (torch.arange(15) % 3, "squared", "class indices up to 2 in one column"),
        (0.5 * torch.ones(15, 3), "logistic", "values such as 0.5"),
        (torch.arange(15) % 3, lambda f, y: functional.cross_entropy(f, y), "which fails"),
    ],
)
def test_bad_targets_are_refused_before_any_work(task, targets, loss, said):
    with pytest.raises(LabError, match=said):
        lab.side_by_side(small(task), (task.train_inputs, targets), lab.Descent(10, loss=loss))
    with pytest.raises(LabError, match=said):
        lab.descend(small(task), (task.train_inputs, targets), lab.Descent(10, loss=loss))


def test_bad_test_targets_are_refused_by_their_name(task):
    split = lab.Task(task.train_inputs, torch.arange(15) % 3, task.test_inputs, torch.arange(9) % 4)
    with pytest.raises(LabError, match="test_targets: got 3 among"):
        lab.side_by_side(small(task), split, lab.Descent(10, loss="cross_entropy"))


def test_a_loss_without_an_edge_needs_a_rate(task):
    def dip(outputs, targets):
        return -(-(outputs**2)).exp().sum(1)

    with pytest.raises(LabError, match=r"loss: got a loss with curvature .* pass learning_rate"):
        lab.side_by_side(small(task), task, lab.Descent(5, loss=dip))
    result = lab.side_by_side(small(task), task, lab.Descent(5, learning_rate=1e-4, loss=dip))
    assert result.summary()["lambda_max"] is None
    assert "curvature" in result.summary()["reasons"]["lambda_max"]


def test_other_losses_diverge_by_their_first_loss_alone(task):
    """A first loss far below ½Σy²: the limit is a million times the loss, not a million times that."""
    scaled = lab.Task(task.train_inputs, 1e3 * task.train_targets)

    def near(outputs, targets):
        return 1e-6 * (outputs - targets).pow(2).sum(1)

    descent = lab.Descent(300, learning_rate=1e6, loss=near, record="all")
    result = lab.side_by_side(small(scaled), scaled, descent)
    losses = result.linearized.loss
    assert result.linearized.diverged_at is not None
    assert losses[result.linearized.diverged_at] > 1e6 * losses[0] >= losses[result.linearized.diverged_at - 1]


def test_an_optimizer_takes_the_gradient_of_the_loss(task):
    descent = lab.Descent(5, optimizer=lambda each: torch.optim.SGD(each, lr=1e-3), loss="cross_entropy")
    same = lab.Descent(5, learning_rate=1e-3, loss="cross_entropy")
    by_optimizer, ours = (lab.side_by_side(small(task), task, each) for each in (descent, same))
    assert relative(by_optimizer.network.train, ours.network.train) < EXACT
    assert by_optimizer.kernel is None


def test_in_place_has_one_computation_of_the_linear_curve(task):
    descent = lab.Descent(20, loss="cross_entropy")
    expected = lab.side_by_side(small(task), task, descent)
    found = lab.side_by_side(small(task), task, descent, in_place=True)
    assert relative(found.linearized.test_outputs, expected.linearized.test_outputs) < EXACT
    assert found.disagreement() is None
    assert "recursion" in found.summary()["reasons"]["linearized_kernel_disagreement"]


def test_a_kernel_that_outputs_share_descends_as_the_whole_one(task):
    kernel = lab.infinite_ntk(small(task, device="meta"), task.train_inputs, shared=True)
    whole = torch.einsum("ab,ij->aibj", kernel, torch.eye(3).double())
    start, targets = draw(15, 3), (task.train_targets + 1) / 2
    descent = lab.Descent(50, learning_rate=0.5 / float(kernel.trace()), loss="cross_entropy")
    shared, full = (lab.KernelRegressor(each, start, targets).trajectory(descent, 1e-2) for each in (kernel, whole))
    assert relative(shared.train, full.train) < EXACT


def test_arrival_waits_for_the_loss_per_sample(task):
    found = lab.arrive(small(task), task, lab.Descent(3000, loss="cross_entropy", record="all"), 0.2)
    logits = found.network(task.train_inputs).detach()
    expected = float(functional.cross_entropy(logits, task.train_targets.argmax(1)))
    assert found.exit == "reached"
    assert abs(found.mse[-1] - expected) < EXACT
    assert expected < 0.2 <= found.mse[-2]


def test_every_time_step_has_a_class_of_its_own(task):
    steps = task.at_every_step()
    result = lab.side_by_side(small(steps), steps, lab.Descent(40, loss="cross_entropy"))
    logits = torch.tensor(result.network.train[-1]).view(15, 7, 3)
    expected = functional.cross_entropy(logits.flatten(0, 1), steps.train_targets.argmax(-1).flatten(), reduction="sum")
    assert abs(result.network.loss[-1] / float(expected) - 1) < EXACT
    assert result.disagreement() < AGREE
    assert (result.network.accuracy[-1] == (logits.argmax(-1) == steps.train_targets.argmax(-1)).double().mean()).all()


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_without_a_kernel_the_same_models_train(task, loss):
    many = lab.tasks.digits((0, 1, 2), train=180, test=9)  # 540 rows: λ_max comes from Lanczos
    descent = lab.Descent(15, loss=loss)
    expected = lab.side_by_side(small(many), many, descent)
    found = lab.side_by_side(small(many), many, descent, kernel=False)
    assert abs(found.lambda_max / expected.lambda_max - 1) < 1e-9
    assert relative(found.linearized.test_outputs, expected.linearized.test_outputs) < 1e-7
    assert relative(found.network.test_outputs, expected.network.test_outputs) < 1e-7
    summary = found.summary()
    for name in ("lambda_min", "kernel_drift"):
        assert summary[name] is None
        assert "kernel" in summary["reasons"][name]
    assert found.kernel is None
    assert found.disagreement() is None
    with pytest.raises(LabError, match="kernel: got False beside in_place=True"):
        lab.side_by_side(small(many), many, descent, kernel=False, in_place=True)


@pytest.mark.parametrize("loss", ["logistic", "cross_entropy", "huber"])
def test_single_precision_differs_by_its_rounding_alone(task, loss):
    descent = lab.Descent(30, 0.05, loss=loss)
    single, double = (
        lab.side_by_side(small(task, dtype=each), task, descent) for each in (torch.float32, torch.float64)
    )
    assert abs(single.learning_rate / double.learning_rate - 1) < 1e-5
    assert relative(single.linearized.test_outputs, double.linearized.test_outputs) < 1e-4
    assert single.disagreement() < 1e-4
