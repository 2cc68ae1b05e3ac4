import numpy as np
import pytest
import scipy.stats

from lab.errors import LabError
from lab.kernels.spectrum import Spectrum
from lab.measures.hitting import hitting_step, kernel_time, linear_mse, steps_for
from lab.measures.thresholds import Threshold, censored_slope, falls_through, success_place
from tests.tolerances import EXACT


@pytest.fixture
def model():
    generator = np.random.default_rng(0)
    factor = generator.standard_normal((6, 9))
    return Spectrum(factor @ factor.T), generator.standard_normal(6)


def test_the_linear_mse_is_that_of_iterating(model):
    spectrum, residual = model
    kernel = spectrum.vectors * spectrum.values @ spectrum.vectors.T
    rate, left, found = 1.2 / spectrum.lambda_max, residual.copy(), []
    for _ in range(20):
        found.append((left**2).mean())
        left = left - rate * kernel @ left
    np.testing.assert_allclose(linear_mse(spectrum, residual, rate, np.arange(20)), found, rtol=EXACT)


@pytest.mark.parametrize("share", [2.0, 0.9, 0.3, 1e-2, 1e-4])
def test_the_hitting_step_is_the_first_one_below(model, share):
    spectrum, residual = model
    rate, level = 1 / spectrum.lambda_max, share * (residual**2).mean()
    step = hitting_step(spectrum, residual, rate, level)
    curve = linear_mse(spectrum, residual, rate, np.arange(step + 1))
    assert curve[-1] < level
    assert (curve[:-1] >= level).all()


def test_a_direction_outside_the_kernel_is_never_learnt(model):
    spectrum = Spectrum(np.diag([1.0, 0.0]))
    assert hitting_step(spectrum, np.array([1.0, 1.0]), 1.0, 0.4) is None
    with pytest.raises(LabError, match="learning_rate"):
        hitting_step(spectrum, np.ones(2), 2.0, 0.4)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"share": 0.25}, {"share": 0.1, "momentum": 0.5}])
def test_steps_and_kernel_time_are_inverse(options):
    steps = steps_for(40.0, 0.5, **options)
    rate = 0.5 * 2 * (1 + options.get("momentum", 0.0)) / 3.0
    assert kernel_time(steps, rate, 3.0, **options) >= 40.0 - 1e-9 > kernel_time(steps - 1, rate, 3.0, **options)


def test_a_falling_power_law_passes_where_it_should():
    widths = 2.0 ** np.arange(3, 11)
    assert falls_through(widths, 3 / widths, 0.05).value == pytest.approx(60.0, rel=1e-9)
    assert falls_through(widths, 3 / widths, 1e-4) == Threshold(1024.0, "right")
    assert falls_through(widths, 3 / widths, 10.0) == Threshold(8.0, "left")


def test_what_diverged_lies_above():
    widths = np.array([8.0, 16.0, 32.0])
    found = falls_through(widths, [np.inf, np.nan, 0.01], 0.1)
    assert found.censored is None
    assert 16 < found.value < 32


def test_without_censoring_the_slope_is_least_squares():
    x = np.repeat([8.0, 16, 32, 64], 5)
    y = 3 * x**0.7 * np.exp(np.random.default_rng(1).normal(0, 0.2, x.size))
    found = censored_slope(x, [Threshold(value) for value in y])
    line = scipy.stats.linregress(np.log(x), np.log(y))
    assert found.value == pytest.approx(line.slope, abs=1e-4)
    half = 1.96 * line.stderr
    assert found.interval == pytest.approx((line.slope - half, line.slope + half), abs=0.3 * half)


def test_censoring_is_no_bias():
    generator, slopes, naive = np.random.default_rng(2), [], []
    x = np.repeat([8.0, 16, 32, 64, 128], 8)
    for _ in range(10):
        y = x * np.exp(generator.normal(0, 0.4, x.size))
        seen = [Threshold(min(value, 60.0), "right" if value > 60 else None) for value in y]
        slopes.append(censored_slope(x, seen).value)
        naive.append(np.polyfit(np.log(x), np.log(np.minimum(y, 60)), 1)[0])
    assert np.mean(slopes) == pytest.approx(1.0, abs=0.1)
    assert np.mean(naive) < 0.8


def test_a_slope_needs_two_settings_inside():
    found = censored_slope([1.0, 2.0, 4.0], [Threshold(3.0), Threshold(9.0, "right"), Threshold(9.0, "right")])
    assert found.value is None
    assert "fewer than two" in found.reason


def test_the_place_of_success_is_covered_by_its_interval():
    generator, widths, hits, values = np.random.default_rng(3), 2.0 ** np.arange(1, 8), 0, []
    truth = 12 * np.exp(np.log(9) / 2.5)
    for _ in range(30):
        won = generator.binomial(20, 1 / (1 + (widths / 12) ** -2.5))
        found = success_place(widths, won, np.full(7, 20))
        values.append(found.value)
        hits += found.interval[0] <= truth <= found.interval[1]
    assert hits >= 25
    assert np.exp(np.mean(np.log(values))) == pytest.approx(truth, rel=0.15)


def test_separated_outcomes_still_have_a_place():
    found = success_place([2.0, 4, 8, 16], [0, 0, 20, 20], [20, 20, 20, 20])
    assert 4 < found.value < 10
    assert found.interval[0] < found.value < found.interval[1]


@pytest.mark.parametrize(("won", "side"), [([0, 0, 0], "right"), ([9, 9, 9], "left")])
def test_one_outcome_alone_has_no_place(won, side):
    found = success_place([2.0, 4.0, 8.0], won, [9, 9, 9])
    assert found.value is None
    assert side in found.reason
