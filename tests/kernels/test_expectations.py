"""Gaussian expectations: closed forms, the Hermite series, and a plain product rule on a fine grid."""

import math

import numpy as np
import pytest
import torch

from lab.activations import ACTIVATIONS
from lab.kernels.expectations import arc_cosine, arc_sine, expectations, hermite_series
from tests.references import FUNCTIONS
from tests.tolerances import EXACT, ROUNDING, relative

SLOPES = {
    "relu": lambda g: (g > 0).astype(float),
    "tanh": lambda g: 1 - np.tanh(g) ** 2,
    "erf": lambda g: 2 / math.sqrt(math.pi) * np.exp(-g * g),
    "softplus": lambda g: 1 / (1 + np.exp(-g)),
}
SMOOTH = ("erf", "tanh", "softplus")
CORRELATIONS = (-1.0, -0.7, 0.0, 0.3, 0.95, 0.999, 1.0)


def on_a_grid(function, variance, other, rho):
    """E[f(g) f(g')] by the trapezoid rule on a grid of 2-d, exponentially accurate for smooth f."""
    z = np.arange(-9.5, 9.5, 0.05)
    weights = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    first = function(math.sqrt(variance) * z)
    second = function(math.sqrt(other) * (rho * z[:, None] + math.sqrt(1 - rho * rho) * z))
    return weights * first @ (second @ weights)


def ask(moments, variance, other, rho):
    """Both expectations at single numbers."""
    v, w = (torch.tensor([each], dtype=torch.float64) for each in (variance, other))
    return [float(part) for part in moments(rho * (v * w).sqrt(), v, w)]


@pytest.mark.parametrize("rho", CORRELATIONS)
@pytest.mark.parametrize("variances", [(0.01, 0.02), (1.0, 1.0), (0.5, 3.0)])
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_activations_against_a_fine_grid(name, variances, rho):
    products, slopes = ask(expectations(ACTIVATIONS[name]), *variances, rho)
    assert products == pytest.approx(on_a_grid(FUNCTIONS[name], *variances, rho), rel=EXACT, abs=EXACT)
    assert slopes == pytest.approx(on_a_grid(SLOPES[name], *variances, rho), rel=EXACT, abs=EXACT)


@pytest.mark.parametrize("rho", CORRELATIONS)
def test_the_series_of_erf_is_its_closed_form(rho):
    series, exact = hermite_series(ACTIVATIONS["erf"]), arc_sine
    assert ask(series, 1.0, 2.0, rho) == pytest.approx(ask(exact, 1.0, 2.0, rho), rel=EXACT, abs=EXACT)


@pytest.mark.parametrize("rho", CORRELATIONS)
def test_the_series_of_relu_nears_its_closed_form(rho):
    """A kink: the tail of the series falls like degrees^(-3/2), that of the slopes like degrees^(-1/2) at ρ = ±1."""
    exact = ask(arc_cosine, 1.0, 2.0, rho)
    for degrees in (64, 512):
        products, slopes = ask(hermite_series(ACTIVATIONS["relu"], nodes=2048, degrees=degrees), 1.0, 2.0, rho)
        assert abs(products - exact[0]) < degrees**-1.5 + 1e-4  # the quadrature has a kink too
        assert abs(slopes - exact[1]) < degrees**-0.5


@pytest.mark.parametrize(("variance", "tolerance"), [(1.0, 1e-12), (4.0, 1e-10), (16.0, 1e-5), (64.0, 3e-2)])
def test_the_documented_accuracy(variance, tolerance):
    """The docstring's table, for the hardest of the slopes, at the hardest correlation."""
    reference = on_a_grid(SLOPES["tanh"], variance, variance, 1.0)
    assert ask(hermite_series(ACTIVATIONS["tanh"]), variance, variance, 1.0)[1] == pytest.approx(
        reference, rel=tolerance
    )


def test_more_terms_are_better():
    reference = on_a_grid(SLOPES["tanh"], 4.0, 4.0, 0.999)
    errors = [
        abs(ask(hermite_series(ACTIVATIONS["tanh"], nodes, nodes // 2), 4.0, 4.0, 0.999)[1] - reference)
        for nodes in (32, 128, 512)
    ]
    assert errors[0] > 10 * errors[1] > 1000 * errors[2]


def test_relu_at_its_corners():
    """Section H5 of the facts: k1(1) = k0(1) = 1, both 0 at −1, k0(0) = 1/2, k1(0) = 1/π; half of these for v = 1."""
    for rho, k1, k0 in ((1.0, 1.0, 1.0), (-1.0, 0.0, 0.0), (0.0, 1 / math.pi, 0.5)):
        assert ask(arc_cosine, 1.0, 1.0, rho) == pytest.approx([k1 / 2, k0 / 2], abs=ROUNDING)


@pytest.mark.parametrize("angle", [1e-6, 1e-4, 1e-2])
def test_relu_keeps_its_digits_next_to_one(angle):
    """sin θ + (π − θ) cos θ, from the angle itself instead of a rounded correlation."""
    products, slopes = ask(arc_cosine, 1.0, 1.0, math.cos(angle))
    exact = (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / (2 * math.pi)
    assert products == pytest.approx(exact, abs=ROUNDING)
    assert slopes == pytest.approx((math.pi - angle) / (2 * math.pi), abs=1e-16 / angle + ROUNDING)


def test_equal_histories_are_equal_whatever_the_rounding():
    v = torch.tensor([0.1, 0.7, 3.3], dtype=torch.float64)
    products, slopes = arc_cosine(v * (1 - 4e-16), v, v)
    assert torch.equal(slopes, torch.full_like(v, 0.5))
    assert relative(products, v / 2) < ROUNDING


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_variance_is_no_surprise(name):
    """A unit at rest beside one that may be at rest too: E[φφ'] = φ(0) E[φ'], and nothing is NaN."""
    for other in (0.0, 2.0):
        products, slopes = ask(expectations(ACTIVATIONS[name]), 0.0, other, 0.0)
        assert products == pytest.approx(on_a_grid(FUNCTIONS[name], 0.0, other, 0.0), rel=EXACT, abs=ROUNDING)
        assert math.isfinite(slopes)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_the_derivative_of_products(name):
    """Price's theorem: ∂E[φφ']/∂c = E[φ'φ'']."""
    moments, step = expectations(ACTIVATIONS[name]), 1e-5
    v = torch.tensor([1.3, 0.4], dtype=torch.float64)
    c = torch.tensor([0.5, -0.2], dtype=torch.float64)
    difference = (moments(c + step, v, v.flip(0))[0] - moments(c - step, v, v.flip(0))[0]) / (2 * step)
    assert relative(difference, moments(c, v, v.flip(0))[1]) < 1e-8


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slices_and_broadcasting_change_nothing(name):
    left, right = torch.rand(1, 3, 1, dtype=torch.float64), torch.rand(4, 1, 5, dtype=torch.float64)
    covariances = 0.5 * (left * right).sqrt()
    moments = expectations(ACTIVATIONS[name])
    for whole, flat in zip(
        moments(covariances, left, right),
        moments(*(part.expand(4, 3, 5).reshape(-1) for part in (covariances, left, right))),
        strict=True,
    ):
        assert relative(whole.reshape(-1), flat) < ROUNDING
