"""The parts of a Jacobian in factors: each is linear in some trained parameters, and knows its share of every product.

A part of J = ∂f/∂θ, with n samples and o outputs each, is one of

* `Products`: Σ_t δ_t z_tᵀ for weights that act as ``weight @ z_t`` at T places (time steps, positions, ties);
* `Lookup`: the same for rows of an embedding, where z_t are unit vectors;
* `OutputMatrix`: z_sᵀ ⊗ e_k, for a matrix whose results are outputs themselves;
* `Explicit`: the rows of J themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from lab.jacobians.gram import add_self_product, contract, contract_lookups, mirror

Sizes = Mapping[str, torch.Size]


class Part(Protocol):
    """A summand of a Jacobian on n samples with o outputs each."""

    @property
    def shapes(self) -> Sizes:
        """Shapes of its tangents by the names of its parameters; before `reduced`, of the blocks that it writes."""
        ...

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """Its share of Jv, shape (n, o)."""
        ...

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · its share of Jᵀr, in place."""
        ...

    def gram(self, other: Self | None, route: str | None, memory: int) -> Tensor:
        """Its share of J J'ᵀ, shape (n, o, n', o')."""
        ...

    @property
    def step_flops(self) -> float:
        """Flops of the products of one `push` and one `add_pull`."""
        ...

    def add_rows(self, rows: Mapping[str, Tensor]) -> None:
        """Add its rows of J to tensors (n, o, *shape of the parameter), by name."""
        ...

    def stored(self) -> Self:
        """The same numbers in memory of their own, sample by sample."""
        ...

    def select(self, samples: Tensor) -> Self:
        """The part of some samples, by integer index."""
        ...

    def reduced(self, other: Self | None) -> tuple[Part, Part | None]:
        """The same in coordinates of the motions that descent on this part can reach, and the other part in them."""
        ...


class Place(NamedTuple):
    """Where a matrix (m, d) of a `Products` stands: in which parameter, and in which of the features' columns.

    A parameter is read as a matrix with ``height`` rows, or as many as its first axis is long. ``rows`` and ``columns``
    cut a block of it, which is transposed if ``transposed``.
    """

    name: str
    features: slice
    rows: slice = slice(None)
    columns: slice = slice(None)
    transposed: bool = False
    height: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole parameter."""
        return self.rows == self.columns == slice(None)

    @property
    def label(self) -> str:
        """A name of the matrix that no other place of a parameter has."""
        block = (
            "" if self.is_whole else f"[{self.rows.start}:{self.rows.stop}, {self.columns.start}:{self.columns.stop}]"
        )
        return f"{self.name}{block}{'ᵀ' if self.transposed else ''}"

    def cut(self, value: Tensor, lead: int = 0) -> Tensor:
        """The matrix (…, m, d) in a value of the parameter's shape, which may have ``lead`` axes before it."""
        matrix = value.reshape(*value.shape[:lead], self.height or value.shape[lead], -1)
        if not self.is_whole:
            matrix = matrix[..., self.rows, self.columns]
        return matrix.mT if self.transposed else matrix

    def add(self, tangent: Mapping[str, Tensor], left: Tensor, right: Tensor, scale: float) -> None:
        """Block += scale · leftᵀ right in place, for stacks (rows, m) and (rows, d)."""
        value = tangent[self.name]
        if value.is_contiguous():
            self.cut(value).addmm_(left.T, right, alpha=scale)
            return
        copy = value.contiguous()  # a matrix is no view of this memory
        self.cut(copy).addmm_(left.T, right, alpha=scale)
        value.copy_(copy)


