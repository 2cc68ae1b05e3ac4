"""From the recorded uses of weights to a Jacobian in factors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from lab.jacobians.factors import Factors, rows_of
from lab.jacobians.parts import Explicit, Lookup, Part, Place, Products
from lab.jacobians.recorder import LARGEST_ROW, Use, leaves_of

#: A part in one parameter.
_Own = Products | Lookup


@dataclass(frozen=True)
class Assembled:
    """Factors of J in the trained parameters that factors know, and the names of the others."""

    factors: Factors
    others: frozenset[str]


def assemble(uses: Iterable[Use], outputs: Tensor, trained: Mapping[str, Tensor], known: Iterable[str]) -> Assembled:
    """Take the deltas of all recorded uses, and add up the uses of each parameter.

    Parameters
    ----------
    uses, outputs
        As recorded, and the outputs (n, o) with their graph.
    trained
        The parameters by name: the leaves of the graph.
    known
        Names of parameters that are left to another route whatever was recorded.
    """
    names = {id(leaf): name for name, leaf in trained.items()}
    unseen = {names[id(leaf)] for leaf in leaves_of(outputs) if id(leaf) in names}
    sizes = {name: leaf.shape for name, leaf in trained.items()}
    collected = _Collected(names, sizes, outputs.detach(), {*known, *unseen})
    wanted = [use for use in uses if collected.wants(use)]
    for use, deltas in zip(wanted, _deltas(wanted, outputs), strict=True):
        collected.add(use, deltas)
    return Assembled(Factors(collected.parts(), outputs.detach(), sizes), frozenset(collected.others))


def compact(factors: Factors) -> Factors:
    """The same with explicit rows in the place of products that take more memory than these."""
    large = {key: part for key, part in factors.parts.items() if isinstance(part, Products) and _is_large(part)}
    if not large:
        return factors
    rows = factors.rows_of(list(large.values()))
    kept = {key: part for key, part in factors.parts.items() if key not in large}
    return replace(factors, parts=kept | {"rows of products": _explicit(rows)})


def locate(weight: Tensor, leaf: Tensor, name: str) -> Place | None:
    """Where a matrix that shares the memory of a parameter stands in it; None if it is no block of it."""
    offset, features = weight.storage_offset() - leaf.storage_offset(), slice(0, weight.shape[1])
    for transposed in (False, True):
        matrix = weight.mT if transposed else weight
        (rows, columns), (stride, step) = matrix.shape, matrix.stride()
        width = stride if rows > 1 else leaf.numel() // len(leaf)
        if (step != 1 and columns > 1) or width < columns or leaf.numel() % width or not leaf.is_contiguous():
            continue
        (row, column), height = divmod(int(offset), width), leaf.numel() // width
        if (rows, columns) == (height, width):
            return Place(name, features, transposed=transposed, height=height)
        if row + rows <= height and column + columns <= width:
            return Place(name, features, slice(row, row + rows), slice(column, column + columns), transposed, height)
    return None


class _Collected:
    """Uses by the parameter that they belong to."""

    def __init__(
        self, names: Mapping[int, str], sizes: Mapping[str, torch.Size], outputs: Tensor, others: set[str]
    ) -> None:
        self._names, self._sizes, self._outputs, self.others = names, sizes, outputs, others
        self._products: dict[str, tuple[Place, list[tuple[Tensor, Tensor]]]] = {}
        self._lookups: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self._rows: dict[str, Tensor] = {}

    def wants(self, use: Use) -> bool:
        """Whether a parameter behind the use goes by factors."""
        return bool(self._behind(use.weight))

    def add(self, use: Use, deltas: Tensor) -> None:
        """Add the share of J that a use has, with its deltas (n, o, …)."""
        if use.features is None:
            self._add_rows(use.weight, deltas)
            return
        (leaf,) = self._behind(use.weight)
        name = self._names[id(leaf)]
        if use.acting is None:
            self._lookups.setdefault(name, []).append((deltas, use.features))
            return
        place = locate(use.acting, leaf, name)
        if place is None:
            self.others.add(name)
        else:
            self._products.setdefault(place.label, (place, []))[1].append((deltas, use.features))

    def parts(self) -> dict[str, Part]:
        """One part for each matrix and each lookup, and one for all explicit rows; what overlaps becomes explicit."""
        every = {key: _products(place, uses) for key, (place, uses) in self._products.items()}
        looked_up = {f"rows of {name}": self._lookup(name, uses) for name, uses in self._lookups.items()}
        found: dict[str, _Own] = {**every, **looked_up}
        for name in self._contested(found.values()):
            own = [part for part in found.values() if name in part.shapes]
            if self._sizes[name].numel() > LARGEST_ROW:
                self.others.add(name)
            elif own:
                self._accumulate(name, rows_of(own, self._sizes, self._outputs)[name])
            found = {key: part for key, part in found.items() if name not in part.shapes}
        rows = {name: value for name, value in self._rows.items() if name not in self.others}
        parts: dict[str, Part] = {key: part for key, part in found.items() if self.others.isdisjoint(part.shapes)}
        return parts | {"explicit": _explicit(rows)} if rows else parts

    def _behind(self, weight: Tensor) -> list[Tensor]:
        """Parameters that a weight is computed from and that go by factors."""
        return [leaf for leaf in leaves_of(weight) if self._names.get(id(leaf), "") not in {"", *self.others}]

    def _add_rows(self, weight: Tensor, deltas: Tensor) -> None:
        """Add gradients (n, o, *shape) of a weight to the rows of the parameters that it is computed from."""
        leaves = self._behind(weight)
        self.others |= {self._names[id(leaf)] for leaf in leaves if leaf.numel() > LARGEST_ROW}
        leaves = [leaf for leaf in leaves if leaf.numel() <= LARGEST_ROW]
        try:
            chained = _chained(weight, leaves, deltas)
        except RuntimeError:  # vmap refuses the way from the parameters to the weight
            self.others |= {self._names[id(leaf)] for leaf in leaves}
            return
        for leaf, rows in zip(leaves, chained, strict=True):
            self._accumulate(self._names[id(leaf)], rows)

    def _accumulate(self, name: str, rows: Tensor) -> None:
        self._rows[name] = self._rows[name] + rows if name in self._rows else rows

    def _lookup(self, name: str, uses: Sequence[tuple[Tensor, Tensor]]) -> Lookup:
        deltas, indices = zip(*uses, strict=True)
        return Lookup(name, torch.cat(indices, 1), torch.cat(deltas, 2), self._sizes[name][0])

    def _contested(self, parts: Iterable[_Own]) -> list[str]:
        """Parameters of which several parts write the same numbers."""
        claims: dict[str, list[Place | None]] = {name: [None] for name in self._rows}
        for part in parts:
            claims.setdefault(next(iter(part.shapes)), []).append(
                part.places[0] if isinstance(part, Products) else None
            )
        return [name for name, places in claims.items() if any(_overlap(*pair) for pair in combinations(places, 2))]


def _deltas(uses: Sequence[Use], outputs: Tensor) -> Iterator[Tensor]:
    """∂f_a/∂(result) of every use and output a, as the use arranges it: (n, o, …). One backward pass per output."""
    edges = list({_node(use.edge): use.edge for use in uses}.values())
    found: list[dict[tuple[object, int], Tensor]] = []
    for output in range(outputs.shape[1]) if edges else ():
        gradients = torch.autograd.grad(outputs[:, output].sum(), edges, retain_graph=True, allow_unused=True)
        pairs = zip(edges, gradients, strict=True)
        found.append({_node(edge): gradient for edge, gradient in pairs if gradient is not None})
    for use in uses:
        each = (gradients.get(_node(use.edge)) for gradients in found)
        filled = (outputs.new_zeros(use.shape) if gradient is None else gradient for gradient in each)
        arranged = [use.arrange(gradient.movedim(use.axis, 0)) for gradient in filled]
        yield torch.stack(arranged, 1) if len(arranged) != 1 else arranged[0].unsqueeze(1)  # one output needs no copy


def _node(edge: GradientEdge) -> tuple[object, int]:
    return edge.node, edge.output_nr


def _chained(weight: Tensor, leaves: list[Tensor], deltas: Tensor) -> list[Tensor]:
    """Gradients (n, o, *shape) of a weight, taken back to the parameters that it is computed from."""
    if weight.is_leaf or not leaves:
        return [deltas] * len(leaves)
    cotangents = deltas.flatten(0, 1)
    gradients = torch.autograd.grad(
        weight, leaves, cotangents, retain_graph=True, is_grads_batched=True, materialize_grads=True
    )
    return [gradient.view(*deltas.shape[:2], *leaf.shape) for gradient, leaf in zip(gradients, leaves, strict=True)]


def _products(place: Place, uses: Sequence[tuple[Tensor, Tensor]]) -> Products:
    """One part of all uses of a matrix: their places one after the other."""
    if len(uses) == 1:
        return Products(*uses[0], (place,))
    deltas, features = zip(*uses, strict=True)
    return Products(torch.cat(deltas, 2), torch.cat(features, 1), (place,))


def _explicit(rows: Mapping[str, Tensor]) -> Explicit:
    sizes = {name: value.shape[2:] for name, value in rows.items()}
    return Explicit(sizes, torch.cat([value.reshape(*value.shape[:2], -1) for value in rows.values()], 2))


def _is_large(part: Products) -> bool:
    """Whether the rows of a product have fewer numbers than its factors."""
    _, o, length, width = part.deltas.shape
    columns = part.features.shape[2]
    return o * width * columns < length * (o * width + columns)


def _overlap(first: Place | None, second: Place | None) -> bool:
    """Whether two blocks of a parameter have numbers in common; None is the whole of it."""
    if first is None or second is None or first.height != second.height or first.is_whole or second.is_whole:
        return True
    apart = (
        one.stop <= other.start or other.stop <= one.start
        for one, other in ((first.rows, second.rows), (first.columns, second.columns))
    )
    return not any(apart)
