"""The largest singular value of a matrix, or of a product of matrices that is known by what it does to a vector."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import scipy.sparse.linalg
import torch
from torch import Tensor

_DENSE = 64  # rows below which a dense decomposition is cheaper

Action = Callable[[Tensor], Tensor]


def spectral_norm(matrix: Tensor) -> float:
    """‖M‖₂ of a matrix (rows, columns): by Lanczos from a fixed start, dense below 64 rows, where it is cheaper."""
    if min(matrix.shape) < _DENSE:
        return float(torch.linalg.matrix_norm(matrix, ord=2))
    return largest_singular_value(lambda v: matrix @ v, lambda v: matrix.T @ v, matrix[0])


def largest_singular_value(forward: Action, backward: Action, like: Tensor, tolerance: float | None = None) -> float:
    """‖M‖₂ of the linear map v -> M v, by Lanczos on MᵀM from a fixed start.

    Parameters
    ----------
    forward, backward
        v (columns,) -> M v (rows,) and u (rows,) -> Mᵀu (columns,). M is never formed.
    like
        A vector (columns,): its size, dtype and device are those of v.
    tolerance
        Relative error of the squared value; 100 rounding errors of the dtype if not given.
    """
    columns = len(like)

    def square(vector: np.ndarray) -> np.ndarray:
        product = backward(forward(torch.from_numpy(vector.ravel()).to(like)))
        return product.to("cpu", torch.float64).numpy()

    start = np.random.default_rng(0).standard_normal(columns)
    if not np.any(square(start)):  # a random vector is in the null space of the zero map alone
        return 0.0
    operator = scipy.sparse.linalg.LinearOperator((columns, columns), matvec=square, dtype=np.float64)
    tolerance = tolerance or 100 * torch.finfo(like.dtype).eps
    largest = scipy.sparse.linalg.eigsh(operator, k=1, v0=start, tol=tolerance, return_eigenvectors=False)
    return math.sqrt(max(float(largest[0]), 0.0))
