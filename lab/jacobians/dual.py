"""The Jacobian of a linear model in dual coordinates: v = J₀ᵀa is moved by moving a, one number per output."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor

from lab.jacobians.jacobian import Tangent


class DualJacobian:
    """∂f/∂a for f = f₀ + K a with the metric of the weights: a gradient step on θ is a −= η g.

    Descending on a with any of the lab's updates is descending on v = J₀ᵀa, without an array of the weights' size. The
    only parameter is called ``a`` and has shape (n, o) of the training set.

    Parameters
    ----------
    kernel
        K between these samples and the training samples, shape (n', o, n, o).
    outputs
        f₀ on these samples, shape (n', o).
    samples
        Which training samples these are (integer indices), for `add_pull`; all of them by default.
    """

    def __init__(self, kernel: Tensor, outputs: Tensor, samples: Tensor | None = None) -> None:
        self._kernel, self._outputs, self._samples = kernel, outputs, samples

    @property
    def outputs(self) -> Tensor:
        """f₀, shape (n', o)."""
        return self._outputs

    def pull(self, cotangent: Tensor) -> Tangent:
        """The motion of a that a unit step along r makes, shape (n, o)."""
        tangent = {"a": cotangent.new_zeros(self._kernel.shape[2:])}
        self.add_pull(tangent, cotangent, 1.0)
        return tangent

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """A += scale · r on the rows of these samples, in place."""
        rows = torch.arange(len(cotangent), device=cotangent.device) if self._samples is None else self._samples
        tangent["a"].index_add_(0, rows, cotangent, alpha=scale)

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """K a, shape (n', o)."""
        return torch.mv(self._kernel.flatten(2).flatten(0, 1), tangent["a"].flatten()).view_as(self._outputs)

    def gram(self, other: Self | None = None) -> Tensor:
        """K between the samples of two such Jacobians, where the other's are training samples; (n', o, n'', o)."""
        chosen = self if other is None else other
        return self._kernel if chosen._samples is None else self._kernel[:, :, chosen._samples]

    def keep(self) -> Self:
        """Nothing to let go of; returns this same object."""
        return self

    def select(self, samples: Tensor) -> Self:
        """The Jacobian of some samples."""
        chosen = copy.copy(self)
        chosen._kernel, chosen._outputs = self._kernel[samples], self._outputs[samples]
        chosen._samples = samples if self._samples is None else self._samples[samples]
        return chosen
