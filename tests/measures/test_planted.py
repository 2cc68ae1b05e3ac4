import numpy as np
import pytest
import torch

import lab
from lab.measures.landscape import constant_loss, moved, planted_motion
from lab.measures.path import patient_path
from lab.measures.planted import LINES, plant
from lab.measures.room import room_to_fit
from tests.references import dense_jacobian
from tests.tolerances import EXACT

TASK = lab.tasks.separable(4, 4, 6, 4)
RADII = (0.03, 0.3, 1.0, 4.0, 16.0, 64.0)


def setting(readout, critical_fraction=0.5):
    task = TASK.at_every_step() if readout == "all" else TASK
    net = lab.ElmanRNN.like(task, 24, readout=readout, seed=0)
    path = patient_path(net, task, 1e-2, critical_fraction=critical_fraction, patience=4.0)
    return task, net, path, plant(net, task.train_inputs, task.train_targets.flatten(1), path, 5)


@pytest.mark.parametrize("readout", ["last", "all"])
def test_a_planted_point_against_autograd(readout):
    task, net, _, found = setting(readout)
    targets = task.train_targets.flatten(1)
    bad = moved(net, planted_motion(net, task.train_inputs))
    loss = 0.5 * (bad(task.train_inputs).flatten(1) - targets).square().sum()
    loss.backward()
    assert found.gradient == float(bad.W.grad.abs().max()) == 0.0
    unit = constant_loss(targets)
    assert found.loss == pytest.approx(float(loss.detach()) / unit, rel=EXACT)
    assert found.descent_loss < 0.05 < found.loss
    assert found.distance == pytest.approx(float((bad.W - net.W).detach().norm()), rel=EXACT)
    assert float(torch.linalg.matrix_norm(found.direction, ord=2)) == pytest.approx(1, rel=EXACT)
    with torch.no_grad():
        first = 0.5 * float((net(task.train_inputs).flatten(1) - targets).square().sum()) / unit
    losses = found.arrays()["losses"]
    assert losses.shape == (len(LINES), 5)
    assert losses[:2, 0] == pytest.approx(first, rel=EXACT)
    assert losses[1:, -1] == pytest.approx(found.loss, rel=EXACT)
    assert losses[0, -1] == pytest.approx(found.descent_loss, rel=1e-6)
    for line, along in zip(LINES, losses, strict=True):
        assert found.barriers[line] == pytest.approx(along.max() - max(along[0], along[-1]), abs=1e-12)
    row = found.summary()
    assert row["distance_ratio"] == found.distance / found.descent_distance
    assert row["planted_over_initial"] == pytest.approx(found.distance / float(torch.linalg.svdvals(net.W.detach())[0]))


def test_after_a_divergence_the_planted_point_stands_alone():
    _, _, path, found = setting("last", critical_fraction=200.0)
    assert path.exit == "diverged"
    row = found.summary()
    missing = {name for name, value in row.items() if value is None}
    assert missing == {"descent_loss", "barrier_descent", "barrier_between", "descent_distance", "distance_ratio"}
    assert np.isnan(found.arrays()["losses"][[0, 2]]).all()


def test_where_a_constant_fits_no_loss_has_a_unit():
    task = lab.tasks.SequenceTask(TASK.train_inputs, torch.ones(4, 1))
    net = lab.ElmanRNN.like(task, 24, seed=0)
    path = patient_path(net, task, 1e-2, critical_fraction=0.5, patience=4.0)
    found = plant(net, task.train_inputs, task.train_targets, path, 5)
    row = found.summary()
    missing = {name for name, value in row.items() if value is None}
    assert missing == {"planted_loss", "descent_loss", *(f"barrier_{line}" for line in LINES)}
    assert row["reasons"] == "planted_loss: all targets are equal, so that the best constant has no loss"
    assert (path.exit, found.gradient) == ("reached", 0.0)
    assert row["distance_ratio"] == float(found.motion.norm()) / float(path.motion().norm())
    assert np.isnan(found.arrays()["losses"]).all()


@pytest.mark.parametrize("readout", ["last", "all"])
def test_the_motion_needed_is_the_shortest_that_fits(readout):
    task, net, path, found = setting(readout)
    room = room_to_fit(net, task.train_inputs, path.linear, found.direction, RADII, iterations=2)
    J = dense_jacobian(net, task.train_inputs)["W"].flatten(0, 1)
    with torch.no_grad():
        residual = (net(task.train_inputs).flatten(1) - task.train_targets.flatten(1)).flatten()
    shortest = torch.linalg.lstsq(J, residual, driver="gelsd").solution  # J v = r₀ of least norm
    assert room.needed == pytest.approx(float(shortest.norm()), rel=1e-6)
    assert room.needed_spectral == pytest.approx(float(torch.linalg.svdvals(shortest.view(24, 24))[0]), rel=1e-6)
    row = room.summary()
    assert row["needed_over_valid"] == room.needed / room.valid.value
    assert row["needed_over_valid_spectral"] == room.needed_spectral / room.valid.value
    assert RADII[0] / 24**0.5 < room.valid.value < RADII[-1] / 24**0.5


def test_a_singular_kernel_leaves_no_room():
    task = lab.tasks.SequenceTask(TASK.train_inputs[[0, 0]], TASK.train_targets[:2])  # the same sample twice
    net = lab.ElmanRNN.like(task, 24, seed=0)
    linear = lab.KernelRegressor.at(net, task)
    linear.spectrum.lambda_min = 0.0
    direction = planted_motion(net, task.train_inputs)
    row = room_to_fit(net, task.train_inputs, linear, direction / direction.norm(), RADII, iterations=1).summary()
    assert set(row.values()) == {None}
