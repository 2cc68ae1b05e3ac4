"""Infinite-width kernels against the papers' formulas as slow loops, and against networks of growing width."""

import doctest
import functools
import math
from itertools import chain, combinations

import numpy as np
import pytest
import torch

import lab
import lab.kernels.expectations as expectations
import lab.kernels.infinite as infinite
from lab.errors import LabError
from lab.kernels.infinite import infinite_nngp, infinite_ntk
from lab.networks.elman import ElmanRNN
from lab.networks.parametrization import Parametrization
from tests.kernels.test_expectations import SLOPES, on_a_grid
from tests.references import FUNCTIONS, draw
from tests.tolerances import EXACT, OUTPUTS, ROUNDING, SIGMAS, SINGLE, SLOPE, relative

BIASED = Parametrization(style="ntk", sigma_w=1.2, sigma_u=0.9, sigma_v=1.1, sigma_b=0.5)
PAPER = Parametrization(sigma_w=1.3, sigma_u=0.8, sigma_v=0.7)
READOUTS = ("last", "all", "mean")
SUBSETS = tuple(chain.from_iterable(combinations("WAB", count) for count in (1, 2, 3)))
ALL = ("W", "A", "B")
MODELS = [("relu", "paper"), ("relu", "ntk"), ("erf", "ntk"), ("tanh", "ntk"), ("softplus", "ntk")]

each_readout = pytest.mark.parametrize("readout", READOUTS)
each_model = pytest.mark.parametrize(("activation", "style"), MODELS)


def build(m=64, p=3, q=1, **settings):
    """A network without numbers."""
    return ElmanRNN(m, p, q, **{"device": "meta", **settings})


def unit(*sizes, seed=0):
    """Sequences whose steps have norm 1."""
    x = draw(*sizes, seed=seed)
    return x / x.norm(dim=-1, keepdim=True)


def k0(rho):
    return (math.pi - math.acos(max(-1.0, min(1.0, rho)))) / math.pi


def k1(rho):
    return math.sqrt(max(0.0, 1 - rho * rho)) / math.pi + rho * k0(rho)


# --- the papers' formulas, written out ---


def paper_kernel(x, y, m, d):
    """Section A of the facts for two sequences: W alone, σ's of the paper; all pairs of steps l, l' = 2…L."""
    length, (S, rho) = len(x), (np.zeros((len(x) + 1,) * 2) for _ in range(2))
    norms = [np.cumsum([0.0, *(float(step @ step) for step in each)]) for each in (x, y)]
    for s in range(1, length + 1):
        for t in range(1, length + 1):
            scale = math.sqrt(norms[0][s] * norms[1][t])
            rho[s, t] = (S[s - 1, t - 1] + float(x[s - 1] @ y[t - 1])) / scale
            S[s, t] = scale * k1(rho[s, t])
    kernel = np.zeros((length - 1, length - 1))
    for a in range(2, length + 1):
        for b in range(2, length + 1):
            for j in range(min(a, b) - 1):
                gates = math.prod(k0(rho[a - i, b - i]) for i in range(j + 1))
                kernel[a - 2, b - 2] += m / (2 * d) * gates * S[a - j - 1, b - j - 1]
    return kernel


def test_the_papers_kernel_is_the_formula_of_section_a():
    x, m, d = draw(4, 6, 3), 100, 2
    formula = np.array([[paper_kernel(a, b, m, d) for b in x] for a in x])
    joint = infinite_ntk(build(m, q=d, readout="all"), x).view(4, 5, d, 4, 5, d)
    for k in range(d):
        assert relative(joint[:, :, k, :, :, k], formula.transpose(0, 2, 1, 3)) < 1e-7  # the formula's ρ = 1 is rounded
    assert not joint[:, :, 0, :, :, 1].any()
    last = infinite_ntk(build(m, q=d), x)
    assert relative(last[:, 0, :, 0], formula[:, :, -1, -1]) < 1e-7


