"""Initial weights that depend on the seed alone: not on dtype, device, trained set or thread count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

BLOCK = 256  # rows that share one generator; redrawing some rows touches only their blocks
PIECE = 32  # rows that are held in float64 at once


def draw_rows(seed: int, name: str, start: int, stop: int, columns: int) -> Tensor:
    """Rows ``start`` to ``stop`` of a standard normal matrix with ``columns`` columns.

    Each block of 256 rows has its own generator, seeded by a hash of (seed, name, block), so any rows can be drawn
    again without the ones before them.

    Returns
    -------
    Tensor
        float64 on the CPU, shape (stop − start, columns).
    """
    rows = torch.empty(stop - start, columns, dtype=torch.float64, device="cpu")
    for first, piece in stream_rows(seed, name, stop, columns, start // BLOCK):
        skipped = max(start - first, 0)
        rows[first + skipped - start : first + len(piece) - start] = piece[skipped:]
    return rows


def stream_rows(seed: int, name: str, rows: int, columns: int, block: int = 0) -> Iterator[tuple[int, Tensor]]:
    """The same matrix from a block on, in pieces of at most 32 rows: (first row, float64 piece on the CPU).

    A generator fills its block from the top, so a piece costs no more than its own rows and little memory. Blocks are
    drawn side by side on as many threads as torch has: with several, pieces do not come in the order of their rows.
    """
    begins = range(block * BLOCK, rows, BLOCK)
    threads = max(1, min(torch.get_num_threads(), len(begins)))
    with ThreadPoolExecutor(threads) as pool:  # starts no thread before it has work
        run = map if threads == 1 else pool.map
        for k in range(0, len(begins), threads):
            beside = [(begin, _generator(seed, name, begin // BLOCK)) for begin in begins[k : k + threads]]
            for offset in range(0, BLOCK, PIECE):
                firsts, generators = zip(*((begin + offset, each) for begin, each in beside), strict=True)
                counts = [max(0, min(PIECE, rows - first)) for first in firsts]
                drawn = run(lambda each, count: each.standard_normal((count, columns)), generators, counts)
                pairs = zip(firsts, drawn, strict=True)
                yield from ((first, torch.from_numpy(piece)) for first, piece in pairs if len(piece))


def _generator(seed: int, name: str, block: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}/{block}".encode()).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(digest[:16], "little")))


def initial_pieces(weight: Tensor, seed: int, name: str, deviation: float) -> Iterator[tuple[slice, Tensor]]:
    """The initial value of a weight (rows, columns) or (rows,), piece by piece, in its dtype and on its device."""
    columns = weight.shape[1] if weight.ndim == 2 else 1
    for first, piece in stream_rows(seed, name, len(weight), columns):
        rows = piece.mul_(deviation).to(weight)
        yield slice(first, first + len(rows)), rows.reshape(-1, *weight.shape[1:])


def fill(weight: Tensor, seed: int, name: str, deviation: float) -> None:
    """Overwrite a weight (rows, columns) or (rows,) with its initial value, piece by piece."""
    for place, rows in initial_pieces(weight, seed, name, deviation):
        weight[place] = rows
