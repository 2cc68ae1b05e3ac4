"""torch's fused layers as elementary operations, which every transform of torch.func can pass.

``nn.RNN``, ``nn.GRU``, ``nn.LSTM`` and their cells end in fused functions (``torch.gru`` and its kin) that write in
place, which vmap refuses, that have no forward-mode formula on some devices, and that cuDNN cannot differentiate twice.
Fused attention has no forward mode either, nor have bags of embeddings, and sparse gradients of embeddings pass no
transform. vmap refuses a PReLU with several slopes, and gives ``torch.cdist`` wrong gradients without an error. Inside
`unfused` exactly these functions are replaced, wherever a module calls them: the module itself is left alone, and so
are its parameter names, its ``batch_first``, its initial states and what it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import embedding, embedding_bag, linear, multi_head_attention_forward
from torch.overrides import TorchFunctionMode

from lab.jacobians.attention import attention

#: h alone, or (h, c) for an LSTM.
State = tuple[Tensor, ...]


class _Weights(NamedTuple):
    """Weights of one layer in one direction, in torch's order."""

    inputs: Tensor
    hidden: Tensor
    input_bias: Tensor | None = None
    hidden_bias: Tensor | None = None
    projection: Tensor | None = None


#: (gates of the input, state, weights) -> next state.
_Cell = Callable[[Tensor, State, _Weights], State]


@contextmanager
def unfused() -> Iterator[None]:
    """While this context is open, torch's recurrent layers are loops over time and its attention is the plain formula.

    They return what torch's own return, up to rounding. Two cases are left to torch: packed sequences, whose lengths
    depend on data, and dropout between recurrent layers in training mode. Gradients of embeddings are dense. The row of
    an embedding's ``padding_idx`` is a constant, forward as well as backward.

    Examples
    --------
    >>> layer, inputs = torch.nn.GRU(3, 4, batch_first=True), torch.ones(2, 5, 3)
    >>> with unfused():
    ...     looped, state = layer(inputs)
    >>> bool(torch.allclose(looped, layer(inputs)[0], atol=1e-6))
    True
    """
    with sdpa_kernel(SDPBackend.MATH), _Loops():
        yield


class _Loops(TorchFunctionMode):
    """Runs loops in the place of fused recurrent functions; that it is there also turns torch's fused encoder off."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _PLAIN:
            return _PLAIN[func](*args, **(kwargs or {}))
        rule = _LOOPS.get(func)
        chosen = func if rule is None or kwargs or _is_left_to_torch(args) else rule
        return chosen(*args, **(kwargs or {}))


def _is_left_to_torch(args: tuple[Any, ...]) -> bool:
    """Whether these are a packed sequence, or dropout at work, in the arguments of a whole layer."""
    if len(args) < 9:  # a cell
        return False
    packed = not isinstance(args[3], bool)
    dropout, training = args[6:8] if packed else args[5:7]
    return packed or (training and dropout > 0)


def _embedding(
    inputs: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of a weight, with the signature of ``torch.nn.functional.embedding``."""
    rows = embedding(inputs, weight, None, max_norm, norm_type, scale_grad_by_freq)
    if padding_idx is None:
        return rows
    return torch.where((inputs == padding_idx % len(weight))[..., None], rows.detach(), rows)


