"""The three learners against trainings written with torch.autograd, torch.optim and numpy alone."""

import numpy as np
import pytest
import torch

import lab
from lab.errors import LabError
from lab.jacobians.dual import DualJacobian
from lab.learners.linearized import LinearizedNetwork, taylor_trajectory, train_linearized
from lab.losses import Objective
from tests.references import Allocations, dense_jacobian
from tests.tolerances import EXACT, relative

KERNEL = 1e-9  # linearized against kernel, over 1000 steps
RULES = {
    "descent": {},
    "momentum": {"momentum": 0.9},
    "batches": {"batch_size": 5},
    "batches and momentum": {"batch_size": 5, "momentum": 0.5},
}


def small_task(all_steps=False):
    task = lab.tasks.separable(12, 6, 4, 5, seed=1)
    return task.at_every_step() if all_steps else task


def small_network(task, **settings):
    return lab.ElmanRNN.like(task, 24, **{"seed": 2, **settings})


def torch_training(predict, parameters, task, optimizer, descent):
    """Outputs on the training set at every step, by autograd and an optimizer of torch."""
    outputs, batches = [], descent.batches(len(task.train_inputs))
    for _ in range(descent.steps + 1):
        with torch.no_grad():
            outputs.append(predict(task.train_inputs).flatten(1).numpy().copy())
        batch = next(batches)
        batch = slice(None) if batch is None else torch.from_numpy(batch)
        optimizer.zero_grad()
        (0.5 * (predict(task.train_inputs[batch]) - task.train_targets[batch]).square().sum()).backward()
        optimizer.step()
    return np.stack(outputs)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("all_steps", [False, True])
def test_the_network_trains_as_autograd_does(rule, all_steps):
    task, descent = small_task(all_steps), lab.Descent(40, 0.4, record="all", **RULES[rule])
    network = small_network(task, trained=("W", "A", "B"))
    result = lab.side_by_side(network, task, descent)
    twin = network.copy()
    optimizer = torch.optim.SGD(twin.parameters(), lr=result.learning_rate, momentum=descent.momentum)
    assert relative(result.network.train, torch_training(twin, None, task, optimizer, descent)) < EXACT


@pytest.mark.parametrize("rule", RULES)
def test_the_linearized_network_is_the_taylor_model(rule):
    """f₀ + J₀(θ − θ₀) with a dense J₀ of torch.func, trained by torch.optim."""
    task, descent = small_task(True), lab.Descent(40, 0.4, record="all", **RULES[rule])
    network = small_network(task, trained=("W", "B"))
    result = lab.side_by_side(network, task, descent)
    dense = {name: value.detach() for name, value in dense_jacobian(network, task.train_inputs).items()}
    rows = {tuple(x.flatten().tolist()): i for i, x in enumerate(task.train_inputs)}
    start = network(task.train_inputs).detach().flatten(1)
    motion = [torch.zeros(value.shape[2], dtype=torch.float64, requires_grad=True) for value in dense.values()]

    def predict(inputs):
        index = [rows[tuple(x.flatten().tolist())] for x in inputs]
        change = sum(value[index] @ v for value, v in zip(dense.values(), motion, strict=True))
        return (start[index] + change).view(len(inputs), *task.train_targets.shape[1:])

    optimizer = torch.optim.SGD(motion, lr=result.learning_rate, momentum=descent.momentum)
    assert relative(result.linearized.train, torch_training(predict, None, task, optimizer, descent)) < EXACT


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("all_steps", [False, True])
def test_the_kernel_reproduces_the_linearized_curve_for_1000_steps(rule, all_steps):
    task = small_task(all_steps)
    result = lab.side_by_side(small_network(task), task, lab.Descent(1000, 0.45, **RULES[rule]))
    assert result.linearized.diverged_at is None
    assert result.disagreement() < KERNEL
    assert relative(result.kernel.loss, result.linearized.loss) < 1e-6  # losses fall by orders: errors are absolute


