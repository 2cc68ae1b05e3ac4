import numpy as np
import pytest
import scipy.stats
import torch

import lab
from lab.kernels.singular import spectral_norm
from lab.measures.exponents import fit_exponent, fit_unpaired_exponent, mean_interval, unpaired_place
from lab.measures.gap import disagreement, taylor_disagreement, tracking_gap, with_divergences
from lab.measures.kernels import gradient_ratio, gradient_scales
from lab.measures.motion import MOTIONS, distance, open_gates
from tests.benchmarks.coverage import COUNTS, ERRORS, SPREADS, coverage
from tests.references import draw
from tests.tolerances import EXACT, relative

WIDTHS = [64, 128, 256, 512]


def test_an_exact_power_law_is_found():
    values = np.array([[3 * m**-0.5 for m in WIDTHS], [7 * m**-0.5 for m in WIDTHS], [m**-0.5 for m in WIDTHS]])
    fit = fit_exponent(WIDTHS, values)
    assert fit.value == pytest.approx(-0.5)
    assert fit.interval == pytest.approx((-0.5, -0.5))
    assert fit.local_slopes == pytest.approx((-0.5, -0.5, -0.5))
    assert fit.widths == tuple(WIDTHS)
    assert fit.log_intercept == pytest.approx(np.log(21) / 3)


def test_the_interval_is_students_over_seeds():
    slopes = [-0.3, -0.5, -0.9]
    fit = fit_exponent(WIDTHS, [[m**slope for m in WIDTHS] for slope in slopes])
    expected = scipy.stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    assert fit.interval == pytest.approx((expected.low, expected.high))
    assert fit_exponent(WIDTHS, [[m**slope for m in WIDTHS] for slope in slopes[:2]]).interval is None


def test_the_order_of_widths_does_not_matter():
    values = np.array([[5.0, 3.0, 2.0, 1.0], [4.0, 3.0, 2.5, 1.0]])
    shuffled = [2, 0, 3, 1]
    forward = fit_exponent(WIDTHS, values)
    assert fit_exponent(np.array(WIDTHS)[shuffled], values[:, shuffled]) == forward


@pytest.mark.parametrize("bad", [np.inf, np.nan, 0.0, -1.0])
def test_a_width_with_a_diverged_seed_is_left_out_and_named(bad):
    values = np.array([[1.0, 0.5, 0.25, bad], [2.0, 1.0, 0.5, 0.1]])
    fit = fit_exponent(WIDTHS, values)
    assert fit.widths == (64, 128, 256)
    assert fit.value == pytest.approx(-1)
    assert "512" in fit.reason


def test_one_width_is_no_exponent():
    fit = fit_exponent([64], [[1.0], [2.0]])
    assert fit.value is None
    assert "two widths" in fit.reason


def test_shapes_are_checked():
    with pytest.raises(lab.LabError, match="seeds"):
        fit_exponent(WIDTHS, [[1.0, 2.0]])
    with pytest.raises(lab.LabError, match="distinct"):
        fit_exponent([64, 64], [[1.0, 2.0]])


def test_a_mean_of_two_has_no_interval():
    assert mean_interval([1.0, 3.0]) == (2.0, None)


def test_the_gap_is_in_units_of_the_scale_and_infinite_after_divergence():
    network, linearized = np.zeros((3, 2, 2)), np.zeros((3, 2, 2))
    linearized[1] = 3.0
    linearized[2] = np.nan
    assert tracking_gap(network, linearized, 2.0).tolist() == [0.0, 1.5, np.inf]


def test_disagreement_looks_at_the_worst_entry_that_both_reached():
    linearized, kernel = np.zeros((2, 1, 2)), np.array([[[0.1, -0.4]], [[np.nan, np.nan]]])
    assert disagreement(linearized, kernel, 2.0) == pytest.approx(0.2)


