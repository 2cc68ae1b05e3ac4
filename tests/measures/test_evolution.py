import math

import numpy as np
import pytest
import torch

from lab.errors import LabError
from lab.measures import evolution
from lab.measures.kernels import relative_error
from tests.references import draw
from tests.tolerances import EXACT


def some_kernel(n=6, o=2, seed=0):
    rows = draw(n * o, 9, seed=seed)
    return (rows @ rows.T).view(n, o, n, o)


def test_the_angle_is_the_arccos_of_the_cosine():
    one, other = some_kernel(), some_kernel(seed=1)
    cosine = np.vdot(one.numpy(), other.numpy()) / np.linalg.norm(one) / np.linalg.norm(other)
    assert abs(evolution.angle(one, other) - math.acos(cosine)) < EXACT
    assert abs(evolution.cosine_distance(one, other) - (1 - cosine)) < EXACT


def test_a_small_angle_keeps_its_digits():
    one, other = some_kernel(), some_kernel(seed=1)
    step = 1e-9
    across = other - (one * other).sum() / one.square().sum() * one
    turned = one + step * across
    expected = step * float(across.norm() / one.norm())
    assert abs(evolution.angle(turned, one) / expected - 1) < 1e-6


def test_velocity_does_not_depend_on_the_spacing_of_the_looks():
    """On a path that turns at one speed in one plane; the cosine distance per step does depend on it."""
    one, other = (values / values.norm() for values in (some_kernel(), some_kernel(seed=1)))
    across = other - (one * other).sum() * one
    across = across / across.norm()

    def at(step):
        return math.cos(0.01 * step) * one + math.sin(0.01 * step) * across

    speeds = [evolution.velocity(at(steps), one, steps) for steps in (1, 10, 100)]
    assert np.allclose(speeds, 0.01, rtol=1e-9)
    rates = [evolution.cosine_distance(at(steps), one) / steps for steps in (1, 10)]
    assert rates[1] > 5 * rates[0]
    with pytest.raises(LabError, match="steps"):
        evolution.velocity(one, other, 0)


def test_alignment_is_one_for_the_targets_own_kernel_and_knows_no_mean_and_no_scale():
    targets = draw(6, 3, seed=2)
    ideal = targets @ targets.T
    assert abs(evolution.alignment(ideal, targets) - 1) < EXACT
    centre = np.eye(6) - 1 / 6
    kernel = some_kernel()
    whole = sum(kernel[:, k, :, k] for k in range(2)).numpy()
    one, other = centre @ whole @ centre, centre @ ideal.numpy() @ centre
    expected = np.vdot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)
    assert abs(evolution.alignment(kernel, targets) - expected) < EXACT
    assert abs(evolution.alignment(3 * kernel, 5 * targets + 7) - expected) < EXACT
    assert evolution.alignment(kernel, torch.ones(6)) is None


def test_effective_rank_counts_equal_eigenvalues():
    basis = torch.linalg.qr(draw(12, 12)).Q
    for rank in (1, 5, 12):
        kernel = basis[:, :rank] @ basis[:, :rank].T
        assert abs(evolution.effective_rank(kernel.view(6, 2, 6, 2)) - rank) < EXACT


def test_size_and_drift():
    kernel = some_kernel()
    assert abs(evolution.norm_ratio(3 * kernel, kernel) - 3) < EXACT
    assert abs(relative_error(3 * kernel, kernel) - 2) < EXACT
