"""Gaussian expectations of an activation: what the infinite-width recursions need to know of it.

For (g, g') jointly normal with mean 0, variances v and v' and covariance c, a `Moments` function answers with
E[φ(g) φ(g')] and E[φ'(g) φ'(g')]. ReLU and erf have closed forms; any other activation has a Hermite series.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from itertools import pairwise

import torch
from scipy.special import roots_hermitenorm
from torch import Tensor

from lab.activations import Activation

Moments = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(covariances, variances, variances') -> (E[φφ'], E[φ'φ'']), all float64. The variances have as many axes as the
covariances and broadcast to them; the answers have the shape of the covariances."""

NODES, DEGREES = 1024, 512  # of `hermite_series`; its docstring says what they buy
SNAP = 16 * torch.finfo(torch.float64).eps  # correlations nearer to ±1 than their own rounding are ±1
_NEGLIGIBLE = 1e-32  # Gauss–Hermite weights below this add nothing in float64
_NEGLIGIBLE_TERM = 1e-18  # of the whole series


def expectations(activation: Activation) -> Moments:
    """The exact formula for "relu" and "erf", the Hermite series for every other activation."""
    return EXACT.get(activation.name) or hermite_series(activation)


def arc_cosine(covariances: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """ReLU: √(vv') (sin θ + (π − θ) cos θ)/2π and (π − θ)/2π, θ being the angle between g and g'.

    References
    ----------
    Cho, Saul, "Kernel Methods for Deep Learning", NeurIPS 2009, section 2 (degrees 1 and 0).
    """
    scale = (left * right).sqrt()
    rho = _correlations(covariances, scale)
    opening = math.pi - rho.arccos()
    sine = ((1 - rho) * (1 + rho)).sqrt()  # 1 − ρ² would lose half the digits next to ρ = 1
    return scale * (sine + rho * opening) / (2 * math.pi), opening / (2 * math.pi)


def arc_sine(covariances: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """erf: (2/π) arcsin(2c/√((1+2v)(1+2v'))) and (4/π)/√((1+2v)(1+2v') − 4c²).

    References
    ----------
    Williams, "Computing with Infinite Networks", NeurIPS 1996, section 3.1; the second is its derivative in c.
    """
    square = (1 + 2 * left) * (1 + 2 * right)
    products = (2 / math.pi) * (2 * covariances / square.sqrt()).clamp(-1, 1).arcsin()
    # (1+2v)(1+2v') − 4c², written so that large variances do not cancel
    rest = 1 + 2 * (left + right) + 4 * (left * right - covariances.square()).clamp(min=0)
    return products, (4 / math.pi) * rest.rsqrt()


def hermite_series(activation: Activation, nodes: int = NODES, degrees: int = DEGREES) -> Moments:
    """Any activation: E[φ(g) φ(g')] = Σ_k a_k(v) a_k(v') ρᵏ with a_k(v) = E[φ(√v z) He_k(z)]/√k! (Mehler's formula).

    The coefficients a_k come from Gauss–Hermite quadrature in one dimension, once per variance; a pair then costs 4
    operations for each of the ``degrees`` terms that is not negligible, where a product rule would evaluate φ at
    nodes² points. Every term is a positive semi-definite kernel, and so is the truncated sum; a product rule's is not.

    Relative errors for tanh, the hardest (its poles are nearest), at ρ → 1, where convergence is slowest: E[φ'φ'']
    1e-13 at v ≤ 1, 1e-11 at v = 4, 2e-6 at v = 16, 1e-2 at v = 64; E[φφ'] is 2 to 3 digits better, and so are both
    at |ρ| < 0.99. Raise both counts for larger inputs. Kinks converge like a power of ``degrees`` only.

    Parameters
    ----------
    activation
        φ with its derivative.
    nodes
        Gauss–Hermite nodes; those of negligible weight are dropped.
    degrees
        Terms of the series, at most ``nodes``.
    """

    def moments(covariances: Tensor, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        if covariances.ndim > 2:  # one slice at a time: coefficients take `degrees` numbers a variance
            variances = (each.expand(len(covariances), *each.shape[1:]) for each in (left, right))
            slices = zip(covariances, *variances, strict=True)
            parts = [moments(*each) for each in slices]
            return torch.stack([part[0] for part in parts]), torch.stack([part[1] for part in parts])
        rho = _correlations(covariances, (left * right).sqrt())
        pairs = zip(coefficients(left), coefficients(right), strict=True)
        first, second = (_power_series(a, b, rho) for a, b in pairs)
        return first, second

    def coefficients(variances: Tensor) -> tuple[Tensor, Tensor]:
        points, transform = (part.to(variances.device) for part in _hermite(nodes, degrees))
        preactivations = variances.sqrt()[..., None] * points
        states = activation.function(preactivations)
        gains = activation.gain(preactivations, states)
        return (states @ transform).movedim(-1, 0), (gains @ transform).movedim(-1, 0)

    return moments


@functools.lru_cache(maxsize=8)
def _hermite(nodes: int, degrees: int) -> tuple[Tensor, Tensor]:
    """Nodes z (N,) and the map (N, degrees) from values at them to E[· He_k(z)]/√k!."""
    points, weights = (torch.from_numpy(part) for part in roots_hermitenorm(nodes))
    weights = weights / weights.sum()
    points, weights = points[weights > _NEGLIGIBLE], weights[weights > _NEGLIGIBLE]
    rows = [torch.zeros_like(points), torch.ones_like(points)]  # degrees −1 and 0
    for k in range(degrees - 1):
        rows.append((points * rows[-1] - math.sqrt(k) * rows[-2]) / math.sqrt(k + 1))
    return points, (torch.stack(rows[1:]) * weights).T


def _power_series(left: Tensor, right: Tensor, rho: Tensor) -> Tensor:
    """Σ_k left_k right_k ρᵏ by Horner's rule over the terms that count; odd and even φ have every second one."""
    sizes = left.flatten(1).abs().sum(1) * right.flatten(1).abs().sum(1)
    live = (sizes > _NEGLIGIBLE_TERM * sizes.sum()).nonzero()[:, 0].tolist()
    jumps = [high - low for low, high in pairwise([0, *live])]
    powers = {jump: rho**jump for jump in set(jumps)}
    total = torch.zeros_like(rho)
    for k, jump in zip(reversed(live), reversed(jumps), strict=True):
        total.addcmul_(left[k], right[k]).mul_(powers[jump])
    return total


def _correlations(covariances: Tensor, scale: Tensor) -> Tensor:
    """ρ = c/√(vv') in [−1, 1]; 0 where a variance is 0, since c is 0 there.

    Next to ±1 rounding alone opens an angle of 1e-8; snapping makes equal histories equal, at the price of an angle of
    at most 9e-8 between histories that are nearer to each other than that.
    """
    rho = torch.where(scale > 0, covariances / scale, 0.0).clamp(-1, 1)
    return torch.where(1 - rho.abs() < SNAP, rho.sign(), rho)


EXACT: dict[str, Moments] = {"relu": arc_cosine, "erf": arc_sine}  #: activations with a closed form
