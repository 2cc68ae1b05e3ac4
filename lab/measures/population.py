"""Least squares over Gaussian inputs without any samples: ReLU neurons fitted to ReLU neurons in closed form.

For x ~ N(0, I_d) and unit vectors v, v' the pair (⟨v, x⟩, ⟨v', x⟩) is normal with correlation ρ = ⟨v, v'⟩, so that the
inner product of two neurons relu(⟨v, x⟩ + b) and relu(⟨v', x⟩ + b') is a function of (ρ, b, b') alone. With
s = √(1 − ρ²), φ the normal density and Φ₂ the bivariate distribution function it is

    E = (bb' + ρ) Φ₂(b, b'; ρ) + b φ(b') Φ((b − ρb')/s) + b' φ(b) Φ((b' − ρb)/s) + s φ(b) φ((b' − ρb)/s).

Derivation: write E = E[(g + b)(g' + b') 1[g > −b, g' > −b']] and integrate by parts (Stein's identity), once in g and
once in g'; each derivative of an indicator leaves a density on one edge times a one-dimensional normal probability
along it, and the two edges meet in a corner. Φ₂ comes from Owen's T function. Without biases Φ₂(0, 0; ρ) is
(π − θ)/2π with θ = arccos ρ, and E is the arc-cosine kernel of degree 1 (Cho, Saul 2009, equation 3). A target that is
itself a sum of neurons needs nothing else: not its samples, not a quadrature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.optimize
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, owens_t

from lab.errors import check_integer, check_number, check_seed, refuse
from lab.kernels.spectrum import Spectrum

Array = NDArray[np.float64]

_JITTER = 1e-13  # of the mean diagonal: what keeps the factor of an almost singular Gram matrix real
_PARALLEL = 1e-9  # an angle (its sine) below this counts as 0
_TINY = 1e-150  # stands for a bias of exactly 0
_UNITS = 1e-9  # how far from 1 the norm of a direction may be
_SMALLEST, _LARGEST = -30.0, 5.0  # log10 of the penalties tried, in units of the largest eigenvalue


def relu_moments(correlations: ArrayLike, left: ArrayLike, right: ArrayLike) -> Array:
    """E[relu(g + b) relu(g' + b')] for standard normal g, g' with correlation ρ, as the module's docstring has it.

    Parameters
    ----------
    correlations
        ρ in [−1, 1].
    left, right
        Biases b and b'; all three broadcast.

    Returns
    -------
    Array
        In the common shape, to an absolute 1e-13 for biases of order 1.

    References
    ----------
    Owen, "Tables for computing bivariate normal probabilities", Annals of Mathematical Statistics 1956 (Φ₂ from T).
    """
    shapes = (np.asarray(each, dtype=np.float64) for each in (correlations, left, right))
    rho, b, c = np.broadcast_arrays(*shapes)
    rho = np.clip(rho, -1.0, 1.0)
    sine = np.sqrt((1 - rho) * (1 + rho))
    flat = sine < _PARALLEL
    s = np.where(flat, 1.0, sine)
    along, across = (b - rho * c) / s, (c - rho * b) / s
    edges = b * _density(c) * ndtr(along) + c * _density(b) * ndtr(across) + s * _density(b) * _density(across)
    general = (b * c + rho) * _both_positive(b, c, rho, s) + edges
    return np.where(flat, np.where(rho > 0, _same(b, c), _opposite(b, c)), general)


def _density(values: Array) -> Array:
    return np.exp(-0.5 * values * values) / math.sqrt(2 * math.pi)


def _both_positive(b: Array, c: Array, rho: Array, sine: Array) -> Array:
    """Φ₂(b, c; ρ) by Owen's T, whose argument is a ratio: a bias of 0 becomes one too small to matter."""
    one, other = np.where(b == 0, _TINY, b), np.where(c == 0, _TINY, c)
    first, second = (other - rho * one) / (one * sine), (one - rho * other) / (other * sine)
    corners = owens_t(one, first) + owens_t(other, second)
    return np.asarray(0.5 * (ndtr(one) + ndtr(other)) - corners - 0.5 * ((one < 0) != (other < 0)))


def _same(b: Array, c: Array) -> Array:
    """ρ = 1: the integral of (z + b)(z + c) over z > −min(b, c)."""
    low = np.minimum(b, c)
    return np.asarray((1 + b * c) * ndtr(low) + np.maximum(b, c) * _density(low))


