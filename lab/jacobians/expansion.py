"""Second-order Taylor expansions q(v) = f₀ + J₀v + ½ vᵀH₀v around fixed weights, without an array of H₀."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol, Self, cast

import torch
from torch import Tensor

from lab.jacobians.jacobian import Jacobian, Tangent, WeightWatch, check_cotangent, check_tangent


class Expansion(Protocol):
    """The expansion of a network on n samples around the weights that it had: they are held, and cannot move."""

    @property
    def outputs(self) -> Tensor:
        """f₀, shape (n, o)."""
        ...

    def at(self, motion: Mapping[str, Tensor], /) -> Jacobian:
        """The Jacobian J₀ + vᵀH₀ of q at v, whose ``outputs`` are q(v), (n, o): good until v is written."""
        ...

    def select(self, samples: Tensor, /) -> Self:
        """The expansion of some samples, by integer indices."""
        ...


class QuadraticJacobian(ABC):
    """J₀ + vᵀH₀, the Jacobian of q at a motion v.

    A subclass computes q(v) and (J₀ + vᵀH₀)ᵀr. The rest follows from q being quadratic.

    Parameters
    ----------
    expansion
        What q expands.
    motion
        v, keyed and shaped like the trained parameters; not copied.
    outputs
        q(v), shape (n, o).

    Raises
    ------
    LabError
        From every method once v has been written, if it is a live one.
    """

    def __init__(self, expansion: Expansion, motion: Mapping[str, Tensor], outputs: Tensor) -> None:
        self._expansion, self._motion, self._outputs = expansion, motion, outputs
        self._watch = WeightWatch(motion)

    @property
    def outputs(self) -> Tensor:
        """q(v), shape (n, o)."""
        return self._outputs

    @abstractmethod
    def _add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · (J₀ + vᵀH₀)ᵀr in place, where the tangent may be v itself."""

    @torch.no_grad()
    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · (J₀ + vᵀH₀)ᵀr in place, for r (n, o)."""
        self._watch.check()
        self._add_pull(tangent, check_cotangent(cotangent, self._outputs), scale)

    @torch.no_grad()
    def pull(self, cotangent: Tensor) -> Tangent:
        """(J₀ + vᵀH₀)ᵀr for r (n, o)."""
        tangent = {name: torch.zeros_like(value) for name, value in self._motion.items()}
        self.add_pull(tangent, cotangent, 1.0)
        return tangent

    @torch.no_grad()
    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """(J₀ + vᵀH₀)w, shape (n, o): (q(v + w) − q(v − w))/2, without an error of the method as q is quadratic.

        w is taken as long as v, so that rounding errors are those of q(v).
        """
        self._watch.check()
        shapes = {name: value.shape for name, value in self._motion.items()}
        tangent = check_tangent(tangent, shapes, self._outputs)
        length, size = _norm(tangent), _norm(self._motion)
        scale = size / length if size and length else 1.0
        ahead, back = (
            {name: value + sign * scale * tangent[name] for name, value in self._motion.items()} for sign in (1, -1)
        )
        return (self._expansion.at(ahead).outputs - self._expansion.at(back).outputs) / (2 * scale)

    @torch.no_grad()
    def gram(self, other: Self | None = None) -> Tensor:
        """(J₀ + vᵀH₀)(J₀ + vᵀH₀)ᵀ, shape (n, o, n', o'): a `pull` and a `push` for every output of the right side."""
        right = self if other is None else other
        columns = []
        for place in range(right._outputs.numel()):
            unit = torch.zeros_like(right._outputs)
            unit.view(-1)[place] = 1
            columns.append(self.push(right.pull(unit)).flatten())
        kernel = torch.stack(columns, dim=1).view(*self._outputs.shape, *right._outputs.shape)
        return kernel if other is not None else (kernel + kernel.permute(2, 3, 0, 1)) / 2

    def keep(self) -> Self:
        """Hold a copy of v, so that nothing moves this Jacobian any more; returns this same object."""
        self._motion = {name: value.detach().clone() for name, value in self._motion.items()}
        self._watch = WeightWatch(self._motion)
        return self

    def select(self, samples: Tensor) -> Self:
        """The Jacobian of some samples (integer indices) at the same motion."""
        return cast(Self, self._expansion.select(samples).at(self._motion))


def _norm(tangent: Mapping[str, Tensor]) -> float:
    return float(sum(float(value.double().square().sum()) for value in tangent.values()) ** 0.5)
