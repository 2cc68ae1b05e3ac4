"""The Elman network against loops in numpy, its own definition to the bit, and the infinite-width limit."""

import doctest

import numpy as np
import pytest
import torch

import lab.networks.elman
from lab.errors import LabError
from lab.networks.elman import ElmanRNN
from lab.networks.network import Network
from lab.networks.parametrization import Parametrization
from lab.tasks import SequenceTask
from tests.references import draw, plain_outputs, plain_states
from tests.tolerances import EXACT, OUTPUTS, ROUNDING, SINGLE, SLOPE, relative

READOUTS = {"last": (3, 2), "all": (3, 4, 2), "mean": (3, 2)}
BIASED = Parametrization(style="ntk", sigma_w=1.2, sigma_u=0.9, sigma_v=1.1, sigma_b=0.5)
SETTINGS = [
    *({"activation": name, "parametrization": BIASED} for name in ("relu", "erf", "tanh", "softplus")),
    {"activation": "relu"},
    {"activation": "tanh", "parametrization": "ntk"},
]


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings["activation"])
def test_outputs_and_states_are_those_of_plain_loops(settings, readout):
    network, x = ElmanRNN(6, 3, 2, readout=readout, seed=4, **settings), draw(3, 5, 3)
    outputs, (preactivations, states) = network(x), plain_states(network, x)
    assert outputs.shape == READOUTS[readout]
    assert relative(outputs, plain_outputs(network, x)) <= OUTPUTS
    unrolled = network.unroll(x)
    assert relative(unrolled.states.transpose(0, 1), states) <= OUTPUTS
    assert relative(network.jacobian(x).outputs, outputs.reshape(3, -1)) <= OUTPUTS
    gates = network.gates(x)
    if settings["activation"] == "relu":
        assert gates.dtype == torch.bool
        assert np.array_equal(gates.transpose(0, 1), preactivations > 0)
    else:
        assert gates is None


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings["activation"])
def test_an_evaluator_follows_the_weights_on_all_or_some_samples(settings, readout):
    trained = ("W", "A", "B", "b")[: 4 if settings.get("parametrization") is BIASED else 3]
    network, x = ElmanRNN(6, 3, 2, readout=readout, trained=trained, **settings), draw(5, 4, 3)
    evaluate = network.evaluator(x)
    for batch in (None, torch.tensor([3, 1]), None):
        found, reference = evaluate(batch), network.jacobian(x if batch is None else x[batch])
        cotangent = draw(*reference.outputs.shape, seed=1)
        assert torch.equal(found.outputs, reference.outputs)
        assert torch.equal(found.gram(), reference.gram())
        for _ in range(2):  # the second pass finds the deltas of the first
            assert relative(found.pull(cotangent), reference.pull(cotangent)) == 0
        network.descend(found, cotangent, 0.1)
        with pytest.raises(LabError, match="moved"):
            found.pull(cotangent)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("length", [2, 4])
def test_what_is_kept_of_an_evaluation_outlasts_the_next(samples, length):
    network, x = ElmanRNN(6, 3), draw(samples, length, 3)
    evaluate = network.evaluator(x)
    kept = evaluate().keep()
    before, direction = kept.gram(), {"W": torch.ones_like(network.W)}
    push, outputs = kept.push(direction), kept.outputs.clone()
    with torch.no_grad():
        network.W.mul_(-2.0)
    evaluate()
    assert torch.equal(kept.gram(), before)
    assert torch.equal(kept.push(direction), push)
    assert torch.equal(kept.outputs, outputs)


@pytest.mark.parametrize("parametrization", ["paper", BIASED], ids=["paper", "ntk"])
def test_states_are_gates_times_preactivations_to_the_bit(parametrization):
    network, x = ElmanRNN(33, 5, seed=2, parametrization=parametrization), draw(7, 6, 5)
    unrolled = network.unroll(x)
    c, previous = network.multipliers, None
    bias = c["b"] * network.b if "b" in c else torch.zeros(1, dtype=torch.float64)
    for step, state, gates in zip(x.transpose(0, 1).contiguous(), unrolled.states, unrolled.gains, strict=True):
        g = c["A"] * (step @ network.A.T) + bias
        if previous is not None:
            g = torch.addmm(g, previous, network.W.T, alpha=c["W"])
        assert torch.equal(state, (g > 0) * g)
        assert torch.equal(gates, g > 0)
        previous = state


