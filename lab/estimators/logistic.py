"""Dual coefficients of a kernel for classes by cross-entropy: early-stopped descent, and kernel logistic regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, cg
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

_LOSS = LOSSES["cross_entropy"]
_NEAR = 1e-8  # of the first gradient, at which the trust region ends
_TOLERANCE = 1e-10  # of ρ|w|, for the gradient
_RESOLVED = 1e-3  # of ρ|w|, which a larger gradient would bury
_SMALLEST = 1e-12  # of λ_max, for ρ: float64 resolves the minimum down to here
_STEPS = 50  # of Newton's method, at most, after the trust region


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
    aim = Objective(_LOSS, targets, (targets.shape[1],))
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
    of the gradient in w is at most 1e-10 ρ|w| where float64 allows, and else as small as it does.

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
        A kernel that `Spectrum` refuses, or a penalty so far below λ_max (1e-12 of it) that float64 does not resolve
        the minimum.
    """
    spectrum = Spectrum(gram, overwrite=True)
    # In units of λ_max the problem has one scale: K a does not change, and neither does ρ a
    features = torch.from_numpy(spectrum.vectors * np.sqrt(spectrum.values / spectrum.lambda_max))
    problem = _Regression(features, targets, penalty / spectrum.lambda_max)
    weights, left = problem.minimum() if problem.penalty >= _SMALLEST else (np.empty(0), np.inf)
    if left > _RESOLVED:
        came = f"{penalty:g} beside λ_max = {spectrum.lambda_max:.3g}: float64 does not resolve the minimum"
        allowed = f"at least {_SMALLEST * spectrum.lambda_max:.3g}"
        refuse("penalty", came, allowed, "raise it, or set steps instead")
    return np.asarray(problem.residual(weights).numpy() / -penalty)


@dataclass(frozen=True)
class _Regression:
    """Σ cross-entropy(Φ w) + ρ/2 |w|², as a function of weights w (r, k), flattened.

    Attributes
    ----------
    features
        Φ, (n·q/k, r).
    targets
        One-hot rows, (n, q).
    penalty
        ρ.
    """

    features: Tensor
    targets: Tensor
    penalty: float

    def outputs(self, weights: Array) -> Tensor:
        """Φ w, (n, q)."""
        return (self.features @ torch.from_numpy(weights.reshape(self.features.shape[1], -1))).view_as(self.targets)

    def residual(self, weights: Array) -> Tensor:
        """The gradient g in the outputs, (n, q)."""
        return _LOSS.gradient(self.outputs(weights), self.targets)

    def value(self, weights: Array) -> float:
        """The penalized loss."""
        loss = float(_LOSS.value(self.outputs(weights), self.targets).sum())
        return loss + 0.5 * self.penalty * float(weights @ weights)

    def slope(self, weights: Array) -> Array:
        """Its gradient Φᵀ g + ρ w."""
        return self._pull(self.residual(weights)) + self.penalty * weights

    def curve(self, weights: Array, motion: Array) -> Array:
        """Its Hessian times a motion: Φᵀ (diag(p) − p pᵀ) Φ v + ρ v."""
        p, change = self.outputs(weights).softmax(-1), self.outputs(motion)
        return self._pull(p * (change - (p * change).sum(-1, keepdim=True))) + self.penalty * motion

    def minimum(self) -> tuple[Array, float]:
        """Weights at the minimum, and what is left of the gradient there, in units of ρ|w|.

        A trust region comes near it. It compares values, which agree in their first digits long before gradients do, so
        that plain Newton steps go on.
        """
        start = np.zeros(self.targets.numel() * self.features.shape[1] // len(self.features))
        gradient = self.slope(start)
        options = {"gtol": _NEAR * float(np.linalg.norm(gradient))}
        with np.errstate(invalid="ignore"):  # of a gradient that is 0
            near = minimize(self.value, start, jac=self.slope, hessp=self.curve, method="trust-ncg", options=options)
        weights, gradient = near.x, self.slope(near.x)
        for _ in range(_STEPS):
            if np.linalg.norm(gradient) <= _TOLERANCE * self.penalty * np.linalg.norm(weights):
                break
            following = weights + self._newton(weights, gradient)
            if not np.linalg.norm(self.slope(following)) < np.linalg.norm(gradient):
                break
            weights, gradient = following, self.slope(following)
        unit = self.penalty * float(np.linalg.norm(weights))
        return weights, float(np.linalg.norm(gradient)) / unit if unit else 0.0

    def _newton(self, weights: Array, gradient: Array) -> Array:
        """The step −H⁻¹ ∇, by conjugate gradients."""
        shape = (len(weights), len(weights))
        hessian = LinearOperator(shape, matvec=lambda motion: self.curve(weights, motion), dtype=np.float64)
        return np.asarray(cg(hessian, -gradient, atol=0.0)[0])

    def _pull(self, cotangent: Tensor) -> Array:
        """Φᵀ r, flattened."""
        return np.asarray((self.features.T @ cotangent.reshape(len(self.features), -1)).numpy().ravel())
