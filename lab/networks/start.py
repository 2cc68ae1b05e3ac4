"""Outputs at initialization, which centred networks subtract, computed once for each set of inputs."""

from __future__ import annotations

import weakref
from typing import Self

from torch import Tensor

_SETS = 8  # of inputs that are remembered: training and test sets of a few tasks


class InitialOutputs:
    """f₀ of the sets of inputs that came last, found again by the identity of the tensor as long as it is unchanged.

    The inputs are held weakly. Copies begin without memory.
    """

    def __init__(self) -> None:
        self._known: list[tuple[weakref.ref[Tensor], int, Tensor]] = []

    def find(self, inputs: Tensor) -> Tensor | None:
        """f₀ on these inputs if it is remembered."""
        return next((f0 for held, version, f0 in self._known if held() is inputs and version == inputs._version), None)

    def remember(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Keep f₀ on these inputs, and return it."""
        alive = [entry for entry in self._known if entry[0]() is not None]
        self._known = [*alive[1 - _SETS :], (weakref.ref(inputs), inputs._version, outputs)]
        return outputs

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()
