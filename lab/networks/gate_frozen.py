"""A ReLU network whose gates stay what they were at initialization: linear in each weight, without kinks."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from lab.errors import refuse
from lab.jacobians.factored import FactoredJacobian
from lab.jacobians.jacobian import Jacobian
from lab.networks.elman import ElmanRNN
from lab.networks.network import Evaluator, chosen


class GateFrozen:
    """h_t = D_t (W h_{t-1} + A x_t) with the gates D_t of the first weights on the same input; itself a `Network`.

    At the first weights it is the network itself, and so are its Jacobian and its linearization. What it misses are
    gates that flip; what it adds to the linearization is that weights are multiplied with each other, to all orders.

    Parameters
    ----------
    network
        An ElmanRNN with ReLU, whose weights are shared, not copied.
    origin
        The network whose gates are taken, of the same width; a copy of this one by default.

    Raises
    ------
    LabError
        Another kind of network, an activation without gates, or an origin of another width.

    Examples
    --------
    >>> network = ElmanRNN(16, inputs=3)
    >>> frozen, inputs = GateFrozen(network), torch.ones(2, 4, 3)
    >>> bool(torch.allclose(frozen(inputs), network(inputs)))
    True
    """

    def __init__(self, network: ElmanRNN, origin: ElmanRNN | None = None) -> None:
        for what, given in (("network", network), ("origin", network if origin is None else origin)):
            if not isinstance(given, ElmanRNN) or not given.activation.gated:
                came = given.activation.name if isinstance(given, ElmanRNN) else type(given).__name__
                refuse(what, came, "an ElmanRNN with activation='relu'", "other activations have no gates")
        if origin is not None and origin.width != network.width:
            refuse("origin", f"width {origin.width}", f"width {network.width}, as the network", "leave it out")
        self.network, self.origin = network, network.copy() if origin is None else origin

    def __repr__(self) -> str:
        return f"GateFrozen({self.network!r})"

    @property
    def trained(self) -> dict[str, Tensor]:
        """The network's trained parameters, live."""
        return self.network.trained

    @property
    def width(self) -> int:
        """The number m of hidden units."""
        return self.network.width

    def __call__(self, inputs: Tensor) -> Tensor:
        """Outputs (n, q), or (n, L−1, q) for the readout "all": ordinary differentiable torch."""
        return self.network.through(inputs, self.origin.unroll(inputs).slopes)

    def jacobian(self, inputs: Tensor) -> FactoredJacobian:
        """Jacobian of all outputs, in factors."""
        network, slopes = self.network, self.origin.unroll(inputs).slopes
        start = network.initial_outputs(inputs) if network.centred else None
        return FactoredJacobian(network.unroll(inputs, slopes), start)

    @torch.no_grad()
    def evaluator(self, inputs: Tensor) -> Evaluator:
        """The Jacobian on these inputs, for which gates are found once."""
        network, slopes = self.network, self.origin.unroll(inputs).slopes
        start = network.initial_outputs(inputs) if network.centred else None

        @torch.no_grad()
        def evaluate(batch: Tensor | None = None) -> FactoredJacobian:
            if batch is None:
                return FactoredJacobian(network.unroll(inputs, slopes), start)
            some = None if start is None else chosen(start, batch)
            return FactoredJacobian(network.unroll(chosen(inputs, batch), slopes[:, batch]), some)

        return evaluate

    def gates(self, inputs: Tensor) -> Tensor | None:
        """The frozen gates, (L, n, m)."""
        return self.origin.gates(inputs)

    def copy(self) -> Self:
        """An independent copy with the same frozen gates."""
        return type(self)(self.network.copy(), self.origin)

    def descend(self, jacobian: Jacobian, cotangent: Tensor, learning_rate: float) -> None:
        """θ −= η Jᵀr in place."""
        self.network.descend(jacobian, cotangent, learning_rate)
