"""Fused functions as elementary operations where torch's derivative of their derivative is wrong.

``layer_norm`` differentiated twice in forward mode and ``_weight_norm`` differentiated twice in any way lose terms
(torch 2.13, seen against difference quotients). Inside `elementary` they are written out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm
from torch.overrides import TorchFunctionMode


class elementary(TorchFunctionMode):  # noqa: N801
    """While this context is open, layer norm and weight norm are sums, products and roots, wherever they are called.

    Values and first derivatives are torch's own, up to rounding.

    Examples
    --------
    >>> layer, inputs = torch.nn.LayerNorm(4), torch.arange(8.0).view(2, 4)
    >>> with elementary():
    ...     outputs = layer(inputs)
    >>> bool(torch.allclose(outputs, layer(inputs)))
    True
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        chosen: Callable[..., Any] = _WRITTEN_OUT.get(func, func)
        return chosen(*args, **(kwargs or {}))


def _layer_norm(
    inputs: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """With the signature of ``torch.nn.functional.layer_norm``."""
    axes = tuple(range(-len(normalized_shape), 0))
    deviation = inputs - inputs.mean(axes, keepdim=True)
    scaled = deviation * (deviation.square().mean(axes, keepdim=True) + eps).rsqrt()
    scaled = scaled if weight is None else scaled * weight
    return scaled if bias is None else scaled + bias


def _weight_norm(direction: Tensor, length: Tensor, dim: int = 0) -> Tensor:
    """With the signature of ``torch._weight_norm``: each slice along ``dim`` scaled to its length; one length at −1."""
    axes = [axis for axis in range(direction.ndim) if dim == -1 or axis != dim % direction.ndim]
    return direction * (length / direction.square().sum(axes, keepdim=True).sqrt())


_WRITTEN_OUT: dict[Callable[..., Any], Callable[..., Tensor]] = {
    layer_norm: _layer_norm,
    torch._weight_norm: _weight_norm,
}
