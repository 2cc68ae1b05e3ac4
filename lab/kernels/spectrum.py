"""One eigen-decomposition, and from it every step of gradient descent, gradient flow, ridge and the limit.

With K = V diag(λ) Vᵀ, a linear model trained on residuals d = y − f₀ stays in the span of the kernel: f = f₀ + K c, and
in the eigenbasis every coefficient lives on its own. `Spectrum` answers with c in that basis, divided by d: a *filter*,
one number per eigenvalue.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.linalg import lapack
from torch import Tensor

from lab.arrays import as_array
from lab.errors import check_number, refuse
from lab.html import Facts

Array = NDArray[np.float64]

_TILE = 512  # rows and columns of the tiles in which a matrix is symmetrised in place
_SAFE = 100.0  # N·ε times this is the reciprocal condition number above which `solve_definite` trusts Cholesky


class Spectrum(Facts):
    """Eigen-decomposition of a symmetric positive semi-definite kernel, in float64.

    Time O(N³). Memory beyond the kernel: one copy of it while it is decomposed, and the eigenvectors.

    Parameters
    ----------
    kernel
        Shape (N, N) or (n, o, n, o); symmetrised before use. If q outputs share it, the whole kernel has each of its
        eigenvalues q times.
    overwrite
        Work in the kernel's own memory where it is float64 on the CPU, instead of in a copy: the kernel is lost.

    Attributes
    ----------
    values, vectors
        Eigenvalues (N,), ascending, rounding below 0 cut off; eigenvectors (N, N) in columns.
    lambda_min, lambda_max
        Smallest eigenvalue as computed (it may be a rounding error below 0), and the largest.
    tolerance
        Eigenvalues below this count as 0: 10·N·ε·λ_max, ε being the precision that the kernel came in.

    Raises
    ------
    LabError
        A kernel that is not square, not finite, zero, or indefinite beyond the tolerance.
    """

    def __init__(self, kernel: Tensor | Array, *, overwrite: bool = False) -> None:
        matrix, precision = _symmetric(kernel, overwrite), _precision(kernel)
        # The transpose is the same matrix in the order of LAPACK, which then needs no copy
        self.values, self.vectors = scipy.linalg.eigh(matrix.T, overwrite_a=True, check_finite=False)
        self.lambda_min, self.lambda_max = float(self.values[0]), float(self.values[-1])
        self.tolerance = 10 * len(matrix) * precision * self.lambda_max
        self._check()
        self.values = np.maximum(self.values, 0.0)

    def __repr__(self) -> str:
        return f"Spectrum({len(self.values)} eigenvalues from {self.lambda_min:.4g} to {self.lambda_max:.4g})"

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        return "Spectrum of a kernel", {
            "eigenvalues": len(self.values),
            "λ_min": self.lambda_min,
            "λ_max": self.lambda_max,
            "eigenvalues that count as 0": int((self.values <= self.tolerance).sum()),
        }

    def leading(self, values: Array, share: float) -> Array:
        """The part of values (N,) along eigenvectors with eigenvalues of at least ``share`` times the largest."""
        check_number("share", share, above=0)
        vectors = self.vectors[:, self.values >= share * self.values[-1]]
        return np.asarray(vectors @ (vectors.T @ values))

    def descent(self, learning_rate: float, steps: NDArray[Any]) -> Array:
        """Filter (1 − (1 − ηλ)^t)/λ of gradient descent after t steps, shape (len(steps), N); exact, ηt at λ = 0."""
        rates, t = learning_rate * self.values, np.asarray(steps, dtype=np.float64)[:, None]
        return np.asarray(learning_rate * _one_minus_power(rates, t) / np.where(rates > 0, rates, 1.0))

    def decay(self, learning_rate: float, steps: NDArray[Any]) -> Array:
        """Share (1 − ηλ)^t of each residual that is left after t steps, shape (len(steps), N)."""
        with np.errstate(over="ignore"):
            return np.asarray((1.0 - learning_rate * self.values) ** np.asarray(steps)[:, None])

    def heavy_ball(self, learning_rate: float, momentum: float) -> Iterator[Array]:
        """Filters (N,) of descent with momentum at steps 0, 1, 2, …: the recursion of each eigenvalue on its own."""
        last, now = np.zeros_like(self.values), np.zeros_like(self.values)
        while True:
            yield now
            with np.errstate(over="ignore", invalid="ignore"):
                last, now = now, now + momentum * (now - last) + learning_rate * (1.0 - self.values * now)

    def flow(self, times: Array) -> Array:
        """Filter (1 − exp(−λt))/λ of gradient flow at times t (units of 1/λ), shape (len(times), N)."""
        t = np.asarray(times, dtype=np.float64)[:, None]
        return np.where(self.values > 0, -np.expm1(-self.values * t) / np.where(self.values > 0, self.values, 1.0), t)

    def ridge(self, penalty: float) -> Array:
        """Filter 1/(λ + ρ) of ridge regression, shape (N,); raises `LabError` unless ρ > 0."""
        check_number("penalty", penalty, above=0)
        return np.asarray(1.0 / (self.values + penalty))

    def limit(self) -> Array:
        """Filter 1/λ of t → ∞, shape (N,); 0 where λ counts as 0, since descent from 0 never moves there."""
        live = self.values > self.tolerance
        return np.where(live, 1.0 / np.where(live, self.values, 1.0), 0.0)

    def _check(self) -> None:
        extremes = f"λ_min = {self.lambda_min:.3g}, λ_max = {self.lambda_max:.3g}"
        if self.lambda_max <= 0:
            refuse(
                "kernel",
                extremes,
                "a kernel with a positive eigenvalue",
                "check that the outputs depend on a trained weight, and that inputs are neither zero nor tiny",
            )
        if self.lambda_min < -self.tolerance:
            fix = "compute it in float64, or check that both arguments of the kernel are the same inputs"
            refuse("kernel", extremes, f"positive semi-definite up to {self.tolerance:.3g}", fix)


def largest_eigenvalue(kernel: Tensor) -> float:
    """λ_max of a symmetric kernel (N, N) or (n, o, n, o), in float64; 0 for a zero kernel, which `Spectrum` refuses."""
    size = math.prod(kernel.shape[: kernel.ndim // 2])
    return float(torch.linalg.eigvalsh(kernel.double().reshape(size, size))[-1])


def solve(kernel: Tensor | Array, values: Array, penalty: float = 0.0) -> Array:
    """(K + ρ)⁻¹ v by Cholesky, in float64: a third of the work of an eigen-decomposition where nothing else is asked.

    Parameters
    ----------
    kernel
        Shape (N, N) or (n, o, n, o), symmetric.
    values
        v, shape (N,) or (N, k).
    penalty
        ρ ≥ 0, in units of the kernel.

    Raises
    ------
    LabError
        A kernel that is not finite, or K + ρ not positive definite in float64 (duplicated samples, say).
    """
    check_number("penalty", penalty, above=0, closed=True)
    shifted = _symmetric(kernel)
    shifted[np.diag_indices_from(shifted)] += penalty
    try:
        return np.asarray(scipy.linalg.cho_solve(scipy.linalg.cho_factor(shifted), values))
    except scipy.linalg.LinAlgError:
        lowest, *_, highest = scipy.linalg.eigvalsh(shifted)
        came = f"λ_min = {lowest:.3g}, λ_max = {highest:.3g} with penalty {penalty:g}"
        refuse("kernel", came, "positive definite", "raise the penalty, or drop duplicated samples")


def solve_definite(kernel: Tensor | Array, values: Array, penalty: float = 0.0) -> Array | None:
    """(K + ρ)⁻¹ v by Cholesky in the kernel's own memory, or None where rounding could make K + ρ singular.

    It costs about a tenth of an eigen-decomposition. It answers only if λ_min of K + ρ is so far above the tolerance of
    `Spectrum` that its `Spectrum.limit` or `Spectrum.ridge` would give the same up to rounding.

    Parameters
    ----------
    kernel
        Shape (N, N) or (n, o, n, o). Where it is float64 on the CPU, it is lost if there is an answer, and symmetrised
        if there is none; another kernel is copied.
    values
        v, shape (N, k).
    penalty
        ρ ≥ 0, in units of the kernel.

    Returns
    -------
    ndarray or None
        Shape (N, k).

    Raises
    ------
    LabError
        A kernel that is not square or not finite.
    """
    matrix = _symmetric(kernel, overwrite=True)
    diagonal = matrix.diagonal().copy()
    if not diagonal.any():  # a zero kernel: `Spectrum` says what is wrong with it
        return None
    matrix[np.diag_indices_from(matrix)] += penalty
    norm = max(float(np.abs(rows).sum(1).max()) for rows in np.array_split(matrix, -(-len(matrix) // _TILE)))
    factor, failed = lapack.dpotrf(matrix.T, lower=True, clean=False, overwrite_a=True)
    if not failed:
        inverse_condition, _ = lapack.dpocon(factor, norm, uplo="L")
        if inverse_condition > _SAFE * len(matrix) * np.finfo(np.float64).eps:
            return np.asarray(lapack.dpotrs(factor, values, lower=True)[0])
    _restore(matrix, diagonal)
    return None


def add_transpose(matrix: Tensor) -> None:
    """M ← M + Mᵀ in place for a square matrix, tile by tile: no second matrix is needed."""
    for start in range(0, len(matrix), _TILE):
        rows = slice(start, start + _TILE)
        for across in range(start, len(matrix), _TILE):
            columns = slice(across, across + _TILE)
            tile = matrix[rows, columns] + matrix[columns, rows].T
            matrix[rows, columns], matrix[columns, rows] = tile, tile.T


def _symmetric(kernel: Tensor | Array, overwrite: bool = False) -> Array:
    """(K + Kᵀ)/2 as a finite float64 matrix (N, N), in C order, with memory of its own unless it may overwrite K's."""
    array = _writable(kernel) if overwrite else None
    matrix = _square(as_array("kernel", kernel) if array is None else array)
    add_transpose(torch.from_numpy(matrix))
    matrix /= 2
    return matrix


