"""How the targets of a task lie in the spectrum of a kernel: what is learnt early, and how far weights must move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.kernels.spectrum import Spectrum

Array = NDArray[np.float64]


def energy(spectrum: Spectrum, residual: Array) -> Array:
    """Mean square of the residual in each eigenvector, ⟨v_i, r⟩²/N, eigenvalues ascending, shape (N,).

    The entries sum to the mean squared residual.

    Parameters
    ----------
    spectrum
        Of the training kernel, N rows.
    residual
        r = f₀ − y, shape (N,).
    """
    return np.asarray((spectrum.vectors.T @ residual) ** 2 / len(residual))


def complexity(spectrum: Spectrum, residual: Array) -> float:
    """N⁻¹ rᵀ K⁻¹ r: the squared length of the least motion that fits the targets in the linear model, over N.

    Eigenvalues that count as 0 (see `lab.kernels.spectrum.Spectrum.limit`) are left out: their directions are never
    learnt. Parameters are those of `energy`.

    References
    ----------
    Arora, Du, Hu, Li, Wang, "Fine-grained analysis of optimization and generalization for overparameterized two-layer
    neural networks", ICML 2019, Theorem 5.1.
    """
    return float(spectrum.limit() @ (spectrum.vectors.T @ residual) ** 2 / len(residual))