@pytest.mark.parametrize("style", [BIASED, Parametrization(style="ntk")], ids=["biased", "plain"])
def test_everything_trained_is_the_recursion_of_the_rntk_paper(style):
    """Section E, last step: gp_t = σ_w² S + σ_u² G + σ_b², Θ_t = gp_t + σ_w² Θ_{t-1} D."""
    x, trained = draw(5, 6, 3), (*ALL, "b") if style.sigma_b else ALL
    sw, su, sv, sb = style.sigma_w**2, style.sigma_u**2, style.sigma_v**2, style.sigma_b**2
    S = D = theta = np.zeros((5, 5))
    for step in x.numpy().transpose(1, 0, 2):
        gp = sw * S + su * step @ step.T / 3 + sb
        theta = gp + sw * theta * D
        scale = np.sqrt(np.outer(gp.diagonal(), gp.diagonal()))
        rho = gp / scale
        np.fill_diagonal(rho, 1.0)
        S, D = scale * np.vectorize(k1)(rho) / 2, np.vectorize(k0)(rho) / 2
    network = build(q=1, parametrization=style, trained=trained)
    assert relative(infinite_ntk(network, x)[:, 0, :, 0], sv * (S + D * theta)) < EXACT
    assert relative(infinite_nngp(network, x)[:, 0, :, 0], sv * S) < EXACT


def two_index(x, style):
    """Section E, the average with one shared output matrix: gp and Θ for all pairs (t, u); the table S + D Θ."""
    n, length, p = x.shape
    sw, su = style.sigma_w**2, style.sigma_u**2
    table = np.zeros((length, length, n, n))
    norms = su / p * x.square().sum(2).numpy()
    variances = np.zeros((length, n))
    for t in range(length):
        variances[t] = norms[:, t] + (sw * variances[t - 1] / 2 if t else 0)
    S, D, theta = ({} for _ in range(3))
    for t in range(length):
        for u in range(length):
            gp = su / p * (x[:, t] @ x[:, u].T).numpy()
            old = (t - 1, u - 1)
            if old in S:
                gp = gp + sw * S[old]
            theta[t, u] = gp + (sw * D[old] * theta[old] if old in S else 0)
            scale = np.sqrt(np.outer(variances[t], variances[u]))
            rho = gp / scale
            if t == u:
                np.fill_diagonal(rho, 1.0)
            S[t, u], D[t, u] = scale * np.vectorize(k1)(rho) / 2, np.vectorize(k0)(rho) / 2
            table[t, u] = S[t, u] + D[t, u] * theta[t, u]
    return style.sigma_v**2 * table


def test_the_average_is_the_two_index_recursion_and_not_its_diagonal():
    style, x = Parametrization(style="ntk", sigma_w=1.3, sigma_u=0.8, sigma_v=0.7), draw(4, 5, 3)
    table = two_index(x, style)
    kernel = infinite_ntk(build(parametrization=style, trained=ALL, readout="mean"), x)[:, 0, :, 0]
    assert relative(kernel, table.mean((0, 1))) < EXACT
    assert relative(kernel, np.einsum("ttij->ij", table) / 25) > 0.1  # the trap: one output matrix for each step
    last = infinite_ntk(build(parametrization=style, trained=ALL), x)[:, 0, :, 0]
    assert relative(last, table[-1, -1]) < EXACT


# --- any activation, trained set and lengths: one entry at a time ---


@functools.cache
def expectation(name, slope, variance, other, rho):
    if name == "relu":
        return k0(rho) / 2 if slope else math.sqrt(variance * other) * k1(rho) / 2
    return on_a_grid((SLOPES if slope else FUNCTIONS)[name], variance, other, rho)


def slow_variances(network, x):
    """Variances of the pre-activations of one sequence, step by step."""
    spread = {name: (part.multiplier * part.deviation) ** 2 for name, part in network.scales.items()}
    second, variances = 0.0, []
    for step in x:
        variances.append(spread["A"] * float(step @ step) + network.width * spread["W"] * second + spread.get("b", 0))
        second = expectation(network.activation.name, False, variances[-1], variances[-1], 1.0)
    return variances