@dataclass(frozen=True)
class Products:
    """Σ_t δ_t z_tᵀ for weights that share the deltas δ.

    Attributes
    ----------
    deltas
        ∂f/∂(weight @ z_t) of every output, shape (n, o, T, m).
    features
        What the weights multiply, side by side and with their multipliers, shape (n, T, d).
    places
        Which columns of the features belong to which matrix.
    """

    deltas: Tensor
    features: Tensor
    places: tuple[Place, ...]

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """v -> V z_t -> ⟨δ_t, V z_t⟩ summed over places. One product per weight."""
        n, o, length, width = self.deltas.shape
        each = (torch.matmul(self._of(place), place.cut(tangent[place.name]).T) for place in self.places)
        moved = next(each)
        for further in each:
            moved += further
        # a row times matrices reads memory several times as fast here as matrices times a column
        deltas = self.deltas.reshape(n, o, length * width).transpose(1, 2)
        return torch.bmm(moved.view(n, 1, length * width), deltas).view(n, o)

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """r -> Σ_a r_a δ_a -> one fat product per weight."""
        n, o, length, width = self.deltas.shape
        seeded = torch.bmm(cotangent.reshape(n, 1, o), self.deltas.reshape(n, o, length * width))
        for place in self.places:
            place.add(tangent, seeded.view(n * length, width), self._of(place).flatten(0, 1), scale)

    def gram(self, other: Products | None, route: str | None, memory: int) -> Tensor:
        """Σ_{t,s} ⟨δ_t, δ'_s⟩⟨z_t, z'_s⟩ by one of two routes."""
        pair = None if other is None else (other.deltas, other.features)
        return contract(self.deltas, self.features, pair, route=route, memory=memory)

    @property
    def step_flops(self) -> float:
        return 4.0 * (self.deltas.numel() + self.features.numel() * self.deltas.shape[-1])

    def stored(self) -> Products:
        return replace(self, deltas=self.deltas.contiguous(), features=_own(self.features))

    def select(self, samples: Tensor) -> Products:
        return replace(self, deltas=self.deltas[samples], features=self.features[samples])

    def reduced(self, other: Products | None) -> tuple[Products, Products | None]:
        """In orthonormal bases of the deltas and of each matrix's features, where that is smaller than the matrix."""
        deltas, left = _coordinates(self.deltas)
        found = [_coordinates(self._of(place)) for place in self.places]
        places = _side_by_side([place.label for place in self.places], found)
        mine = Products(deltas, torch.cat([part for part, _ in found], dim=-1), places)
        if other is None:
            return mine, None
        theirs = [_project(other._of(place), basis) for place, (_, basis) in zip(other.places, found, strict=True)]
        return mine, Products(_project(other.deltas, left), torch.cat(theirs, dim=-1), places)

    @property
    def shapes(self) -> Sizes:
        width = self.deltas.shape[-1]
        return {place.name: torch.Size((width, place.features.stop - place.features.start)) for place in self.places}

    def add_rows(self, rows: Mapping[str, Tensor]) -> None:
        """Σ_t δ_t z_tᵀ, formed."""
        n, o, length, width = self.deltas.shape
        stacked = self.deltas.transpose(2, 3).reshape(n, o * width, length)
        for place in self.places:
            place.cut(rows[place.name], 2).add_(torch.bmm(stacked, self._of(place)).view(n, o, width, -1))

    def _of(self, place: Place) -> Tensor:
        """What the matrix there multiplies, (n, T, its columns)."""
        return self.features if len(self.places) == 1 else self.features[..., place.features]


@dataclass(frozen=True)
class Lookup:
    """Rows of a matrix ``name`` (V, d), looked up at T places of each sample.

    Attributes
    ----------
    name
        The parameter.
    indices
        Which rows, integers (n, T).
    deltas
        ∂f/∂(row) of every output, shape (n, o, T, d).
    size
        V.
    """

    name: str
    indices: Tensor
    deltas: Tensor
    size: int

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        return torch.einsum("notd,ntd->no", self.deltas, tangent[self.name][self.indices])

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        seeded = torch.einsum("no,notd->ntd", cotangent, self.deltas)
        tangent[self.name].index_add_(0, self.indices.flatten(), seeded.flatten(0, 1), alpha=scale)

    def gram(self, other: Lookup | None, route: str | None, memory: int) -> Tensor:
        """Σ_{t,s} ⟨δ_t, δ'_s⟩ over places with the same row."""
        pair = None if other is None else (other.deltas, other.indices)
        return contract_lookups(self.deltas, self.indices, pair, memory=memory)

    def add_rows(self, rows: Mapping[str, Tensor]) -> None:
        places = self.indices[:, None, :, None].expand_as(self.deltas)
        rows[self.name].scatter_add_(2, places, self.deltas)

    @property
    def step_flops(self) -> float:
        return 4.0 * self.deltas.numel()

    def stored(self) -> Lookup:
        return replace(self, deltas=self.deltas.contiguous(), indices=_own(self.indices))

    def select(self, samples: Tensor) -> Lookup:
        return replace(self, deltas=self.deltas[samples], indices=self.indices[samples])

    def reduced(self, other: Lookup | None) -> tuple[Lookup, Lookup | None]:
        """As it is: a step writes no more rows than are looked up."""
        return self, other

    @property
    def shapes(self) -> Sizes:
        return {self.name: torch.Size((self.size, self.deltas.shape[-1]))}


