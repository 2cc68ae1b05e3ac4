"""The factored Jacobian against torch.func and against plain differences, for everything it claims to differentiate."""

import functools
from itertools import chain, combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import LabError
from lab.jacobians.autodiff import AutodiffJacobian
from lab.networks.elman import ElmanRNN
from lab.networks.parametrization import Parametrization
from tests.references import (
    Allocations,
    dense_jacobian,
    difference_jacobian,
    draw,
    joined,
    parts,
    plain_states,
    product,
    pulled_jacobian,
)
from tests.tolerances import DIFFERENCES, EXACT, KINK_MARGIN, OUTPUTS, ROUNDING, relative

READOUTS = ("last", "all", "mean")
MODELS = [(style, name) for style in ("ntk", "paper") for name in ("relu", "erf", "tanh")] + [("ntk", "softplus")]
STYLES = {
    "paper": Parametrization(sigma_w=1.7),
    "ntk": Parametrization(style="ntk", sigma_w=1.3, sigma_v=0.8, sigma_b=0.4),
}
SIZES = {"width": 4, "inputs": 2, "outputs": 2}
SEED = 3


def subsets(names):
    return list(chain.from_iterable(combinations(names, count) for count in range(1, len(names) + 1)))


def weights_of(style):
    return ("W", "A", "B", "b") if style == "ntk" else ("W", "A", "B")


CASES = [
    (style, activation, readout, trained)
    for style, activation in MODELS
    for readout in READOUTS
    for trained in subsets(weights_of(style))
]
GRAM_OPTIONS = ({}, {"route": "gram"}, {"route": "per_sample"}, {"memory": 1}, {"route": "per_sample", "memory": 1})


def build(style, activation, readout, trained, **settings):
    options = {**SIZES, "seed": SEED, **settings}
    return ElmanRNN(**options, activation=activation, readout=readout, trained=trained, parametrization=STYLES[style])


def inputs(samples=2, length=4, seed=0):
    return draw(samples, length, SIZES["inputs"], seed=seed)


OTHER = {"samples": 3, "length": 5, "seed": 1}


@functools.cache
def references(style, activation, readout):
    """Dense Jacobians in all weights, by torch.func and by differences, at two sets of inputs."""
    network = build(style, activation, readout, weights_of(style))
    here, there = inputs(), inputs(**OTHER)
    return dense_jacobian(network, here), difference_jacobian(network, here), dense_jacobian(network, there)


