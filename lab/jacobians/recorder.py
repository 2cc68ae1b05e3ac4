"""Which trained weights a module uses, and on what: recorded while it runs on all samples at once.

The module runs under vmap over samples, with weights that require gradients. Whatever is not batched there and requires
a gradient is a weight: a parameter, a view of one, or something computed from parameters alone. A use of it is an
operation that also takes batched tensors. `Recorder` sees each one:

* products (``linear``, ``matmul``, ``addmm``, ``einsum``, convolutions) and lookups (``embedding``): what the weight
  multiplies is kept, and the place in autograd's graph at which its delta ∂f/∂(result) can be taken;
* everything else (biases added by hand, scales of normalization layers, learned initial states): the operation gets a
  copy of the weight for each sample, whose gradient is the weight's row of the Jacobian.

In both cases the weight itself is left out of the graph. So a parameter that can still be reached from the outputs has
a use that was not seen, and belongs to another route, as does one whose copies would take too much memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.functional import conv1d, conv2d, conv3d, embedding, linear, pad
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from lab.jacobians.substitution import leaves_behind

#: Numbers of a weight from which on no copies of it are made.
LARGEST_ROW = 2**20

_SCALARS = (int, float, str, type(None), torch.dtype, torch.device)
_functorch = torch._C._functorch


@dataclass(frozen=True)
class Use:
    """One use of a weight.

    Attributes
    ----------
    weight
        As the module used it: a parameter, a view of one, or computed from parameters.
    edge, shape, axis
        Where ∂f/∂(result) is taken, its shape, and its axis of samples.
    arrange
        Makes deltas (n, T, m) of ∂f/∂(result) with samples first; of copies of a weight the gradients (n, *shape).
    acting
        For products the weight as the matrix (m, d) that acts on features, a view; else None.
    features
        What it multiplies, (n, T, d); for lookups the indices (n, T); else None.
    """

    weight: Tensor
    edge: GradientEdge
    shape: torch.Size
    axis: int
    arrange: Callable[[Tensor], Tensor]
    acting: Tensor | None = None
    features: Tensor | None = None


class Recorder(TorchFunctionMode):
    """Records uses of weights; to be entered within vmap, outside of `lab.jacobians.unfused`.

    Parameters
    ----------
    samples
        n.
    """

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.uses: list[Use] = []
        self._samples = samples
        self._anchor = torch.zeros(()).requires_grad_()  # added to what no graph holds yet
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}  # of weights, by identity, with the weights

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if not torch.is_grad_enabled() or not (holds_weight(args) or holds_weight(list(named.values()))):
            return func(*args, **named)
        rule = None if "out" in named else _RULES.get(func)
        result = None if rule is None else rule(self, *args, **named)
        return self._with_copies(func, args, named) if result is None else result

    def product(self, inputs: Tensor, weight: Tensor, bias: Tensor | None = None, *, turned: bool = False) -> Any:
        """``inputs @ weightᵀ + bias``, recorded; ``turned`` says that the weight is given transposed.

        None if the weight is not a matrix that shares the memory of one parameter.
        """
        acting = weight.mT if turned else weight
        if not is_weight(weight) or weight.ndim != 2 or not is_memory_of_a_leaf(weight):
            return None
        lifted = self.lift(inputs)
        result = linear(lifted, acting.detach(), self._added(bias))
        result = self._tapped(result)
        features = _samples_first(lifted)
        features = features.reshape(len(features), -1, features.shape[-1])
        self._note(weight, result, _rows, acting, features)
        self._note_bias(bias, result, _rows)
        return result

    def convolution(
        self, func: Callable[..., Any], inputs: Tensor, weight: Tensor, bias: Tensor | None, *rest: Any
    ) -> Any:
        """A convolution with its stride, padding, dilation and groups, recorded; None as for `product`."""
        if not is_weight(weight) or not weight.is_leaf or not weight.is_contiguous():
            return None
        lifted = self.lift(inputs)
        result = self._tapped(func(lifted, weight.detach(), self._added(bias), *rest))
        patches = _patches(_samples_first(lifted), weight.shape, *rest)
        groups, height = patches.shape[1], len(weight)
        for group in range(groups):
            rows = slice(group * height // groups, (group + 1) * height // groups)
            arrange = _channels_last(weight.ndim - 2, rows)
            self._note(weight, result, arrange, weight.view(height, -1)[rows], patches[:, group])
        self._note_bias(bias, result, _channels_last(weight.ndim - 2, slice(None)))
        return result

    def lookup(self, indices: Tensor, weight: Tensor) -> Any:
        """Rows of an embedding, recorded; None as for `product`. `lab.jacobians.unfused` takes care of padding."""
        if not weight.is_leaf or not is_batched(indices):
            return None
        result = self._tapped(embedding(indices, weight.detach()))
        indices = _samples_first(indices)
        self._note(weight, result, _rows, None, indices.reshape(len(indices), -1))
        return result

    def lift(self, value: Tensor) -> Tensor:
        """A tensor with an axis of samples: itself, or copies; those of a weight are recorded."""
        if is_batched(value):
            return value
        if not is_weight(value):
            # written out: torch multiplies what is only expanded sample by sample, and reads the weight each time
            return self._batched(value.expand(self._samples, *value.shape).contiguous())
        if id(value) not in self._copies:
            copies = value.detach().expand(self._samples, *value.shape)
            lifted = self._tapped(self._batched(copies))
            self._note(value, lifted, _as_it_is)
            self._copies[id(value)] = value, lifted
        return self._copies[id(value)][1]

    def _with_copies(self, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The operation with a copy of each weight per sample, if any other argument is batched."""
        leaves, tree = tree_flatten((args, kwargs))
        if any(isinstance(leaf, Tensor) and is_batched(leaf) for leaf in leaves):
            args, kwargs = tree_unflatten([self._copy(leaf) if is_weight(leaf) else leaf for leaf in leaves], tree)
        return func(*args, **kwargs)

    def _copy(self, weight: Tensor) -> Tensor:
        """Copies of a weight, or the weight itself where they would take too much memory: it is found in the graph."""
        return self.lift(weight) if weight.numel() <= LARGEST_ROW else weight

    def _added(self, bias: Tensor | None) -> Tensor | None:
        return bias.detach() if bias is not None and is_weight(bias) else bias

    def _note_bias(self, bias: Tensor | None, result: Tensor, arrange: Callable[[Tensor], Tensor]) -> None:
        if bias is not None and is_weight(bias):
            self._note(bias, result, lambda gradient: arrange(gradient).sum(1))

    def _note(
        self,
        weight: Tensor,
        result: Tensor,
        arrange: Callable[[Tensor], Tensor],
        acting: Tensor | None = None,
        features: Tensor | None = None,
    ) -> None:
        value, axis = _physical(result)
        held = None if features is None else features.detach()
        self.uses.append(Use(weight, get_gradient_edge(value), value.shape, axis, arrange, acting, held))

    def _tapped(self, result: Tensor) -> Tensor:
        """The same tensor with a place of its own in the graph, also if nothing before it requires a gradient."""
        value, axis = _physical(result)
        return result if value.requires_grad else self._batched(value + self._anchor.to(value), axis)

    def _batched(self, value: Tensor, axis: int = 0) -> Tensor:
        level = _functorch.maybe_current_level()
        assert level is not None  # within vmap
        wrapped: Tensor = _functorch._add_batch_dim(value, axis, level)
        return wrapped