def slow_tables(network, x, y):
    """NNGP and NTK (L, L') between all states of two sequences of any lengths, from h_0 = 0 of both, no padding."""
    m, name = network.width, network.activation.name
    square = {key: part.multiplier**2 for key, part in network.scales.items()}
    spread = {key: square[key] * part.deviation**2 for key, part in network.scales.items()}
    live = {key: square.get(key, 0.0) * (key in network.trained) for key in "WABb"}
    v, w = slow_variances(network, x), slow_variances(network, y)
    S, D, theta, nngp, ntk = (np.zeros((len(x) + 1, len(y) + 1)) for _ in range(5))
    for t in range(1, len(x) + 1):
        for u in range(1, len(y) + 1):
            overlap, states = float(x[t - 1] @ y[u - 1]), m * S[t - 1, u - 1]
            c = spread["A"] * overlap + spread["W"] * states + spread.get("b", 0.0)
            same = t == u and torch.equal(x[:t], y[:u])
            rho = 1.0 if same else max(-1.0, min(1.0, c / math.sqrt(v[t - 1] * w[u - 1])))
            S[t, u], D[t, u] = (expectation(name, slope, v[t - 1], w[u - 1], rho) for slope in (False, True))
            back = m * spread["W"] * D[t - 1, u - 1] * theta[t - 1, u - 1]
            theta[t, u] = live["A"] * overlap + live["W"] * states + live["b"] + back
            nngp[t, u] = m * spread["B"] * S[t, u]
            ntk[t, u] = m * spread["B"] * D[t, u] * theta[t, u] + m * live["B"] * S[t, u]
    return nngp[1:, 1:], ntk[1:, 1:]


def slow(network, X, Y):
    """The two kernels (n, s, n', s') of one output per step."""
    read = {"last": lambda k: k[-1:, -1:], "all": lambda k: k[1:, 1:], "mean": lambda k: k.mean(keepdims=True)}
    pairs = [[[read[network.readout](k) for k in slow_tables(network, x, y)] for y in Y] for x in X]
    return [np.array([[pair[kind] for pair in row] for row in pairs]).transpose(0, 2, 1, 3) for kind in (0, 1)]


@each_readout
@pytest.mark.parametrize("activation", FUNCTIONS)
def test_any_network_is_its_recursion_entry_by_entry(activation, readout):
    x, y = 0.5 * draw(2, 4, 3), 0.5 * draw(2, 4, 3, seed=1)
    for trained in (("W",), ("A", "b"), (*ALL, "b")):
        network = build(readout=readout, activation=activation, parametrization=BIASED, trained=trained)
        nngp, ntk = slow(network, x, y)
        assert relative(infinite_nngp(network, x, y), nngp) < EXACT
        assert relative(infinite_ntk(network, x, y), ntk) < EXACT
    assert relative(infinite_ntk(network, x), slow(network, x, x)[1]) < EXACT


@each_readout
@pytest.mark.parametrize(("activation", "style"), [("relu", PAPER), ("erf", PAPER), ("tanh", "ntk"), ("relu", "ntk")])
def test_unequal_lengths_are_two_networks_started_at_rest(activation, style, readout):
    network = build(readout=readout, activation=activation, parametrization=style, trained=ALL)
    x, y = 0.5 * draw(2, 5, 3), 0.5 * draw(2, 3, 3, seed=1)
    for first, second in ((x, y), (y, x)):
        nngp, ntk = slow(network, first, second)
        assert relative(infinite_nngp(network, first, second), nngp) < EXACT
        assert relative(infinite_ntk(network, first, second), ntk) < EXACT


def test_zero_steps_in_front_change_nothing():
    x, y = draw(2, 5, 3), draw(2, 3, 3, seed=1)
    padded = torch.cat([torch.zeros(2, 2, 3, dtype=y.dtype), y], dim=1)
    network = build(trained=ALL)
    assert relative(infinite_ntk(network, x, y), infinite_ntk(network, x, padded)) < ROUNDING
    assert relative(infinite_ntk(network, padded), infinite_ntk(network, y)) < ROUNDING


