"""Dual coefficients of a kernel for classes by cross-entropy: early-stopped descent, and kernel logistic regression."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import NoConvergence, newton_krylov
from torch import Tensor

from lab.arrays import check_data
from lab.errors import refuse
from lab.kernels.sharpness import sharpness
from lab.kernels.singular import spectral_norm
from lab.kernels.spectrum import Spectrum
from lab.learners.descent import Descent, follow
from lab.learners.kernel import dual
from lab.learners.linearized import LinearizedNetwork
from lab.losses import LOSSES, Objective

Array = NDArray[np.float64]

_ROUGH = 1e-6  # of the first gradient, at which the size of the weights is known
_TOLERANCE = 1e-10  # of the gradient, beside that of the penalty alone
_ROUNDING = 1e-14  # of the first gradient, below which its parts do not cancel any further
_RESOLVED = 1e-3  # of the penalty's gradient, which a larger remainder would bury
_ITERATIONS = 100  # of Newton's method, for each of the two tolerances


def descended(gram: Tensor, targets: Tensor, steps: int, critical_fraction: float) -> Array:
    """Coefficients a (n, q) after steps of gradient descent a ← a − η g(K a) from 0, with η = 2c/λ_max(H₀^½ K H₀^½).

    g = softmax(f) − y is the gradient of the cross-entropy in the outputs.

    Parameters
    ----------
    gram
        K: (n, n), which all outputs share, or (n, q, n, q); float64.
    targets
        One-hot rows y, (n, q).

    Raises
    ------
    LabError
        A kernel that is zero or not finite, or a descent that diverged.
    """
    aim = Objective(LOSSES["cross_entropy"], targets, (targets.shape[1],))
    descent = Descent(steps, critical_fraction, record=(steps,), loss=aim.loss)
    start = torch.zeros_like(targets)
    model = LinearizedNetwork(dual(gram, start, len(start), 1 if gram.ndim == 2 else start.shape[1]), {"a": start})
    visits = follow(model, aim, descent, descent.rate(initial_sharpness(gram, aim)), "kernel descent")
    for _ in visits:
        pass
    if visits.diverged_at is not None:
        came = f"{critical_fraction} with which descent diverged at step {visits.diverged_at}"
        refuse("critical_fraction", came, "one at which descent converges", "lower it")
    return np.asarray(model.motion["a"].numpy())


def initial_sharpness(gram: Tensor, aim: Objective) -> float:
    """λ_max of H₀^½ K H₀^½ at outputs of 0, where H₀ = (1/q)(I − 11ᵀ/q) for each sample.

    For a kernel that all outputs share the matrix is K ⊗ H₀, whose largest eigenvalue is λ_max(K)/q.
    """
    start = torch.zeros_like(aim.targets)
    if gram.ndim == 4:
        return sharpness(gram, aim.curvature(start))
    largest = spectral_norm(check_data("kernel", gram))
    if not largest > 0:
        largest = Spectrum(gram).lambda_max  # which says what is wrong with a kernel of 0
    return largest / start.shape[1]


def penalized(gram: Tensor, targets: Tensor, penalty: float) -> Array:
    """Coefficients a (n, q) that minimize Σ cross-entropy(K a) + ρ/2 tr(aᵀ K a): kernel logistic regression.

    With K = Φ Φᵀ this is logistic regression without intercept on features Φ, with weights w = Φᵀ a and the penalty
    ρ/2 |w|². Newton's method finds w, after an eigen-decomposition: of n·q rows for a whole kernel, of n for a shared
    one. At the minimum g(K a) + ρ a = 0, which gives a, g = softmax(f) − y being the gradient in the outputs. The norm
    of the gradient in w is at most 1e-10 ρ|w|, or 1e-14 of that at w = 0 where this is more.

    Parameters
    ----------
    gram
        K: (n, n), which all outputs share, or (n, q, n, q); where it is float64 on the CPU, it is lost.
    targets
        One-hot rows y, (n, q).
    penalty
        ρ > 0, in units of the kernel.

    Raises
    ------
    LabError
        A kernel that `Spectrum` refuses, or a penalty so far below λ_max (about 1e-12 of it) that float64 does not
        resolve the minimum.
    """
    spectrum, loss = Spectrum(gram, overwrite=True), LOSSES["cross_entropy"]
    # In units of λ_max the problem has one scale: K a does not change, and neither does ρ a
    features = torch.from_numpy(spectrum.vectors * np.sqrt(spectrum.values / spectrum.lambda_max))
    ratio = penalty / spectrum.lambda_max

    def gradient(weights: Tensor) -> Tensor:
        """∂ℓ/∂f, (n, q)."""
        return loss.gradient((features @ weights).reshape(targets.shape), targets)

    def slope(values: Array) -> Array:
        weights = torch.from_numpy(values)
        return np.asarray((features.T @ gradient(weights).reshape(len(features), -1) + ratio * weights).numpy())

    found = _minimum(slope, np.zeros((len(features), targets.numel() // len(features))), ratio)
    if found is None:
        came = f"{penalty:g} beside λ_max = {spectrum.lambda_max:.3g}, at which Newton's method does not converge"
        refuse("penalty", came, "one that is not negligible beside λ_max", "raise it, or set steps instead")
    return np.asarray(gradient(torch.from_numpy(found)).numpy() / -penalty)


def _minimum(slope: Callable[[Array], Array], start: Array, penalty: float) -> Array | None:
    """Weights at which a penalized gradient vanishes, from 0; None if they are not found, or lost in rounding."""
    first = float(np.linalg.norm(slope(start)))
    try:
        rough = _root(slope, start, _ROUGH * first)
        found = _root(slope, rough, max(_TOLERANCE * penalty * float(np.linalg.norm(rough)), _ROUNDING * first))
    except (NoConvergence, ValueError):  # the latter from a step that is zero or not finite
        return None
    resolved = np.linalg.norm(slope(found)) <= _RESOLVED * penalty * np.linalg.norm(found)
    return found if resolved else None


def _root(slope: Callable[[Array], Array], start: Array, tolerance: float) -> Array:
    """Where a gradient vanishes up to a norm, by Newton's method; the Hessian is that of a convex function."""
    choices = {"method": "minres", "f_tol": tolerance, "tol_norm": np.linalg.norm, "maxiter": _ITERATIONS}
    with np.errstate(invalid="ignore"):  # scipy divides its first step, inf, by the tolerance of steps, inf
        return np.asarray(newton_krylov(slope, start, **choices))