def _embedding_bag(
    inputs: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum of rows of a weight, with the signature of ``torch.nn.functional.embedding_bag``."""
    if inputs.ndim == 1:  # bags by offsets: these inputs have no axis of samples
        settings = (max_norm, norm_type, scale_grad_by_freq, mode, False, per_sample_weights, include_last_offset)
        return embedding_bag(inputs, weight, offsets, *settings, padding_idx)
    rows = _embedding(inputs, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    there = torch.ones_like(inputs) if padding_idx is None else (inputs != padding_idx % len(weight)).to(inputs.dtype)
    there = there[..., None]
    if mode == "max":
        largest = torch.where(there > 0, rows, -torch.inf).amax(1)
        return torch.where(there.sum(1) > 0, largest, 0.0)
    total = (rows * there if per_sample_weights is None else rows * there * per_sample_weights[..., None]).sum(1)
    return total if mode == "sum" else total / there.sum(1).clamp(min=1)


def _prelu(input: Tensor, weight: Tensor) -> Tensor:
    """ReLU with slopes of its own for negative inputs, with the signature of ``torch.prelu``.

    vmap refuses torch's own backward pass where there are several slopes.
    """
    channels = (1, -1, *[1] * (input.ndim - 2)) if input.ndim > 1 else (-1,)
    return torch.where(input > 0, input, weight.view(channels) * input)


def _cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """Distances between rows, with the signature of ``torch.cdist``."""
    distances: Tensor = torch.linalg.vector_norm(x1[..., :, None, :] - x2[..., None, :, :], ord=p, dim=-1)
    return distances


def _elman(function: Callable[[Tensor], Tensor], gates: Tensor, state: State, weights: _Weights) -> State:
    return (function(gates + linear(state[0], weights.hidden, weights.hidden_bias)),)


def _gru(gates: Tensor, state: State, weights: _Weights) -> State:
    reset, update, new = gates.chunk(3, -1)
    reset_h, update_h, new_h = linear(state[0], weights.hidden, weights.hidden_bias).chunk(3, -1)
    candidate = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
    return (candidate + torch.sigmoid(update + update_h) * (state[0] - candidate),)


def _lstm(gates: Tensor, state: State, weights: _Weights) -> State:
    i, f, g, o = (gates + linear(state[0], weights.hidden, weights.hidden_bias)).chunk(4, -1)
    memory = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(memory)
    return (h if weights.projection is None else linear(h, weights.projection)), memory


def _layers(
    cell: _Cell,
    inputs: Tensor,
    state: Tensor | State,
    flat: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """A stack of recurrent layers with the signature of ``torch.gru``: (outputs, h_n) or (outputs, h_n, c_n)."""
    starts = (state,) if isinstance(state, Tensor) else tuple(state)
    directions = 2 if bidirectional else 1
    sequence, ends = inputs.transpose(0, 1) if batch_first else inputs, []
    weights = list(_grouped(flat, num_layers * directions, has_biases))
    for layer in range(num_layers):
        outputs = []
        for place in range(layer * directions, (layer + 1) * directions):
            start, backward = tuple(part[place] for part in starts), place % directions == 1
            output, end = _scan(cell, sequence, start, weights[place], backward)
            outputs.append(output)
            ends.append(end)
        sequence = torch.cat(outputs, dim=-1)
    result = sequence.transpose(0, 1) if batch_first else sequence
    return result, *(torch.stack(parts) for parts in zip(*ends, strict=True))


def _grouped(flat: Sequence[Tensor], groups: int, has_biases: bool) -> Iterator[_Weights]:
    """The flat list of weights, one group for each layer and direction."""
    size = len(flat) // groups
    for start in range(0, len(flat), size):
        group = list(flat[start : start + size])
        biases = group[2:4] if has_biases else [None, None]
        yield _Weights(*group[:2], *biases, *group[4 if has_biases else 2 :])


def _scan(cell: _Cell, inputs: Tensor, state: State, weights: _Weights, backward: bool) -> tuple[Tensor, State]:
    """One direction of one layer over inputs (L, n, p): outputs (L, n, h) and the last state."""
    gates = linear(inputs, weights.inputs, weights.input_bias).unbind(0)
    outputs = []
    for step in reversed(gates) if backward else gates:
        state = cell(step, state, weights)
        outputs.append(state[0])
    return torch.stack(outputs[::-1] if backward else outputs), state


def _one_step(cell: _Cell, inputs: Tensor, state: Tensor | State, *weights: Tensor | None) -> Any:
    """One step with the signature of ``torch.gru_cell``: h, or (h, c) where the state is a pair."""
    start, own = ((state,) if isinstance(state, Tensor) else tuple(state)), _Weights(*weights)  # type: ignore[arg-type]
    end = cell(linear(inputs, own.inputs, own.input_bias), start, own)
    return end[0] if isinstance(state, Tensor) else end


_CELLS: dict[str, _Cell] = {
    "rnn_tanh": partial(_elman, torch.tanh),
    "rnn_relu": partial(_elman, torch.relu),
    "gru": _gru,
    "lstm": _lstm,
}
_LOOPS: dict[Callable[..., Any], Callable[..., Any]] = {
    **{getattr(torch, name): partial(_layers, cell) for name, cell in _CELLS.items()},
    **{getattr(torch, f"{name}_cell"): partial(_one_step, cell) for name, cell in _CELLS.items()},
}
_PLAIN: dict[Callable[..., Any], Callable[..., Any]] = {
    embedding: _embedding,
    embedding_bag: _embedding_bag,
    torch.prelu: _prelu,
    torch.cdist: _cdist,
    multi_head_attention_forward: attention,
}