# --- finite networks ---


def networks(m, seeds, activation="relu", style="paper", q=1):
    for seed in range(seeds):
        yield ElmanRNN(m, 3, q, activation=activation, parametrization=style, trained=ALL, seed=seed)


def with_settings(network, readout, trained):
    """The same weights, read and trained otherwise."""
    twin = ElmanRNN(
        network.width, 3, len(network.B), readout=readout, activation=network.activation.name,
        parametrization=network.parametrization, trained=trained, device="meta",
    )  # fmt: skip
    for name in ALL:
        twin.register_parameter(name, torch.nn.Parameter(getattr(network, name).detach(), name in trained))
    return twin


@functools.cache
def empirical(m, seeds, activation, style):
    """(readout, name) -> the part of one weight in the empirical kernel (seeds, n, o, n', o')."""
    x = unit(5, 4, 3, seed=9)
    parts = {(readout, name): [] for readout in READOUTS for name in ALL}
    for network in networks(m, seeds, activation, style):
        for readout, name in parts:
            parts[readout, name].append(lab.empirical_ntk(with_settings(network, readout, (name,)), x))
    return {key: torch.stack(value) for key, value in parts.items()}


@each_readout
@pytest.mark.parametrize("trained", SUBSETS, ids="".join)
@each_model
def test_wide_networks_are_near_the_limit(activation, style, trained, readout):
    parts = empirical(1024, 4, activation, style)
    mean = sum(parts[readout, name] for name in trained).mean(0)
    network = build(1024, activation=activation, parametrization=style, trained=trained, readout=readout)
    assert relative(mean, infinite_ntk(network, unit(5, 4, 3, seed=9))) < 4 / math.sqrt(1024)


@each_model
def test_the_distance_falls_like_one_over_the_root_of_width(activation, style):
    """Relative error of each seed's kernel, averaged in logs over seeds, readouts and trained weights."""
    widths, x = (64, 256, 1024), unit(5, 4, 3, seed=9)
    logs = []
    for m in widths:
        errors = []
        for (readout, name), kernels in empirical(m, 4, activation, style).items():
            network = build(m, activation=activation, parametrization=style, trained=(name,), readout=readout)
            limit = infinite_ntk(network, x)
            errors += [math.log(relative(kernel, limit)) for kernel in kernels]
        logs.append(np.mean(errors))
    assert abs(np.polyfit(np.log(widths), logs, 1)[0] + 0.5) < SLOPE


@pytest.mark.parametrize("readout", ["all", "mean"])
@pytest.mark.parametrize(("activation", "style"), [("relu", "paper"), ("tanh", BIASED)])
def test_the_nngp_is_the_covariance_of_the_outputs(activation, style, readout):
    x, seeds = unit(3, 4, 3, seed=2), 1000
    settings = {"readout": readout, "activation": activation, "parametrization": style}
    outputs = torch.stack([ElmanRNN(96, 3, 2, seed=seed, **settings)(x).flatten() for seed in range(seeds)]).detach()
    limit = infinite_nngp(build(96, q=2, **settings), x)
    limit = limit.reshape(outputs.shape[1], -1)
    spread = (torch.outer(limit.diagonal(), limit.diagonal()) + limit.square()).sqrt() / math.sqrt(seeds)
    assert ((outputs.T @ outputs / seeds - limit).abs() < SIGMAS * spread).all()