def _opposite(b: Array, c: Array) -> Array:
    """ρ = −1: the integral of (z + b)(c − z) over −b < z < c, if there is such a z."""
    inside = (b * c - 1) * (ndtr(c) - ndtr(-b)) + b * _density(c) + c * _density(b)
    return np.where(b + c > 0, inside, 0.0)


@dataclass(frozen=True, eq=False)
class Neurons:
    """The functions relu(⟨v_i, x⟩ + b_i) of x ~ N(0, I_d).

    Parameters
    ----------
    directions
        Unit vectors v_i, shape (r, d).
    biases
        b_i, shape (r,).

    Raises
    ------
    LabError
        Directions that have no unit norm, or another number of biases.
    """

    directions: Array
    biases: Array

    def __post_init__(self) -> None:
        norms = np.linalg.norm(self.directions, axis=-1) if self.directions.ndim == 2 else np.zeros(1)
        if np.abs(norms - 1).max(initial=0) > _UNITS or self.biases.shape != norms.shape:
            came = f"shape {self.directions.shape}, norms from {norms.min():.3g} to {norms.max():.3g}"
            refuse("directions", came, "unit vectors (r, d), one bias for each", "divide by the norms")

    def gram(self, other: Neurons | None = None) -> Array:
        """Inner products with other neurons (r, r'), or with themselves."""
        right = other or self
        correlations = self.directions @ right.directions.T
        if other is None:
            np.fill_diagonal(correlations, 1.0)
        return relu_moments(correlations, self.biases[:, None], right.biases)

    def means(self) -> Array:
        """E relu(⟨v, x⟩ + b) = b Φ(b) + φ(b), shape (r,)."""
        return np.asarray(self.biases * ndtr(self.biases) + _density(self.biases))

    def slopes(self) -> Array:
        """E[x relu(⟨v, x⟩ + b)] = Φ(b) v, shape (r, d)."""
        return np.asarray(ndtr(self.biases)[:, None] * self.directions)

    def __call__(self, inputs: Array) -> Array:
        """Their values at inputs (n, d), shape (n, r)."""
        return np.maximum(inputs @ self.directions.T + self.biases, 0.0)


def random_neurons(count: int, dimension: int, *, bias_spread: float = 1.0, seed: int = 0) -> Neurons:
    """Directions uniform on the sphere, biases N(0, ``bias_spread``²); the first k of r are those of a smaller count.

    Raises
    ------
    LabError
        A count or dimension below 1, or a negative spread.
    """
    check_integer("count", count, 1)
    check_integer("dimension", dimension, 1)
    check_seed("seed", seed)
    check_number("bias_spread", bias_spread, above=0, closed=True)
    drawn = np.random.default_rng([seed, dimension]).standard_normal((count, dimension + 1))
    directions = drawn[:, 1:] / np.linalg.norm(drawn[:, 1:], axis=1, keepdims=True)
    return Neurons(directions, bias_spread * drawn[:, 0])


@dataclass(frozen=True, eq=False)
class Target:
    """A function to learn: Σ_j a_j relu(⟨w_j, x⟩ + b_j), with a_j = ``weights`` (k,)."""

    neurons: Neurons
    weights: Array

    @property
    def second_moment(self) -> float:
        """E y²."""
        return float(self.weights @ self.neurons.gram() @ self.weights)

    @property
    def affine_error(self) -> float:
        """E (y − best affine predictor)² = E y² − (E y)² − ‖E[x y]‖²: what there is to explain beyond a plane."""
        mean, slope = self.weights @ self.neurons.means(), self.weights @ self.neurons.slopes()
        return float(self.second_moment - mean**2 - slope @ slope)

    def __call__(self, inputs: Array) -> Array:
        """Its values at inputs (n, d), shape (n,)."""
        return self.neurons(inputs) @ self.weights


def single_neuron(dimension: int, bias: float = 0.0) -> Target:
    """relu(x_1 + b): one neuron of unit norm (random features do not know its direction)."""
    direction = np.eye(1, dimension)
    return Target(Neurons(direction, np.array([float(bias)])), np.ones(1))