def test_the_network_is_ordinary_differentiable_torch():
    network, x = ElmanRNN(5, 3, 2, activation="tanh", trained=("W", "A", "B")), draw(2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(network, (x,))
    network(x).sum().backward()
    assert all(value.grad is not None for value in network.trained.values())


@pytest.mark.parametrize("trained", [("W",), ("B", "W"), ("b", "A")], ids="".join)
def test_only_what_is_trained_requires_gradients_and_it_is_live(trained):
    network = ElmanRNN(5, 3, trained=trained, parametrization=BIASED)
    assert set(network.trained) == set(trained)
    assert list(network.trained) == [name for name in "WABb" if name in trained]
    assert all(network.trained[name] is getattr(network, name) for name in trained)
    assert {name for name, value in network.named_parameters() if value.requires_grad} == set(trained)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: x.numpy(), lambda x: x.float(), lambda x: x.tolist()])
def test_inputs_are_cast_to_the_network(wrap):
    network, x = ElmanRNN(5, 3, dtype=torch.float32), draw(2, 4, 3)
    assert network(wrap(x)).dtype == torch.float32
    assert network.jacobian(wrap(x)).gram().dtype == torch.float32
    assert torch.equal(network(wrap(x)), network(x))


def test_float32_is_float64_up_to_its_own_rounding():
    exact, single, x = ElmanRNN(32, 3, seed=1), ElmanRNN(32, 3, seed=1, dtype=torch.float32), draw(4, 5, 3)
    assert relative(single(x), exact(x)) <= SINGLE
    assert relative(single.jacobian(x).gram(), exact.jacobian(x).gram()) <= SINGLE


def test_a_copy_shares_nothing():
    network, x = (
        ElmanRNN(5, 3, 2, readout="mean", activation="erf", trained=("W", "b"), parametrization=BIASED, seed=3),
        draw(2, 4, 3),
    )
    with torch.no_grad():
        network.W.mul_(1.5)  # not the weights that the seed would give
    twin, before = network.copy(), network(x).detach().clone()
    assert torch.equal(twin(x), before)
    assert list(twin.trained) == ["W", "b"]
    assert (twin.readout, twin.activation, twin.parametrization, twin.seed) == ("mean", network.activation, BIASED, 3)
    assert not {value.data_ptr() for value in twin.parameters()} & {value.data_ptr() for value in network.parameters()}
    assert [value.requires_grad for value in twin.parameters()] == [
        value.requires_grad for value in network.parameters()
    ]
    twin.descend(twin.jacobian(x), torch.ones(2, 2, dtype=torch.float64), 0.1)
    assert torch.equal(network(x), before)
    assert not torch.equal(twin(x), before)
    assert torch.equal(twin.initial_rows("W", 0, 5), network.initial_rows("W", 0, 5))


def test_like_reads_sizes_and_readout_from_the_task():
    inputs, targets = np.ones((3, 5, 4)), np.ones((3, 2))
    task = SequenceTask(inputs, targets)
    network = ElmanRNN.like(task, 7, seed=5, activation="tanh")
    assert (network.width, network.A.shape, network.B.shape) == (7, (7, 4), (2, 7))
    assert (network.readout, network.seed, network.activation.name) == ("last", 5, "tanh")
    everywhere = task.at_every_step()
    assert ElmanRNN.like(everywhere, 7).readout == "all"
    assert ElmanRNN.like(everywhere, 7)(inputs).shape == everywhere.train_targets.shape
    assert ElmanRNN.like(task, 7, readout="mean").readout == "mean"


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((0, 3), {}, "width: got 0"),
        ((2.0, 3), {}, "width: got 2.0"),
        ((4, 0), {}, "inputs: got 0"),
        ((4, 3, 0), {}, "outputs: got 0"),
        ((4, 3), {"seed": -1}, "seed: got -1"),
        ((4, 3), {"readout": "first"}, "readout: got 'first'; allowed: one of all, last, mean"),
        ((4, 3), {"activation": "gelu"}, "activation: got 'gelu'"),
        ((4, 3), {"parametrization": "standard"}, "parametrization: got 'standard'"),
        (
            (4, 3),
            {"activation": "softplus"},
            r"parametrization: got 'paper' with activation='softplus'.*pass parametrization='ntk'",
        ),
        ((4, 3), {"activation": "softplus", "parametrization": Parametrization(sigma_w=1)}, "softplus"),
        ((4, 3), {"trained": ()}, "trained: got"),
        ((4, 3), {"trained": ("W", "W")}, "trained: got"),
        ((4, 3), {"trained": ("W", "C")}, "trained: got"),
        ((4, 3), {"trained": ("b",)}, r"trained: got \('b',\).*sigma_b"),
        ((4, 3), {"trained": ("b",), "parametrization": "ntk"}, "sigma_b"),
    ],
)
def test_bad_settings_are_refused(arguments, settings, message):
    with pytest.raises(LabError, match=message):
        ElmanRNN(*arguments, **settings)


