import math

import numpy as np
import pytest
import torch

import lab
from lab.errors import LabError
from lab.measures import landscape
from tests.references import dense_jacobian, draw, product
from tests.tolerances import DIFFERENCE_STEP, EXACT, OUTPUTS, SINGLE, relative

TASK = lab.tasks.separable(6, 4, 5, 4)
READOUTS = ("last", "all", "mean")


def network(readout="last", width=12, seed=0, **settings):
    return lab.ElmanRNN.like(TASK, width, readout=readout, seed=seed, **settings)


def dense_extremes(net, inputs):
    kernel = product(dense_jacobian(net, inputs)["W"])
    size = kernel.shape[0] * kernel.shape[1]
    return np.linalg.eigvalsh(kernel.reshape(size, size).numpy())[[0, -1]]


def replayed(net, inputs, W, gates):
    """Outputs at other weights with given gates (L, n, m), step by step."""
    h, rows = torch.zeros(len(inputs), net.width, dtype=torch.float64), []
    for t in range(inputs.shape[1]):
        h = gates[t] * (h @ W.T + inputs[:, t] @ net.A.T)
        rows.append(h @ net.B.T)
    read = torch.stack(rows, 1)
    return {"last": read[:, -1], "all": read[:, 1:].flatten(1), "mean": read.mean(1)}[net.readout]


@pytest.mark.parametrize("readout", READOUTS)
def test_extremes_are_those_of_the_dense_kernel(readout):
    net = network(readout)
    low, high = dense_extremes(net, TASK.train_inputs)
    assert landscape.extremes(net, TASK.train_inputs) == pytest.approx((low, high), rel=1e-8, abs=EXACT * high)


def test_extremes_without_a_finite_kernel_are_no_numbers():
    net = landscape.moved(network(), torch.full((12, 12), math.inf, dtype=torch.float64))
    assert all(math.isnan(value) for value in landscape.extremes(net, TASK.train_inputs))


@pytest.mark.parametrize("readout", READOUTS)
def test_the_gradient_of_the_smallest_eigenvalue_against_differences(readout):
    net, direction = network(readout), draw(12, 12, seed=3)
    value, gradient = landscape.eigenvalue_gradient(net, TASK.train_inputs)
    ends = [
        dense_extremes(landscape.moved(net, sign * DIFFERENCE_STEP * direction), TASK.train_inputs)[0]
        for sign in (1, -1)
    ]
    assert value == pytest.approx(dense_extremes(net, TASK.train_inputs)[0], rel=1e-8)
    slope = (ends[0] - ends[1]) / (2 * DIFFERENCE_STEP)
    assert float((gradient * direction).sum()) == pytest.approx(slope, rel=1e-4)


def test_a_gaussian_direction_has_spectral_norm_one():
    directions = [landscape.gaussian_direction(network(), seed) for seed in (0, 0, 1)]
    assert float(torch.linalg.svdvals(directions[0])[0]) == pytest.approx(1.0, rel=EXACT)
    assert torch.equal(directions[0], directions[1])
    assert not torch.equal(directions[0], directions[2])


@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("radius", [0.03, 0.2, 1.0])
def test_the_worst_motion_is_in_the_ball_and_worse_than_gaussian_ones(readout, radius):
    net = network(readout, 24)
    lowest, motion = landscape.worst_motion(net, TASK.train_inputs, radius)
    assert float(torch.linalg.svdvals(motion)[0]) <= radius * (1 + EXACT)
    assert lowest == landscape.extremes(landscape.moved(net, motion), TASK.train_inputs)[0]
    gaussian = [
        landscape.lowest_along(net, TASK.train_inputs, landscape.gaussian_direction(net, seed), [radius])[0]
        for seed in range(20)
    ]
    assert lowest < min(gaussian)