def triangle_wave(dimension: int, spacing: float, reach: float = 4.0) -> Target:
    """A triangle wave between 0 and 1 in x_1, a sum of shifted ReLUs: its slope flips at every multiple of ``spacing``.

    Parameters
    ----------
    spacing
        Distance between neighbouring kinks, half a period.
    reach
        Kinks go on until ±``reach`` at least; beyond them, where x_1 is with probability 6e-5 for 4, the function is 0.

    References
    ----------
    Yehudai, Shamir, "On the Power and Limitations of Random Features", NeurIPS 2019, section 4 (their proof has such a
    sum of shifted ReLUs).
    """
    check_number("spacing", spacing, above=0)
    count = math.ceil(reach / spacing)
    places: Array = spacing * np.arange(-count, count + 1, dtype=np.float64)
    flips: Array = 2.0 / spacing * np.where(np.arange(len(places)) % 2, -1.0, 1.0)
    flips[[0, -1]] = 1.0 / spacing
    directions = np.tile(np.eye(1, dimension), (len(places), 1))
    return Target(Neurons(directions, -places), flips)


@dataclass(frozen=True, eq=False)
class PopulationFit:
    """The best linear combinations of the first r neurons, for every r at once, in the mean over all inputs.

    One Cholesky factor L of the Gram matrix serves all: the leading block of L belongs to the first r neurons, so that
    E(y − f_r)² = E y² − Σ_{i ≤ r} (L⁻¹c)_i² with c_i = E[y relu(⟨v_i, x⟩ + b_i)]. A jitter of 1e-13 of the mean
    diagonal (more where rounding asks for it) keeps L real; the error with it is never below the true least one.

    Parameters
    ----------
    neurons
        The random features.
    target
        What they shall fit.
    """

    neurons: Neurons
    target: Target

    @cached_property
    def gram(self) -> Array:
        """G = E φφᵀ of the features, shape (R, R)."""
        return self.neurons.gram()

    @cached_property
    def moments(self) -> Array:
        """E[y φ], shape (R,)."""
        return np.asarray(self.neurons.gram(self.target.neurons) @ self.target.weights)

    @cached_property
    def errors(self) -> Array:
        """E (y − f_r)² of the least-squares fit by the first r = 1…R features, shape (R,); it never rises."""
        projected = scipy.linalg.solve_triangular(self._factor, self.moments, lower=True, check_finite=False)
        return np.asarray(self.target.second_moment - np.cumsum(projected**2))

    @cached_property
    def _factor(self) -> Array:
        size, jitter = float(np.trace(self.gram)) / len(self.gram), _JITTER
        while True:
            try:
                shifted = self.gram + jitter * size * np.eye(len(self.gram))
                return np.asarray(scipy.linalg.cholesky(shifted, lower=True, check_finite=False))
            except scipy.linalg.LinAlgError:  # rounding of the entries outweighs it: thousands of features in a plane
                jitter *= 10

    @cached_property
    def _spectrum(self) -> Spectrum:
        return Spectrum(self.gram)

    def features_for(self, error: float) -> int | None:
        """r*: the smallest r whose error is at most ``error``; None if there are not enough features."""
        check_number("error", error, above=0)
        reached = np.flatnonzero(self.errors <= error)
        return int(reached[0]) + 1 if len(reached) else None

    def coefficients(self, count: int) -> Array:
        """u of the least-squares fit by the first ``count`` features, shape (count,)."""
        factor = self._factor[:count, :count]
        return np.asarray(scipy.linalg.cho_solve((factor, True), self.moments[:count], check_finite=False))

    def small_coefficients(self, error: float) -> Array | None:
        """u of ridge regression on all R features, with the largest penalty that keeps the error at ``error``.

        Shape (R,); None where the error cannot be reached.
        """
        check_number("error", error, above=0)

        def excess(log_penalty: float) -> float:
            return self._ridge_error(10**log_penalty * self._spectrum.lambda_max) - error

        if excess(_SMALLEST) > 0:
            return None
        if excess(_LARGEST) < 0:
            return np.zeros(len(self.moments))
        best = scipy.optimize.brentq(excess, _SMALLEST, _LARGEST, xtol=1e-6)
        filtered = self._spectrum.ridge(10**best * self._spectrum.lambda_max) * self._rotated
        return np.asarray(self._spectrum.vectors @ filtered)

    @cached_property
    def _rotated(self) -> Array:
        return np.asarray(self._spectrum.vectors.T @ self.moments)

    def _ridge_error(self, penalty: float) -> float:
        """E y² − 2 uᵀc + uᵀGu in the eigenbasis."""
        u = self._spectrum.ridge(penalty) * self._rotated
        return float(self.target.second_moment - 2 * u @ self._rotated + u @ (self._spectrum.values * u))
