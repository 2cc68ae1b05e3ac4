"""Initial weights that depend on the seed alone: not on dtype, device, trained set or thread count."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

BLOCK = 256  # rows that share one generator; redrawing some rows touches only their blocks


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
    for block, first, last in _blocks(start, stop):
        drawn = _generator(seed, name, block).standard_normal((last - block * BLOCK, columns))
        rows[first - start : last - start] = torch.from_numpy(drawn[first - block * BLOCK :])
    return rows


def _blocks(start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Blocks that meet [start, stop), each as (block, first row, last row)."""
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        yield block, max(start, block * BLOCK), min(stop, (block + 1) * BLOCK)


def _generator(seed: int, name: str, block: int) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}/{block}".encode()).digest()
    return np.random.Generator(np.random.SFC64(int.from_bytes(digest[:16], "little")))


def fill(weight: Tensor, seed: int, name: str, deviation: float) -> None:
    """Overwrite ``weight`` (rows, columns) or (rows,) with its initial value, block of rows by block of rows."""
    matrix = weight if weight.ndim == 2 else weight[:, None]
    for start in range(0, len(matrix), BLOCK):
        stop = min(start + BLOCK, len(matrix))
        matrix[start:stop] = (deviation * draw_rows(seed, name, start, stop, matrix.shape[1])).to(weight)