@each_readout
def test_the_two_parametrizations_differ_by_known_factors_at_any_width(readout):
    """Both kernels, empirical and infinite: one seed draws the same standard normal numbers in both."""
    m, p, q, x = 48, 3, 2, draw(4, 5, 3)
    sigmas = {"sigma_w": 1.3, "sigma_u": 0.8, "sigma_v": 0.7}
    styles = {style: Parametrization(style=style, **sigmas) for style in ("paper", "ntk")}
    factors = {"W": m * p / q / 1.3**2, "A": m * p / q / 0.8**2, "B": p / 0.7**2}
    for kernel in (lab.empirical_ntk, infinite_ntk):
        for name, factor in factors.items():
            paper, ntk = (
                kernel(ElmanRNN(m, p, q, readout=readout, parametrization=style, trained=(name,)), x)
                for style in styles.values()
            )
            assert relative(paper, factor * ntk) < OUTPUTS
    paper, ntk = (infinite_nngp(build(m, q=q, readout=readout, parametrization=each), x) for each in styles.values())
    assert relative(paper, p / q * ntk) < OUTPUTS


@pytest.mark.parametrize("activation", ["erf", "tanh"])
def test_smooth_activations_become_linear_in_the_papers_limit(activation):
    """K/m of a network so wide that φ is its tangent: W alone, read at the end, Σ over equal lags."""
    m, x, a = 10**8, draw(3, 4, 3), {"erf": 4 / math.pi, "tanh": 1.0}[activation]  # a = φ'(0)²
    overlaps = [(x[:, t] @ x[:, t].T).numpy() for t in range(4)]
    states = theta = np.zeros((3, 3))
    for overlap in overlaps:  # m times the covariance of the states, σ² = 2
        theta = states + 2 * a * theta
        states = a * (2 * overlap + 2 * states)
    kernel = infinite_ntk(build(m, activation=activation), x)[:, 0, :, 0]
    assert relative(kernel / m, a * theta) < 1e-5


# --- what must not matter, and how it scales ---


def test_weights_device_and_seed_do_not_matter():
    x = draw(3, 4, 3)
    expected = infinite_ntk(build(), x)
    assert torch.equal(infinite_ntk(ElmanRNN(64, 3, seed=5), x), expected)
    assert expected.device.type == "cpu"
    assert infinite_ntk(ElmanRNN(64, 3, dtype=torch.float32), x).dtype == torch.float32
    assert relative(infinite_ntk(ElmanRNN(64, 3, dtype=torch.float32), x), expected) < SINGLE


@each_readout
@each_model
def test_symmetric_positive_and_the_same_from_two_arguments(activation, style, readout):
    x = draw(5, 5, 3)
    network = build(q=2, readout=readout, activation=activation, parametrization=style, trained=ALL)
    for function in (infinite_ntk, infinite_nngp):
        kernel = function(network, x)
        o = kernel.shape[1]
        assert torch.equal(kernel, kernel.permute(2, 3, 0, 1))
        assert relative(function(network, x, x.clone()), kernel) < ROUNDING
        assert relative(function(network, x[3:], x), kernel[3:]) < ROUNDING
        values = torch.linalg.eigvalsh(kernel.reshape(5 * o, 5 * o))
        assert values[0] > -ROUNDING * 10 * values[-1]


def test_the_parts_of_the_trained_weights_add_up():
    x = draw(3, 4, 3)
    for readout in READOUTS:
        settings = {"readout": readout, "parametrization": BIASED}
        parts = sum(infinite_ntk(build(trained=(name,), **settings), x) for name in "WABb")
        assert relative(parts, infinite_ntk(build(trained=(*ALL, "b"), **settings), x)) < ROUNDING


def test_relu_kernels_are_homogeneous():
    x, c = draw(3, 4, 3), 7.0
    for readout in READOUTS:
        network = build(readout=readout)
        assert relative(infinite_ntk(network, c * x), c**2 * infinite_ntk(network, x)) < OUTPUTS


def test_outputs_are_independent_and_alike():
    x = draw(3, 4, 3)
    one, three = (infinite_ntk(build(q=q, readout="all", parametrization="ntk"), x) for q in (1, 3))
    assert relative(three, torch.einsum("isjt,kl->iskjtl", one, torch.eye(3)).reshape(3, 9, 3, 9)) < ROUNDING