@pytest.mark.parametrize(
    ("readout", "sizes", "message"),
    [
        ("last", (4, 3), r"inputs: got shape \(4, 3\); allowed: \(samples, length, 3\)"),
        ("last", (2, 4, 5), r"inputs: got shape \(2, 4, 5\)"),
        ("all", (2, 1, 3), "at least 2 time steps"),
        ("last", (2, 0, 3), "at least 1 time step"),
        ("mean", (2, 0, 3), "at least 1 time step"),
    ],
)
def test_inputs_of_other_shapes_are_refused(readout, sizes, message):
    network = ElmanRNN(4, 3, readout=readout)
    for use in (network, network.jacobian, network.gates):
        with pytest.raises(LabError, match=message):
            use(torch.ones(sizes))


def test_it_is_a_network_and_its_docstring_runs():
    assert isinstance(ElmanRNN(2, 1), Network)
    assert doctest.testmod(lab.networks.elman).failed == 0


@pytest.mark.parametrize("readout", READOUTS)
def test_relu_outputs_scale_with_their_inputs_and_the_kernel_with_the_square(readout):
    network, x, c = ElmanRNN(20, 3, 2, readout=readout, seed=1), draw(3, 5, 3), 3.7
    assert relative(network(c * x), c * network(x)) <= OUTPUTS
    assert relative(network.jacobian(c * x).gram(), c**2 * network.jacobian(x).gram()) <= EXACT
    bent = ElmanRNN(20, 3, 2, readout=readout, seed=1, activation="tanh")
    assert relative(bent(c * x), c * bent(x)) > 0.01


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_the_order_of_hidden_units_does_not_matter(activation):
    network = ElmanRNN(
        9, 3, 2, activation=activation, readout="all", trained=("W", "A", "B", "b"), parametrization=BIASED
    )
    twin, x, order = network.copy(), draw(3, 5, 3), torch.randperm(9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        twin.W.copy_(network.W[order][:, order])
        twin.A.copy_(network.A[order])
        twin.b.copy_(network.b[order])
        twin.B.copy_(network.B[:, order])
    assert not torch.equal(twin.W, network.W)
    assert relative(twin(x), network(x)) <= OUTPUTS
    assert relative(twin.jacobian(x).gram(), network.jacobian(x).gram()) <= EXACT


# The infinite-width kernels below are written from the papers' recursions (Allen-Zhu et al. 2019 for W alone, with
# arc-cosine kernels; Alemohammad et al. 2021 for all weights) and know nothing of lab.


def k0(r):
    return (np.pi - np.arccos(np.clip(r, -1, 1))) / np.pi


def k1(r):
    r = np.clip(r, -1, 1)
    return (np.sqrt(1 - r**2) + r * (np.pi - np.arccos(r))) / np.pi


def test_arc_cosine_kernels_at_plus_and_minus_one_and_zero():
    assert np.allclose([k0(1), k0(0), k0(-1), k1(1), k1(0), k1(-1)], [1, 0.5, 0, 1, 1 / np.pi, 0])


def paper_kernel(X):
    """The paper's ReLU network, W only, one output: K[i, l, j, l'] / m for observed steps l, l' = 2…L (section A)."""
    n, length, _ = X.shape
    G = np.einsum("isp,jtp->isjt", X, X)
    S, rho = np.zeros((length + 1, length + 1, n, n)), np.zeros((length + 1, length + 1, n, n))
    norms = np.cumsum(np.einsum("isp,isp->si", X, X), axis=0)  # q_s(x, x), since k1(1) = 1
    for s in range(1, length + 1):
        for t in range(1, length + 1):
            size = np.sqrt(norms[s - 1][:, None] * norms[t - 1][None])
            rho[s, t] = (S[s - 1, t - 1] + G[:, s - 1, :, t - 1]) / size
            S[s, t] = size * k1(rho[s, t])
    K = np.zeros((n, length - 1, n, length - 1))
    for last in range(2, length + 1):
        for other in range(2, length + 1):
            gates = np.ones((n, n))
            for j in range(min(last, other) - 1):
                gates = gates * k0(rho[last - j, other - j])
                K[:, last - 2, :, other - 2] += gates * S[last - j - 1, other - j - 1] / 2
    return K


def ntk_kernel(X, readout, sigma_w, sigma_u, sigma_v, sigma_b):
    """ReLU, "ntk" parametrization, everything trained, one output: K[i, j] (section E)."""
    n, length, p = X.shape
    G = np.einsum("isp,jtp->stij", X, X) / p
    gp, theta = np.zeros((2, length, length, n, n))
    S, D = np.zeros((2, length, length, n, n))

    def values(s, t):
        a, b = np.diagonal(gp[s, s]), np.diagonal(gp[t, t])
        size = np.sqrt(a[:, None] * b[None])
        rho = gp[s, t] / size
        return size * k1(rho) / 2, k0(rho) / 2

    for step in range(length):  # diagonals first: they normalize the rest
        for s, t in [(step, step), *((step, t) for t in range(step)), *((t, step) for t in range(step))]:
            gp[s, t] = sigma_u**2 * G[s, t] + sigma_b**2
            theta[s, t] = gp[s, t]
            if s and t:
                gp[s, t] += sigma_w**2 * S[s - 1, t - 1]
                theta[s, t] = gp[s, t] + sigma_w**2 * D[s - 1, t - 1] * theta[s - 1, t - 1]
            S[s, t], D[s, t] = values(s, t)
    pairs = sigma_v**2 * (S + D * theta)
    return pairs[-1, -1] if readout == "last" else pairs.mean((0, 1))


WIDTHS, SEEDS = (64, 256, 1024), 20


def slope_of_errors(build, X, limit):
    """Slope in log(width) of the mean relative error over seeds, and the error at the largest width."""
    errors = []
    for width in WIDTHS:
        kernels = [build(width, seed).jacobian(torch.from_numpy(X)).gram().numpy() for seed in range(SEEDS)]
        errors.append(np.mean([relative(kernel, limit(width)) for kernel in kernels]))
    return np.polyfit(np.log(WIDTHS), np.log(errors), 1)[0], errors[-1]


def unit_sequences():
    X = np.random.default_rng(0).standard_normal((6, 5, 4))
    return X / np.linalg.norm(X, axis=2, keepdims=True)


@pytest.mark.parametrize("readout", ["last", "all"])
def test_the_papers_kernel_approaches_its_closed_form_like_one_over_root_width(readout):
    X = unit_sequences()
    K = paper_kernel(X) if readout == "all" else paper_kernel(X)[:, -1:, :, -1:]
    slope, error = slope_of_errors(
        lambda width, seed: ElmanRNN(width, 4, readout=readout, seed=seed), X, lambda m: m * K
    )
    assert abs(slope + 0.5) < SLOPE
    assert error < 0.25


@pytest.mark.parametrize("readout", ["last", "mean"])
def test_the_kernel_of_all_weights_approaches_the_recurrent_tangent_kernel(readout):
    X, scales = unit_sequences(), {"sigma_w": 1.2, "sigma_u": 0.9, "sigma_v": 1.1, "sigma_b": 0.5}
    settings = {"readout": readout, "trained": tuple("WABb"), "parametrization": Parametrization(style="ntk", **scales)}
    K = ntk_kernel(X, readout, **scales)[:, None, :, None]
    slope, error = slope_of_errors(lambda width, seed: ElmanRNN(width, 4, seed=seed, **settings), X, lambda m: K)
    assert abs(slope + 0.5) < SLOPE
    assert error < 0.15


def test_descending_with_zero_rate_moves_nothing():
    network, x = ElmanRNN(8, 3), draw(2, 4, 3)
    before = network.W.detach().clone()
    network.descend(network.jacobian(x), torch.ones(2, 1, dtype=torch.float64), 0.0)
    assert relative(network.W, before) <= ROUNDING


def test_inference_mode_is_refused_for_nobody_counts_its_writes():
    network, x = ElmanRNN(4, 3), draw(2, 3, 3)
    with torch.inference_mode():
        with pytest.raises(LabError, match="no_grad"):
            ElmanRNN(4, 3)
        with pytest.raises(LabError, match="no_grad"):
            network.copy().jacobian(x)