@pytest.mark.parametrize("keep", [False, True], ids=["live", "kept"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join((*case[:3], "".join(case[3]))))
def test_push_pull_and_gram_are_those_of_torch_func_and_of_differences(case, keep):
    network, trained = build(*case), case[3]
    by_func, by_differences, elsewhere = (joined(reference, trained) for reference in references(*case[:3]))
    jacobian, other = network.jacobian(inputs()), network.jacobian(inputs(**OTHER))
    if keep:
        assert jacobian.keep() is jacobian
    direction, cotangent = draw(by_func.shape[2], seed=5), draw(*by_func.shape[:2], seed=6)
    for dense, tolerance in ((by_func, EXACT), (by_differences, DIFFERENCES)):
        assert relative(jacobian.push(parts(network, direction)), dense @ direction) <= tolerance
        pulled = parts(network, torch.einsum("ia,iap->p", cotangent, dense))
        assert relative(jacobian.pull(cotangent), pulled) <= tolerance
        assert relative(pulled_jacobian(jacobian), dense) <= tolerance
        for options in GRAM_OPTIONS:
            assert relative(jacobian.gram(**options), product(dense)) <= tolerance
            assert relative(jacobian.gram(other, **options), product(dense, elsewhere)) <= tolerance


def test_no_relu_of_the_difference_tests_is_near_its_kink():
    for style in STYLES:
        network = build(style, "relu", "last", ("W",))
        assert abs(plain_states(network, inputs())[0]).min() > KINK_MARGIN


@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("trained", subsets(("W", "A", "B", "b")), ids="".join)
def test_one_time_step(readout, trained):
    network, x = build("ntk", "tanh", readout, trained), inputs(length=1)
    dense = joined(dense_jacobian(network, x), trained)
    for jacobian in (network.jacobian(x), network.jacobian(x).keep()):
        assert relative(pulled_jacobian(jacobian), dense) <= EXACT
        assert relative(jacobian.push(ones(network)), dense.sum(2)) <= EXACT
        for route in ("gram", "per_sample"):
            assert relative(jacobian.gram(route=route), product(dense)) <= EXACT
    if trained == ("W",):
        assert not dense.any()  # W meets h_0 = 0: exactly nothing to learn


def test_two_time_steps_read_at_every_step_after_the_first():
    network, x = build("paper", "relu", "all", ("W", "A")), inputs(length=2)
    dense = joined(dense_jacobian(network, x), ("W", "A"))
    assert dense.shape[1] == SIZES["outputs"]
    assert relative(pulled_jacobian(network.jacobian(x)), dense) <= EXACT
    assert relative(network.jacobian(x).gram(), product(dense)) <= EXACT


def test_an_output_at_one_step_does_not_feel_later_inputs():
    network, x = build("ntk", "erf", "all", ("W", "A", "B", "b")), inputs()
    changed = x.clone()
    changed[:, -1] += 1
    before, after = (pulled_jacobian(network.jacobian(each)) for each in (x, changed))
    q = SIZES["outputs"]
    assert relative(after[:, :-q], before[:, :-q]) <= ROUNDING
    assert relative(after[:, -q:], before[:, -q:]) > 0.01


def two_integers(most):
    return st.tuples(st.integers(1, most), st.integers(1, most))


SHAPES = st.fixed_dictionaries(
    {
        "width": st.integers(1, 6),
        "inputs": st.integers(1, 3),
        "outputs": st.integers(1, 3),
        "activation": st.sampled_from(["relu", "erf", "tanh", "softplus"]),
        "readout": st.sampled_from(READOUTS),
        "trained": st.sampled_from(subsets(("W", "A", "B", "b"))),
        "seed": st.integers(0, 1000),
    }
)


@settings(max_examples=60)
@given(shapes=SHAPES, samples=two_integers(4), lengths=two_integers(5))
def test_four_implementations_of_the_kernel_agree_pairwise(shapes, samples, lengths):
    network = ElmanRNN(**shapes, parametrization=STYLES["ntk"])
    shortest = 2 if network.readout == "all" else 1
    here, there = (
        draw(n, max(length, shortest), shapes["inputs"], seed=length)
        for n, length in zip(samples, lengths, strict=True)
    )
    left, right = network.jacobian(here), network.jacobian(there)
    slow = [AutodiffJacobian(network, network.trained, each) for each in (here, there)]
    rows = [pulled_jacobian(each) for each in (left, right)]
    kernels = {
        "gram": left.gram(right, route="gram"),
        "per sample": left.gram(right, route="per_sample"),
        "autodiff": slow[0].gram(slow[1]),
        "explicit": product(*rows),
    }
    squares = {
        "gram": left.gram(route="gram"),
        "per sample": left.gram(route="per_sample"),
        "autodiff": slow[0].gram(),
        "explicit": product(rows[0]),
    }
    for found in (kernels, squares):
        for first, second in combinations(found, 2):
            assert relative(found[first], found[second]) <= EXACT, (first, second)
    assert torch.equal(squares["gram"], squares["gram"].permute(2, 3, 0, 1))


def test_cross_terms_between_time_steps_belong_to_the_kernel():
    network, x = build("paper", "relu", "last", ("W",), width=16), inputs(length=5)

    def unrolled(matrices):
        """The same network with a matrix of its own for each time step."""
        state = torch.relu(x[:, 0] @ network.A.T)
        for t, matrix in enumerate(matrices, start=1):
            state = torch.relu(x[:, t] @ network.A.T + state @ matrix.T)
        return state @ network.B.T

    copies = tuple(network.W.detach().clone() for _ in range(4))
    per_step = [part.flatten(2) for part in torch.func.jacrev(unrolled)(copies)]
    shared, diagonal = product(sum(per_step)), sum(product(part) for part in per_step)
    assert relative(network.jacobian(x).gram(), shared) <= EXACT
    assert relative(diagonal, shared) > 0.1


def ones(network):
    return {name: torch.ones_like(value) for name, value in network.trained.items()}


def _descend(network, x):
    jacobian = network.jacobian(x)
    network.descend(jacobian, torch.ones_like(jacobian.outputs), 0.1)


def _optimize(network, x):
    optimizer = torch.optim.Adam(network.trained.values(), lr=0.1)
    network(x).sum().backward()
    optimizer.step()


def _load(network, x):
    network.load_state_dict(build("ntk", "relu", "last", ("W",), seed=9).state_dict())


@torch.no_grad()
def _overwrite(weight):
    weight.copy_(2 * weight)


MOVES = {
    "descend": _descend,
    "optimizer": _optimize,
    "load_state_dict": _load,
    "copy_": lambda network, x: _overwrite(network.W),
    "frozen weight": lambda network, x: _overwrite(network.A),
}
USES = {
    "pull": lambda jacobian, network: jacobian.pull(torch.ones_like(jacobian.outputs)),
    "push": lambda jacobian, network: jacobian.push(ones(network)),
    "gram": lambda jacobian, network: jacobian.gram(),
    "gram of another": lambda jacobian, network: network.jacobian(inputs(3)).gram(jacobian),
    "keep": lambda jacobian, network: jacobian.keep(),
    "descend": lambda jacobian, network: network.descend(jacobian, torch.ones_like(jacobian.outputs), 0.1),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_jacobian_of_weights_that_moved_refuses(move, use):
    network, x = build("ntk", "relu", "last", ("W",)), inputs()
    jacobian = network.jacobian(x)
    use(network.jacobian(x), network.copy())  # as long as nothing moves all is well
    move(network, x)
    moved = {name: value.detach().clone() for name, value in network.trained.items()}
    with pytest.raises(LabError, match=r"moved.*keep"):
        use(jacobian, network)
    assert all(torch.equal(moved[name], value) for name, value in network.trained.items())


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("trained", [("W",), ("W", "A", "B", "b")], ids="".join)
def test_a_kept_jacobian_does_not_notice_that_the_network_moves(move, trained):
    network, x = build("ntk", "relu", "mean", trained), inputs()
    jacobian = network.jacobian(x).keep()
    direction, one = ones(network), torch.tensor([1])

    def numbers():
        products = jacobian.push(direction), jacobian.gram(), jacobian.gram(jacobian.select(one))
        return [jacobian.outputs.clone(), *products, *jacobian.pull(torch.ones_like(jacobian.outputs)).values()]

    before = numbers()
    start = network.W.detach().clone(), network.A.detach().clone()
    move(network, x)
    assert not (torch.equal(start[0], network.W) and torch.equal(start[1], network.A))
    assert all(torch.equal(first, second) for first, second in zip(before, numbers(), strict=True))


@pytest.mark.parametrize("trained", [("W",), ("B",), ("W", "A", "B", "b")], ids="".join)
def test_select_is_the_jacobian_of_these_samples(trained):
    network, x, rows = build("ntk", "softplus", "all", trained), inputs(4), torch.tensor([3, 1])
    chosen, there = network.jacobian(x).keep().select(rows), network.jacobian(x[rows])
    assert relative(chosen.outputs, there.outputs) <= OUTPUTS
    assert relative(chosen.gram(), there.gram()) <= EXACT
    assert relative(pulled_jacobian(chosen), pulled_jacobian(there)) <= EXACT
    assert relative(chosen.push(ones(network)), there.push(ones(network))) <= EXACT
    with pytest.raises(LabError, match="keep"):
        network.jacobian(x).select(rows)


def test_cotangents_and_tangents_of_other_shapes_are_refused():
    network, x = build("paper", "relu", "all", ("W", "B")), inputs()
    for jacobian in (network.jacobian(x), network.jacobian(x).keep()):
        with pytest.raises(LabError, match=r"cotangent.*\(2, 3, 2\).*\(2, 6\)"):
            jacobian.pull(torch.ones(2, 3, 2, dtype=torch.float64))
        with pytest.raises(LabError, match="tangent"):
            jacobian.push({"W": torch.zeros_like(network.W)})
        with pytest.raises(LabError, match="tangent"):
            jacobian.push({"W": network.W.detach()[:1], "B": network.B.detach()})
        with pytest.raises(LabError, match="route"):
            jacobian.gram(route="fast")


@pytest.mark.parametrize("keep", [False, True], ids=["live", "kept"])
@pytest.mark.parametrize("trained", [("W",), ("W", "A", "B", "b")], ids="".join)
def test_descend_is_a_gradient_step_written_in_place(trained, keep):
    network, x, rate = build("ntk", "relu", "all", trained), inputs(), 0.3
    dense, residual = dense_jacobian(network, x), draw(2, 6, seed=2)
    start = {name: value.detach().clone() for name, value in network.named_parameters()}
    places = {name: value.data_ptr() for name, value in network.named_parameters()}
    jacobian = network.jacobian(x).keep() if keep else network.jacobian(x)
    network.descend(jacobian, residual, rate)
    for name, value in network.named_parameters():
        assert value.data_ptr() == places[name]
        if name in trained:
            step = rate * torch.einsum("ia,iap->p", residual, dense[name]).view(value.shape)
            assert relative(value, start[name] - step) <= ROUNDING
            assert relative(value, start[name]) > 1e-3
        else:
            assert torch.equal(value, start[name])


def test_descend_never_holds_a_second_matrix_of_the_size_of_W():
    width = 96
    network, x = build("paper", "relu", "last", ("W",), width=width), inputs()
    residual, matrix = draw(2, 2), width * width * 8
    with Allocations(*network.parameters()) as seen:
        network.descend(network.jacobian(x), residual, 0.1)
    assert 0 < seen.largest < matrix / 4
    with torch.no_grad(), Allocations(*network.parameters()) as control:
        network.W.sub_(0.1 * network.jacobian(x).pull(residual)["W"])
    assert control.largest >= matrix


def test_gram_does_not_depend_on_autograd_being_on():
    network, x = build("paper", "relu", "last", ("W", "A")), inputs()
    for result in (network.jacobian(x).outputs, network.jacobian(x).gram(), network.jacobian(x).keep().gram()):
        assert not result.requires_grad
