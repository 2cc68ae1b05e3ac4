import math

import numpy as np
import pytest
import torch

import lab
from lab.measures import stability
from lab.networks.parametrization import Parametrization
from tests.tolerances import DIFFERENCES, EXACT, ROUNDING, SIGMAS, relative

LENGTH, PAIRS = 6, 2


def task(length=LENGTH, separation=0.3):
    return lab.tasks.pairs(2 * PAIRS, separation, length, 5)


def network(width, variance=2.0, seed=0, outputs=1, **options):
    scales = Parametrization(sigma_w=math.sqrt(variance))
    return lab.ElmanRNN(width, 5, outputs, seed=seed, parametrization=scales, **options)


def states(net, inputs):
    """h_t (L, n, m) of the ordinary forward pass, step by step."""
    h, rows = torch.zeros(len(inputs), net.width, dtype=inputs.dtype), []
    for x in inputs.unbind(1):
        h = torch.relu(h @ net.W.T + x @ net.A.T)
        rows.append(h)
    return torch.stack(rows)


def chain(net, inputs, sample, factors):
    """D_L W … D_{L−k+1} W as a matrix, multiplied out."""
    gates = (states(net, inputs)[:, sample] > 0).double()
    product = torch.eye(net.width, dtype=torch.float64)
    for gate in gates[len(gates) - factors :]:
        product = torch.diag(gate) @ net.W.detach() @ product
    return product


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_backward_norm_is_that_of_the_derivative_in_an_earlier_state(outputs):
    net, X = network(20, outputs=outputs), task().train_inputs
    logs = stability.backward_log_norms(net.unroll(X))
    assert logs.shape == (LENGTH - 1, 2 * PAIRS)
    for factors in (1, 3, LENGTH - 1):
        start = states(net, X)[LENGTH - 1 - factors, 1].detach()

        def rest(h, factors=factors):
            for x in X[1, LENGTH - factors :]:
                h = torch.relu(net.W @ h + net.A @ x)
            return net.B @ h

        derivative = torch.autograd.functional.jacobian(rest, start)
        assert math.exp(logs[factors - 1, 1]) == pytest.approx(
            float(torch.linalg.matrix_norm(derivative, 2)), rel=EXACT
        )


def test_product_norms_are_the_largest_singular_values_of_the_product():
    net, X = network(70), task().train_inputs
    norms = stability.product_norms(net.unroll(X), (1, 2, 5), sample=2, tolerance=1e-12)
    dense = [float(torch.linalg.svdvals(chain(net, X, 2, k))[0]) for k in (1, 2, 5)]
    assert relative(norms, np.array(dense)) < EXACT


@pytest.mark.parametrize("factors", [0, LENGTH, 1.5])
def test_products_that_there_are_not_are_refused(factors):
    with pytest.raises(lab.LabError, match="factors"):
        stability.product_norms(network(8).unroll(task().train_inputs), (factors,))


def test_growth_rates_are_least_squares_slopes():
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(7, 3))
    expected = [np.polyfit(np.arange(7), column, 1)[0] for column in logs.T]
    assert relative(stability.growth_rate(logs), np.array(expected)) < EXACT
    logs[2, 1] = -np.inf
    assert np.isnan(stability.growth_rate(logs)).tolist() == [False, True, False]
    assert np.isnan(stability.growth_rate(logs[:1])).all()


@pytest.mark.parametrize("variance", [1.0, 2.0, 4.0])
def test_wide_networks_grow_backwards_and_forwards_by_half_the_logarithm_of_the_variance_over_2(variance):
    inputs = lab.tasks.pairs(2, 0.3, 8, 5).train_inputs
    alone = inputs.clone()
    alone[:, 1:] = 0
    rates = {"backward": [], "forward": []}
    for seed in range(8):
        net = network(1024, variance, seed)
        rates["backward"].append(stability.growth_rate(stability.backward_log_norms(net.unroll(inputs))).mean())
        rates["forward"].append(stability.growth_rate(stability.forward_log_norms(net.unroll(alone))).mean())
    for values in rates.values():
        error = np.std(values, ddof=1) / math.sqrt(len(values))
        assert error < 0.02
        assert abs(np.mean(values) - 0.5 * math.log(variance / 2)) < SIGMAS * error


def test_the_first_input_alone_meets_a_homogeneous_network():
    alone = task().train_inputs.clone()
    alone[:, 1:] = 0
    offsets = [
        stability.growth_rate(stability.forward_log_norms(network(30, at).unroll(alone))) - 0.5 * math.log(at / 2)
        for at in (0.5, 2.0, 8.0)
    ]
    assert relative(offsets[0], offsets[1]) < EXACT
    assert relative(offsets[2], offsets[1]) < EXACT


def test_norms_and_distances_of_states_are_the_plain_ones():
    net, X = network(30), task().train_inputs
    h, unrolled = states(net, X).detach(), net.unroll(X)
    units = h / h.norm(dim=2, keepdim=True)
    assert relative(np.exp(stability.forward_log_norms(unrolled)), h.norm(dim=2)) < EXACT
    assert relative(stability.pair_differences(unrolled), h[:, ::2] - h[:, 1::2]) < EXACT
    assert relative(np.exp(stability.state_distances(unrolled)), (h[:, ::2] - h[:, 1::2]).norm(dim=2)) < EXACT
    direct = (units[:, ::2] - units[:, 1::2]).norm(dim=2)
    assert relative(np.exp(stability.direction_distances(unrolled)), direct) < EXACT


