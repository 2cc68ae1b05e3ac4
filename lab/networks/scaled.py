"""Lazy training by scale alone: α (f(w, x) − f(w₀, x))."""

from __future__ import annotations

from collections import deque
from typing import Self

import torch
from torch import Tensor

from lab.errors import check_number, refuse
from lab.jacobians.jacobian import Jacobian
from lab.jacobians.scaled import ScaledJacobian
from lab.networks.network import Network


class Origin:
    """f₀ on data, remembered: a descent asks for the same outputs at every step.

    Inputs are told apart by their values, so that writing into them is noticed.
    """

    _KEPT = 4  # training and test inputs, and a little room for batches

    def __init__(self, network: Network) -> None:
        self.network = network
        self._answers: deque[tuple[Tensor, Tensor]] = deque(maxlen=self._KEPT)

    @torch.no_grad()
    def outputs(self, inputs: Tensor) -> Tensor:
        """Outputs at w₀, in the shape of the network's, without a graph."""
        for known, outputs in self._answers:
            if _same(known, inputs):
                return outputs
        outputs = self.network(inputs)
        self._answers.append((inputs.detach().clone(), outputs))
        return outputs

    def __reduce__(self) -> tuple[type[Self], tuple[Network]]:
        return type(self), (self.network,)  # what is stored or sent holds nobody's data


def _same(known: Tensor, inputs: Tensor) -> bool:
    alike = known.shape == inputs.shape and known.dtype == inputs.dtype and known.device == inputs.device
    return alike and torch.equal(known, inputs)


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
        self.origin = Origin(network.copy()) if centred else None

    @property
    def trained(self) -> dict[str, Tensor]:
        """The inner network's trained parameters, live."""
        return self.network.trained

    def __call__(self, inputs: Tensor) -> Tensor:
        """α (f(w, x) − f(w₀, x)), in the shape of the inner network's outputs."""
        outputs = self.network(inputs)
        return self.alpha * (outputs if self.origin is None else outputs - self.origin.network(inputs))

    def jacobian(self, inputs: Tensor) -> Jacobian:
        """α times the inner Jacobian, with centred outputs (n, o)."""
        inner = self.network.jacobian(inputs)
        start = 0.0 if self.origin is None else self.origin.outputs(inputs).reshape(inner.outputs.shape)
        return ScaledJacobian(inner, self.alpha, self.alpha * (inner.outputs - start))

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
