"""Contract two factored Jacobians into a Gram matrix, without ever holding an n×m² array.

With deltas δ (n, o, T, m) and features z (n, T, d), the Jacobian of output (i, a) is Σ_t δ_iat z_itᵀ. Two routes to

    K[i,a,j,b] = Σ_{t,s} ⟨δ_iat, δ'_jbs⟩ ⟨z_it, z'_js⟩

* ``"gram"``: both inner products for all pairs of time steps, multiplied and summed. About (n·o·T)²·m multiply-adds;
  the feature products are shared by all outputs. Outputs that were read before a time have no delta there and are left
  out: of all outputs of an all-steps readout that is half of the deltas, and three quarters of the pairs. Fastest where
  the factors are stored time first.
* ``"per_sample"``: form Σ_t δ_t z_tᵀ for a block of rows of the weight, contract, go to the next block. About
  n·o·T·m·d + (n·o)²·m·d multiply-adds; better for long sequences.

`lab.costs` prices both; the cheaper one is taken unless a caller names one. A Gram matrix of one Jacobian with itself
is symmetric: only its lower half is computed. The cross terms t ≠ s belong to it: the weights are shared in time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.costs import gram_route_flops, per_sample_route_flops
from lab.errors import check_choice
from lab.progress import bar

ROUTES = ("gram", "per_sample")
MEMORY = 2**28  # bytes of temporaries that one Gram matrix may take beyond its factors and itself
_ARRAYS_OF_PAIRS = 3  # products of δ, products of z, and one sum of them are alive at once
_SHARES = 8  # into which the samples are cut to save the symmetric half
_CACHE = 2**23  # bytes of explicit gradients that are formed at a time, so that they are read while they are near
# Few rows whose length is a power of two share the same few sets of a processor's cache: with a gap their product took
# two thirds of the time.
_ALIASED, _GAP, _FEW_ROWS = 256, 80, 128
_STRIP = 128  # rows of deltas that a product of strips should have at least
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


def contract_lookups(
    deltas: Tensor, indices: Tensor, other: tuple[Tensor, Tensor] | None = None, *, memory: int = MEMORY
) -> Tensor:
    """Gram matrix Σ_{t,s} ⟨δ_iat, δ'_jbs⟩ [k_it = k'_js] where features are unit vectors, given by their indices k.

    Parameters
    ----------
    deltas, indices
        Shapes (n, o, T, d), and integers (n, T).
    other
        The same two of the other Jacobian; None for the symmetric case.
    memory
        Bound on temporaries, in bytes: it sets how many samples are taken at a time.

    Returns
    -------
    Tensor
        Shape (n, o, n', o'), in the dtype and on the device of the deltas.
    """
    (n, o, length, _), (right, places) = deltas.shape, other or (deltas, indices)
    columns, outputs, other_length, width = right.shape
    kernel = deltas.new_zeros(n, o, columns, outputs)
    row = max(o * length * right.numel() // max(width, 1), 1) * _ARRAYS_OF_PAIRS * deltas.element_size()
    for rows in _blocks(n, memory // row):
        reach = rows.stop if other is None else columns
        pairs = torch.matmul(deltas[rows].flatten(0, 2), right[:reach].flatten(0, 2).T)
        same = indices[rows, None, :, None, None, None] == places[None, None, None, :reach, None, :]
        pairs = pairs.view(-1, o, length, reach, outputs, other_length).mul_(same)
        kernel[rows, :, :reach] = pairs.sum((2, 5))
    return kernel if other else mirror(kernel.view(n * o, -1)).view(kernel.shape)


def cheaper_route(deltas: Tensor, features: Tensor, other: tuple[Tensor, Tensor] | None = None) -> str:
    """The route that `lab.costs` prices lower for factors of these shapes."""
    n, o, length, width = deltas.shape
    sizes = (n, (other[0] if other else deltas).shape[0], o, length, width, features.shape[2])
    gram = gram_route_flops(*sizes, share=_share(deltas))
    return "gram" if gram <= per_sample_route_flops(*sizes) else "per_sample"


def _share(deltas: Tensor) -> float:
    """The share of outputs and times that the Gram route does not skip: about one half when all steps are read."""
    begins, o = _first_outputs(deltas), deltas.shape[1]
    return sum(o - first for first in begins) / max(o * len(begins), 1)


def mirror(lower: Tensor) -> Tensor:
    """The symmetric matrix (N, N) with this lower half."""
    half = lower.tril()
    return half + half.tril(-1).T


@dataclass(frozen=True)
class _Side:
    """One Jacobian, time first: deltas (T, o, n, m), features (T, n, d).

    Outputs before ``begins[t]`` have no delta at time t: they were read before.
    """

    deltas: Tensor
    features: Tensor
    begins: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Rows of deltas for one time step."""
        return self.deltas.shape[1] * self.deltas.shape[2]

    def cut(self, times: slice, samples: slice) -> _Side:
        """Some times and samples, and the outputs that have a delta there."""
        begins = self.begins[times]
        outputs = slice(min(begins), None)
        return _Side(self.deltas[times, outputs, samples], self.features[times, samples], begins)