def test_worst_values_fall_with_the_radius_and_stop():
    net, radii = network("last", 24), [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    start = landscape.extremes(net, TASK.train_inputs)[0]
    values = landscape.lowest_in_balls(net, TASK.train_inputs, radii)
    assert len(values) == len(radii)
    assert all(later <= earlier for earlier, later in zip([start, *values], values, strict=False))
    stopped = landscape.lowest_in_balls(net, TASK.train_inputs, radii, stop=start / 4)
    assert stopped == values[: len(stopped)]
    assert stopped[-1] < start / 4 <= min(stopped[:-1])


@pytest.mark.parametrize("readout", READOUTS)
def test_frozen_gates_against_a_replay(readout):
    net, motion = network(readout), 0.5 * draw(12, 12, seed=5)
    frozen = landscape.gate_frozen(net, TASK.train_inputs, motion)
    expected = replayed(net, TASK.train_inputs, net.W + motion, net.gates(TASK.train_inputs))
    assert relative(frozen, expected) < OUTPUTS
    with torch.no_grad():
        still = landscape.gate_frozen(net, TASK.train_inputs, 0 * motion)
        assert relative(still, net(TASK.train_inputs).flatten(1)) < OUTPUTS
    assert relative(frozen, landscape.moved(net, motion)(TASK.train_inputs).flatten(1)) > 0.01  # gates did flip


@pytest.mark.parametrize("readout", READOUTS)
def test_the_multilinear_remainder_is_of_second_order(readout):
    net, direction = network(readout), draw(12, 12, seed=5)
    radii = np.geomspace(1e-5, 1e-3, 5)
    found = [landscape.remainder(net, TASK.train_inputs, radius * direction) for radius in radii]
    slope = np.polyfit(np.log(radii), np.log([each.multilinear for each in found]), 1)[0]
    assert slope == pytest.approx(2, abs=0.01)
    assert found[0].kinks == pytest.approx(0, abs=OUTPUTS)  # no gate flips this near


def test_the_parts_of_a_remainder_add_up():
    net, motion = network("all"), 0.3 * draw(12, 12, seed=5)
    found, jacobian = landscape.remainder(net, TASK.train_inputs, motion), dense_jacobian(net, TASK.train_inputs)["W"]
    with torch.no_grad():
        f0, f = net(TASK.train_inputs).flatten(1), landscape.moved(net, motion)(TASK.train_inputs).flatten(1)
    frozen = landscape.gate_frozen(net, TASK.train_inputs, motion)
    linear = f0 + jacobian @ motion.flatten()
    pairs = ((found.total, f - linear), (found.kinks, f - frozen), (found.multilinear, frozen - linear))
    for part, difference in pairs:
        assert part == pytest.approx(float(difference.square().mean().sqrt()), rel=1e-8)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("length", [2, 5, 6])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_gradient_at_a_planted_point_is_exactly_zero(readout, length, dtype):
    task = lab.tasks.separable(6, 4, length, 4)
    for seed in range(10):
        net = lab.ElmanRNN.like(task, 16, readout=readout, seed=seed, dtype=dtype)
        motion = landscape.planted_motion(net, task.train_inputs)
        bad = landscape.moved(net, motion)
        jacobian = bad.jacobian(task.train_inputs)
        residual = draw(*jacobian.outputs.shape, seed=seed, dtype=dtype)
        assert float(jacobian.pull(residual)["W"].abs().max()) == 0.0
        (bad(task.train_inputs.to(dtype)).reshape(residual.shape) * residual).sum().backward()
        assert float(bad.W.grad.abs().max()) == 0.0
        assert not bad.gates(task.train_inputs)[1::2].any()
        first, second = torch.linalg.svdvals(motion.double())[:2]
        assert float(second) < SINGLE * float(first)


def test_the_loss_is_constant_around_a_planted_point_and_not_around_the_start():
    net = network("all", 16)
    bad = landscape.moved(net, landscape.planted_motion(net, TASK.train_inputs))
    for seed in range(5):
        small = 1e-4 * draw(16, 16, seed=seed)
        with torch.no_grad():
            here, there = (point(TASK.train_inputs) for point in (bad, landscape.moved(bad, small)))
            start, near = (point(TASK.train_inputs) for point in (net, landscape.moved(net, small)))
        assert torch.equal(here, there)
        assert not torch.equal(start, near)


@pytest.mark.parametrize(
    ("settings", "argument"),
    [({"activation": "tanh", "parametrization": "ntk"}, "network"), ({"width": 1, "seed": 3}, "network")],
)
def test_what_cannot_be_planted_is_refused(settings, argument):
    with pytest.raises(LabError) as caught:
        landscape.planted_motion(network(**settings), TASK.train_inputs)
    assert caught.value.argument == argument


def test_losses_along_a_line_end_where_it_ends():
    net, end = network(), draw(12, 12, seed=1)
    targets = TASK.train_targets.flatten(1)
    losses = landscape.losses_along(net, TASK.train_inputs, targets, 0 * end, end, [0.0, 0.5, 1.0])
    for share, loss in zip((0.0, 0.5, 1.0), losses, strict=True):
        with torch.no_grad():
            outputs = landscape.moved(net, share * end)(TASK.train_inputs)
        assert loss == pytest.approx(0.5 * float((outputs - targets).square().sum()), rel=EXACT)


def test_a_barrier_is_what_rises_above_the_higher_end():
    assert landscape.barrier([1.0, 3.0, 2.0]) == 1.0
    assert landscape.barrier([3.0, 2.0, 1.0]) == 0.0


@pytest.mark.parametrize("readout", READOUTS)
def test_the_shortest_fit_against_least_squares(readout):
    net = network(readout, 24)
    motion = landscape.shortest_fit(net, TASK.train_inputs, lab.KernelRegressor.at(net, fitting_task(readout)))
    targets = fitting_task(readout).train_targets.flatten(1)
    with torch.no_grad():
        residual = (targets - net(TASK.train_inputs).flatten(1)).flatten()
    J = dense_jacobian(net, TASK.train_inputs)["W"].flatten(0, 1)
    expected = torch.linalg.lstsq(J, residual, driver="gelsd").solution  # of least norm
    assert relative(motion.flatten(), expected) < 1e-6


def fitting_task(readout):
    return TASK.at_every_step() if readout == "all" else TASK


def test_where_the_linear_model_does_not_fit_there_is_no_shortest_fit():
    task = lab.tasks.SequenceTask(TASK.train_inputs[[0, 0]], TASK.train_targets[:2])  # the same sample twice
    net = network()
    assert landscape.shortest_fit(net, task.train_inputs, lab.KernelRegressor.at(net, task)) is None


@pytest.mark.parametrize("readout", READOUTS)
def test_loss_and_gradient_against_autograd(readout):
    net, targets = network(readout), fitting_task(readout).train_targets.flatten(1)
    loss, gradient = landscape.loss_and_gradient(net, TASK.train_inputs, targets)
    leaf = net.copy()
    expected = 0.5 * (leaf(TASK.train_inputs).flatten(1) - targets).square().sum()
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=EXACT)
    assert relative(gradient, leaf.W.grad) < OUTPUTS


