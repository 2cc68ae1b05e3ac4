"""A Jacobian held in factors: all algebra on it that needs no weights of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lab.jacobians.gram import MEMORY
from lab.jacobians.parts import Part


@dataclass(frozen=True)
class Factors:
    """J = ∂f/∂θ as a sum of parts, each linear in some of the trained parameters.

    `gram` reads factors as they are stored; `push` and `add_pull` want them `stored`. Parts of one Jacobian and of
    another one of the same network are in the same order.

    Attributes
    ----------
    parts
        See `lab.jacobians.parts`. No two of them write the same numbers of a tangent.
    shape
        (n, o): samples, and outputs of each.
    """

    parts: tuple[Part, ...]
    shape: tuple[int, int]

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Shapes of tangents in the coordinates of `reduced` factors."""
        return {name: size for part in self.parts for name, size in part.shapes.items()}

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """Jv, shape (n, o)."""
        change = self.parts[0].push(tangent)
        for part in self.parts[1:]:
            change += part.push(tangent)
        return change

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place."""
        for part in self.parts:
            part.add_pull(tangent, cotangent, scale)

    def gram(self, other: Factors | None, route: str | None = None, memory: int = MEMORY) -> Tensor:
        """J J'ᵀ, shape (n, o, n', o')."""
        rights: tuple[Part | None, ...] = (None,) * len(self.parts) if other is None else other.parts
        grams = (left.gram(right, route, memory) for left, right in zip(self.parts, rights, strict=True))
        kernel = next(grams)
        for gram in grams:
            kernel += gram
        return kernel

    def stored(self) -> Factors:
        """The same factors in memory of their own, sample by sample, as `push` and `add_pull` read them."""
        return replace(self, parts=tuple(part.stored() for part in self.parts))

    def select(self, samples: Tensor) -> Factors:
        """The factors of some samples, by integer index."""
        return Factors(tuple(part.select(samples) for part in self.parts), (len(samples), self.shape[1]))


def reduce(factors: Factors, others: Factors | None) -> tuple[Factors, Factors | None]:
    """The same Jacobians in coordinates of what descent on the first one can reach.

    A motion that starts at 0 and moves along Jᵀr stays, for each weight, between the span of the deltas on the left and
    that of the features on the right. In orthonormal bases of both, tangents have as many rows and columns as there are
    deltas and features, where that is less than the weights have, and every Jv stays what it was.
    """
    rights: tuple[Part | None, ...] = (None,) * len(factors.parts) if others is None else others.parts
    pairs = [left.reduced(right) for left, right in zip(factors.parts, rights, strict=True)]
    mine = replace(factors, parts=tuple(left for left, _ in pairs))
    theirs = tuple(right for _, right in pairs if right is not None)
    return mine, None if others is None else replace(others, parts=theirs)
