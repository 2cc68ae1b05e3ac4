import itertools

import numpy as np
import pytest
import scipy.integrate
import torch
from scipy.special import ndtr

from lab.errors import LabError
from lab.kernels.expectations import arc_cosine
from lab.measures.growth import fit_growth
from lab.measures.population import (
    Neurons,
    PopulationFit,
    Target,
    random_neurons,
    relu_moments,
    single_neuron,
    triangle_wave,
)
from tests.tolerances import EXACT, SIGMAS

SAMPLES = 200_000
PLACES = [(0.3, 0.5, -1.0), (-0.7, 0.0, 0.2), (0.9, -1.0, -1.3), (0.2, 0.0, 0.0), (-0.99, 0.8, 0.9), (0.99, 0.4, -0.4)]


def density(z):
    return np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)


@pytest.mark.parametrize(("rho", "left", "right"), PLACES)
def test_products_of_neurons_are_their_quadrature(rho, left, right):
    """Over g' given g the integral is that of one ReLU of a normal variable, and one dimension is left."""
    s = np.sqrt(1 - rho**2)

    def inner(z):
        mean = rho * z + right
        return density(z) * (z + left) * (mean * ndtr(mean / s) + s * density(mean / s))

    kink = -right / rho if rho else 0.0
    inside = sorted({-left, *(point for point in (kink,) if -left < point < 12), 12.0})
    expected = sum(
        scipy.integrate.quad(inner, *ends, epsabs=1e-14, epsrel=1e-13, limit=200)[0]
        for ends in itertools.pairwise(inside)
    )
    assert float(relu_moments(rho, left, right)) == pytest.approx(expected, abs=1e-11)


@pytest.mark.parametrize(("rho", "left", "right"), PLACES)
def test_products_of_neurons_are_means_over_samples(rho, left, right):
    g, h = np.random.default_rng(0).standard_normal((2, SAMPLES))
    products = np.maximum(g + left, 0) * np.maximum(rho * g + np.sqrt(1 - rho**2) * h + right, 0)
    error = products.std() / np.sqrt(SAMPLES)
    assert abs(float(relu_moments(rho, left, right)) - products.mean()) < SIGMAS * error


