"""What the learners ask of a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from torch import Tensor

from lab.errors import refuse
from lab.jacobians.expansion import Expansion
from lab.jacobians.jacobian import BackwardPass, Jacobian


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


class Evaluator(Protocol):
    """A network on inputs that stay the same."""

    def __call__(self, batch: Tensor | None = None) -> Jacobian:
        """The Jacobian on some samples (integer indices) or on all, at today's weights: good until the next call."""
        ...


@dataclass(frozen=True)
class SteppingEvaluator:
    """An evaluator with a shorter way for steps of descent whose Jacobian is not read.

    Attributes
    ----------
    evaluate
        As `Evaluator`.
    step
        Outputs (b, o) and the backward pass there, to the bit those of the Jacobian: good until the next call, and not
        checked.
    """

    evaluate: Evaluator
    step: Callable[[Tensor | None], tuple[Tensor, BackwardPass]]

    def __call__(self, batch: Tensor | None = None) -> Jacobian:
        """The Jacobian on some samples or on all."""
        return self.evaluate(batch)


@runtime_checkable
class Repeating(Network, Protocol):
    """A network that can be evaluated on the same inputs again and again for less than ``jacobian`` costs each time."""

    def evaluator(self, inputs: Tensor, /) -> Evaluator:
        """How that is done."""
        ...


def evaluator(network: Network, inputs: Tensor) -> Evaluator:
    """A network on inputs that stay the same, by its own way if it has one."""
    if isinstance(network, Repeating):
        return network.evaluator(inputs)
    return lambda batch=None: network.jacobian(chosen(inputs, batch))


def chosen(inputs: Tensor, batch: Tensor | None) -> Tensor:
    """Some samples, by integer indices, or all of them."""
    return inputs if batch is None else inputs[batch.to(inputs.device)]


@runtime_checkable
class Expandable(Network, Protocol):
    """A network that has a second-order Taylor expansion."""

    def expansion(self, inputs: Tensor, /) -> Expansion:
        """The expansion around today's weights, which it copies."""
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


def expansion(network: Network, inputs: Tensor) -> Expansion:
    """The second-order expansion of a network on inputs (n, …), around today's weights.

    Raises
    ------
    LabError
        A network that has none.
    """
    if not isinstance(network, Expandable):
        fix = "give it a method `expansion`, or use an ElmanRNN, a Scaled one, or a torch.nn.Module"
        refuse("network", f"{type(network).__name__}, which has no second-order expansion", "one that has", fix)
    return network.expansion(inputs)