def test_the_kernel_follows_matrix_powers():
    task = small_task()
    network, descent = small_network(task), lab.Descent(30, 0.8, record="all")
    result = lab.side_by_side(network, task, descent)
    K = lab.empirical_ntk(network, task.train_inputs)[:, 0, :, 0].numpy()
    start, y = result.kernel.train[0, :, 0], task.train_targets[:, 0].numpy()
    for step in (1, 7, 30):
        power = np.linalg.matrix_power(np.eye(len(K)) - result.learning_rate * K, step)
        assert relative(result.kernel.train[step, :, 0], y + power @ (start - y)) < EXACT


def test_the_base_point_never_moves():
    task = small_task()
    network = small_network(task, trained=("W", "A", "B"))
    before = {name: value.detach().clone() for name, value in network.trained.items()}
    kept = network.jacobian(task.train_inputs).keep()
    outputs, kernel = kept.outputs.clone(), kept.gram()
    linear = LinearizedNetwork(kept, network.trained)
    for _ in lab.descend(network, task, lab.Descent(20), in_place=True):
        pass
    assert all(not torch.equal(network.trained[name], value) for name, value in before.items())
    assert torch.equal(kept.outputs, outputs)
    assert torch.equal(kept.gram(), kernel)
    assert torch.equal(linear.evaluate(None)[0], outputs)


def test_side_by_side_leaves_its_network_alone_unless_told():
    task = small_task()
    network, descent = small_network(task), lab.Descent(20)
    start = network.W.detach().clone()
    apart = lab.side_by_side(network, task, descent)
    assert torch.equal(network.W, start)
    assert apart.trained_network is not network
    within = lab.side_by_side(network, task, descent, in_place=True)
    assert within.trained_network is network
    assert relative(network.W, apart.trained_network.W) < 1e-15  # formed W − W₀ in place, and went back
    assert dict(within.motion) == pytest.approx(dict(apart.motion), rel=EXACT)
    assert (apart.linearized_in, within.linearized_in) == ("weights", "coefficients")
    assert relative(within.linearized.test, apart.linearized.test) < EXACT


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("parametrization", ["paper", "ntk"])
def test_in_place_never_holds_a_second_array_of_the_weights_size(parametrization, dtype):
    task = lab.tasks.separable(4, 2, 4, 5)
    options = {"parametrization": parametrization, "dtype": dtype, "trained": ("W", "A")}
    network = lab.ElmanRNN.like(task, 600, **options)
    with Allocations(network.W) as seen:
        result = lab.side_by_side(network, task, lab.Descent(5), in_place=True)
    assert seen.largest < network.W.nbytes / 2
    apart = lab.side_by_side(lab.ElmanRNN.like(task, 600, **options), task, lab.Descent(5))
    assert dict(result.motion) == pytest.approx(dict(apart.motion), rel=1e-9 if dtype == torch.float64 else 1e-3)


def test_in_place_a_network_that_moved_before_keeps_its_start():
    task = small_task()
    network = small_network(task)
    lab.side_by_side(network, task, lab.Descent(10), in_place=True)
    apart = lab.side_by_side(network, task, lab.Descent(10))
    within = lab.side_by_side(network, task, lab.Descent(10), in_place=True)
    assert dict(within.motion) == pytest.approx(dict(apart.motion), rel=EXACT)


@pytest.mark.parametrize("rule", ["descent", "batches"])
def test_the_edge_of_stability_is_at_two_over_lambda_max(rule):
    task = small_task()
    network, options = small_network(task), {} if rule == "descent" else {"batch_size": 12}
    below = lab.side_by_side(network, task, lab.Descent(2000, 1.9 / 2, **options))
    above = lab.side_by_side(network, task, lab.Descent(2000, 2.1 / 2, **options))
    assert below.linearized.diverged_at is None
    assert below.linearized.final_loss < below.linearized.loss[0]
    assert above.learning_rate == pytest.approx(2.1 / above.lambda_max)
    assert above.linearized.diverged_at is not None
    assert above.kernel.diverged_at == above.linearized.diverged_at


