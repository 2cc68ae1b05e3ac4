"""How far two kernels are from each other, and how large the gradient is that a kernel implies."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lab.errors import LabError
from lab.kernels.infinite import infinite_ntk
from lab.kernels.spectrum import Spectrum
from lab.learners.kernel import KernelRegressor
from lab.networks.network import Network


def relative_error(kernel: Tensor, reference: Tensor) -> float:
    """‖K − K_ref‖_F/‖K_ref‖_F of a kernel (n, o, n', o') and one of this shape, or one that outputs share.

    A shared one is (n, n'), or (n, s, n', s') for s time steps, as from ``lab.infinite_ntk(..., shared=True)``.
    """
    size = torch.linalg.vector_norm(reference)
    if kernel.shape != reference.shape:
        size *= math.sqrt(_outputs(kernel, reference))
    return float(torch.linalg.vector_norm(_difference(kernel, reference)) / size)


def spectral_distance(kernel: Tensor, reference: Tensor) -> float:
    """‖K − K_ref‖₂, the largest singular value of the difference as a matrix (n·o, n'·o').

    Shapes as for `relative_error`.
    """
    return float(torch.linalg.matrix_norm(_difference(kernel, reference), ord=2))


def limit_lambda_max(network: Network, inputs: Tensor) -> float | None:
    """λ_max of the kernel K∞ of infinite width on inputs (n, …); None where `lab.infinite_ntk` has no closed form."""
    try:
        kernel = infinite_ntk(network, inputs, shared=True)  # type: ignore[arg-type]
        return Spectrum(kernel, overwrite=True).lambda_max
    except LabError:
        return None


def gradient_scales(linear: KernelRegressor, width: int) -> tuple[float, float, float]:
    """λ_min(K)/m, λ_max(K)/m and the `gradient_ratio` of the residual f₀ − y, for the kernel of a linear model."""
    ratio = gradient_ratio(linear.kernel, linear.outputs - linear.targets, width)
    return linear.spectrum.lambda_min / width, linear.spectrum.lambda_max / width, ratio


def gradient_ratio(kernel: Tensor, residual: Tensor, width: int) -> float:
    """‖∇f‖²/(m·f) of the loss f = ½‖r‖², which is 2 rᵀKr/(m‖r‖²): between 2λ_min(K)/m and 2λ_max(K)/m.

    Theorem 3 of Allen-Zhu, Li, Song 2019 bounds it from both sides near initialization.

    Parameters
    ----------
    kernel
        K on the training set, (n, o, n, o), or one that outputs share, (n, n) or (n, s, n, s).
    residual
        r = f − y, shape (n, o), not zero.
    width
        m.
    """
    r, rows = residual.flatten(), math.prod(kernel.shape[: kernel.ndim // 2])
    columns = r.reshape(rows, -1).T  # one for each output that shares the kernel
    squared_gradient = sum(float(column @ kernel.reshape(rows, rows) @ column) for column in columns)
    return 2 * squared_gradient / (width * float(r @ r))


def _outputs(kernel: Tensor, reference: Tensor) -> int:
    """How many outputs of the kernel share the reference."""
    return kernel.shape[1] // (reference.shape[1] if reference.ndim == 4 else 1)


def _difference(kernel: Tensor, reference: Tensor) -> Tensor:
    """K − K_ref as a matrix (n·o, n'·o'); a shared reference is subtracted where the two outputs are the same."""
    n, o, columns, o2 = kernel.shape
    if kernel.shape == reference.shape:
        return (kernel - reference).reshape(n * o, -1)
    shared = _outputs(kernel, reference)
    difference = kernel.reshape(n, o // shared, shared, columns, o2 // shared, shared).clone()
    same = difference.diagonal(dim1=2, dim2=5)
    same -= reference.reshape(*same.shape[:4], 1)
    return difference.reshape(n * o, -1)
