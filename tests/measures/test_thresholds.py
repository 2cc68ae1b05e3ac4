import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from lab.errors import LabError
from lab.kernels.spectrum import Spectrum
from lab.measures import thresholds
from lab.measures.hitting import hitting_step, kernel_time, linear_mse, steps_for
from lab.measures.thresholds import (
    Threshold,
    censored_slope,
    climb,
    falls_through,
    geometric_grid,
    success_place,
    success_slope,
    up_to,
)
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


def test_a_grid_is_geometric_and_has_no_doubles():
    grid = geometric_grid(2, 64, 2**0.25)
    assert grid[:5] == [2, 3, 4, 5, 6]  # 2.4 and 2.8 are 2 and 3
    assert grid[-1] == 64
    assert len(set(grid)) == len(grid)
    with pytest.raises(LabError) as caught:
        geometric_grid(8, 4, 2.0)
    assert caught.value.argument == "high"


@pytest.mark.parametrize("start", [1, 4, 30, 64, 500])
def test_a_search_finds_a_sharp_threshold_from_anywhere(start):
    grid = geometric_grid(2, 256, 2**0.5)
    tried = climb(lambda place: place >= 30, grid, start, 2)
    assert list(tried) == sorted(tried)
    assert all(passed == (place >= 30) for place, passed in tried.items())
    beside = sorted(grid, key=lambda place: abs(np.log(place / 30)))[:2]
    assert set(beside) <= set(tried)
    if start == 30:
        assert len(tried) == 4  # two on each side


def test_a_search_without_a_threshold_ends():
    grid = geometric_grid(2, 64, 2.0)
    assert climb(lambda place: False, grid, 8, 3) == dict.fromkeys((8, 16, 32, 64), False)
    assert climb(lambda place: True, grid, 8, 2) == dict.fromkeys((2, 4, 8, 16), True)


def logistic_outcomes(generator, degree, settings, seeds=20, steepness=4.0, luck=0.0):
    """Outcomes of searches in which m50 = 3 x^degree, times the luck of each seed."""
    rows = []
    for x in settings:
        for seed in range(seeds):
            centre = np.log(3 * x**degree) + luck * generator.standard_normal()

            def passes(m, centre=centre):
                return generator.random() < 1 / (1 + np.exp(-steepness * (np.log(m) - centre)))

            tried = climb(passes, geometric_grid(2, 512, 2**0.25), 16, 4)
            rows += [(np.log(x), m, passed, seed) for m, passed in tried.items()]
    return (np.array(column) for column in zip(*rows, strict=True))


def test_the_degree_of_success_is_recovered_from_searches():
    generator = np.random.default_rng(4)
    found = [success_slope(*logistic_outcomes(generator, 0.6, (8, 16, 32, 64))) for _ in range(20)]
    assert np.mean([each.value for each in found]) == pytest.approx(0.6, abs=0.03)
    assert sum(each.interval[0] <= 0.6 <= each.interval[1] for each in found) >= 16


def test_a_steepness_that_changes_is_no_bias():
    """Success that rises more slowly in harder settings moves m90 apart from m50, and m90 is what is asked."""
    generator, z, m, won, seed = np.random.default_rng(8), [], [], [], []
    grid, steepness = np.array(geometric_grid(2, 4096, 2**0.25)), {8: 8.0, 16: 4.0, 32: 2.0}
    for x, b in steepness.items():
        for each in range(100):
            z += [np.log(x)] * len(grid)
            m, seed = [*m, *grid], [*seed, *[each] * len(grid)]
            won += list(generator.random(len(grid)) < 1 / (1 + (grid / (3 * x)) ** -b))
    truth = np.polyfit(np.log([*steepness]), [np.log(3 * x) + np.log(9) / b for x, b in steepness.items()], 1)[0]
    found = success_slope(z, m, won, seed)
    assert found.value == pytest.approx(truth, abs=0.05)
    assert found.interval[0] < truth < found.interval[1]
    assert truth > 1.5  # the medians alone go as x


def test_the_interval_counts_seeds_and_not_widths():
    """What a seed's widths share makes the interval wider, as no likelihood of independent outcomes would know."""
    plain, shared = (
        success_slope(*logistic_outcomes(np.random.default_rng(5), 0.6, (8, 32), luck=luck, steepness=20))
        for luck in (0.0, 0.8)
    )
    assert np.ptp(shared.interval) > 3 * np.ptp(plain.interval)