def is_batched(value: Tensor) -> bool:
    """Whether a tensor has an axis of samples that vmap hides."""
    return bool(_functorch.is_batchedtensor(value))


def is_weight(value: object) -> bool:
    """Whether this is a tensor that depends on parameters and on no sample."""
    return isinstance(value, Tensor) and value.requires_grad and not is_batched(value)


def holds_weight(value: object) -> bool:
    """Whether there is a weight in an argument, at any depth; pytree, which is slow, sees uncommon ones alone."""
    if isinstance(value, Tensor):
        return is_weight(value)
    if isinstance(value, (tuple, list)):
        return any(map(holds_weight, value))
    return not isinstance(value, _SCALARS) and any(map(is_weight, tree_leaves(value)))


def is_memory_of_a_leaf(weight: Tensor) -> bool:
    """Whether a weight is a parameter, or shares the memory of the only one that it depends on."""
    leaves = leaves_of(weight)
    return len(leaves) == 1 and _shares_memory(weight, leaves[0])


def leaves_of(weight: Tensor) -> list[Tensor]:
    """The parameters that a weight is computed from: itself, or the leaves behind it."""
    return [weight] if weight.is_leaf else leaves_behind(weight)


def _shares_memory(value: Tensor, leaf: Tensor) -> bool:
    return value.untyped_storage().data_ptr() == leaf.untyped_storage().data_ptr() and value.dtype == leaf.dtype


