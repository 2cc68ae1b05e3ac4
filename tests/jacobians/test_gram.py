"""The contraction of factors against the dense n×m² array that it avoids."""

import pytest
import torch

from lab.costs import gram_route_flops, per_sample_route_flops
from lab.errors import LabError
from lab.jacobians.gram import ROUTES, add_self_product, cheaper_route, contract, mirror
from tests.references import Allocations, Products, draw, product
from tests.tolerances import EXACT, SINGLE, relative


def factors(n, o, length, width, features, seed=0, dtype=torch.float64):
    return draw(n, o, length, width, seed=seed, dtype=dtype), draw(n, length, features, seed=seed + 1, dtype=dtype)


def dense(deltas, features):
    return torch.einsum("iatm,itd->iamd", deltas, features).flatten(2)


SIZES = [(1, 1, 1, 1, 1), (3, 2, 4, 5, 3), (70, 2, 2, 3, 2), (40, 1, 3, 2, 4), (2, 3, 0, 4, 2), (5, 2, 3, 16, 16)]


@pytest.mark.parametrize(
    ("sizes", "memory"), [(s, m) for s in SIZES for m in (1, 5_000, 2**28) if m > 1 or s[0] * s[2] < 100], ids=str
)
@pytest.mark.parametrize("route", [*ROUTES, None])
def test_both_routes_contract_to_the_dense_product(sizes, route, memory):
    left, right = factors(*sizes), factors(sizes[0] + 1, sizes[1] + 2, sizes[2] + 1, *sizes[3:], seed=4)
    assert relative(contract(*left, route=route, memory=memory), product(dense(*left))) <= EXACT
    across = contract(*left, right, route=route, memory=memory)
    assert relative(across, product(dense(*left), dense(*right))) <= EXACT


@pytest.mark.parametrize("route", ROUTES)
def test_a_gram_matrix_is_symmetric_to_the_bit_and_keeps_its_dtype(route):
    pair = factors(37, 2, 3, 6, 4, dtype=torch.float32)
    kernel = contract(*pair, route=route)
    assert kernel.dtype == torch.float32
    assert torch.equal(kernel, kernel.permute(2, 3, 0, 1))
    assert relative(kernel, product(dense(*pair))) <= SINGLE


def test_dropping_the_terms_between_different_times_would_show():
    deltas, features = factors(3, 2, 4, 5, 3)
    same_time = torch.einsum("iatm,jbtm,itd,jtd->iajb", deltas, deltas, features, features)
    assert relative(same_time, contract(deltas, features)) > 0.1


def time_first(pair):
    """The same factors, stored with the time first."""
    deltas, features = pair
    return (
        deltas.permute(2, 1, 0, 3).contiguous().permute(2, 1, 0, 3),
        features.transpose(0, 1).contiguous().transpose(0, 1),
    )


STORED = [*SIZES, (3, 1, 9, 5, 3), (40, 1, 12, 3, 2), (130, 1, 3, 2, 2)]
BOUNDS = [1, 2_000, 50_000, 2**28]  # with one byte each pair is a block, which takes minutes for many samples and steps


@pytest.mark.parametrize(
    ("sizes", "memory"), [(s, m) for s in STORED for m in BOUNDS if m > 1 or s[0] * s[2] < 100], ids=str
)
def test_the_gram_route_reads_factors_as_they_are_stored(sizes, memory):
    left, right = factors(*sizes), factors(sizes[0] + 1, sizes[1] + 2, sizes[2] + 1, *sizes[3:], seed=4)
    for here, there in ((left, right), (time_first(left), right), (time_first(left), time_first(right))):
        assert relative(contract(*here, route="gram", memory=memory), product(dense(*left))) <= EXACT
        across = contract(*here, there, route="gram", memory=memory)
        assert relative(across, product(dense(*left), dense(*right))) <= EXACT


def test_stored_time_first_no_factor_is_copied():
    pair = time_first(factors(8, 1, 16, 300, 200))
    with Allocations(*pair) as seen:
        contract(*pair, route="gram")
    assert seen.largest < pair[0].numel() * 8


@pytest.mark.parametrize("memory", [1, 5_000, 2**28])
def test_outputs_read_before_a_time_are_left_out(memory):
    deltas, features = factors(5, 4, 4, 6, 3)
    for output in range(4):
        deltas[:, output, output + 1 :] = 0
    right = factors(2, 3, 2, 6, 3, seed=4)
    assert relative(contract(deltas, features, route="gram", memory=memory), product(dense(deltas, features))) <= EXACT
    across = contract(deltas, features, right, route="gram", memory=memory)
    assert relative(across, product(dense(deltas, features), dense(*right))) <= EXACT
    across = contract(*right, (deltas, features), route="gram", memory=memory)
    assert relative(across, product(dense(*right), dense(deltas, features))) <= EXACT
    dead = torch.zeros_like(deltas)
    assert not contract(dead, features, route="gram", memory=memory).any()


def test_a_gram_of_all_outputs_costs_a_quarter_of_the_pairs():
    deltas, features = factors(16, 8, 8, 32, 4)
    with Products() as full:
        contract(deltas, features, route="gram")
    for output in range(8):
        deltas[:, output, output + 1 :] = 0
    with Products() as half:
        contract(deltas, features, route="gram")
    assert half.flops < 0.4 * full.flops


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("route", ROUTES)
def test_temporaries_stay_under_the_bound(route, symmetric):
    pair, kernel, bound = factors(60, 1, 6, 40, 40), 60 * 60 * 8, 50_000 if route == "per_sample" else 10_000
    other = None if symmetric else factors(60, 1, 6, 40, 40, seed=4)

    def largest(**memory):
        with Allocations(*pair, *(other or ())) as seen:
            contract(*pair, other, route=route, **memory)
        return max(size for size in seen.bytes if size != kernel)

    assert largest(memory=bound) <= bound < largest()


@pytest.mark.parametrize("route", ROUTES)
def test_a_symmetric_kernel_costs_little_more_than_half(route):
    pair = factors(512, 1, 2, 8, 8)
    with Products() as half:
        contract(*pair, route=route)
    with Products() as whole:
        contract(*pair, pair, route=route)
    assert half.flops < 0.65 * whole.flops


@pytest.mark.parametrize(
    ("sizes", "route"),
    [((8, 1, 2, 200, 200), "gram"), ((8, 1, 60, 20, 20), "per_sample"), ((8, 20, 3, 16, 2), "per_sample")],
)
def test_the_cheaper_route_is_the_one_that_costs_less(sizes, route):
    deltas, features = factors(*sizes)
    n, o, length, width, size = sizes
    prices = {
        "gram": gram_route_flops(n, n, o, length, width, size),
        "per_sample": per_sample_route_flops(n, n, o, length, width, size),
    }
    assert cheaper_route(deltas, features) == min(prices, key=prices.get) == route


def test_an_unknown_route_is_refused():
    with pytest.raises(LabError, match=r"route.*gram, per_sample"):
        contract(*factors(2, 1, 2, 2, 2), route="dense")


def test_mirror_copies_the_lower_half_up():
    lower = torch.tensor([[1.0, 9.0], [2.0, 3.0]])
    assert torch.equal(mirror(lower), torch.tensor([[1.0, 2.0], [2.0, 3.0]]))


@pytest.mark.parametrize("rows", [5, 128, 129, 300])
def test_add_self_product_fills_the_lower_half(rows):
    matrix, start = draw(rows, 7), draw(rows, rows, seed=1)
    kernel = start.clone()
    add_self_product(kernel, matrix)
    assert relative(kernel.tril(), (start + matrix @ matrix.T).tril()) <= EXACT
