"""The Jacobian of all outputs of a network in its trained parameters, as the learners see it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from lab.errors import refuse

#: A direction in weight space, keyed and shaped like the trained parameters.
Tangent = dict[str, Tensor]


class BackwardPass(Protocol):
    """What a step of descent needs of a Jacobian: Jᵀr, for r (n, o)."""

    def pull(self, cotangent: Tensor, /) -> Tangent:
        """Jᵀr, a tangent."""
        ...

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float, /) -> None:
        """Tangent += scale · Jᵀr in place, without forming Jᵀr; the tangent may be the live weights themselves."""
        ...


class Jacobian(BackwardPass, Protocol):
    """J = ∂f/∂θ at one point in weight space, on n samples with o outputs each.

    An unkept Jacobian belongs to the live weights and raises `LabError` once they have moved. A kept one holds all
    that it needs; nothing that happens to the network moves it.
    """

    @property
    def outputs(self) -> Tensor:
        """f at that point, shape (n, o)."""
        ...

    def push(self, tangent: Mapping[str, Tensor], /) -> Tensor:
        """Jv for a tangent v, shape (n, o)."""
        ...

    def gram(self, other: Self | None = None, /) -> Tensor:
        """J J'ᵀ, shape (n, o, n', o'); without ``other`` it is symmetric and only half of it is computed."""
        ...

    def keep(self) -> Self:
        """Form what `push` and `gram` need, let go of the live weights, and return the same object."""
        ...

    def select(self, samples: Tensor, /) -> Self:
        """The rows of these samples (integer indices) of a kept Jacobian, kept too."""
        ...


@runtime_checkable
class Reducible(Protocol):
    """A Jacobian that can be written in coordinates of the subspace that descent reaches."""

    def reduced(self, other: Any, /) -> tuple[Jacobian, Jacobian | None]:
        """This Jacobian and that of other samples at the same weights, both kept, in the same coordinates."""
        ...


def version_of(weight: Tensor) -> int:
    """How often a tensor was written, by torch's counter; `LabError` under `torch.inference_mode`, which has none."""
    if weight.is_inference():
        came, allowed = "weights made or copied under torch.inference_mode", "weights whose changes torch counts"
        refuse("network", came, allowed, "use torch.no_grad() in its place")
    return weight._version


class WeightWatch:
    """Notices when weights have been written since it began to look (torch's version counters)."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._seen = {name: (weight, version_of(weight)) for name, weight in weights.items()}

    @property
    def moved(self) -> list[str]:
        """Names of the weights that have been written."""
        return [name for name, (weight, version) in self._seen.items() if weight._version != version]

    def check(self) -> None:
        """Raise `LabError` if a watched weight has been written."""
        if self.moved:
            came = f"a Jacobian taken before {', '.join(self.moved)} moved"
            fix = "call network.jacobian(inputs) again after the step, or .keep() before it"
            refuse("jacobian", came, "one that is kept or at today's weights", fix)


def check_cotangent(cotangent: Tensor, outputs: Tensor) -> Tensor:
    """The cotangent in the dtype and on the device of the outputs; refused if not shaped like them, (n, o)."""
    if not isinstance(cotangent, Tensor):  # a tensor would go to the default device
        cotangent = torch.as_tensor(cotangent)
    if cotangent.shape != outputs.shape:
        fix = "flatten the outputs of a sample, time first: cotangent.reshape(n, -1)"
        refuse("cotangent", f"shape {tuple(cotangent.shape)}", f"shape {tuple(outputs.shape)}", fix)
    return cotangent.to(outputs)


def check_tangent(tangent: Mapping[str, Tensor], shapes: Mapping[str, torch.Size], outputs: Tensor) -> Tangent:
    """The tangent in the dtype of the outputs; refused if not keyed and shaped like the trained parameters."""
    came = {name: tuple(value.shape) for name, value in tangent.items()}
    allowed = {name: tuple(shape) for name, shape in shapes.items()}
    if came != allowed:
        fix = "build it as {name: torch.zeros_like(value) for name, value in network.trained.items()}"
        refuse("tangent", str(came), str(allowed), fix)
    return {name: value.to(outputs) for name, value in tangent.items()}
