"""Energy and complexity against dense linear algebra."""

import numpy as np
import pytest

from lab.kernels.spectrum import Spectrum
from lab.measures.alignment import complexity, energy
from tests.tolerances import EXACT


@pytest.fixture
def kernel():
    factor = np.random.default_rng(0).standard_normal((6, 9))
    return factor @ factor.T


def test_complexity_is_a_solve(kernel):
    y = np.random.default_rng(1).standard_normal(6)
    assert complexity(Spectrum(kernel), -y) == pytest.approx(y @ np.linalg.solve(kernel, y) / 6, rel=EXACT)


def test_complexity_is_the_length_of_the_least_motion():
    jacobian, y = np.random.default_rng(2).standard_normal((4, 7)), np.arange(4.0)
    motion = np.linalg.lstsq(jacobian, y, rcond=None)[0]
    assert complexity(Spectrum(jacobian @ jacobian.T), -y) == pytest.approx(motion @ motion / 4, rel=EXACT)


def test_complexity_leaves_out_what_the_kernel_does_not_see():
    assert complexity(Spectrum(np.diag([2.0, 0.0])), np.array([3.0, 5.0])) == pytest.approx(9 / 2 / 2)


def test_energy_is_the_share_of_each_eigenvector(kernel):
    spectrum, residual = Spectrum(kernel), np.arange(6.0)
    values, vectors = np.linalg.eigh(kernel)
    found = energy(spectrum, residual)
    np.testing.assert_allclose(found, [(vector @ residual) ** 2 / 6 for vector in vectors.T], rtol=1e-8)
    assert found.sum() == pytest.approx((residual**2).mean(), rel=EXACT)
    assert (found / values).sum() == pytest.approx(complexity(spectrum, residual), rel=1e-8)
