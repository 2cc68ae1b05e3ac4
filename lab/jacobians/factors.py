"""A Jacobian held in factors: all algebra on it that needs no weights of the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.jacobians.gram import contract


@dataclass(frozen=True)
class Factors:
    """Factors of J = ∂f/∂θ for weights that enter each time step as ``weight @ feature``, and for an output matrix.

    With n samples, s observed steps, q outputs per step, o = s·q, T time steps that count, and m the width. `gram`
    reads factors as they are stored, fastest with time first; `push` and `add_pull` want `by_sample`.

    Attributes
    ----------
    deltas
        ∂f/∂g_t of every output, shape (n, o, T, m).
    features
        What the trained recurrent weights multiply, side by side and with their multipliers, shape (n, T, d).
    columns
        Which columns of the features belong to which weight.
    pooled
        What the output matrix multiplies at each observed step, multiplier included, shape (n, s, m); empty where it
        is not trained.
    shapes
        Shapes of the trained parameters.
    """

    deltas: Tensor
    features: Tensor
    columns: Mapping[str, slice]
    pooled: Tensor
    shapes: Mapping[str, torch.Size]

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """Jv, shape (n, o): v -> V z_t -> ⟨δ_t, V z_t⟩ summed over time, plus dB · pooled. One product per weight."""
        n, o, length, width = self.deltas.shape
        change = self.deltas.new_zeros(n, o)
        for name, columns in self.columns.items():
            direction = tangent[name].reshape(width, -1)
            moved = torch.matmul(self.features[..., columns], direction.T)
            deltas = self.deltas.view(n, o, length * width)
            # a row times matrices reads memory several times as fast here as matrices times a column
            change += torch.bmm(moved.view(n, 1, length * width), deltas.transpose(1, 2)).view(n, o)
        if "B" in self.shapes:
            change += torch.matmul(self.pooled, tangent["B"].T).reshape(n, o)
        return change

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place: r -> Σ_a r_a δ_a -> one fat product per weight."""
        if self.columns:
            n, o, length, width = self.deltas.shape
            seeded = torch.bmm(cotangent.reshape(n, 1, o), self.deltas.view(n, o, length * width))
            add_outer(tangent, seeded.view(n * length, width), self.features.flatten(0, 1), self.columns, scale)
        if "B" in self.shapes:
            residual = cotangent.reshape(-1, self.shapes["B"][0])
            tangent["B"].addmm_(residual.T, self.pooled.flatten(0, 1), alpha=scale)

    def gram(self, other: Factors | None, route: str | None = None, memory: int | None = None) -> Tensor:
        """J J'ᵀ, shape (n, o, n', o')."""
        right = other or self
        kernel = self.deltas.new_zeros(*self.deltas.shape[:2], *right.deltas.shape[:2])
        if self.columns:
            pair = None if other is None else (other.deltas, other.features)
            bound = {} if memory is None else {"memory": memory}
            kernel += contract(self.deltas, self.features, pair, route=route, **bound)
        if "B" in self.shapes:
            _add_output_matrix(kernel, self.pooled, right.pooled)
        return kernel

    def by_sample(self) -> Factors:
        """The same factors, stored sample by sample, as `push` and `add_pull` read them."""
        return replace(self, deltas=self.deltas.contiguous(), features=_own(self.features))

    def select(self, samples: Tensor) -> Factors:
        """The factors of some samples, by integer index."""
        rows = {name: getattr(self, name)[samples] for name in ("deltas", "features", "pooled")}
        return replace(self, **rows)


def reduce(factors: Factors, others: Factors | None) -> tuple[Factors, Factors | None]:
    """The same Jacobians in coordinates of what descent on the first one can reach.

    A motion that starts at 0 and moves along Jᵀr stays, for each weight, between the span of the deltas on the left and
    that of the features on the right. In orthonormal bases of both, tangents have as many rows and columns as there are
    deltas and features, where that is less than the weights have, and every Jv stays what it was.
    """
    deltas, left = _coordinates(factors.deltas)
    parts = {name: _coordinates(factors.features[..., place]) for name, place in factors.columns.items()}
    pooled, right = _coordinates(factors.pooled)
    bases = {name: basis for name, (_, basis) in parts.items()}
    features = {name: part for name, (part, _) in parts.items()}
    reduced = _assemble(factors, deltas, features, pooled)
    if others is None:
        return reduced, None
    theirs = {name: _project(others.features[..., place], bases[name]) for name, place in others.columns.items()}
    return reduced, _assemble(others, _project(others.deltas, left), theirs, _project(others.pooled, right))


def _coordinates(vectors: Tensor) -> tuple[Tensor, Tensor | None]:
    """Vectors (…, d) in an orthonormal basis of their span, (…, r), and that basis (d, r); as they are if r were d."""
    count, size = math.prod(vectors.shape[:-1]), vectors.shape[-1]
    if count == 0 or count >= size:
        return vectors, None
    basis, triangle = torch.linalg.qr(vectors.reshape(count, size).T)
    return triangle.T.reshape(*vectors.shape[:-1], count).contiguous(), basis


def _project(vectors: Tensor, basis: Tensor | None) -> Tensor:
    return vectors if basis is None else torch.matmul(vectors, basis)


def _assemble(factors: Factors, deltas: Tensor, features: Mapping[str, Tensor], pooled: Tensor) -> Factors:
    """Factors of other sizes, in the place of these."""
    columns, start = {}, 0
    for name, part in features.items():
        columns[name] = slice(start, start := start + part.shape[-1])
    shapes = {name: torch.Size((deltas.shape[-1], part.shape[-1])) for name, part in features.items()}
    if "B" in factors.shapes:
        shapes["B"] = torch.Size((factors.shapes["B"][0], pooled.shape[-1]))
    joined = torch.cat(list(features.values()), dim=-1) if features else factors.features
    return Factors(deltas, joined, columns, pooled, shapes)


def _own(values: Tensor) -> Tensor:
    """The same numbers in memory of their own, without gaps: what is kept must not be written over by a next step."""
    return values.clone(memory_format=torch.contiguous_format)


def add_outer(
    tangent: Mapping[str, Tensor], deltas: Tensor, features: Tensor, columns: Mapping[str, slice], scale: float
) -> None:
    """Tangent += scale · Σ δ zᵀ over stacked time steps: one in-place product for each weight.

    ``deltas`` is (rows, m), ``features`` (rows, d).
    """
    for name, place in columns.items():
        weight = tangent[name]
        weight.view(weight.shape[0], -1).addmm_(deltas.T, features[:, place], alpha=scale)


def _add_output_matrix(kernel: Tensor, pooled: Tensor, other: Tensor) -> None:
    """Kernel of the output matrix: ⟨pooled, pooled'⟩ between equal outputs of any two observed steps."""
    n, steps, width = pooled.shape
    gram = torch.matmul(pooled.reshape(-1, width), other.reshape(-1, width).T).view(n, steps, *other.shape[:2])
    outputs = kernel.view(n, steps, -1, *other.shape[:2], kernel.shape[3] // other.shape[1])
    for k in range(outputs.shape[2]):
        outputs[:, :, k, :, :, k] += gram
