"""Contract two factored Jacobians into a Gram matrix, without ever holding an n×m² array.

With deltas δ (n, o, T, m) and features z (n, T, d), the Jacobian of output (i, a) is Σ_t δ_iat z_itᵀ. Two routes to

    K[i,a,j,b] = Σ_{t,s} ⟨δ_iat, δ'_jbs⟩ ⟨z_it, z'_js⟩

* ``"gram"``: both inner products for all pairs of time steps, multiplied and summed. About (n·o·T)²·m multiply-adds;
  the feature products are shared by all outputs.
* ``"per_sample"``: form Σ_t δ_t z_tᵀ for a block of rows of the weight, contract, go to the next block. About
  n·o·T·m·d + (n·o)²·m·d multiply-adds; better for long sequences.

`lab.costs` prices both; the cheaper one is taken unless a caller names one. A Gram matrix of one Jacobian with itself
is symmetric: only its lower half is computed. The cross terms t ≠ s belong to it: the weights are shared in time.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from lab.costs import gram_route_flops, per_sample_route_flops
from lab.errors import check_choice

ROUTES = ("gram", "per_sample")
MEMORY = 2**28  # bytes of temporaries that one Gram matrix may take beyond its factors and itself
_ARRAYS_OF_PAIRS = 3  # products of δ, products of z, and one sum of them are alive at once
_HALVING_STOPS = 128  # rows below which splitting a symmetric product costs more than the half that it saves


def contract(
    deltas: Tensor,
    features: Tensor,
    other: tuple[Tensor, Tensor] | None = None,
    *,
    route: str | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """Gram matrix of two factored Jacobians.

    Parameters
    ----------
    deltas, features
        Shapes (n, o, T, m) and (n, T, d).
    other
        The same two of the other Jacobian, (n', o', T', m) and (n', T', d); None for the symmetric case.
    route
        "gram", "per_sample" or None for the cheaper one by `lab.costs`.
    memory
        Bound on temporaries, in bytes; work is cut into blocks to stay under it.

    Returns
    -------
    Tensor
        Shape (n, o, n', o'), in the dtype and on the device of the factors.
    """
    route = route or cheaper_route(deltas, features, other)
    check_choice("route", route, ROUTES)
    rule = _gram_route if route == "gram" else _per_sample_route
    n, o = deltas.shape[:2]
    columns, outputs = (other[0] if other else deltas).shape[:2]
    kernel = deltas.new_zeros(n * o, columns * outputs)
    rule(kernel, (deltas, features), other, memory)
    return (kernel if other else mirror(kernel)).view(n, o, columns, outputs)


def cheaper_route(deltas: Tensor, features: Tensor, other: tuple[Tensor, Tensor] | None = None) -> str:
    """The route that `lab.costs` prices lower for factors of these shapes."""
    n, o, length, width = deltas.shape
    sizes = (n, (other[0] if other else deltas).shape[0], o, length, width, features.shape[2])
    return "gram" if gram_route_flops(*sizes) <= per_sample_route_flops(*sizes) else "per_sample"


def mirror(lower: Tensor) -> Tensor:
    """The symmetric matrix (N, N) with this lower half."""
    half = lower.tril()
    return half + half.tril(-1).T


def _gram_route(kernel: Tensor, left: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor] | None, memory: int) -> None:
    right = other or left
    per_row, per_column = (deltas.shape[1] * deltas.shape[2] for deltas in (left[0], right[0]))
    o, outputs = left[0].shape[1], right[0].shape[1]
    pair = _ARRAYS_OF_PAIRS * kernel.element_size() * per_row * per_column
    for first in _blocks(len(left[0]), memory // max(pair, 1), halve=other is None):
        reach = first.stop if other is None else len(right[0])  # a symmetric kernel needs no column beyond its row
        for second in _blocks(reach, memory // max(pair * (first.stop - first.start), 1)):
            place = slice(first.start * o, first.stop * o), slice(second.start * outputs, second.stop * outputs)
            kernel[place] = _block_of_pairs(left[0][first], left[1][first], right[0][second], right[1][second])


def _block_of_pairs(deltas: Tensor, features: Tensor, other_deltas: Tensor, other_features: Tensor) -> Tensor:
    """⟨δ,δ'⟩⟨z,z'⟩ summed over both times, shape (rows·o, columns·o')."""
    (rows, o, length), (columns, outputs, other_length) = deltas.shape[:3], other_deltas.shape[:3]
    pairs = torch.matmul(deltas.flatten(0, 2), other_deltas.flatten(0, 2).T)
    gram = torch.matmul(features.flatten(0, 1), other_features.flatten(0, 1).T)
    pairs.view(rows, o, length, columns, outputs, other_length).mul_(
        gram.view(rows, 1, length, columns, 1, other_length)
    )
    # the long axis stays innermost in the first sum: an order of magnitude faster than summing both axes at once
    summed = pairs.view(rows * o, length, columns * outputs * other_length).sum(1)
    return summed.view(rows * o, columns * outputs, other_length).sum(2)


def _blocks(count: int, size: int, *, halve: bool = False) -> Iterator[slice]:
    """Slices of 1 to ``size``; with ``halve`` also fine enough that a symmetric half saves work."""
    if halve and count >= _HALVING_STOPS // 4:
        size = min(size, -(-count // 8))
    for start in range(0, count, max(size, 1)):
        yield slice(start, min(start + max(size, 1), count))


def _per_sample_route(
    kernel: Tensor, left: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor] | None, memory: int
) -> None:
    sides = [left] if other is None else [left, other]
    row_bytes = sum(z.shape[0] * d.shape[1] * (z.shape[2] + d.shape[2]) for d, z in sides) * kernel.element_size()
    for rows in _blocks(left[0].shape[3], memory // max(row_bytes, 1)):
        parts = [_weight_rows(deltas[..., rows], features) for deltas, features in sides]
        if other is None:
            add_self_product(kernel, parts[0])
        else:
            kernel.addmm_(parts[0], parts[1].T)


def _weight_rows(deltas: Tensor, features: Tensor) -> Tensor:
    """Some rows of Σ_t δ_t z_tᵀ for every output, shape (n·o, rows·d)."""
    n, o, length, rows = deltas.shape
    parts = torch.bmm(deltas.transpose(2, 3).reshape(n, o * rows, length), features)
    return parts.view(n * o, rows * features.shape[2])


def add_self_product(kernel: Tensor, matrix: Tensor) -> None:
    """Add M Mᵀ to the lower half of a kernel (N, N) in place, by halving; above the diagonal blocks nothing is done."""
    rows = len(matrix)
    if rows <= _HALVING_STOPS:
        kernel.addmm_(matrix, matrix.T)
        return
    half = rows // 2
    add_self_product(kernel[:half, :half], matrix[:half])
    kernel[half:, :half].addmm_(matrix[half:], matrix[:half].T)
    add_self_product(kernel[half:, half:], matrix[half:])
