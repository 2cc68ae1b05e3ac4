import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC

import lab
from lab.errors import LabError
from lab.estimators import TangentKernel, TangentKernelRegressor
from tests.tolerances import EXACT, OUTPUTS


@pytest.fixture
def series():
    X = np.random.default_rng(1).standard_normal((40, 6))
    return X, np.sin(X[:, 0]) + X[:, 1]


@pytest.mark.parametrize("kind", ["infinite", "nngp", "empirical"])
def test_it_is_the_kernel_of_the_lab(kind, series):
    X = torch.tensor(series[0])[:, :, None]
    scales = lab.Parametrization(style="ntk", sigma_b=0.3)
    network = lab.ElmanRNN(64, 1, trained=("W", "A", "B", "b"), parametrization=scales, seed=2)
    reference = {"infinite": lab.infinite_ntk, "nngp": lab.infinite_nngp, "empirical": lab.empirical_ntk}[kind]
    kernel = TangentKernel(kind, width=64, random_state=2)
    np.testing.assert_allclose(kernel(series[0]), reference(network, X)[:, 0, :, 0].detach(), rtol=OUTPUTS)
    expected = reference(network, X[:9], X)[:, 0, :, 0].detach()
    np.testing.assert_allclose(kernel(series[0][:9], series[0]), expected, rtol=1e3 * OUTPUTS)
    np.testing.assert_allclose(kernel.diag(series[0]), np.diag(kernel(series[0])), rtol=1e3 * OUTPUTS)


def test_a_gaussian_process_has_the_mean_of_ridge(series):
    X, y = series
    process = GaussianProcessRegressor(TangentKernel(), alpha=0.1).fit(X[:30], y[:30] - y[:30].mean())
    ridge = TangentKernelRegressor(penalty=0.1).fit(X[:30], y[:30])
    np.testing.assert_allclose(process.predict(X) + y[:30].mean(), ridge.predict(X), rtol=EXACT, atol=EXACT)
    deviation = process.predict(X, return_std=True)[1]
    assert (deviation[30:] > deviation[:30].max()).all()


def test_its_composites_are_optimized(series):
    kernel = ConstantKernel() * TangentKernel() + WhiteKernel()
    process = GaussianProcessRegressor(kernel, random_state=0).fit(*series)
    assert process.log_marginal_likelihood_value_ > process.log_marginal_likelihood(kernel.theta)
    assert (
        GaussianProcessClassifier(TangentKernel()).fit(series[0], series[1] > 0).score(series[0], series[1] > 0) > 0.9
    )


def test_support_vectors_and_kernel_ridge_take_it(series):
    X, y = series
    machine = SVC(kernel=TangentKernel(), C=10).fit(X[:30], y[:30] > 0)
    gram = TangentKernel()(X, X[:30])
    plain = SVC(kernel="precomputed", C=10).fit(gram[:30], y[:30] > 0)
    np.testing.assert_array_equal(machine.predict(X), plain.predict(gram))
    ridge = KernelRidge(alpha=0.5, kernel=TangentKernel()).fit(X[:30], y[:30])
    np.testing.assert_allclose(ridge.dual_coef_, np.linalg.solve(gram[:30] + 0.5 * np.eye(30), y[:30]), rtol=1e-8)


@pytest.mark.parametrize(
    ("X", "options", "argument"),
    [
        ([1.0, 2.0], {}, "X"),
        ([[np.nan, 1.0]], {}, "X"),
        (np.ones((3, 4)), {"length": 3}, "length"),
        (np.ones((3, 4)), {"kind": "rbf"}, "kind"),
        (np.ones((3, 4)), {"readout": "all"}, "readout"),
        (np.ones((3, 4)), {"activation": "swish"}, "activation"),
    ],
)
def test_nonsense_is_refused(X, options, argument):
    with pytest.raises(LabError, match=argument):
        TangentKernel(**options)(X)
