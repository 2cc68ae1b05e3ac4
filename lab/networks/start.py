"""Outputs at initialization, which centred networks subtract, computed once for each set of inputs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Self

from torch import Tensor

_SETS = 8  # of inputs that are remembered: training and test sets of a few tasks


class InitialOutputs:
    """f₀ of the sets of inputs that came last, found again by the identity of the tensor as long as it is unchanged.

    The inputs are held weakly. Copies begin without memory.
    """

    def __init__(self) -> None:
        self._known: list[tuple[weakref.ref[Tensor], int, Tensor]] = []

    def of(self, inputs: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """f₀ on these inputs: what ``compute`` returned for them, called at most once."""
        for held, version, outputs in self._known:
            if held() is inputs and version == inputs._version:
                return outputs
        outputs = compute()
        alive = [entry for entry in self._known if entry[0]() is not None]
        self._known = [*alive[1 - _SETS :], (weakref.ref(inputs), inputs._version, outputs)]
        return outputs

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()
