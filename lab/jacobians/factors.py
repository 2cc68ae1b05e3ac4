"""A Jacobian held in factors: all algebra on it that needs no weights of the network."""

from __future__ import annotations

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
            change += torch.bmm(self.deltas.view(n, o, length * width), moved.view(n, length * width, 1)).view(n, o)
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
