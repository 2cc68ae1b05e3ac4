import numpy as np
import pytest
import torch

import lab
from lab.kernels.singular import spectral_norm
from lab.measures import landscape
from lab.measures.path import patient_path
from lab.measures.surroundings import DIRECTIONS, PARTS, look_around

TASK = lab.tasks.separable(4, 4, 5, 4)
RADII = (0.03, 0.3, 1.0, 4.0, 16.0)


def found(critical_fraction=0.5):
    net = lab.ElmanRNN.like(TASK, 24, seed=1)
    path = patient_path(net, TASK, 1e-2, critical_fraction=critical_fraction, patience=4.0)
    return net, path, look_around(net, TASK.train_inputs, path, RADII, 1.0, seed=3, iterations=2)


@pytest.fixture(scope="module")
def around():
    return found()


def test_shares_are_those_of_single_points(around):
    net, path, seen = around
    start = path.linear.spectrum.lambda_min
    directions = {"gaussian": landscape.gaussian_direction(net, 3), "gd": path.motion()}
    directions["planted"] = landscape.planted_motion(net, TASK.train_inputs)
    for name, direction in directions.items():
        row = seen.shares[DIRECTIONS.index(name)]
        for radius, share in zip(RADII, row, strict=True):
            motion = radius / 24**0.5 * direction / torch.linalg.matrix_norm(direction, ord=2)
            lowest = landscape.extremes(landscape.moved(net, motion), TASK.train_inputs)[0]
            assert share == pytest.approx(lowest / start, rel=1e-6, abs=1e-9)


def test_the_worst_place_is_the_first_one(around):
    _, _, seen = around
    assert seen.worst.value == min(place.value for place in seen.falls.values() if place.censored != "right")
    searched = seen.shares[DIRECTIONS.index("adversarial")]
    assert (searched[np.isfinite(searched)][:-1] >= 0.25).all()  # the search ends with the first value below


def test_flips_and_remainders_are_those_of_single_motions(around):
    net, path, seen = around
    direction = path.motion() / spectral_norm(path.motion())
    gates, moved = (point.gates(TASK.train_inputs) for point in (net, landscape.moved(net, direction / 24**0.5)))
    assert seen.flips["gd"] == pytest.approx(float((gates != moved).double().mean()))
    for radius, values in zip(RADII, seen.remainders.T, strict=True):
        single = landscape.remainder(net, TASK.train_inputs, radius / 24**0.5 * direction)
        assert values == pytest.approx([getattr(single, part) for part in PARTS], rel=1e-9)
    near = seen.remainders[PARTS.index("multilinear"), :3]
    slope = np.polyfit(np.log(RADII[:3]), np.log(near), 1)[0]
    assert seen.slopes(1.0)["multilinear"] == pytest.approx(slope)
    assert seen.slopes(0.05) == dict.fromkeys(PARTS)  # one radius makes no slope


def test_a_summary_has_every_place_and_nothing_of_a_descent_that_diverged():
    _, path, seen = found(critical_fraction=200.0)
    assert path.exit == "diverged"
    row = seen.summary(1.0)
    gone = ("radius_gd", "censored_gd", "flips_gd", "slope_total", "slope_kinks", "slope_multilinear")
    assert all(row[name] is None for name in gone)
    assert row["radius_of_validity"] == seen.worst.value
    assert row["flips_gaussian"] > 0
    assert "flips_planted" not in row
    assert np.isnan(seen.shares[DIRECTIONS.index("gd")]).all()


def test_without_a_positive_eigenvalue_there_is_no_radius():
    task = lab.tasks.SequenceTask(TASK.train_inputs[[0, 0]], TASK.train_targets[:2])  # the same sample twice
    net = lab.ElmanRNN.like(task, 24, seed=1)
    path = patient_path(net, task, 1e-2, critical_fraction=0.5, patience=0.01)
    assert abs(path.linear.spectrum.lambda_min) < path.linear.spectrum.tolerance
    path.linear.spectrum.lambda_min = 0.0
    seen = look_around(net, task.train_inputs, path, RADII, 1.0, iterations=1)
    assert seen.worst is None
    assert seen.summary(1.0)["radius_of_validity"] is None