def test_differences_far_below_rounding_follow_the_derivative():
    X, net = task(length=60, separation=1e-6).train_inputs, network(30, variance=0.5)
    unrolled = net.unroll(X)
    differences, h = stability.pair_differences(unrolled), unrolled.states
    assert torch.equal(unrolled.gains[:, 0], unrolled.gains[:, 1])
    expected = chain(net, X, 0, 59) @ (h[0, 0] - h[0, 1])
    assert 0 < float(expected.norm()) < ROUNDING * float(h[-1, 0].norm())
    assert relative(differences[-1, 0], expected) < DIFFERENCES  # h_1 − h_1' itself has lost six digits


@pytest.mark.parametrize("bad", [{"samples": 3}, {"activation": "tanh"}])
def test_pairs_of_gated_networks_are_asked_for(bad):
    net = network(8, **{name: value for name, value in bad.items() if name == "activation"})
    with pytest.raises(lab.LabError, match="even number of samples of a ReLU"):
        stability.pair_differences(net.unroll(task().train_inputs[: bad.get("samples")]))


def test_a_dead_network_has_no_growth_rate():
    net = network(8)
    with torch.no_grad():
        net.A.copy_(-torch.eye(8)[:, :5].double())
        net.W.zero_()
    unrolled = net.unroll(task().train_inputs.abs())
    assert np.isneginf(stability.forward_log_norms(unrolled)).all()
    assert np.isnan(stability.growth_rate(stability.backward_log_norms(unrolled))).all()
    assert stability.product_norms(unrolled, (2,)).tolist() == [0.0]


def test_signals_are_followed_on_the_inputs_and_on_the_first_ones_alone():
    net, X = network(30), task().train_inputs
    signals, unrolled, alone = stability.follow_signals(net, X), net.unroll(X), X.clone()
    alone[:, 1:] = 0
    assert relative(np.exp(signals.states), states(net, X).norm(dim=2).detach()) < EXACT
    assert relative(np.exp(signals.first_input), states(net, alone).norm(dim=2).detach()) < EXACT
    assert np.array_equal(signals.backward, stability.backward_log_norms(unrolled))
    late = [np.polyfit(np.arange(3), column, 1)[0] for column in signals.states[3:].T]
    assert relative(signals.rates().states, np.array(late)) < EXACT
    directions, distances = signals.kept()
    assert relative(directions, signals.directions[-1] - signals.directions[0]) < EXACT
    assert relative(distances, signals.distances[-1] - signals.distances[0]) < EXACT


def test_rates_at_infinite_width_are_those_of_wide_networks():
    variances, X = np.array([1.0, 2.0, 4.0]), task(8).train_inputs
    limits = stability.limit_rates(variances, 8)
    assert limits.backward == pytest.approx(0.5 * np.log(variances / 2))
    for variance, limit in zip(variances, limits.states, strict=True):
        rates = [stability.follow_signals(network(1024, variance, seed), X).rates().states.mean() for seed in range(8)]
        error = np.std(rates, ddof=1) / math.sqrt(len(rates))
        assert abs(np.mean(rates) - limit) < SIGMAS * error < 0.1


def arc_cosine_distances(one, other, variance):
    """√(2 − 2ρ_t): E⟨h_t, h'_t⟩ = √(vv')(sin θ + (π − θ) cos θ)/2π, V_t = σ_w² E⟨h_{t−1}, h'_{t−1}⟩ + 2⟨x_t, x'_t⟩."""
    second, found = np.zeros((2, 2)), []
    for x in np.stack([one, other], axis=1):
        V = variance * second + 2 * x @ x.T
        sizes = np.sqrt(np.outer(np.diag(V), np.diag(V)))
        angle = np.arccos(np.clip(V / sizes, -1, 1))
        second = sizes * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        found.append(math.sqrt(2 - 2 * second[0, 1] / math.sqrt(second[0, 0] * second[1, 1])))
    return found


@pytest.mark.parametrize("variance", [1.0, 2.0, 4.0])
def test_distances_at_infinite_width_are_those_of_the_arc_cosine_recursion(variance):
    X = task(8).train_inputs
    pairs = np.log([arc_cosine_distances(*X[start : start + 2].numpy(), variance) for start in (0, 2)])
    limit = stability.limit_direction_distances(network(4, variance), X, [1, 3, 8])
    assert limit == pytest.approx(np.exp(pairs.mean(0))[[0, 2, 7]], rel=1e-9)


def test_a_limit_that_rounding_hides_is_no_number():
    distances = stability.limit_direction_distances(network(4, 0.5), task(60).train_inputs, [1, 60])
    assert distances[0] == pytest.approx(0.3, rel=0.2)
    assert np.isnan(distances[1])


def test_the_variance_is_that_of_the_recurrent_weights_alone():
    two, eight = (stability.network_of_variance(40, 5, variance, seed=3) for variance in (2.0, 8.0))
    paper = lab.ElmanRNN(40, 5, seed=3)
    assert torch.equal(two.W, paper.W)
    assert relative(eight.W.detach(), 2 * paper.W.detach()) < EXACT
    assert torch.equal(eight.A, paper.A)
    assert torch.equal(eight.B, paper.B)
