"""The second-order expansion of any module by torch.func: forward mode twice, and backward mode through it once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

import torch
from torch import Tensor
from torch.func import jvp

from lab.jacobians.autodiff import AutodiffJacobian, Function, along_backward, along_forward, gradient
from lab.jacobians.elementary import elementary
from lab.jacobians.expansion import QuadraticJacobian
from lab.jacobians.jacobian import Tangent


class ModuleExpansion:
    """A module around its present weights, which are copied.

    J₀v and vᵀH₀v come from two nested forward derivatives, (J₀ + vᵀH₀)ᵀr from a backward pass through f + J v. Where a
    module refuses forward mode, a derivative along v is that of a backward pass. Derivatives are torch's: a kink such
    as that of ReLU has no second one.

    Parameters
    ----------
    jacobian
        The module's Jacobian, kept.
    """

    def __init__(self, jacobian: AutodiffJacobian) -> None:
        self.jacobian = jacobian

    @property
    def outputs(self) -> Tensor:
        """f₀, shape (n, o)."""
        return self.jacobian.outputs

    def function(self, point: Tangent) -> Tensor:
        """f(θ), shape (n, o), in operations that torch differentiates twice."""
        with elementary():
            return self.jacobian.function(point)

    def at(self, motion: Mapping[str, Tensor]) -> ModuleQuadratic:
        """The Jacobian of the second-order model at v: one pass of forward mode through forward mode."""
        return ModuleQuadratic(self, motion)

    def select(self, samples: Tensor) -> Self:
        """The expansion of some samples, by integer indices."""
        return type(self)(self.jacobian.select(samples))


class ModuleQuadratic(QuadraticJacobian):
    """J₀ + vᵀH₀ of a module."""

    def __init__(self, expansion: ModuleExpansion, motion: Mapping[str, Tensor]) -> None:
        self._function = expansion.function
        self._jacobian, self._held = expansion.jacobian, {name: value.clone() for name, value in motion.items()}
        first, second = self._jacobian.attempt("forward mode twice", self._forward, self._backward)
        outputs = expansion.outputs + (first + second / 2).detach().to(expansion.outputs)
        super().__init__(expansion, motion, outputs)

    def _add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        through_forward, through_backward = (
            lambda along=along: self._pull(along, cotangent) for along in (along_forward, along_backward)
        )
        pulled = self._jacobian.attempt("backward pass through forward mode", through_forward, through_backward)
        for name, value in pulled.items():
            tangent[name].add_(value.to(tangent[name]), alpha=scale)

    def _forward(self) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():  # some formulas are wrong under no_grad (torch.linalg.solve)
            along = along_forward(self._function, self._held)
            found = jvp(along, (self._jacobian.point,), (self._held,))
        return found[0], found[1]

    def _backward(self) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            along, leaves = along_backward(self._function, self._held), self._jacobian.leaves()
            return along(leaves), along_backward(along, self._held)(leaves)

    def _pull(self, derivative: Callable[[Function, Tangent], Function], cotangent: Tensor) -> Tangent:
        """The gradient of ⟨r, f + J v⟩."""
        leaves, function = self._jacobian.leaves(), self._function
        with torch.enable_grad():
            moved = function(leaves) + derivative(function, self._held)(leaves)
            return gradient(moved, leaves, cotangent.to(moved))
