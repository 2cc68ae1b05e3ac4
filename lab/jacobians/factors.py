"""A Jacobian held in factors: all algebra on it that needs no weights of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.jacobians.gram import MEMORY
from lab.jacobians.parts import Part


@dataclass(frozen=True)
class Factors:
    """J = ∂f/∂θ as a sum of parts, each linear in some of the trained parameters.

    `gram` reads factors as they are stored; `push` and `add_pull` want them `stored`.

    Attributes
    ----------
    parts
        See `lab.jacobians.parts`. No two of them write the same numbers of a tangent. Parts of two Jacobians of one
        network belong together if they have the same key and shapes.
    outputs
        f, shape (n, o), for sizes and type.
    sizes
        Shapes of the parameters.
    """

    parts: Mapping[str, Part]
    outputs: Tensor
    sizes: Mapping[str, torch.Size]

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Shapes of tangents in the coordinates of `reduced` factors."""
        return {name: size for part in self.parts.values() for name, size in part.shapes.items()}

    @property
    def step_flops(self) -> float:
        """Flops of the products of one `push` and one `add_pull`."""
        return sum(part.step_flops for part in self.parts.values())

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """Jv, shape (n, o)."""
        changes = (part.push(tangent) for part in self.parts.values())
        change = next(changes, None)
        if change is None:
            return torch.zeros_like(self.outputs)
        for further in changes:
            change += further
        return change

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place."""
        for part in self.parts.values():
            part.add_pull(tangent, cotangent, scale)

    def gram(self, other: Factors | None, route: str | None = None, memory: int = MEMORY) -> Tensor:
        """J J'ᵀ, shape (n, o, n', o')."""
        kernel = self.outputs.new_zeros(*self.outputs.shape, *(other or self).outputs.shape)
        theirs = dict(self.parts if other is None else other.parts)
        alone = []
        for key, part in self.parts.items():
            if key in theirs and theirs[key].shapes.keys() == part.shapes.keys():
                partner = theirs.pop(key)
                kernel += part.gram(None if other is None else partner, route, memory)
            else:
                alone.append(part)
        if other is not None and alone and theirs:
            left, right = self.rows_of(alone), other.rows_of(list(theirs.values()))
            for name in left.keys() & right.keys():
                kernel += torch.tensordot(left[name].flatten(2), right[name].flatten(2), ([2], [2]))
        return kernel

    def rows_of(self, parts: Sequence[Part]) -> dict[str, Tensor]:
        """The rows of J that some parts make, (n, o, *shape) by the name of the parameter."""
        return rows_of(parts, self.sizes, self.outputs)

    def stored(self) -> Factors:
        """The same factors in memory of their own, sample by sample, as `push` and `add_pull` read them."""
        return replace(self, parts={key: part.stored() for key, part in self.parts.items()})

    def select(self, samples: Tensor) -> Factors:
        """The factors of some samples, by integer index."""
        parts = {key: part.select(samples) for key, part in self.parts.items()}
        return replace(self, parts=parts, outputs=self.outputs[samples])


def rows_of(parts: Sequence[Part], sizes: Mapping[str, torch.Size], outputs: Tensor) -> dict[str, Tensor]:
    """The rows that parts make, (n, o, *shape) by the name of the parameter.

    ``sizes`` are the shapes of the parameters; ``outputs`` (n, o) give numbers and type.
    """
    names = {name: None for part in parts for name in part.shapes}
    rows = {name: outputs.new_zeros(*outputs.shape, *sizes[name]) for name in names}
    for part in parts:
        part.add_rows(rows)
    return rows


def joined(pieces: Sequence[Factors]) -> Factors:
    """The factors of all samples from those of some after the other."""
    parts = {key: _joined([piece.parts[key] for piece in pieces]) for key in pieces[0].parts}
    return replace(pieces[0], parts=parts, outputs=torch.cat([piece.outputs for piece in pieces]))


def reduce(factors: Factors, others: Factors | None) -> tuple[Factors, Factors | None]:
    """The same Jacobians in coordinates of what descent on the first one can reach.

    A motion that starts at 0 and moves along Jᵀr stays, for each weight, between the span of the deltas on the left and
    that of the features on the right. In orthonormal bases of both, tangents have as many rows and columns as there are
    deltas and features, where that is less than the weights have, and every Jv stays what it was. Parts of the second
    one alone see no motion and are left out.
    """
    mine: dict[str, Part] = {}
    theirs: dict[str, Part] = {}
    for key, part in factors.parts.items():
        mine[key], other = part.reduced(None if others is None else others.parts.get(key))
        if other is not None:
            theirs[key] = other
    return replace(factors, parts=mine), None if others is None else replace(others, parts=theirs)


def _joined(parts: Sequence[Part]) -> Part:
    stacked = {
        name: torch.cat([vars(part)[name] for part in parts])
        for name, value in vars(parts[0]).items()
        if isinstance(value, Tensor)
    }
    return replace(parts[0], **stacked)  # type: ignore[type-var]