def _writable(kernel: Tensor | Array) -> Array | None:
    """The kernel's own memory as an array, or None where it is not float64 on the CPU in C order."""
    if isinstance(kernel, Tensor):
        fits = kernel.dtype == torch.float64 and kernel.device.type == "cpu" and kernel.layout == torch.strided
        return kernel.detach().numpy() if fits and kernel.is_contiguous() and not kernel.is_neg() else None
    fits = isinstance(kernel, np.ndarray) and kernel.dtype == np.float64
    return kernel if fits and kernel.flags.c_contiguous and kernel.flags.writeable else None


def _restore(matrix: Array, diagonal: Array) -> None:
    """Undo a factorization in place: the triangle below the diagonal is as it was, the rest is written again."""
    for start in range(0, len(matrix), _TILE):
        rows = slice(start, start + _TILE)
        matrix[:start, rows] = matrix[rows, :start].T
        low = np.tril(matrix[rows, rows], -1)
        matrix[rows, rows] = low + low.T
    matrix[np.diag_indices_from(matrix)] = diagonal


def _square(array: Array) -> Array:
    """A kernel as a finite matrix (N, N)."""
    rows = math.prod(array.shape[: array.ndim // 2])
    if array.size != rows * rows or array.size == 0:
        refuse("kernel", f"shape {array.shape}", "(N, N) or (n, o, n, o)", "pass one set of inputs, not two")
    if not np.isfinite(array).all():
        refuse(
            "kernel",
            "NaN or infinite entries",
            "finite entries",
            "scale the inputs down; along training, lower the learning rate: the network has probably diverged",
        )
    return array.reshape(rows, rows)


def _precision(kernel: Tensor | Array) -> float:
    """ε of the floating-point type that a kernel came in; that of float64 for whatever has none."""
    dtype = getattr(kernel, "dtype", None)
    if isinstance(dtype, torch.dtype):
        return torch.finfo(dtype).eps if dtype.is_floating_point else float(np.finfo(np.float64).eps)
    known = dtype if isinstance(dtype, np.dtype) and dtype.kind == "f" else np.dtype(np.float64)
    return float(np.finfo(known).eps)


def _one_minus_power(rates: Array, steps: Array) -> Array:
    """1 − (1 − x)^t without cancellation for small x; t itself at x = 0, where the caller divides by 1, not by x."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        near = -np.expm1(steps * np.log1p(-np.minimum(rates, 0.5)))
        far = 1.0 - (1.0 - rates) ** steps
    return np.where(rates == 0, steps, np.where(rates < 0.5, near, far))