def test_divergence_is_a_result():
    task = small_task()
    result = lab.side_by_side(small_network(task), task, lab.Descent(2000, 1.05))
    end, steps = result.linearized.diverged_at, result.linearized.steps
    assert np.array_equal(steps, result.network.steps)
    assert np.array_equal(steps, result.kernel.steps)
    assert np.isnan(result.linearized.train[steps > end]).all()
    assert np.isfinite(result.linearized.train[steps < end]).all()
    assert np.isinf(result.gap("test")[steps >= end]).all()
    summary = result.summary()
    assert summary["gap_test"] is None
    assert f"linearized diverged at step {end}" in summary["reasons"]["gap_test"]
    assert summary["diverged_at_linearized"] == end


def test_a_diverged_network_has_no_motion():
    task = small_task()
    result = lab.side_by_side(small_network(task), task, lab.Descent(100, 500.0))
    assert result.network.diverged_at is not None
    assert result.motion.weight_motion is None
    assert "diverged" in result.motion.reasons["weight_motion"]


def test_batches_diverge_at_one_step_for_both_linear_computations():
    task = small_task()
    result = lab.side_by_side(small_network(task), task, lab.Descent(500, 3.0, batch_size=5))
    assert result.linearized.diverged_at is not None
    assert result.kernel.diverged_at == result.linearized.diverged_at


def test_a_catapult_that_comes_back_is_no_divergence():
    task = lab.tasks.digits()
    result = lab.side_by_side(lab.ElmanRNN.like(task, 64), task, lab.Descent(300, 1.2))
    assert result.linearized.diverged_at is not None
    assert result.network.diverged_at is None
    assert result.network.loss.max() > result.network.loss[0]
    assert result.network.final_loss < result.network.loss[0]


def test_a_model_that_is_linear_in_its_weights_has_no_gap():
    task = small_task()
    result = lab.side_by_side(small_network(task, trained=("B",)), task, lab.Descent(200))
    assert result.gap("test").max() < 1e-12
    assert result.motion.kernel_drift == 0
    assert result.motion.spectral_motion is None


def test_an_optimizer_of_torch_trains_network_and_linearized():
    task = small_task()
    descent = lab.Descent(30, optimizer=lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1), record="all")
    network = small_network(task)
    result = lab.side_by_side(network, task, descent)
    twin = network.copy()
    optimizer = torch.optim.AdamW([twin.W], lr=1e-2, weight_decay=0.1)
    assert relative(result.network.train, torch_training(twin, None, task, optimizer, descent)) < 1e-8
    assert result.kernel is None
    assert "closed form" in result.reasons["kernel"]
    assert result.learning_rate is None
    dense = dense_jacobian(network, task.train_inputs)["W"].detach()
    start, weight = network(task.train_inputs).detach(), network.W.detach().clone().requires_grad_(True)
    optimizer = torch.optim.AdamW([weight], lr=1e-2, weight_decay=0.1)
    predict = lambda inputs: start + dense[:, :, :] @ (weight - network.W.detach()).flatten()  # noqa: E731
    assert relative(result.linearized.train, torch_training(predict, None, task, optimizer, descent)) < 1e-8


@pytest.mark.parametrize("rule", RULES)
def test_coefficients_are_the_linearized_model_in_other_coordinates(rule):
    task, descent = small_task(), lab.Descent(60, 0.4, **RULES[rule])
    network = small_network(task)
    result = lab.side_by_side(network, task, descent)
    kernel, cross = (lab.empirical_ntk(network, *inputs) for inputs in (
        (task.train_inputs,), (task.test_inputs, task.train_inputs)))  # fmt: skip
    dual = DualJacobian(kernel, network(task.train_inputs).detach())
    test = DualJacobian(cross, network(task.test_inputs).detach())
    model = LinearizedNetwork(dual, {"a": torch.zeros_like(task.train_targets)})
    trajectory = train_linearized(model, test, Objective.squared(task.train_targets), descent, result.learning_rate)
    assert relative(trajectory.train, result.linearized.train) < EXACT
    assert relative(trajectory.test, result.linearized.test) < EXACT


