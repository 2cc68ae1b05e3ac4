"""Lazy training by scale alone: α (f(w, x) − f(w₀, x))."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from lab.errors import check_number, refuse
from lab.jacobians.jacobian import Jacobian
from lab.jacobians.scaled import ScaledJacobian
from lab.networks.network import Evaluator, Network, chosen, evaluator


class Scaled:
    """A network whose outputs are centred at initialization and multiplied by α, itself a `Network`.

    Parameters
    ----------
    network
        The network to scale; its weights are shared, not copied.
    alpha
        Positive scale α.
    centred
        Whether to subtract the outputs at the weights that the network has now (a copy of them is kept).

    Raises
    ------
    LabError
        An α that is not positive, or something that is no `Network`.

    References
    ----------
    Chizat, Oyallon, Bach, "On Lazy Training in Differentiable Programming", NeurIPS 2019, section 1.
    """

    def __init__(self, network: Network, alpha: float, centred: bool = True) -> None:
        check_number("alpha", alpha, above=0)
        if not isinstance(network, Network):
            refuse("network", type(network).__name__, "a network of the lab", "wrap a module by lab.as_network(module)")
        self.network, self.alpha = network, float(alpha)
        self.origin: Network | None = network.copy() if centred else None

    @property
    def trained(self) -> dict[str, Tensor]:
        """The inner network's trained parameters, live."""
        return self.network.trained

    def __call__(self, inputs: Tensor) -> Tensor:
        """α (f(w, x) − f(w₀, x)), in the shape of the inner network's outputs."""
        outputs = self.network(inputs)
        return self.alpha * (outputs if self.origin is None else outputs - self.origin(inputs))

    def jacobian(self, inputs: Tensor) -> Jacobian:
        """α times the inner Jacobian, with centred outputs (n, o)."""
        return self._scale(self.network.jacobian(inputs), self._start(inputs))

    def evaluator(self, inputs: Tensor) -> Evaluator:
        """The Jacobian on these inputs, for which f₀ is computed once."""
        inner, start = evaluator(self.network, inputs), self._start(inputs)
        return lambda batch=None: self._scale(inner(batch), start if start is None else chosen(start, batch))

    def gates(self, inputs: Tensor) -> Tensor | None:
        """The inner network's gates."""
        return self.network.gates(inputs)

    def copy(self) -> Self:
        """An independent copy around the same origin."""
        twin = type(self)(self.network.copy(), self.alpha, centred=False)
        twin.origin = self.origin
        return twin

    def descend(self, jacobian: Jacobian, cotangent: Tensor, learning_rate: float) -> None:
        """θ −= η Jᵀr in place, J being the scaled Jacobian."""
        jacobian.add_pull(self.trained, cotangent, -learning_rate)

    @torch.no_grad()
    def _start(self, inputs: Tensor) -> Tensor | None:
        return None if self.origin is None else self.origin(inputs).flatten(1)

    def _scale(self, inner: Jacobian, start: Tensor | None) -> ScaledJacobian:
        outputs = inner.outputs if start is None else inner.outputs - start
        return ScaledJacobian(inner, self.alpha, self.alpha * outputs)