@pytest.mark.parametrize("shape", [(5, 5), (100, 70), (90, 200)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_spectral_norm_is_the_largest_singular_value(shape, dtype):
    matrix = draw(*shape, seed=3, dtype=dtype)
    expected = float(np.linalg.svd(matrix.double().numpy(), compute_uv=False)[0])
    assert spectral_norm(matrix) == pytest.approx(expected, rel=1e-8 if dtype == torch.float64 else 1e-5)
    assert spectral_norm(torch.zeros(80, 80)) == 0.0


def test_motion_against_plain_numpy():
    task = lab.tasks.separable(10, 4, 4, 5)
    network = lab.ElmanRNN.like(task, 70, trained=("W", "B"))
    result = lab.side_by_side(network, task, lab.Descent(50))
    before, after = network.trained, result.trained_network.trained
    start, end = (np.concatenate([p[n].detach().numpy().ravel() for n in ("W", "B")]) for p in (before, after))
    motion = result.motion
    assert motion.weight_motion == pytest.approx(np.linalg.norm(end - start), rel=EXACT)
    assert motion.relative_weight_motion == pytest.approx(
        np.linalg.norm(end - start) / np.linalg.norm(start), rel=EXACT
    )
    assert motion.spectral_motion == pytest.approx(
        np.linalg.norm((after["W"] - before["W"]).detach().numpy(), 2), rel=1e-7
    )
    kernels = [lab.empirical_ntk(net, task.train_inputs) for net in (network, result.trained_network)]
    assert motion.kernel_drift == pytest.approx(relative(kernels[1], kernels[0]), rel=1e-8)
    assert dict(motion) == {name: getattr(motion, name) for name in MOTIONS}
    with pytest.raises(KeyError):
        motion["reasons"]


def test_gate_flips_count_signs_of_preactivations():
    task = lab.tasks.separable(10, 4, 4, 5)
    network = lab.ElmanRNN.like(task, 30)
    result = lab.side_by_side(network, task, lab.Descent(50, 0.9))

    def signs(net):
        h, rows = torch.zeros(10, 30, dtype=torch.float64), []
        for t in range(4):
            g = h @ net.W.T + task.train_inputs[:, t] @ net.A.T
            h = g.clamp(min=0)
            rows.append(g > 0)
        return torch.stack(rows)

    flipped = (signs(network) != signs(result.trained_network)).double().mean()
    assert flipped > 0
    assert result.motion.gate_flips == pytest.approx(float(flipped))
    smooth = lab.side_by_side(lab.ElmanRNN.like(task, 8, activation="tanh"), task, lab.Descent(2))
    assert smooth.motion.gate_flips is None


def test_a_gap_is_infinite_from_the_first_divergence_on():
    gap, steps = np.array([0.0, 0.1, 0.2]), np.array([0, 5, 10])
    assert with_divergences(gap, steps, None, None).tolist() == [0.0, 0.1, 0.2]
    assert with_divergences(gap, steps, 7, None).tolist() == [0.0, 0.1, np.inf]
    assert with_divergences(gap, steps, 7, 5).tolist() == [0.0, np.inf, np.inf]


def test_the_taylor_model_disagrees_with_another_kernels_closed_form_alone():
    task = lab.tasks.separable(samples=8, test=4, length=3, features=4)
    network = lab.ElmanRNN.like(task, 16)
    regressor, rate = lab.KernelRegressor.at(network, task), 0.004
    own, other = (regressor.trajectory(lab.Descent(30), used) for used in (rate, 1.5 * rate))
    assert taylor_disagreement(network, task, own, rate, 1.0) < EXACT
    wrong = np.abs(own.test - other.test).max()
    assert taylor_disagreement(network, task, other, rate, 100.0) == pytest.approx(wrong / 100, rel=1e-6)


def test_the_distance_is_the_norm_of_all_differences():
    network = lab.ElmanRNN(6, 3, trained=("W", "B"))
    moved = network.copy()
    with torch.no_grad():
        moved.W[0, 0] += 3.0
        moved.B[0, 1] -= 4.0
    assert distance(network, moved) == pytest.approx(5.0, rel=EXACT)
    assert distance(network, network) == 0


def test_open_gates_are_positive_preactivations():
    network = lab.ElmanRNN(8, 3, seed=1)
    inputs = draw(4, 5, 3)
    steps, h = [], torch.zeros(4, 8, dtype=torch.float64)
    for t in range(5):
        g = h @ network.W.detach().T + inputs[:, t] @ network.A.detach().T
        h = g.clamp(min=0)
        steps.append(g > 0)
    assert open_gates(network.gates(inputs)) == pytest.approx(float(torch.stack(steps).double().mean()), rel=EXACT)
    assert open_gates(None) is None


def test_the_gradient_ratio_is_autograds():
    network, inputs, targets = lab.ElmanRNN(16, 3), draw(4, 5, 3), draw(4, 1)
    loss = 0.5 * (network(inputs) - targets).square().sum()
    (gradient,) = torch.autograd.grad(loss, network.W)
    expected = float(gradient.square().sum() / (16 * loss.detach()))
    kernel = lab.empirical_ntk(network, inputs)
    found = gradient_ratio(kernel, network(inputs).detach() - targets, 16)
    assert found == pytest.approx(expected, rel=EXACT)
    values = np.linalg.eigvalsh(kernel.reshape(4, 4).numpy())
    assert 2 * values[0] / 16 <= found <= 2 * values[-1] / 16


def test_gradient_scales_are_the_extremes_over_the_width_and_the_ratio_between_them():
    task = lab.tasks.separable(samples=6, test=2, length=3, features=4)
    network = lab.Scaled(lab.ElmanRNN.like(task, 24), 1.0)
    low, high, ratio = gradient_scales(lab.KernelRegressor.at(network, task), 24)
    values = np.linalg.eigvalsh(lab.empirical_ntk(network, task.train_inputs).reshape(6, 6).numpy())
    assert (low, high) == pytest.approx((values[0] / 24, values[-1] / 24), rel=1e-8)
    loss = 0.5 * (network(task.train_inputs) - task.train_targets).square().sum()
    (gradient,) = torch.autograd.grad(loss, network.network.W)
    assert ratio == pytest.approx(float(gradient.square().sum() / (24 * loss.detach())), rel=EXACT)


def test_with_two_widths_seeds_of_their_own_give_welchs_interval():
    generator = np.random.default_rng(0)
    samples = [np.exp(generator.normal(1, 0.3, 9)), np.exp(generator.normal(0.5, 0.1, 4))]
    found = fit_unpaired_exponent([64, 256], samples)
    welch = scipy.stats.ttest_ind(np.log(samples[1]), np.log(samples[0]), equal_var=False)
    low, high = welch.confidence_interval(0.95)
    octaves = np.log(4)
    assert found.interval == pytest.approx((low / octaves, high / octaves))
    assert found.value == pytest.approx((low + high) / 2 / octaves)
    assert found.seeds == 13
    swapped = fit_unpaired_exponent([256, 64], samples[::-1])
    assert swapped == found
    assert found.widest.value == pytest.approx(found.value)
    assert found.curvature.value is None


def test_slope_and_curvature_are_those_of_least_squares_on_the_means():
    generator, x = np.random.default_rng(1), np.log(WIDTHS)
    table = np.exp(generator.normal(0, 0.2, (6, len(WIDTHS))) - 0.5 * x)
    paired, own = fit_exponent(WIDTHS, table), fit_unpaired_exponent(WIDTHS, list(table.T))
    means = np.log(table).mean(0)
    for found in (paired, own):
        assert found.value == pytest.approx(np.polyfit(x, means, 1)[0])
        assert found.curvature.value == pytest.approx(2 * np.log(2) * np.polyfit(x, means, 2)[0])
        last = np.array(WIDTHS) >= max(WIDTHS) / 4
        assert found.widest.value == pytest.approx(np.polyfit(x[last], means[last], 1)[0])
        assert found.log_intercept == pytest.approx(np.polyfit(x, means, 1)[1])
    bends = [2 * np.log(2) * np.polyfit(x, row, 2)[0] for row in np.log(table)]
    assert paired.curvature.interval == pytest.approx(mean_interval(bends)[1])


def test_intervals_of_unequal_seeds_hold_the_slope_as_often_as_they_say():
    shares = coverage(SPREADS["falling"], COUNTS["24 to 5"], ERRORS["heavy tails"], 1000)
    assert (abs(shares - 0.955) < 0.02).all()  # three standard errors


def test_a_place_is_where_the_interval_of_the_line_holds_the_level():
    generator, x = np.random.default_rng(2), np.log(WIDTHS)
    counts = dict(zip(x, (9, 6, 5, 4), strict=True))
    samples = [np.exp(generator.normal(-0.5 * place, 0.2, count)) for place, count in counts.items()]
    level = float(np.exp(-0.5 * np.log(200.0)))
    found, logs = unpaired_place(WIDTHS, samples, level), [np.log(sample) for sample in samples]
    slope, height = np.polyfit(x, [each.mean() for each in logs], 1)
    assert np.log(found.value) == pytest.approx((np.log(level) - height) / slope)
    design = np.stack([np.ones(len(x)), x], 1)
    to_line = np.linalg.pinv(design)  # from the means of the logs to height and slope
    variances = np.array([each.var(ddof=1) / len(each) for each in logs])
    for end in found.interval:
        weights = np.array([1.0, np.log(end)]) @ to_line
        parts = weights**2 * variances
        freedom = parts.sum() ** 2 / (parts**2 / (np.array(list(counts.values())) - 1)).sum()
        off = abs(height + slope * np.log(end) - np.log(level))
        assert off == pytest.approx(scipy.stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum()), rel=1e-6)
    assert unpaired_place(WIDTHS, samples, 1e-9).reason == "right censored at 512"
    assert unpaired_place(WIDTHS, samples[::-1], level).reason == "it does not fall"


def test_samples_that_do_not_fit_are_refused_and_lost_widths_are_named():
    for samples in ([[1.0, 2.0]], [[1.0], []]):
        with pytest.raises(lab.LabError, match="samples: got"):
            fit_unpaired_exponent([64, 128], samples)
    found = fit_unpaired_exponent([64, 128, 256], [[1.0, 1.1, 1.2], [0.9, np.nan, 0.8], [0.5, 0.6, 0.7]])
    assert found.widths == (64, 256)
    assert "left out: 128" in found.reason
    assert fit_unpaired_exponent([64, 128], [[1.0, 1.1], [0.5, 0.6, 0.7]]).interval is None