def test_no_constant_has_a_lower_loss_than_the_mean():
    targets = draw(7, 3, seed=2)
    best = landscape.constant_loss(targets)
    for constant in (targets.mean(0), *draw(20, 3, seed=4)):
        assert best <= 0.5 * float((targets - constant).square().sum()) * (1 + EXACT)
    assert best == pytest.approx(0.5 * float((targets - targets.mean(0)).square().sum()), rel=EXACT)


def test_lowest_eigenvalues_by_direction_are_those_of_each_search():
    net, radii = network("last", 24), [0.1, 0.4, 1.6, 3.2]
    lines = {"gaussian": landscape.gaussian_direction(net, 0)}
    stop = landscape.extremes(net, TASK.train_inputs)[0] / 4
    found = landscape.lowest_by_direction(net, TASK.train_inputs, lines, radii, stop=stop, iterations=2)
    assert set(found) == {"gaussian", "adversarial"}
    assert found["gaussian"].tolist() == landscape.lowest_along(net, TASK.train_inputs, lines["gaussian"], radii)
    searched = landscape.lowest_in_balls(net, TASK.train_inputs, radii, stop=stop, iterations=2)
    assert 0 < len(searched) < len(radii)
    assert found["adversarial"][: len(searched)].tolist() == searched
    assert np.isnan(found["adversarial"][len(searched) :]).all()


def test_remainders_along_a_line_are_those_at_its_points():
    net, direction = network(), draw(12, 12, seed=5)
    found = landscape.remainders_along(net, TASK.train_inputs, direction, [0.1, 0.5])
    assert list(found) == ["total", "kinks", "multilinear"]
    for place, radius in enumerate((0.1, 0.5)):
        single = landscape.remainder(net, TASK.train_inputs, radius * direction)
        assert [values[place] for values in found.values()] == [single.total, single.kinks, single.multilinear]