def test_snapshots_hold_today():
    task, network = small_task(), None
    losses = {}
    for snapshot in lab.descend(small_network(task), task, lab.Descent(12, record=(0, 5, 12))):
        network = snapshot.network
        assert torch.allclose(snapshot.jacobian.outputs, network(task.train_inputs))
        assert snapshot.jacobian.gram().shape == (12, 1, 12, 1)
        losses[snapshot.step] = snapshot.loss
    result = lab.side_by_side(small_network(task), task, lab.Descent(12, record=(0, 5, 12)))
    assert list(losses) == [0, 5, 12]
    assert list(losses.values()) == pytest.approx(result.network.loss.tolist(), rel=EXACT)


def test_a_pair_of_arrays_is_a_task():
    task = small_task()
    result = lab.side_by_side(
        small_network(task), (task.train_inputs.numpy(), task.train_targets.numpy()), lab.Descent(5)
    )
    assert result.network.test is None
    assert result.kernel.test is None
    assert result.gap("train").shape == result.network.steps.shape
    assert "gap_test" not in result.summary()
    with pytest.raises(lab.LabError, match="test split"):
        result.gap("test")


def test_any_module_trains_side_by_side():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(20, 30), torch.nn.Tanh(), torch.nn.Linear(30, 1))
    task = small_task()
    result = lab.side_by_side(module, task, lab.Descent(100))
    assert result.disagreement() < 1e-4  # the module is float32
    assert result.gap("test").max() < 1
    assert result.motion.gate_flips is None
    assert result.motion.reasons["gate_flips"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_leaves_is_numpy_float64(dtype):
    task = small_task()
    result = lab.side_by_side(small_network(task, dtype=dtype), task, lab.Descent(12))
    for learner in result.learners.values():
        assert {array.dtype for array in (learner.train, learner.test, learner.loss)} == {np.dtype("float64")}
        assert learner.train.shape == (len(learner.steps), 12, 1)
        assert learner.test.shape == (len(learner.steps), 6, 1)


def test_a_network_that_does_not_fit_is_refused():
    task = small_task()
    with pytest.raises(lab.LabError, match="as the targets"):
        lab.side_by_side(lab.ElmanRNN(8, 5, readout="all"), task, lab.Descent(5))
    with pytest.raises(lab.LabError, match="inputs"):
        lab.side_by_side(lab.ElmanRNN(8, 4), task, lab.Descent(5))


def test_outputs_that_ignore_the_weights_are_refused():
    task = lab.tasks.separable(6, 0, 1, 5)
    with pytest.raises(lab.LabError, match="kernel"):
        lab.side_by_side(lab.ElmanRNN.like(task, 8), task, lab.Descent(5))


@pytest.mark.parametrize("descent", [10, "x"])
def test_what_is_no_descent_is_refused(descent):
    task = small_task()
    for start in (lab.side_by_side, lab.descend):
        with pytest.raises(lab.LabError, match="descent"):
            start(small_network(task), task, descent)


def test_an_optimizer_that_wants_a_closure_is_refused():
    task = small_task()
    with pytest.raises(lab.LabError, match="LBFGS"):
        lab.side_by_side(small_network(task), task, lab.Descent(2, optimizer=torch.optim.LBFGS))


def test_a_network_without_numbers_or_with_several_outputs_is_refused():
    task = small_task()
    with pytest.raises(lab.LabError, match="meta"):
        lab.side_by_side(small_network(task, device="meta"), task, lab.Descent(2))
    with pytest.raises(lab.LabError, match="tensor"):
        lab.side_by_side(torch.nn.RNN(5, 1, batch_first=True), task, lab.Descent(2))


def test_nothing_to_learn_is_no_gap():
    task = small_task()
    network = small_network(task)
    perfect = (task.train_inputs, network(task.train_inputs).detach())
    result = lab.side_by_side(network, perfect, lab.Descent(5))
    assert result.summary()["gap_train"] == 0


def test_a_network_is_like_a_pair_too():
    task = small_task()
    network = lab.ElmanRNN.like((task.train_inputs, task.train_targets), 8)
    assert network(task.train_inputs).shape == (12, 1)
    with pytest.raises(lab.LabError, match="task"):
        lab.ElmanRNN.like(task.train_inputs, 8)
    with pytest.raises(lab.LabError, match="task"):
        lab.ElmanRNN.like((task.train_inputs[:, :, 0], task.train_targets), 8)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"dtype": "float32"}, "dtype"),
        ({"dtype": torch.float16}, "dtype"),
        ({"dtype": torch.complex64}, "dtype"),
        ({"device": "gpu"}, "device"),
        ({"trained": "WA"}, "trained"),
        ({"trained": 5}, "trained"),
        ({"trained": [["W"]]}, "trained"),
        ({"seed": 2**32}, "seed"),
    ],
)
def test_networks_refuse_what_they_cannot_be(settings, name):
    with pytest.raises(lab.LabError) as caught:
        lab.ElmanRNN(4, 3, **settings)
    assert caught.value.argument == name


