"""Lazy training by scale alone: α (f(w, x) − f(w₀, x))."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from lab.errors import check_integer, check_number, refuse
from lab.jacobians.jacobian import Jacobian
from lab.jacobians.scaled import ScaledExpansion, ScaledJacobian
from lab.networks.network import Evaluator, Network, chosen, evaluator, expansion
from lab.networks.parametrization import MEAN_FIELD_SCALE


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

    Attributes
    ----------
    label
        What titles say of the scale: α₀ of `mean_field`; otherwise empty.

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
        self.label = ""

    @classmethod
    def mean_field(cls, network: Network, width: int, alpha: float = MEAN_FIELD_SCALE) -> Self:
        """A network in its mean-field limit: centred, with the output scale α = α₀/√m.

        Parameters
        ----------
        network
            A network whose outputs are of order 1 at any width before training, best with weights N(0, 1) and factors
            1/√fan-in in front, as in the "ntk" parametrization. An `ElmanRNN` in that one becomes what it is with
            ``parametrization="mean_field"``. With weights of variance 1/fan-in and nothing in front, torch's way,
            hidden and output weights move features and outputs by O(1) too, but input weights and biases by O(1/m).
        width
            Hidden width m of the network, which is not read from it.
        alpha
            α₀, positive.

        References
        ----------
        Geiger, Spigler, Jacot, Wyart, "Disentangling feature and lazy training in deep neural networks", 2020.
        """
        check_integer("width", width, 1)
        check_number("alpha", alpha, above=0)
        scaled = cls(network, float(alpha) / math.sqrt(width))
        scaled.label = f"mean-field limit with α₀ = {alpha:g}"
        return scaled

    def __repr__(self) -> str:
        note = f" ({self.label})" if self.label else ""
        return f"Scaled({self.network!r}, alpha={self.alpha:g}{note}, centred={self.origin is not None})"

    @property
    def trained(self) -> dict[str, Tensor]:
        """The inner network's trained parameters, live."""
        return self.network.trained

    @property
    def replayable(self) -> bool:
        """Whether a GPU may replay steps of descent, as the inner network says."""
        return getattr(self.network, "replayable", False)

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

    def expansion(self, inputs: Tensor) -> ScaledExpansion:
        """The second-order expansion, α times the inner one; raises `LabError` for a network that has none."""
        return ScaledExpansion(expansion(self.network, inputs), self.alpha, self._start(inputs))

    def gates(self, inputs: Tensor) -> Tensor | None:
        """The inner network's gates."""
        return self.network.gates(inputs)

    def copy(self) -> Self:
        """An independent copy around the same origin."""
        twin = type(self)(self.network.copy(), self.alpha, centred=False)
        twin.origin, twin.label = self.origin, self.label
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
