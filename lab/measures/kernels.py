"""How far two kernels of one shape are from each other."""

from __future__ import annotations

import torch
from torch import Tensor

from lab.errors import LabError
from lab.kernels.infinite import infinite_ntk
from lab.kernels.spectrum import Spectrum
from lab.learners.kernel import KernelRegressor
from lab.networks.network import Network


def relative_error(kernel: Tensor, reference: Tensor) -> float:
    """‖K − K_ref‖_F/‖K_ref‖_F of kernels (n, o, n', o')."""
    difference = (kernel - reference).reshape(kernel.shape[0] * kernel.shape[1], -1)
    return float(torch.linalg.vector_norm(difference) / torch.linalg.vector_norm(reference))


def spectral_distance(kernel: Tensor, reference: Tensor) -> float:
    """‖K − K_ref‖₂, the largest singular value of the difference as a matrix (n·o, n'·o')."""
    difference = (kernel - reference).reshape(kernel.shape[0] * kernel.shape[1], -1)
    return float(torch.linalg.matrix_norm(difference, ord=2))


def limit_lambda_max(network: Network, inputs: Tensor) -> float | None:
    """λ_max of the kernel K∞ of infinite width on inputs (n, …); None where `lab.infinite_ntk` has no closed form."""
    try:
        return Spectrum(infinite_ntk(network, inputs)).lambda_max  # type: ignore[arg-type]
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
        K on the training set, (n, o, n, o).
    residual
        r = f − y, shape (n, o), not zero.
    width
        m.
    """
    r = residual.flatten()
    squared_gradient = float(r @ kernel.reshape(len(r), -1) @ r)
    return 2 * squared_gradient / (width * float(r @ r))


def cosine_distance(kernel: Tensor, reference: Tensor) -> float:
    """1 − ⟨K, K_ref⟩/(‖K‖_F‖K_ref‖_F): 0 for kernels that differ by a factor alone (Fort et al. 2020)."""
    one, other = kernel.flatten(), reference.flatten()
    return 1 - float(one @ other / (one.norm() * other.norm()))