def test_cotangents_and_tangents_are_cast():
    task = small_task()
    network = small_network(task)
    jacobian = network.jacobian(task.train_inputs)
    ones = np.ones((12, 1), dtype=np.float32)
    assert jacobian.pull(ones)["W"].dtype == torch.float64
    assert jacobian.push({"W": torch.ones(24, 24)}).dtype == torch.float64
    with pytest.raises(lab.LabError, match="another network"):
        jacobian.gram(lab.ElmanRNN.like(task, 8).jacobian(task.train_inputs))


@pytest.mark.parametrize("all_steps", [False, True])
def test_the_linear_model_around_any_weights_in_weight_space_and_in_closed_form(all_steps):
    task, descent = small_task(all_steps), lab.Descent(30, 0.5)
    result = lab.side_by_side(small_network(task), task, descent)
    again = taylor_trajectory(small_network(task), task, descent, result.learning_rate)
    closed = lab.KernelRegressor.at(small_network(task), task).trajectory(descent, result.learning_rate)
    for split in ("train", "test"):
        assert relative(getattr(again, split), getattr(result.linearized, split)) < EXACT
        assert relative(getattr(closed, split), getattr(result.kernel, split)) < EXACT
    alone = lab.tasks.Task(task.train_inputs, task.train_targets, name="alone")
    assert taylor_trajectory(small_network(task), alone, descent, result.learning_rate).test is None
    assert lab.KernelRegressor.at(small_network(task), alone).test_kernel is None


@pytest.mark.parametrize(("batch", "share"), [(None, 1.0), (2, 0.25), (99, 1.0)])
@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_kernel_time_is_critical_steps_of_the_full_batch(batch, share, momentum):
    task = lab.tasks.digits(train=8, test=4)
    descent = lab.Descent(8, 0.5, momentum=momentum, batch_size=batch, record="all")
    result = lab.side_by_side(lab.ElmanRNN.like(task, 16), task, descent)
    expected = 0.5 * share * (1 + momentum) / (1 - momentum) * np.arange(9)  # η is c·2(1 + β)/λ_max
    np.testing.assert_allclose(result.kernel_time, expected, rtol=1e-12)


def test_an_optimizer_has_no_kernel_time():
    task = lab.tasks.digits(train=8, test=4)
    descent = lab.Descent(2, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-3))
    with pytest.raises(LabError, match="kernel_time"):
        _ = lab.side_by_side(lab.ElmanRNN.like(task, 16), task, descent).kernel_time
