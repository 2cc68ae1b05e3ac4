"""How many threads products of a given size are worth; the caller's own number comes back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_WORTH = 1e7  # flops of one product from which a further thread pays for its start and its waiting


def worthwhile(flops: float, at_most: int) -> int:
    """Threads for products of so many flops: one for each ten million, at least one.

    Examples
    --------
    >>> [worthwhile(flops, at_most=8) for flops in (1e6, 3e7, 1e12)]
    [1, 3, 8]
    """
    return max(1, min(at_most, int(flops / _WORTH)))


@contextmanager
def limited(flops: float) -> Iterator[None]:
    """While this context is open, torch computes on as many threads as products of so many flops are worth.

    Never on more than it is set to. More threads than that wait for one another at each of many short operations, and
    on a busy machine they wait for whatever else runs there.
    """
    import torch

    before = torch.get_num_threads()
    chosen = worthwhile(flops, before)
    if chosen == before:
        yield
        return
    torch.set_num_threads(chosen)
    try:
        yield
    finally:
        torch.set_num_threads(before)
