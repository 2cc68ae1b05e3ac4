"""What the learners ask of a network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, Self, runtime_checkable

from torch import Tensor

from lab.jacobians.jacobian import Jacobian


@runtime_checkable
class Network(Protocol):
    """A differentiable function of inputs (n, …) with parameters that can be trained.

    Calling it is ordinary differentiable torch; it returns outputs in the shape of the targets. All inputs are cast
    to the network's dtype and device.
    """

    @property
    def trained(self) -> dict[str, Tensor]:
        """The trained parameters by name: live, not copies."""
        ...

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Outputs, first axis n."""
        ...

    def jacobian(self, inputs: Tensor, /) -> Jacobian:
        """Run the forward pass and return the Jacobian of all outputs in the trained parameters."""
        ...

    def gates(self, inputs: Tensor, /) -> Tensor | None:
        """Open gates as booleans, shape (…, n, m), or None where the network has no on/off gates."""
        ...

    def copy(self) -> Self:
        """An independent network with the same weights: nothing is shared."""
        ...

    def descend(self, jacobian: Jacobian, cotangent: Tensor, learning_rate: float) -> None:
        """θ −= η Jᵀr in place, with J taken at today's weights and r of shape (n, o)."""
        ...


@runtime_checkable
class Redrawable(Network, Protocol):
    """A network whose initial weights can be drawn again, so that no copy of them need be kept."""

    def is_initial(self) -> bool:
        """Whether the weights are still the initial ones."""
        ...

    def initial_pieces(self, name: str) -> Iterator[tuple[slice, Tensor]]:
        """An initial weight in pieces of a few rows, each with its place, in the weight's dtype and on its device."""
        ...
