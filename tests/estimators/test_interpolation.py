"""Interpolation where the kernel can, and a warning that names the rank and the remedy where it cannot."""

import doctest
import re

import numpy as np
import pytest

import lab
from lab.errors import LabWarning
from lab.estimators import TangentKernelClassifier, TangentKernelRegressor, learners

x = np.linspace(-3, 3, 40)
WAVES = np.sin(x) + np.sin(2 * x)
SERIES = np.random.default_rng(0).standard_normal((30, 5))
UNBIASED = {"parametrization": "ntk"}


def warned(model, X, y):
    """The one warning of a fit, which still is the best that there is."""
    with pytest.warns(LabWarning) as caught:
        model.fit(X, y)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    return str(caught[0].message)


def stated(message):
    """R² as the warning states it."""
    return float(re.search(r"R² = (-?[\d.]+)", message)[1])


@pytest.mark.parametrize("shape", [(40, 1), (40, 1, 1)])
def test_one_feature_at_one_step_is_interpolated(shape):
    model = TangentKernelRegressor().fit(x.reshape(shape), WAVES)
    np.testing.assert_allclose(model.predict(x.reshape(shape)), WAVES, atol=1e-8)
    between = (x[1:] + x[:-1]) / 2
    assert model.score(between[:, None], np.sin(between) + np.sin(2 * between)) > 0.999


def test_without_a_bias_its_rank_is_two_and_the_warning_says_so():
    model = TangentKernelRegressor(**UNBIASED)
    message = warned(model, x[:, None], WAVES)
    assert all(
        words in message for words in ("rank 2 for 40 distinct", "homogeneous", "sigma_b=0.3", "penalty above 0")
    )
    slopes = np.stack([np.maximum(x, 0), np.minimum(x, 0)], 1)  # all that f(c·x) = c·f(x) allows
    centred = WAVES - WAVES.mean()
    best = slopes @ np.linalg.lstsq(slopes, centred, rcond=None)[0]
    np.testing.assert_allclose(model.predict(x[:, None]), best + WAVES.mean(), atol=1e-9)
    assert stated(message) == pytest.approx(model.score(x[:, None], WAVES), abs=1e-4)


def test_the_remedy_of_the_warning_works():
    message = warned(TangentKernelRegressor(**UNBIASED), x[:, None], WAVES)
    remedy = re.search(r"parametrization=(lab\.Parametrization\(.*?\))", message)[1]
    model = TangentKernelRegressor(parametrization=eval(remedy)).fit(x[:, None], WAVES)
    assert model.score(x[:, None], WAVES) > 1 - 1e-12
    TangentKernelRegressor(penalty=0.1, **UNBIASED).fit(x[:, None], WAVES)


@pytest.mark.parametrize("activation", ["erf", "tanh"])
def test_without_a_bias_odd_activations_give_odd_functions(activation):
    X = np.concatenate([SERIES, -SERIES])
    message = warned(TangentKernelRegressor(activation=activation, **UNBIASED), X, np.abs(X[:, 0]))
    assert "rank 30 for 60" in message
    assert "odd" in message
    assert stated(message) == pytest.approx(0, abs=1e-4)
    TangentKernelRegressor(activation=activation).fit(X, np.abs(X[:, 0]))


def test_a_singular_kernel_that_reproduces_the_targets_is_no_reason_to_warn():
    TangentKernelRegressor(**UNBIASED).fit(x[:, None], 3 * x)
    TangentKernelRegressor().fit(np.concatenate([SERIES, SERIES]), np.concatenate([SERIES[:, 0]] * 2))
    TangentKernelClassifier().fit(np.concatenate([SERIES, SERIES]), np.arange(60) % 30 % 3)
    TangentKernelRegressor(**UNBIASED).fit(x[:, None], np.full(40, 3.0))


def test_equal_samples_with_different_targets_cannot_be_interpolated():
    X, y = np.concatenate([SERIES, SERIES[:4]]), np.concatenate([SERIES[:, 0], SERIES[:4, 0] + [1, 1, 1, 0]])
    model = TangentKernelRegressor()
    message = warned(model, X, y)
    assert "3 of 30 distinct samples occur more than once with different targets" in message
    assert "rank" not in message
    assert "sigma_b" not in message
    expected = y[:30] + np.where(np.arange(30) < 3, 0.5, 0)
    np.testing.assert_allclose(model.predict(SERIES), expected, atol=1e-9)
    assert stated(message) == pytest.approx(model.score(X, y), abs=1e-4)
    labels = np.concatenate([np.arange(30) % 3, [1, 1, 2, 1]])
    assert "2 of 30 distinct" in warned(TangentKernelClassifier(), X, labels)


def test_a_narrow_network_has_too_few_weights():
    message = warned(TangentKernelRegressor("empirical", width=3), SERIES, SERIES[:, 0] ** 2)
    weights = 9 + 3 + 3 + 3
    assert f"the network has {weights} trained weights" in message
    assert "raise the width" in message
    two = warned(TangentKernelRegressor("empirical", width=3), SERIES, np.abs(SERIES[:, :2]))
    assert "60 distinct pairs of sample and output" in two
    assert "worst output" in two


def test_samples_that_are_nearly_the_same_ask_for_standardized_inputs():
    X = 1e9 + x[:, None]
    message = warned(TangentKernelRegressor(), X, WAVES)
    assert "standardize X" in message
    assert "count as 0" in message


def test_early_stopping_and_ridge_do_not_promise_to_reproduce():
    TangentKernelRegressor(steps=5, **UNBIASED).fit(x[:, None], WAVES)
    TangentKernelRegressor(penalty=1e-6, **UNBIASED).fit(x[:, None], WAVES)


def test_examples():
    assert doctest.testmod(learners, extraglobs={"lab": lab}).failed == 0
