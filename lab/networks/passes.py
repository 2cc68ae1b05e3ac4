"""Forward and backward passes of an Elman network, for steps of descent whose Jacobian is not read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Self

import torch
from torch import Tensor

from lab.activations import Activation
from lab.jacobians.factored import Unrolled, add_pull, read_out
from lab.jacobians.jacobian import Tangent
from lab.jacobians.workspace import Workspace


class Passes(ABC):
    """Outputs and Jᵀr of a recurrent network at today's weights, always in the same memory.

    The operations are those of `FactoredJacobian` in the same order, so that results agree to the bit. No object is
    made for a step, and nothing is checked: results are good until the next call, or until the weights move.

    Parameters
    ----------
    whole
        The network unrolled over all n samples; its memory, which lasts, is written over.
    start
        What is subtracted from the outputs, (n, o), if they are centred.
    """

    def __init__(self, whole: Unrolled, start: Tensor | None) -> None:
        self._whole, self._start = whole, start
        self._current = whole
        self._some: Unrolled | None = None

    def __call__(self, batch: Tensor | None) -> tuple[Tensor, Self]:
        """The forward pass on some samples (integer indices) or on all: outputs (b, o), and this object."""
        self._current = self._whole if batch is None else self._select(batch)
        outputs = self._forward(self._current)
        if self._start is not None:
            outputs.sub_(self._start if batch is None else self._start.index_select(0, batch))
        return outputs, self

    @abstractmethod
    def _forward(self, unrolled: Unrolled) -> Tensor:
        """Outputs (b, o) that are not centred, in memory of their own."""

    @abstractmethod
    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place: the backward pass for r (b, o) on the samples of the last call."""

    def pull(self, cotangent: Tensor) -> Tangent:
        """Jᵀr for r (b, o)."""
        tangent = {name: torch.zeros_like(self._whole.weights[name]) for name in self._whole.trained}
        self.add_pull(tangent, cotangent, 1.0)
        return tangent

    def _select(self, batch: Tensor) -> Unrolled:
        """The network on some samples, in memory that lasts as long as batches have the same size."""
        whole, size = self._whole, len(batch)
        if self._some is None or self._some.inputs.shape[1] != size:
            self._current, self._some = whole, None  # what the last size took is free before more is taken
            length, _, features = whole.inputs.shape
            states = whole.states.new_empty(length, size, whole.states.shape[2])
            # strides of a single sample are those of its transpose, on which torch's choice of a product depends
            inputs = whole.inputs.new_empty(size, length, features).transpose(0, 1).contiguous()
            self._some = replace(whole, inputs=inputs, workspace=Workspace(states, lasting=True))
        torch.index_select(whole.inputs, 1, batch, out=self._some.inputs)
        return self._some


class GeneralPasses(Passes):
    """The passes of any Elman network; ``recur`` writes states and slopes into the memory of an unrolling."""

    def __init__(self, whole: Unrolled, start: Tensor | None, recur: Callable[[Unrolled], None]) -> None:
        super().__init__(whole, start)
        self._recur = recur

    def _forward(self, unrolled: Unrolled) -> Tensor:
        self._recur(unrolled)
        return read_out(unrolled, unrolled.states)

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place."""
        add_pull(self._current, tangent, cotangent, scale)


class PlainPasses(Passes):
    """The passes of the paper's network written out: below width 256 a step takes as long as Python around it.

    They suit networks without multipliers and bias that read the last state and train W alone, where φ' is a function
    of the states.
    """

    def __init__(self, whole: Unrolled, start: Tensor | None, activation: Activation) -> None:
        super().__init__(whole, start)
        self._in_place, self._gain = activation.in_place, activation.gain

    @staticmethod
    def suit(unrolled: Unrolled, activation: Activation) -> bool:
        """Whether they are the passes of this network."""
        bare = "b" not in unrolled.weights and set(unrolled.multipliers.values()) == {1}
        return bare and unrolled.reads_last and unrolled.trained == ("W",) and activation.gain_of_state

    def _forward(self, unrolled: Unrolled) -> Tensor:
        memory, weights, in_place = unrolled.workspace, unrolled.weights, self._in_place
        torch.matmul(unrolled.inputs, weights["A"].T, out=memory.states)
        W_transposed = weights["W"].T
        in_place(memory.state_steps[0])
        for state, previous in memory.forwards:
            in_place(state.addmm_(previous, W_transposed))
        return torch.mm(memory.state_steps[-1], weights["B"].T)

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place; slopes are computed here, since outputs do without."""
        memory, weights = self._current.workspace, self._current.weights
        W, deltas, slopes = weights["W"], memory.deltas(), memory.slope_steps
        self._gain(memory.states, memory.states, memory.slopes)
        deltas.steps[-1].addmm_(cotangent, weights["B"], beta=0)
        later = deltas.steps[-1].mul_(slopes[-1])
        for now, slope in memory.backwards:
            later = torch.mm(later, W, out=now).mul_(slope)
        tangent["W"].addmm_(deltas.columns(1), memory.earlier, alpha=scale)