def _side(deltas: Tensor, features: Tensor, room: int) -> _Side:
    """Time first, stored so if this takes at most ``room`` bytes and is not so already."""
    begins = _first_outputs(deltas)
    deltas, features = deltas.permute(2, 1, 0, 3), features.transpose(0, 1)
    if (deltas.numel() + features.numel()) * deltas.element_size() <= room:
        deltas, features = deltas.contiguous(), features.contiguous()
    return _Side(deltas, features, begins)


def _first_outputs(deltas: Tensor) -> tuple[int, ...]:
    """For each time the first output with a delta that is not zero for all samples; 0 where there is but one output."""
    _, o, length, _ = deltas.shape
    if o == 1:
        return (0,) * length
    return tuple(next((a for a in range(o) if deltas[:, a, t].any()), o) for t in range(length))


def _gram_route(kernel: Tensor, left: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor] | None, memory: int) -> None:
    symmetric, first = other is None, _side(*left, memory)
    second = first if other is None else _side(*other, memory)
    samples, times = _sizes(first, second, memory // (_ARRAYS_OF_PAIRS * kernel.element_size()), symmetric)
    n, columns = first.deltas.shape[2], second.deltas.shape[2]
    whole = kernel.view(n, -1, columns, second.deltas.shape[1])
    pairs = [
        (here, there) for here in _blocks(n, samples) for there in _blocks(here.stop if symmetric else columns, samples)
    ]
    with bar(len(pairs), "tangent kernel", "block") as counter:
        for here, there in pairs:
            halves = symmetric and here == there
            _add_block(whole[here, :, there], first, second, (here, there), times, halves)
            counter.update()


def _sizes(left: _Side, right: _Side, numbers: int, symmetric: bool) -> tuple[int, tuple[int, int]]:
    """Samples of a block and times of a strip on either side, so that an array of pairs has at most so many numbers.

    All samples at once and strips of times where they fit: rows that are stored side by side need no copy, and half of
    a symmetric product is saved over times. Otherwise blocks of samples, and one time after the other.
    """
    (length, o, n, _), (other_length, outputs, columns, _) = left.deltas.shape, right.deltas.shape
    few_times = symmetric and length < _SHARES // 2 and left.rows >= _SHARES * _STRIP // 2
    if left.rows * right.rows > numbers or few_times or not _stored_time_first(left, right):
        fitting = max(math.isqrt(numbers // max(o * outputs, 1)), 1)
        share = -(-n // _SHARES) if symmetric and left.rows >= _SHARES * _STRIP // 2 else max(n, columns)
        return max(min(fitting, share), 1), (1, 1)
    pair = max(left.rows * right.rows, 1)
    at_least = -(-_STRIP // max(left.rows, 1))
    sparse = any(left.begins) or any(right.begins)
    strip = max(min(at_least if symmetric or sparse else length, numbers // pair), 1)
    reach = strip if sparse else max(min(other_length, numbers // (pair * strip)), 1)
    return max(n, columns), (strip, reach)


def _stored_time_first(*sides: _Side) -> bool:
    return all(side.deltas.is_contiguous() and side.features.is_contiguous() for side in sides)


def _add_block(
    kernel: Tensor, left: _Side, right: _Side, samples: tuple[slice, slice], times: tuple[int, int], halves: bool
) -> None:
    """Add ⟨δ,δ'⟩⟨z,z'⟩ summed over both times to a kernel (rows, o, columns, o').

    ``halves`` says that both sides are the same: then a pair of strips s < t counts twice, transposed.
    """
    for first in _blocks(len(left.deltas), times[0]):
        here = left.cut(first, samples[0])
        for second in _blocks(first.start if halves else len(right.deltas), times[1]):
            part = _strip(here, right.cut(second, samples[1]))
            _add(kernel, part)
            if halves:
                _add(kernel, part.permute(2, 3, 0, 1))
        if halves:
            _add(kernel, _strip(here, here))


def _add(kernel: Tensor, part: Tensor) -> None:
    """Kernel (rows, o, columns, o') += part (o, rows, o', columns) of the last outputs on each side."""
    o, outputs = part.shape[0], part.shape[2]
    kernel[:, kernel.shape[1] - o :, :, kernel.shape[3] - outputs :] += part.permute(1, 0, 3, 2)


def _strip(left: _Side, right: _Side) -> Tensor:
    """⟨δ,δ'⟩⟨z,z'⟩ summed over the times of two cuts, shape (o, rows, o', columns)."""
    (length, o, rows, _), (other_length, outputs, columns, _) = left.deltas.shape, right.deltas.shape
    pairs = torch.matmul(left.deltas.flatten(0, 2), right.deltas.flatten(0, 2).T)
    gram = torch.matmul(left.features.flatten(0, 1), right.features.flatten(0, 1).T)
    pairs.view(length, o, rows, other_length, outputs, columns).mul_(
        gram.view(length, 1, rows, other_length, 1, columns)
    )
    # one axis at a time, the last one left whole: an order of magnitude faster than both at once
    summed = pairs.view(length, -1).sum(0) if length > 1 else pairs
    summed = summed.view(o * rows, other_length, outputs * columns)
    summed = summed.sum(1) if other_length > 1 else summed
    return summed.view(o, rows, outputs, columns)


def _blocks(count: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size``, at least 1."""
    for start in range(0, count, max(size, 1)):
        yield slice(start, min(start + max(size, 1), count))


def _per_sample_route(
    kernel: Tensor, left: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor] | None, memory: int
) -> None:
    sides = [left] if other is None else [left, other]
    row_bytes = sum(z.shape[0] * d.shape[1] * (z.shape[2] + d.shape[2]) for d, z in sides) * kernel.element_size()
    blocks = list(_blocks(left[0].shape[3], min(memory, _CACHE) // max(row_bytes, 1)))
    with bar(len(blocks), "tangent kernel", "block") as counter:
        for rows in blocks:
            parts = [_weight_rows(deltas[..., rows], features) for deltas, features in sides]
            if other is None:
                add_self_product(kernel, parts[0])
            else:
                kernel.addmm_(parts[0], parts[1].T)
            counter.update()


def _weight_rows(deltas: Tensor, features: Tensor) -> Tensor:
    """Some rows of Σ_t δ_t z_tᵀ for every output, shape (n·o, rows·d); with gaps between few long rows in memory."""
    (n, o, length, rows), columns = deltas.shape, features.shape[2]
    size = rows * columns
    if size % _ALIASED or n * o > _FEW_ROWS:
        parts = torch.bmm(deltas.transpose(2, 3).reshape(n, o * rows, length), features)
        return parts.view(n * o, size)
    parts = deltas.new_empty(n * o, size + _GAP)[:, :size]
    for output in range(o):
        matrices = parts.view(n, o, rows, columns)[:, output]
        torch.bmm(deltas[:, output].transpose(1, 2), features, out=matrices)
    return parts


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