@pytest.mark.parametrize(
    ("left", "right"), [(0.4, 0.4), (0.3, -0.5), (-1.0, 0.0), (0.0, 0.0), (-0.2, -0.1), (1.0, 2.0)]
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_parallel_neurons_are_the_limit(left, right, sign):
    there, near = relu_moments(sign, left, right), relu_moments(sign * (1 - 1e-13), left, right)
    assert float(there) == pytest.approx(float(near), abs=1e-6)
    z = np.linspace(-12, 12, 2_400_001)
    values = density(z) * np.maximum(z + left, 0) * np.maximum(sign * z + right, 0)
    assert float(there) == pytest.approx(float(np.trapezoid(values, z)), abs=1e-9)


def test_without_biases_it_is_the_arc_cosine_kernel():
    neurons = random_neurons(30, 5, bias_spread=0.0)
    correlations = torch.from_numpy(neurons.directions @ neurons.directions.T)
    ones = torch.ones_like(correlations)
    assert np.abs(neurons.gram() - arc_cosine(correlations, ones, ones)[0].numpy()).max() < EXACT


def test_a_target_knows_its_own_moments():
    target = triangle_wave(3, 0.7)
    inputs = np.random.default_rng(1).standard_normal((SAMPLES, 3))
    values = target(inputs)
    assert values.min() > -1e-9
    assert values.max() <= 1 + 1e-9
    assert target(np.array([[50.0, 0, 0], [-50.0, 0, 0]])) == pytest.approx([0, 0], abs=1e-9)
    peaks = target(np.array([[0.7, 0, 0], [0.0, 0, 0], [1.05, 0, 0]]))
    assert peaks == pytest.approx([1, 0, 0.5], abs=1e-9) or peaks == pytest.approx([0, 1, 0.5], abs=1e-9)
    squares = values**2
    assert abs(target.second_moment - squares.mean()) < SIGMAS * squares.std() / np.sqrt(SAMPLES)
    design = np.column_stack([inputs, np.ones(SAMPLES)])
    left = (values - design @ np.linalg.lstsq(design, values, rcond=None)[0]) ** 2
    assert abs(target.affine_error - left.mean()) < SIGMAS * left.std() / np.sqrt(SAMPLES)


def test_one_neuron_beyond_a_plane():
    """relu(z) = z/2 + |z|/2, and Var|z|/4 = (1 − 2/π)/4."""
    assert single_neuron(7).affine_error == pytest.approx((1 - 2 / np.pi) / 4)


@pytest.fixture(scope="module")
def fit():
    return PopulationFit(random_neurons(40, 4, seed=3), single_neuron(4, 0.3))


def test_every_prefix_is_its_own_least_squares_fit(fit):
    assert (np.diff(fit.errors) <= EXACT).all()
    for count in (1, 7, 40):
        u = np.linalg.solve(fit.gram[:count, :count], fit.moments[:count])
        assert fit.errors[count - 1] == pytest.approx(fit.target.second_moment - u @ fit.moments[:count], rel=1e-6)
        assert fit.coefficients(count) == pytest.approx(u, rel=1e-5)


def test_the_error_is_the_mean_over_samples(fit):
    inputs = np.random.default_rng(2).standard_normal((SAMPLES, 4))
    left = (fit.target(inputs) - fit.neurons(inputs)[:, :20] @ fit.coefficients(20)) ** 2
    assert abs(left.mean() - fit.errors[19]) < SIGMAS * left.std() / np.sqrt(SAMPLES)


def test_fewest_features_and_smallest_coefficients(fit):
    level = 1.5 * fit.errors[19]
    count = fit.features_for(level)
    assert fit.errors[count - 1] <= level < fit.errors[count - 2]
    assert fit.features_for(fit.errors[-1] / 2) is None
    small, full = fit.small_coefficients(level), fit.coefficients(40)
    error = fit.target.second_moment - 2 * small @ fit.moments + small @ fit.gram @ small
    assert error == pytest.approx(level, rel=1e-4)
    assert np.linalg.norm(small) < np.linalg.norm(full)
    assert fit.small_coefficients(fit.errors[-1] / 2) is None
    assert not fit.small_coefficients(2 * fit.target.second_moment).any()


def test_more_features_than_rounding_can_tell_apart():
    twice = random_neurons(10, 2)
    neurons = Neurons(np.tile(twice.directions, (30, 1)), np.tile(twice.biases, 30))
    many, few = (PopulationFit(each, single_neuron(2)) for each in (neurons, twice))
    assert many.errors[-1] == pytest.approx(few.errors[-1], abs=1e-9)


def test_a_target_among_the_features_is_fitted_exactly():
    neurons = random_neurons(6, 3)
    fit = PopulationFit(neurons, Target(Neurons(neurons.directions[2:3], neurons.biases[2:3]), np.array([2.0])))
    assert fit.features_for(1e-9) == 3
    assert fit.coefficients(3) == pytest.approx([0, 0, 2], abs=1e-6)


def test_features_without_biases_are_homogeneous_and_cannot_fit_a_wave():
    wave = triangle_wave(2, 1.0)
    free, shifted = (PopulationFit(random_neurons(60, 2, bias_spread=spread), wave) for spread in (0.0, 1.0))
    assert free.errors[-1] > 0.5 * wave.affine_error
    assert shifted.errors[-1] < 0.2 * wave.affine_error


def test_fewer_features_are_the_first_of_more():
    few, many = random_neurons(3, 5, seed=1), random_neurons(8, 5, seed=1)
    assert np.array_equal(few.directions, many.directions[:3])
    assert np.array_equal(few.biases, many.biases[:3])


def test_bad_neurons_are_refused():
    with pytest.raises(LabError, match="directions"):
        Neurons(np.ones((2, 3)), np.zeros(2))
    with pytest.raises(LabError, match="directions"):
        Neurons(np.eye(3), np.zeros(2))
    with pytest.raises(LabError, match="bias_spread"):
        random_neurons(2, 3, bias_spread=-1.0)
    with pytest.raises(LabError, match="spacing"):
        triangle_wave(3, 0.0)


def test_laws_of_growth_are_told_apart():
    x, noise = np.array([2.0, 3, 5, 8, 12]), np.exp(np.random.default_rng(0).normal(0, 0.02, (4, 5)))
    power, exponential = fit_growth(x, 3 * x**2 * noise), fit_growth(x, 3 * np.exp(0.4 * x) * noise)
    assert power.power == pytest.approx(2, abs=0.1)
    assert exponential.rate == pytest.approx(0.4, abs=0.02)
    assert (power.aic_difference < 0).all()
    assert (exponential.aic_difference > 0).all()
    slopes = [np.polyfit(np.log(x), row, 1) for row in np.log(3 * x**2 * noise)]
    left = [
        ((np.polyval(line, np.log(x)) - row) ** 2).sum()
        for line, row in zip(slopes, np.log(3 * x**2 * noise), strict=True)
    ]
    other = [np.polyfit(x, row, 1, full=True)[1][0] for row in np.log(3 * x**2 * noise)]
    assert power.aic_difference == pytest.approx(5 * np.log(np.array(left) / np.array(other)))


@pytest.mark.parametrize(
    ("places", "values"),
    [
        ([1, 2], [[1, 2]]),
        ([1, 2, 2], [[1, 2, 3]]),
        ([1, 2, 3], [[1, 2, 0]]),
        ([1, 2, 3], [[1, 2]]),
        ([1, 2, 3], [[1, 2, np.nan]]),
    ],
)
def test_too_little_for_a_law_is_refused(places, values):
    with pytest.raises(LabError, match="values"):
        fit_growth(places, values)