@dataclass(frozen=True)
class OutputMatrix:
    """A matrix (q, m) that makes the outputs of s observed steps, o = s·q with time first: f_sk = Σ_j B_kj z_sj.

    Attributes
    ----------
    name
        The parameter.
    pooled
        What it multiplies at each observed step, multiplier included, shape (n, s, m).
    outputs
        q.
    """

    name: str
    pooled: Tensor
    outputs: int

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        return torch.matmul(self.pooled, tangent[self.name].T).flatten(1)

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        residual = cotangent.reshape(-1, self.outputs)
        tangent[self.name].addmm_(residual.T, self.pooled.flatten(0, 1), alpha=scale)

    def gram(self, other: OutputMatrix | None, route: str | None, memory: int) -> Tensor:
        """⟨pooled, pooled'⟩ between equal outputs of any two observed steps."""
        right, (n, steps, width) = (other or self).pooled, self.pooled.shape
        gram = torch.matmul(self.pooled.reshape(-1, width), right.reshape(-1, width).T)
        kernel = gram.new_zeros(n, steps, self.outputs, *right.shape[:2], self.outputs)
        for k in range(self.outputs):
            kernel[:, :, k, :, :, k] = gram.view(n, steps, *right.shape[:2])
        return kernel.view(n, steps * self.outputs, len(right), -1)

    @property
    def step_flops(self) -> float:
        return 4.0 * self.pooled.numel() * self.outputs

    def add_rows(self, rows: Mapping[str, Tensor]) -> None:
        n, steps, width = self.pooled.shape
        each = rows[self.name].view(n, steps, self.outputs, self.outputs, width)
        each.diagonal(dim1=2, dim2=3).add_(self.pooled[..., None])

    def stored(self) -> OutputMatrix:
        return replace(self, pooled=self.pooled.contiguous())

    def select(self, samples: Tensor) -> OutputMatrix:
        return replace(self, pooled=self.pooled[samples])

    def reduced(self, other: OutputMatrix | None) -> tuple[OutputMatrix, OutputMatrix | None]:
        pooled, basis = _coordinates(self.pooled)
        mine = replace(self, pooled=pooled)
        return mine, None if other is None else replace(self, pooled=_project(other.pooled, basis))

    @property
    def shapes(self) -> Sizes:
        return {self.name: torch.Size((self.outputs, self.pooled.shape[-1]))}


@dataclass(frozen=True)
class Explicit:
    """Rows of J in some parameters.

    Attributes
    ----------
    sizes
        Shapes of the parameters, in the order of their columns.
    rows
        Shape (n, o, P) for P numbers in all of them.
    """

    sizes: Sizes
    rows: Tensor

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        joined = torch.cat([tangent[name].reshape(-1) for name in self.sizes])
        return torch.mv(self.rows.flatten(0, 1), joined).view(self.rows.shape[:2])

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        pulled = torch.mv(self.rows.flatten(0, 1).T, cotangent.reshape(-1))
        parts = torch.split(pulled, [size.numel() for size in self.sizes.values()])
        for (name, size), part in zip(self.sizes.items(), parts, strict=True):
            tangent[name].add_(part.view(size), alpha=scale)

    def gram(self, other: Explicit | None, route: str | None, memory: int) -> Tensor:
        left, right = self.rows.flatten(0, 1), (other or self).rows.flatten(0, 1)
        kernel = left.new_zeros(len(left), len(right))
        if other is None:
            add_self_product(kernel, left)
            kernel = mirror(kernel)
        else:
            kernel.addmm_(left, right.T)
        return kernel.view(*self.rows.shape[:2], *(other or self).rows.shape[:2])

    @property
    def step_flops(self) -> float:
        return 4.0 * self.rows.numel()

    def add_rows(self, rows: Mapping[str, Tensor]) -> None:
        parts = torch.split(self.rows, [size.numel() for size in self.sizes.values()], dim=2)
        for (name, size), part in zip(self.sizes.items(), parts, strict=True):
            rows[name].add_(part.reshape(*self.rows.shape[:2], *size))

    def stored(self) -> Explicit:
        return replace(self, rows=self.rows.contiguous())

    def select(self, samples: Tensor) -> Explicit:
        return replace(self, rows=self.rows[samples])

    def reduced(self, other: Explicit | None) -> tuple[Explicit, Explicit | None]:
        """In an orthonormal basis of the rows, if there are fewer of them than numbers in the parameters."""
        rows, basis = _coordinates(self.rows)
        if basis is None:
            return self, other
        sizes = {", ".join(self.sizes): rows.shape[2:]}
        return Explicit(sizes, rows), None if other is None else Explicit(sizes, _project(other.rows, basis))

    @property
    def shapes(self) -> Sizes:
        return self.sizes


def _coordinates(vectors: Tensor) -> tuple[Tensor, Tensor | None]:
    """Vectors (…, d) in an orthonormal basis of their span, (…, r), and that basis (d, r).

    As they are if r were d, or in a type that torch has no such decomposition for.
    """
    count, size = math.prod(vectors.shape[:-1]), vectors.shape[-1]
    if count == 0 or count >= size or vectors.dtype not in (torch.float32, torch.float64):
        return vectors, None
    basis, triangle = torch.linalg.qr(vectors.reshape(count, size).T)
    return triangle.T.reshape(*vectors.shape[:-1], count).contiguous(), basis


def _project(vectors: Tensor, basis: Tensor | None) -> Tensor:
    return vectors if basis is None else torch.matmul(vectors, basis)


def _side_by_side(names: list[str], found: list[tuple[Tensor, Tensor | None]]) -> tuple[Place, ...]:
    """Places of these names with as many columns as their features have, one after the other."""
    places, start = [], 0
    for name, (part, _) in zip(names, found, strict=True):
        places.append(Place(name, slice(start, start := start + part.shape[-1])))
    return tuple(places)


def _own(values: Tensor) -> Tensor:
    """The same numbers in memory of their own, without gaps: what is kept must not be written over by a next step."""
    return values.clone(memory_format=torch.contiguous_format)
