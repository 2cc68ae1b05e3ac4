"""Attention with several heads by its formula, so that the products with its weights can be seen."""

from __future__ import annotations

import inspect
import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, multi_head_attention_forward

_SIGNATURE = inspect.signature(multi_head_attention_forward)
_ADDED = ("bias_k", "bias_v", "static_k", "static_v")


def attention(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
    """What ``torch.nn.functional.multi_head_attention_forward`` returns, with its signature.

    Queries are (T, n, d), or (T, d) for one sample. What is added to keys and values, and dropout at work, are left to
    torch's own function.
    """
    bound = _SIGNATURE.bind(*args, **kwargs)
    bound.apply_defaults()
    given = SimpleNamespace(**bound.arguments)
    drops = given.training and given.dropout_p > 0
    if drops or given.add_zero_attn or any(getattr(given, name) is not None for name in _ADDED):
        found: tuple[Tensor, Tensor | None] = multi_head_attention_forward(*args, **kwargs)
        return found
    is_one = given.query.ndim == 2
    query, key, value = _projected(given)
    if is_one:
        query, key, value = (part[:, None] for part in (query, key, value))
    q, k, v = (_heads(part, given.num_heads) for part in (query, key, value))
    scores = torch.matmul(q, k.mT) / math.sqrt(q.shape[-1])
    mask = _mask(given, q)
    weights = torch.softmax(scores if mask is None else scores + mask, -1)
    mixed = torch.matmul(weights, v).permute(2, 0, 1, 3).flatten(2)
    result = linear(mixed, given.out_proj_weight, given.out_proj_bias)
    shown = None
    if given.need_weights:
        shown = weights.mean(1) if given.average_attn_weights else weights
    if is_one:
        return result.squeeze(1), None if shown is None else shown.squeeze(0)
    return result, shown


def _projected(given: SimpleNamespace) -> tuple[Tensor, ...]:
    """Queries, keys and values, as many axes as they came with."""
    inputs = (given.query, given.key, given.value)
    if given.use_separate_proj_weight:
        weights = (given.q_proj_weight, given.k_proj_weight, given.v_proj_weight)
    elif given.query is given.key is given.value:
        joint: Tensor = linear(given.query, given.in_proj_weight, given.in_proj_bias)
        return torch.chunk(joint, 3, -1)
    else:
        weights = given.in_proj_weight.chunk(3)
    biases = (None,) * 3 if given.in_proj_bias is None else given.in_proj_bias.chunk(3)
    return tuple(linear(each, weight, bias) for each, weight, bias in zip(inputs, weights, biases, strict=True))


def _heads(part: Tensor, heads: int) -> Tensor:
    """(T, n, d) as (n, heads, T, d/heads)."""
    return part.view(*part.shape[:2], heads, part.shape[2] // heads).permute(1, 2, 0, 3)


def _mask(given: SimpleNamespace, query: Tensor) -> Tensor | None:
    """Both masks as numbers to be added to (n, heads, T, S): −∞ where a boolean one is true."""
    found = None if given.attn_mask is None else _added(given.attn_mask, query)
    if found is not None and found.ndim == 3:
        found = found.view(query.shape[0], query.shape[1], *found.shape[1:])
    if given.key_padding_mask is None:
        return found
    padding = _added(given.key_padding_mask, query)
    padding = padding[..., None, None, :]
    return padding if found is None else found + padding


def _added(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, -torch.inf)
