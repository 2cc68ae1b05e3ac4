"""The Jacobian of a network whose outputs are multiplied by a constant."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Self

from torch import Tensor

from lab.jacobians.expansion import Expansion
from lab.jacobians.jacobian import Jacobian, Reducible, Tangent


class ScaledJacobian:
    """Jacobian of α (f − c) for a constant c: the inner one times α.

    Parameters
    ----------
    inner
        Jacobian of f.
    alpha
        The scale α.
    outputs
        α (f − c), shape (n, o).
    """

    def __init__(self, inner: Jacobian, alpha: float, outputs: Tensor) -> None:
        self._inner, self._alpha, self._outputs = inner, alpha, outputs

    @property
    def outputs(self) -> Tensor:
        """α (f − c), shape (n, o)."""
        return self._outputs

    def pull(self, cotangent: Tensor) -> Tangent:
        """α Jᵀr."""
        return self._inner.pull(self._alpha * cotangent)

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · α Jᵀr in place."""
        self._inner.add_pull(tangent, cotangent, scale * self._alpha)

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """α Jv."""
        return self._alpha * self._inner.push(tangent)

    def gram(self, other: Self | None = None) -> Tensor:
        """α α' J J'ᵀ."""
        if other is None:
            return self._alpha**2 * self._inner.gram()
        return self._alpha * other._alpha * self._inner.gram(other._inner)

    def keep(self) -> Self:
        """Keep the inner Jacobian; returns this same object."""
        self._inner.keep()
        return self

    def reduced(self, other: Self | None) -> tuple[Jacobian, Jacobian | None]:
        """Two kept Jacobians in coordinates of what descent on this one can reach, if the inner ones have such."""
        if not isinstance(self._inner, Reducible):
            return self, other
        mine, theirs = self._inner.reduced(None if other is None else other._inner)
        return self._around(mine), None if other is None or theirs is None else other._around(theirs)

    def _around(self, inner: Jacobian) -> Self:
        return type(self)(inner, self._alpha, self._outputs)

    def select(self, samples: Tensor) -> Self:
        """The kept Jacobian of some samples."""
        chosen = copy.copy(self)
        chosen._inner, chosen._outputs = self._inner.select(samples), self._outputs[samples]
        return chosen


class ScaledExpansion:
    """The second-order expansion of α (f − c) for a constant c: the inner one times α.

    Parameters
    ----------
    inner
        Expansion of f.
    alpha
        The scale α.
    start
        c on the same samples, (n, o); None for 0.
    """

    def __init__(self, inner: Expansion, alpha: float, start: Tensor | None) -> None:
        self._inner, self._alpha, self._start = inner, alpha, start

    @property
    def outputs(self) -> Tensor:
        """α (f₀ − c), shape (n, o)."""
        return self._scale(self._inner.outputs)

    def at(self, motion: Mapping[str, Tensor]) -> ScaledJacobian:
        """The Jacobian of the second-order model at v."""
        inner = self._inner.at(motion)
        return ScaledJacobian(inner, self._alpha, self._scale(inner.outputs))

    def select(self, samples: Tensor) -> Self:
        """The expansion of some samples, by integer indices."""
        start = None if self._start is None else self._start[samples]
        return type(self)(self._inner.select(samples), self._alpha, start)

    def _scale(self, outputs: Tensor) -> Tensor:
        return self._alpha * (outputs if self._start is None else outputs - self._start)