def _physical(value: Tensor) -> tuple[Tensor, int]:
    """The tensor that vmap wraps, and its axis of samples."""
    if not is_batched(value) or is_batched(inner := _functorch.get_unwrapped(value)):
        raise RuntimeError("the module batches samples in a way of its own")
    return inner, int(_functorch.maybe_get_bdim(value))


def _samples_first(value: Tensor) -> Tensor:
    inner, axis = _physical(value)
    return inner.movedim(axis, 0)


def _as_it_is(gradient: Tensor) -> Tensor:
    return gradient


def _rows(gradient: Tensor) -> Tensor:
    """(n, …, m) as (n, T, m)."""
    return gradient.reshape(len(gradient), -1, gradient.shape[-1])


def _channels_last(spatial: int, channels: slice) -> Callable[[Tensor], Tensor]:
    """(n, …, C, *spatial) as (n, T, some of C)."""
    return lambda gradient: _rows(gradient.movedim(-1 - spatial, -1)[..., channels])


def _patches(
    inputs: Tensor, shape: torch.Size, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    """What a convolution multiplies at each place of its result: (n, groups, T, C/groups · kernel)."""
    kernel, spatial = shape[2:], len(shape) - 2
    strides, dilations = _per_axis(stride, spatial), _per_axis(dilation, spatial)
    margins = _margins(padding, kernel, dilations)
    value = pad(inputs, list(chain(*reversed(margins)))) if any(map(any, margins)) else inputs
    images = value.flatten(0, -spatial - 2)  # all that samples have, (…, C, *spatial)
    columns = _columns(images, kernel, strides, dilations)
    columns = columns.view(len(inputs), -1, groups, columns.shape[1] // groups, columns.shape[2])
    return columns.permute(0, 2, 1, 4, 3).flatten(2, 3)


def _columns(images: Tensor, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Tensor:
    """Patches of images (r, C, *spatial) as columns, (r, C · kernel, places): copies of a view, unlike `unfold`."""
    spatial = len(kernel)
    for size, step, spread in zip(kernel, strides, dilations, strict=True):
        images = images.unfold(images.ndim - spatial, spread * (size - 1) + 1, step)[..., ::spread]
    places, offsets = range(2, 2 + spatial), range(2 + spatial, 2 + 2 * spatial)
    return images.permute(0, 1, *offsets, *places).reshape(len(images), images.shape[1] * math.prod(kernel), -1)


def _per_axis(value: Any, axes: int) -> tuple[int, ...]:
    """A setting of a convolution for each axis."""
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    return values * axes if len(values) == 1 else values


def _margins(padding: Any, kernel: Sequence[int], dilations: Sequence[int]) -> list[tuple[int, int]]:
    """Zeros before and after each spatial axis."""
    if padding == "valid":
        return [(0, 0)] * len(kernel)
    if padding == "same":
        totals = [spread * (size - 1) for size, spread in zip(kernel, dilations, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(size, size) for size in _per_axis(padding, len(kernel))]


def _matmul(recorder: Recorder, input: Tensor, other: Tensor) -> Any:
    if is_weight(other) and other.ndim == 2 and input.ndim > 1:
        return recorder.product(input, other, turned=True)
    if is_weight(input) and input.ndim == 2 and other.ndim > 1:
        result = recorder.product(other.mT, input)
        return None if result is None else result.mT
    return None


def _addmm(recorder: Recorder, input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Any:
    plain = beta == alpha == 1 and is_weight(mat2) and input.ndim == 1
    return recorder.product(mat1, mat2, input, turned=True) if plain else None


def _embedding(
    recorder: Recorder, input: Tensor, weight: Tensor, padding_idx: int | None = None, *rest: Any, **named: Any
) -> Any:
    return recorder.lookup(input, weight) if padding_idx is None else None


def _einsum(recorder: Recorder, equation: Any, *operands: Any) -> Any:
    """``einsum`` of two operands as a product, if every index of the weight is either summed or kept, and alone."""
    pair = operands[0] if len(operands) == 1 and isinstance(operands[0], Sequence) else operands
    if not isinstance(equation, str) or "." in equation or "->" not in equation or len(pair) != 2:
        return None
    names, kept = equation.replace(" ", "").split("->")
    (first, second), place = names.split(","), 0 if is_weight(pair[0]) else 1
    (inputs, weight), (of_inputs, of_weight) = (pair[1 - place], pair[place]), ((second, first), (first, second))[place]
    summed, rows = _alone(of_weight, of_inputs, kept)
    if not summed or of_weight not in (rows + summed, summed + rows):
        return None
    others = "".join(index for index in of_inputs if index not in summed)
    columns = math.prod(weight.shape[of_weight.index(index)] for index in summed)
    turned = of_weight == summed + rows
    matrix = weight.reshape(columns, -1) if turned else weight.reshape(-1, columns)
    ordered = inputs.permute([of_inputs.index(index) for index in others + summed])
    result = recorder.product(ordered.reshape(*ordered.shape[: len(others)], columns), matrix, turned=turned)
    if result is None:
        return None
    sizes = [weight.shape[of_weight.index(index)] for index in rows]
    found = others + rows
    return result.reshape(*result.shape[:-1], *sizes).permute([found.index(index) for index in kept])


def _alone(of_weight: str, of_inputs: str, kept: str) -> tuple[str, str]:
    """Indices of a weight that are summed, and those that are kept; none if any is both, or of the inputs too."""
    summed = "".join(index for index in of_weight if index in of_inputs)
    rows = "".join(index for index in of_weight if index not in of_inputs)
    others = [index for index in of_inputs if index not in summed]
    distinct = len(set(of_weight)) == len(of_weight) and len(set(of_inputs)) == len(of_inputs)
    fits = not set(summed) & set(kept) and sorted(kept) == sorted([*others, *rows])
    return (summed, rows) if summed and rows and distinct and fits else ("", "")


def _convolution(func: Callable[..., Any]) -> Callable[..., Any]:
    def rule(
        recorder: Recorder,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        return recorder.convolution(func, input, weight, bias, stride, padding, dilation, groups)

    return rule


#: How operations are recorded: a rule returns the result, or None where it does not apply.
_RULES: dict[Callable[..., Any], Callable[..., Any]] = {
    linear: lambda recorder, input, weight, bias=None: recorder.product(input, weight, bias),
    **dict.fromkeys((torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__), _matmul),
    **dict.fromkeys((torch.mm, torch.Tensor.mm), lambda recorder, input, mat2: _matmul(recorder, input, mat2)),
    torch.Tensor.__rmatmul__: lambda recorder, input, other: _matmul(recorder, other, input),
    **dict.fromkeys((torch.addmm, torch.Tensor.addmm), _addmm),
    torch.einsum: _einsum,
    embedding: _embedding,
    **{func: _convolution(func) for func in (conv1d, conv2d, conv3d)},
}