def test_one_step_cannot_depend_on_the_recurrent_weights():
    assert not infinite_ntk(build(), draw(3, 1, 3)).any()
    assert infinite_ntk(build(trained=("A",)), draw(3, 1, 3)).any()


@pytest.mark.parametrize("snap", [True, False])
def test_long_equal_histories_keep_their_digits(monkeypatch, snap):
    """Section H7: rounding next to ρ = 1 must not open the gates' angle, not even after many steps."""
    x, network = draw(2, 300, 7), build(p=7, parametrization="ntk")
    variances = x.square().sum(2).cumsum(1) * 2 / 7
    exact = 0.5 * variances[:, :-1].sum(1)  # D = 1/2, σ_w² D = 1, σ_w² S = v: Θ_L = v_1 + … + v_{L-1}
    if snap:  # of two arguments nobody says that they are equal
        kernel = infinite_ntk(network, x, x.clone())
    else:
        monkeypatch.setattr(expectations, "SNAP", 0.0)
        kernel = infinite_ntk(network, x)
    assert relative(kernel[:, 0, :, 0].diagonal(), exact) < OUTPUTS


@pytest.mark.parametrize("block", [1, 13])
@each_readout
def test_small_blocks_change_nothing(monkeypatch, readout, block):
    x, y = draw(5, 4, 3), draw(3, 6, 3, seed=1)
    for activation in ("relu", "tanh"):
        network = build(readout=readout, activation=activation, parametrization="ntk", trained=ALL)
        whole = infinite_ntk(network, x), infinite_ntk(network, x, y)
        with monkeypatch.context() as patch:
            patch.setattr(infinite, "BLOCK", block)
            parts = infinite_ntk(network, x), infinite_ntk(network, x, y)
        assert max(map(relative, parts, whole)) < ROUNDING
        assert torch.equal(parts[0], parts[0].permute(2, 3, 0, 1))


def test_a_progress_bar_is_for_long_ones(monkeypatch, capsys):
    infinite_ntk(build(), draw(2, 4, 3))
    assert not capsys.readouterr().err
    monkeypatch.setattr("lab.progress.PATIENCE", 0.0)
    infinite_ntk(build(), draw(2, 4, 3))
    assert "infinite width" in capsys.readouterr().err


# --- what is refused ---


@pytest.mark.parametrize(
    ("network", "X", "X2", "words"),
    [
        (build(), draw(2, 4, 5), None, ["X:", "(samples, length, 3)"]),
        (build(), draw(2, 3), None, ["X:", "shape (2, 3)"]),
        (build(), draw(2, 4, 3), draw(2, 4, 2), ["X2:", "(2, 4, 2)"]),
        (build(readout="all"), draw(2, 1, 3), None, ["at least 2 time steps"]),
        (build(), draw(2, 0, 3), None, ["at least 1 time step"]),
        (torch.nn.Linear(3, 1), draw(2, 4, 3), None, ["network:", "Linear", "an ElmanRNN"]),
        (build(activation="softplus", parametrization="ntk"), draw(2, 4, 3), draw(2, 3, 3), ["softplus", "φ(0) ≠ 0"]),
        (build(parametrization=BIASED), draw(2, 4, 3), draw(2, 3, 3), ["X2: got length 3 beside 4", "a bias"]),
    ],
)
@pytest.mark.parametrize("function", [infinite_ntk, infinite_nngp])
def test_what_is_refused_says_why(function, network, X, X2, words):
    with pytest.raises(LabError) as caught:
        function(network, X, X2)
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_scaled_network_has_its_kernel_times_the_square_of_the_scale():
    inner, X = build(), draw(2, 4, 3)
    torch.testing.assert_close(infinite_ntk(lab.Scaled(inner, 3.0), X), 9 * infinite_ntk(inner, X))
    with pytest.raises(LabError, match="Scaled"):  # centred outputs are 0 at initialization, with no covariance
        infinite_nngp(lab.Scaled(inner, 3.0), X)


def test_examples():
    assert doctest.testmod(infinite).failed == 0
