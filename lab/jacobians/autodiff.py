"""The Jacobian of any torch.nn.Module by torch.func: slow, general, and the reference for the factored one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Self

import torch
from torch import Tensor
from torch.func import functional_call, jacrev, jvp, vjp, vmap

from lab.errors import refuse
from lab.jacobians.gram import MEMORY, mirror
from lab.jacobians.jacobian import Tangent, WeightWatch, check_cotangent, check_tangent


class AutodiffJacobian:
    """Jacobian of a module's outputs, flattened to (n, o), in some of its parameters.

    `push` is one forward-mode pass, `pull` one reverse-mode pass. `gram` forms the Jacobians of a block of samples at a
    time, so that no (n·o × P) array appears whole.

    Parameters
    ----------
    module
        Any module whose outputs have the samples first and that treats samples independently.
    trained
        The parameters to differentiate in, by the module's own names.
    inputs
        Samples first; already in the module's dtype and on its device.
    """

    def __init__(self, module: torch.nn.Module, trained: Mapping[str, Tensor], inputs: Tensor) -> None:
        self._module, self._inputs = module, inputs
        everything = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        self._watch: WeightWatch | None = WeightWatch(everything)
        self._point = dict(trained)
        self._fixed = {name: value for name, value in everything.items() if name not in self._point}
        with torch.no_grad():
            self._outputs: Tensor = module(inputs).reshape(len(inputs), -1)

    @property
    def outputs(self) -> Tensor:
        """f, shape (n, o)."""
        return self._outputs

    def pull(self, cotangent: Tensor) -> Tangent:
        """Jᵀr for r (n, o)."""
        self._check()
        check_cotangent(cotangent, self._outputs)
        (tangent,) = vjp(self._function(self._inputs), self._detached())[1](cotangent)
        return dict(tangent)

    def add_pull(self, tangent: Mapping[str, Tensor], cotangent: Tensor, scale: float) -> None:
        """Tangent += scale · Jᵀr in place."""
        gradient = self.pull(cotangent)
        with torch.no_grad():
            for name, value in gradient.items():
                tangent[name].add_(value, alpha=scale)

    def push(self, tangent: Mapping[str, Tensor]) -> Tensor:
        """Jv for a tangent v, shape (n, o)."""
        self._check()
        check_tangent(tangent, {name: value.shape for name, value in self._point.items()})
        direction = {name: tangent[name].to(value) for name, value in self._point.items()}
        change: Tensor = jvp(self._function(self._inputs), (self._detached(),), (direction,))[1]
        return change.detach()

    @torch.no_grad()
    def gram(self, other: Self | None = None, *, memory: int = MEMORY) -> Tensor:
        """J J'ᵀ, shape (n, o, n', o'), from blocks of samples whose Jacobians stay under ``memory`` bytes."""
        self._check()
        right = self if other is None else other
        right._check()
        (n, o), (columns, outputs) = self._outputs.shape, right._outputs.shape
        kernel = self._outputs.new_zeros(n * o, columns * outputs)
        for first, left_rows in self._blocks(memory):
            for second, right_rows in right._blocks(memory):
                if right is self and second.start > first.start:
                    break
                kernel[first, second] = left_rows() @ right_rows().T
        return (mirror(kernel) if right is self else kernel).view(n, o, columns, outputs)

    def keep(self) -> Self:
        """Copy the weights, so that nothing that happens to the module moves this Jacobian; returns the same object."""
        self._check()
        self._module = copy.deepcopy(self._module)
        self._point = {name: value.detach().clone() for name, value in self._point.items()}
        self._fixed = {name: value.detach().clone() for name, value in self._fixed.items()}
        self._watch = None
        return self

    def select(self, samples: Tensor) -> Self:
        """The kept Jacobian of some samples (integer indices); raises `LabError` if this one is not kept."""
        if self._watch is not None:
            refuse("jacobian", "an unkept Jacobian", "a kept one", "call .keep() before selecting samples")
        chosen = copy.copy(self)
        chosen._inputs, chosen._outputs = self._inputs[samples], self._outputs[samples]
        return chosen

    def _check(self) -> None:
        if self._watch is not None:
            self._watch.check()

    def _detached(self) -> Tangent:
        return {name: value.detach() for name, value in self._point.items()}

    def _function(self, inputs: Tensor) -> Callable[[Tangent], Tensor]:
        """θ -> f(θ, inputs), at least one-dimensional: a 0-d float32 output would get float64 tangents."""

        def outputs(point: Tangent) -> Tensor:
            result: Tensor = functional_call(self._module, {**self._fixed, **point}, (inputs,))
            return result.reshape(len(inputs), -1)

        return outputs

    def _blocks(self, memory: int) -> Iterator[tuple[slice, Callable[[], Tensor]]]:
        """Blocks of samples: the rows of the Gram matrix, and a function that forms their Jacobian (rows, P)."""
        (n, o), point = self._outputs.shape, self._detached()
        row_bytes = o * sum(value.numel() * value.element_size() for value in point.values())
        size = max(memory // max(4 * row_bytes, 1), 1)
        for start in range(0, n, size):
            stop = min(start + size, n)
            yield slice(start * o, stop * o), partial(self._rows, start, stop)

    def _rows(self, start: int, stop: int) -> Tensor:
        def one(point: Tangent, sample: Tensor) -> Tensor:
            return self._function(sample[None])(point)[0]

        parts = _over_samples(jacrev(one), self._detached(), self._inputs[start:stop])
        rows = (stop - start) * self._outputs.shape[1]
        return torch.cat([part.reshape(rows, -1) for part in parts.values()], dim=1)


def _over_samples(derivative: Callable[[Tangent, Tensor], Tangent], point: Tangent, inputs: Tensor) -> Tangent:
    """The derivative at every sample, stacked: batched by vmap, or one by one where a module cannot be batched."""
    try:
        stacked: Tangent = vmap(derivative, in_dims=(None, 0))(point, inputs)
    except RuntimeError:  # torch's nn.RNN, nn.GRU and nn.LSTM write in place, which vmap refuses
        each = [derivative(point, sample) for sample in inputs]
        stacked = {name: torch.stack([part[name] for part in each]) for name in point}
    return stacked