def test_the_ratio_of_two_settings_is_a_slope_too():
    generator = np.random.default_rng(6)
    z, m, won, seed = logistic_outcomes(generator, 1.0, (8, 16), seeds=60)
    found = success_slope((z > np.log(9)).astype(float), m, won, seed)
    assert np.exp(found.value) == pytest.approx(2.0, rel=0.15)


def test_the_penalised_fit_is_a_maximum_of_its_likelihood():
    """Firth's score is the gradient of log-likelihood + ½ log det information, here by brute force."""
    generator = np.random.default_rng(7)
    design = np.stack([np.ones(40), generator.normal(size=40), generator.normal(size=40)], 1)
    won = (generator.random(40) < 0.7).astype(float)

    def cost(beta):
        share = 1 / (1 + np.exp(-design @ beta))
        information = design.T @ ((share * (1 - share))[:, None] * design)
        fit = np.where(won == 1, np.log(share), np.log1p(-share)).sum()
        return -(fit + 0.5 * np.linalg.slogdet(information)[1])

    best = scipy.optimize.minimize(cost, np.zeros(3), method="BFGS").x
    np.testing.assert_allclose(thresholds._firth(design, won), best, atol=1e-4)


@pytest.mark.parametrize(
    ("z", "won", "reason"),
    [
        ([0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1, 1], "at z = 0, 1"),
        ([1, 1, 1, 1, 1, 1, 1, 1], [0, 1, 0, 1, 0, 1, 0, 1], "one setting"),
        ([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 0, 0], "at z = 1"),
    ],
)
def test_a_slope_of_success_says_why_there_is_none(z, won, reason):
    found = success_slope(z, [2, 40, 3, 80] * 2, won, [0] * 8, share=0.5)
    assert found.value is None
    assert reason in found.reason


@pytest.mark.parametrize(
    ("marks", "up_to", "hit"),
    [
        ([1, 1, 0, 1], Threshold(2.0), Threshold(1.0, "left")),
        ([0, 1, 1, 1], Threshold(1.0, "left"), Threshold(2.0)),
        ([1, 1, 1, 1], Threshold(8.0, "right"), Threshold(1.0, "left")),
        ([0, 0, 0, 0], Threshold(1.0, "left"), Threshold(8.0, "right")),
    ],
)
def test_places_of_yes_and_no(marks, up_to, hit):
    places = [1.0, 2.0, 4.0, 8.0]
    assert thresholds.holds_up_to(places, marks) == up_to
    assert thresholds.first_hit(places, marks) == hit


@pytest.mark.parametrize("places", [[2.0, 1.0], [1.0], [0.0, 1.0], [[1.0, 2.0]]])
def test_places_that_do_not_ascend_are_refused(places):
    with pytest.raises(LabError, match="ascending"):
        thresholds.holds_up_to(places, [True, False])


def test_each_curve_falls_where_it_is_known():
    places = [1.0, 2.0, 4.0]
    curves = {"all": [4.0, 2.0, 1.0], "early": [4.0, 1.0, np.nan], "late": [np.nan, 4.0, 3.0], "none": [np.nan] * 3}
    found = thresholds.falls_of_each(places, curves, 2.0)
    assert list(found) == ["all", "early", "late"]
    assert found["all"] == falls_through(places, curves["all"], 2.0)
    assert found["early"] == falls_through([1.0, 2.0], [4.0, 1.0], 2.0)
    assert found["late"] == Threshold(4.0, "right")


def test_the_earliest_threshold_is_a_known_one_if_there_is_one():
    low, high, open_end = Threshold(2.0), Threshold(3.0, "left"), Threshold(1.0, "right")
    assert thresholds.earliest([high, open_end, low]) == low
    assert thresholds.earliest([open_end, high]) == high
    assert thresholds.earliest([Threshold(5.0, "right"), open_end]) == open_end
    assert thresholds.earliest([]) is None


def test_what_is_missing_lies_beyond_the_limit():
    assert up_to([4.0, np.nan], 64) == [Threshold(4.0), Threshold(64, "right")]
